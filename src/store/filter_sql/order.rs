//! Sort values as SQL expressions over `resources r`.

use rusqlite::types::Value;

use super::place::{self, Depth, Form, Links, Spot};
use super::{Compiler, Context};
use crate::scim::filter::Field;
use crate::scim::schema::Kind;
use crate::scim::sort::SortField;

/// Columns that an index keeps in order within configuration and type.
const IN_ORDER: [&str; 5] = ["r.user_name_key", "r.display_name_key", "r.external_id", "r.active", "r.last_modified"];

/// The expression that one type is sorted by: NULL where a resource has no value.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// The expression; parameters start at `?{taken + 1}`.
    pub sql: String,
    /// Values of the parameters, in order.
    pub params: Vec<Value>,
    /// Whether an index keeps it in order.
    pub in_order: bool,
    /// Whether it is never NULL.
    pub always: bool,
}

/// Compiles the attribute that the context's type is sorted by.
pub fn sort_key(sort: &SortField, context: &Context<'_>) -> SortKey {
    let mut compiler = Compiler { context, params: Vec::new(), configuration: None };
    let sql = compiler.sort_value(&sort.field);
    let in_order = IN_ORDER.contains(&sql.as_str());
    SortKey { in_order, sql, params: compiler.params, always: sort.always }
}

impl Compiler<'_> {
    fn sort_value(&mut self, field: &Field) -> String {
        if let Some(links) = Links::of(self.context.resource_type, field) {
            let value = comparable(field, &self.link_spot(links, field));
            return format!("(SELECT {value} FROM {} ORDER BY x.resource LIMIT 1)", links.rows());
        }
        if let Some(spot) = self.column(field) {
            return comparable(field, &spot);
        }
        // The first of a list of plain values.
        let first = if field.sub_multi_valued { "[0]" } else { "" };
        if !field.multi_valued {
            let path = self.bind(format!("{}{first}", place::json_path(field, Depth::Leaf)));
            return comparable(field, &json(format!("json_extract(r.body, {path})")));
        }
        let path = self.bind(place::json_path(field, Depth::Attribute));
        if field.sub.is_none() {
            return comparable(field, &json(format!("json_extract(r.body, {path} || '[0]')")));
        }
        // RFC 7644 section 3.4.2.3: the primary element counts, else the first.
        let sub = self.bind(format!("{}{first}", place::json_path(field, Depth::Sub)));
        let value = comparable(field, &json(format!("json_extract(e.value, {sub})")));
        format!(
            "(SELECT {value} FROM json_each(r.body, {path}) e \
             ORDER BY coalesce(json_extract(e.value, '$.primary'), 0) DESC, e.key LIMIT 1)"
        )
    }
}

fn json(sql: String) -> Spot {
    Spot::new(sql, Form::Json)
}

/// The value in the form in which values are put in order.
fn comparable(field: &Field, spot: &Spot) -> String {
    match field.kind {
        _ if spot.form != Form::Json => spot.sql.clone(),
        Kind::DateTime => format!("scim_instant({})", spot.sql),
        Kind::String | Kind::Reference | Kind::Binary if !field.case_exact => format!("scim_key({})", spot.sql),
        _ => spot.sql.clone(),
    }
}
