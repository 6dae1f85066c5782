//! SQL for one comparison. The expression may be NULL where the result is false.

use rusqlite::types::Value;

use crate::scim::filter::{FilterField, FilterOperand, FilterOperator};
use crate::store::filter_sql::fields::{FieldExpression, ValueForm};

/// Compiles `pr`: the value exists and is not empty. `false` and 0 are values.
pub(super) fn compile_presence(expression: &FieldExpression) -> String {
    format!("{} <> ''", expression.sql)
}

/// Compiles the comparison of the value in `expression` with the operand.
pub(super) fn compile_comparison(
    field: &FilterField,
    expression: &FieldExpression,
    operator: FilterOperator,
    operand: &FilterOperand,
    mut bind: impl FnMut(Value) -> String,
) -> String {
    match operand {
        FilterOperand::Text { key, .. } => compile_text_comparison(field, expression, operator, key, bind),
        FilterOperand::Bool(operand) => {
            let found = match field.default_if_absent {
                Some(default) => format!("coalesce({}, {})", expression.sql, bind(Value::Integer(default.into()))),
                None => expression.sql.clone(),
            };
            format!("{found} {} {}", get_sql_operator(operator), bind(Value::Integer((*operand).into())))
        }
        FilterOperand::Number(number) => {
            let value = number.as_i64().map(Value::Integer).or_else(|| number.as_f64().map(Value::Real));
            format!("{} {} {}", expression.sql, get_sql_operator(operator), bind(value.unwrap_or(Value::Null)))
        }
        FilterOperand::Instant { microseconds, .. } if expression.form == ValueForm::Millis => {
            format!(
                "{} {} {}",
                expression.sql,
                get_sql_operator(operator),
                bind(round_to_milliseconds(operator, *microseconds))
            )
        }
        FilterOperand::Instant { microseconds, .. } => {
            format!(
                "scim_instant({}) {} {}",
                expression.sql,
                get_sql_operator(operator),
                bind(Value::Integer(*microseconds))
            )
        }
    }
}

fn compile_text_comparison(
    field: &FilterField,
    expression: &FieldExpression,
    operator: FilterOperator,
    key: &str,
    mut bind: impl FnMut(Value) -> String,
) -> String {
    let found = if field.case_exact || expression.form == ValueForm::Key {
        expression.sql.clone()
    } else {
        format!("scim_key({})", expression.sql)
    };
    let mut operand = || bind(Value::Text(key.to_owned()));
    match operator {
        FilterOperator::Co => format!("instr({found}, {}) > 0", operand()),
        FilterOperator::Sw if expression.sorted => {
            let from = operand();
            match find_prefix_end(key) {
                Some(end) => format!("({found} >= {from} AND {found} < {})", bind(Value::Text(end))),
                None => format!("{found} >= {from}"),
            }
        }
        FilterOperator::Sw => {
            let operand = operand();
            format!("substr({found}, 1, length({operand})) = {operand}")
        }
        FilterOperator::Ew => {
            let operand = operand();
            // If the text is shorter than the operand, the substring is shorter too, and never equal.
            format!("substr({found}, length({found}) - length({operand}) + 1) = {operand}")
        }
        _ => format!("{found} {} {}", get_sql_operator(operator), operand()),
    }
}

/// Returns the SQL operator. `IS NOT` for `ne`, which is also true if there is no value (NULL).
fn get_sql_operator(operator: FilterOperator) -> &'static str {
    match operator {
        FilterOperator::Ne => "IS NOT",
        FilterOperator::Gt => ">",
        FilterOperator::Ge => ">=",
        FilterOperator::Lt => "<",
        FilterOperator::Le => "<=",
        FilterOperator::Eq | FilterOperator::Co | FilterOperator::Sw | FilterOperator::Ew => "=",
    }
}

/// Converts a bound in microseconds to an equivalent bound in milliseconds, for values in whole milliseconds. Returns
/// NULL for `eq` and `ne` if the bound is not a whole millisecond: no value is equal to it.
fn round_to_milliseconds(operator: FilterOperator, microseconds: i64) -> Value {
    let floor = microseconds.div_euclid(1000);
    let whole = microseconds.rem_euclid(1000) == 0;
    match operator {
        FilterOperator::Gt | FilterOperator::Le => Value::Integer(floor),
        FilterOperator::Ge | FilterOperator::Lt => Value::Integer(if whole { floor } else { floor + 1 }),
        _ if whole => Value::Integer(floor),
        _ => Value::Null,
    }
}

/// Returns the smallest text that is greater than every text with this prefix, or `None` if there is none.
fn find_prefix_end(prefix: &str) -> Option<String> {
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
    fn a_prefix_range_ends_before_the_next_character() {
        assert_eq!(find_prefix_end("ada").as_deref(), Some("adb"));
        assert_eq!(find_prefix_end("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(find_prefix_end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(find_prefix_end("\u{10ffff}"), None);
        assert_eq!(find_prefix_end(""), None);
    }

    #[test]
    fn millisecond_bounds_are_equivalent_to_microsecond_bounds() {
        let holds = |operator, value: i64, microseconds| match (operator, round_to_milliseconds(operator, microseconds))
        {
            (FilterOperator::Eq, bound) => bound == Value::Integer(value),
            (FilterOperator::Ne, bound) => bound != Value::Integer(value),
            (FilterOperator::Gt, Value::Integer(bound)) => value > bound,
            (FilterOperator::Ge, Value::Integer(bound)) => value >= bound,
            (FilterOperator::Lt, Value::Integer(bound)) => value < bound,
            (FilterOperator::Le, Value::Integer(bound)) => value <= bound,
            _ => unreachable!(),
        };
        for microseconds in [-1500, -1000, -1, 0, 1, 999, 1000, 1001] {
            for value in [-2, -1, 0, 1, 2] {
                let exact = value * 1000;
                assert_eq!(holds(FilterOperator::Eq, value, microseconds), exact == microseconds);
                assert_eq!(holds(FilterOperator::Ne, value, microseconds), exact != microseconds);
                assert_eq!(holds(FilterOperator::Gt, value, microseconds), exact > microseconds);
                assert_eq!(holds(FilterOperator::Ge, value, microseconds), exact >= microseconds);
                assert_eq!(holds(FilterOperator::Lt, value, microseconds), exact < microseconds);
                assert_eq!(holds(FilterOperator::Le, value, microseconds), exact <= microseconds);
            }
        }
    }
}
