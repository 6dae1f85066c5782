//! One comparison as SQL. It may give NULL where the answer is no.

use rusqlite::types::Value;

use super::place::{Form, Spot};
use crate::scim::filter::{Field, Operand, Operator};

/// The value is there and not empty; false and 0 are values.
pub(super) fn present(spot: &Spot) -> String {
    format!("{} <> ''", spot.sql)
}

/// The value at the spot compares so with the operand.
pub(super) fn compare(
    field: &Field,
    spot: &Spot,
    operator: Operator,
    operand: &Operand,
    mut bind: impl FnMut(Value) -> String,
) -> String {
    match operand {
        Operand::Text { key, .. } => text(field, spot, operator, key, bind),
        Operand::Bool(wanted) => {
            let found = match field.absent_means {
                Some(default) => format!("coalesce({}, {})", spot.sql, bind(Value::Integer(default.into()))),
                None => spot.sql.clone(),
            };
            format!("{found} {} {}", sign(operator), bind(Value::Integer((*wanted).into())))
        }
        Operand::Number(number) => {
            let value = number.as_i64().map(Value::Integer).or_else(|| number.as_f64().map(Value::Real));
            format!("{} {} {}", spot.sql, sign(operator), bind(value.unwrap_or(Value::Null)))
        }
        Operand::Instant { microseconds, .. } if spot.form == Form::Millis => {
            format!("{} {} {}", spot.sql, sign(operator), bind(in_milliseconds(operator, *microseconds)))
        }
        Operand::Instant { microseconds, .. } => {
            format!("scim_instant({}) {} {}", spot.sql, sign(operator), bind(Value::Integer(*microseconds)))
        }
    }
}

fn text(field: &Field, spot: &Spot, operator: Operator, key: &str, mut bind: impl FnMut(Value) -> String) -> String {
    let found =
        if field.case_exact || spot.form == Form::Key { spot.sql.clone() } else { format!("scim_key({})", spot.sql) };
    let mut wanted = || bind(Value::Text(key.to_owned()));
    match operator {
        Operator::Co => format!("instr({found}, {}) > 0", wanted()),
        Operator::Sw if spot.sorted => {
            let from = wanted();
            match after_prefix(key) {
                Some(end) => format!("({found} >= {from} AND {found} < {})", bind(Value::Text(end))),
                None => format!("{found} >= {from}"),
            }
        }
        Operator::Sw => {
            let wanted = wanted();
            format!("substr({found}, 1, length({wanted})) = {wanted}")
        }
        Operator::Ew => {
            let wanted = wanted();
            // Where the text is shorter than the ending, the rest is shorter too, and so never equal.
            format!("substr({found}, length({found}) - length({wanted}) + 1) = {wanted}")
        }
        _ => format!("{found} {} {}", sign(operator), wanted()),
    }
}

/// `ne` also holds where there is no value (NULL).
fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Ne => "IS NOT",
        Operator::Gt => ">",
        Operator::Ge => ">=",
        Operator::Lt => "<",
        Operator::Le => "<=",
        Operator::Eq | Operator::Co | Operator::Sw | Operator::Ew => "=",
    }
}

/// The bound in milliseconds that decides like the one in microseconds, about values in whole milliseconds.
/// NULL for `eq` and `ne` with a moment between two milliseconds: no value is equal to it.
fn in_milliseconds(operator: Operator, microseconds: i64) -> Value {
    let floor = microseconds.div_euclid(1000);
    let whole = microseconds.rem_euclid(1000) == 0;
    match operator {
        Operator::Gt | Operator::Le => Value::Integer(floor),
        Operator::Ge | Operator::Lt => Value::Integer(if whole { floor } else { floor + 1 }),
        _ if whole => Value::Integer(floor),
        _ => Value::Null,
    }
}

/// The least text above every text that starts with the prefix; `None` where there is none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_character() {
        assert_eq!(after_prefix("ada").as_deref(), Some("adb"));
        assert_eq!(after_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }

    #[test]
    fn microseconds_decide_about_milliseconds() {
        let holds = |operator, value: i64, microseconds| match (operator, in_milliseconds(operator, microseconds)) {
            (Operator::Eq, bound) => bound == Value::Integer(value),
            (Operator::Ne, bound) => bound != Value::Integer(value),
            (Operator::Gt, Value::Integer(bound)) => value > bound,
            (Operator::Ge, Value::Integer(bound)) => value >= bound,
            (Operator::Lt, Value::Integer(bound)) => value < bound,
            (Operator::Le, Value::Integer(bound)) => value <= bound,
            _ => unreachable!(),
        };
        for microseconds in [-1500, -1000, -1, 0, 1, 999, 1000, 1001] {
            for value in [-2, -1, 0, 1, 2] {
                let exact = value * 1000;
                assert_eq!(holds(Operator::Eq, value, microseconds), exact == microseconds);
                assert_eq!(holds(Operator::Ne, value, microseconds), exact != microseconds);
                assert_eq!(holds(Operator::Gt, value, microseconds), exact > microseconds);
                assert_eq!(holds(Operator::Ge, value, microseconds), exact >= microseconds);
                assert_eq!(holds(Operator::Lt, value, microseconds), exact < microseconds);
                assert_eq!(holds(Operator::Le, value, microseconds), exact <= microseconds);
            }
        }
    }
}
