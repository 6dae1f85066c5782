//! Compiler from sort attributes to SQL expressions over `resources r`.

use rusqlite::types::Value;

use crate::scim::filter::FilterField;
use crate::scim::schema::DataType;
use crate::scim::sort::SortField;
use crate::store::filter_sql::fields::{self, FieldExpression, MembershipLinks, PathDepth, ValueForm};
use crate::store::filter_sql::{FilterCompiler, FilterContext};

/// Columns that an index sorts within configuration and type.
const INDEXED_COLUMNS: [&str; 5] =
    ["r.user_name_key", "r.display_name_key", "r.external_id", "r.active", "r.last_modified"];

/// The expression that a type is sorted by. NULL if a resource has no value.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// The expression. Its parameters start after those of the caller's statement.
    pub sql: String,
    /// Values of the parameters, in order.
    pub params: Vec<Value>,
    /// Whether an index provides this order.
    pub in_order: bool,
    /// Whether the expression is never NULL.
    pub always: bool,
}

/// Compiles the attribute by which the type of the context is sorted.
pub fn compile_sort_key(sort: &SortField, context: &FilterContext<'_>) -> SortKey {
    let mut compiler = FilterCompiler { context, params: Vec::new(), configuration: None };
    let sql = compiler.sort_value(&sort.field);
    let in_order = INDEXED_COLUMNS.contains(&sql.as_str());
    SortKey { in_order, sql, params: compiler.params, always: sort.always_present }
}

impl FilterCompiler<'_> {
    fn sort_value(&mut self, field: &FilterField) -> String {
        if let Some(links) = MembershipLinks::from_field(self.context.resource_type, field) {
            let value = to_comparable(field, &self.link_expression(links, field));
            return format!("(SELECT {value} FROM {} ORDER BY x.resource LIMIT 1)", links.rows_sql());
        }
        if let Some(expression) = self.column(field) {
            return to_comparable(field, &expression);
        }
        // The first element of a list of simple values.
        let first = if field.sub_multi_valued { "[0]" } else { "" };
        if !field.multi_valued {
            let path = self.bind(format!("{}{first}", fields::build_json_path(field, PathDepth::Leaf)));
            return to_comparable(field, &wrap_json(format!("json_extract(r.body, {path})")));
        }
        let path = self.bind(fields::build_json_path(field, PathDepth::Attribute));
        if field.sub.is_none() {
            return to_comparable(field, &wrap_json(format!("json_extract(r.body, {path} || '[0]')")));
        }
        // RFC 7644 section 3.4.2.3: sort by the primary element, or else by the first.
        let sub = self.bind(format!("{}{first}", fields::build_json_path(field, PathDepth::Sub)));
        let value = to_comparable(field, &wrap_json(format!("json_extract(e.value, {sub})")));
        format!(
            "(SELECT {value} FROM json_each(r.body, {path}) e \
             ORDER BY coalesce(json_extract(e.value, '$.primary'), 0) DESC, e.key LIMIT 1)"
        )
    }
}

fn wrap_json(sql: String) -> FieldExpression {
    FieldExpression::new(sql, ValueForm::Json)
}

/// Converts the value to the form in which it is compared.
fn to_comparable(field: &FilterField, expression: &FieldExpression) -> String {
    match field.kind {
        _ if expression.form != ValueForm::Json => expression.sql.clone(),
        DataType::DateTime => format!("scim_instant({})", expression.sql),
        DataType::String | DataType::Reference | DataType::Binary if !field.case_exact => {
            format!("scim_key({})", expression.sql)
        }
        _ => expression.sql.clone(),
    }
}
