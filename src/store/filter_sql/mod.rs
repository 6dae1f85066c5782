//! Compiler from checked filters to SQL conditions over `resources r`.
//!
//! The SQL text depends only on the structure of the filter: every value and every JSON path is bound as a parameter.
//! So there are few distinct statements, they are prepared once, and they contain no request data. A condition is true
//! exactly if the evaluator in [`crate::scim::filter::evaluate`] returns true. NULL counts as false.

mod compare;
#[cfg(test)]
mod differential_tests;
mod fields;
#[cfg(test)]
mod plan_tests;
mod sort_keys;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};

pub use crate::store::filter_sql::sort_keys::{SortKey, compile_sort_key};

use self::compare::{compile_comparison, compile_presence};
use crate::scim::filter::{FieldCheck, FilterField, FilterOperand, FilterOperator, Predicate};
use crate::scim::schema::{DataType, ResourceType};
use crate::scim::timestamp::parse_timestamp;
use crate::scim::{entity_tag, fold};
use crate::store::filter_sql::fields::{FieldExpression, FieldOwner, MembershipLinks, ValueForm};

/// Whether the values of the field are rows of `resource_values`, which [`crate::scim::index`] defines.
fn has_value_rows(resource_type: &ResourceType, field: &FilterField) -> bool {
    field.indexed
        && (field.multi_valued || field.extension.is_some())
        && !field.sub_multi_valued
        && matches!(field.kind, DataType::String | DataType::Reference)
        && MembershipLinks::from_field(resource_type, field).is_none()
}

/// The context that a filter is compiled for.
#[derive(Debug, Clone, Copy)]
pub struct FilterContext<'c> {
    /// Key of the configuration.
    pub configuration: i64,
    /// The type of the filtered resources. The filter was checked against it.
    pub resource_type: &'c ResourceType,
    /// Base URL without a trailing slash. `meta.location` is `base`, the endpoint, `/` and the id.
    pub base: &'c str,
    /// Number of parameters (`?1`, `?2`, …) that the caller's statement already uses.
    pub parameters_used: usize,
}

/// A condition on `resources r`, for `SELECT … FROM resources r WHERE r.configuration = ?1 AND r.type = ?2 AND (…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledFilter {
    /// The condition. Its parameters start after those of the caller's statement.
    pub sql: String,
    /// Values of the parameters, in order.
    pub params: Vec<Value>,
    /// Whether a term that every match satisfies is found by an index with few rows.
    pub indexed: bool,
    /// Whether that index returns row numbers of `resources`. Then the clause contains `+r.configuration` and
    /// `+r.type`, so that SQLite does not scan the resources of the type instead.
    pub by_row: bool,
    /// Whether the filter is one `eq` comparison with an indexed column and nothing else, so that reading its first matches
    /// costs a few index lookups.
    pub single_key: bool,
}

impl CompiledFilter {
    /// Returns the complete `WHERE` clause. `configuration` and `resource_type` are the numbers of the parameters that
    /// the caller binds.
    pub fn clause(&self, configuration: usize, resource_type: usize) -> String {
        let plus = if self.by_row { "+" } else { "" };
        format!("{plus}r.configuration = ?{configuration} AND {plus}r.type = ?{resource_type} AND ({})", self.sql)
    }
}

/// Compiles a predicate that was checked against the resource type of the context.
pub fn compile_filter(predicate: &Predicate, context: &FilterContext<'_>) -> CompiledFilter {
    let mut compiler = FilterCompiler { context, params: Vec::new(), configuration: None };
    let term = compiler.predicate(predicate, FieldOwner::Resource);
    CompiledFilter {
        sql: term.sql,
        params: compiler.params,
        indexed: term.access_path != AccessPath::Scan,
        by_row: term.access_path == AccessPath::Row,
        single_key: term.access_path != AccessPath::Scan && is_column_eq(predicate),
    }
}

/// How SQLite finds the rows of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AccessPath {
    /// Scan of all or many resources of the type.
    Scan,
    /// Search by an index that starts with configuration and type.
    Index,
    /// Search by the row number or the unique id, independent of the configuration.
    Row,
}

struct SqlTerm {
    sql: String,
    access_path: AccessPath,
}

impl SqlTerm {
    fn scan(sql: String) -> Self {
        Self { sql, access_path: AccessPath::Scan }
    }
}

struct FilterCompiler<'c> {
    context: &'c FilterContext<'c>,
    params: Vec<Value>,
    /// The parameter of the configuration, once it is bound.
    configuration: Option<String>,
}

impl FilterCompiler<'_> {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("?{}", self.context.parameters_used + self.params.len())
    }

    fn configuration(&mut self) -> String {
        if let Some(bound) = &self.configuration {
            return bound.clone();
        }
        let bound = self.bind(self.context.configuration);
        self.configuration = Some(bound.clone());
        bound
    }

    fn predicate(&mut self, predicate: &Predicate, owner: FieldOwner) -> SqlTerm {
        match predicate {
            Predicate::Constant(answer) => SqlTerm::scan(if *answer { "1" } else { "0" }.into()),
            Predicate::Test(field, check) => self.test(field, check, owner),
            Predicate::Element(field, inner) => self.element(field, inner),
            // NULL counts as false, so its negation must be true.
            Predicate::Not(inner) => SqlTerm::scan(format!("({}) IS NOT TRUE", self.predicate(inner, owner).sql)),
            Predicate::And(terms) => self.join_terms(terms, owner, " AND ", Iterator::max),
            Predicate::Or(terms) => self.join_terms(terms, owner, " OR ", Iterator::min),
        }
    }

    fn join_terms(
        &mut self,
        terms: &[Predicate],
        owner: FieldOwner,
        separator: &str,
        reach: fn(std::vec::IntoIter<AccessPath>) -> Option<AccessPath>,
    ) -> SqlTerm {
        let terms: Vec<SqlTerm> = terms.iter().map(|term| self.predicate(term, owner)).collect();
        let sql: Vec<&str> = terms.iter().map(|term| term.sql.as_str()).collect();
        let sql = format!("({})", sql.join(separator));
        let reaches: Vec<AccessPath> = terms.iter().map(|term| term.access_path).collect();
        SqlTerm { sql, access_path: reach(reaches.into_iter()).unwrap_or(AccessPath::Scan) }
    }

    fn test(&mut self, field: &FilterField, check: &FieldCheck, owner: FieldOwner) -> SqlTerm {
        if owner != FieldOwner::Resource {
            return SqlTerm::scan(self.sub_test(field, check, owner));
        }
        if let Some(links) = MembershipLinks::from_field(self.context.resource_type, field) {
            return self.link_test(links, field, check);
        }
        if let Some(term) = self.row_test(field, check) {
            return term;
        }
        if let Some(expression) = self.column(field) {
            let reach = if is_eq(check) { expression.access_path } else { AccessPath::Scan };
            return SqlTerm { sql: self.check(field, &expression, check), access_path: reach };
        }
        if field.multi_valued {
            let path = self.bind(fields::build_json_path(field, fields::PathDepth::Attribute));
            let rows = format!("json_each(r.body, {path}) e");
            let condition = self.sub_test(field, check, FieldOwner::Json);
            return SqlTerm::scan(build_exists(&rows, "1", &condition, is_ne(check)));
        }
        SqlTerm::scan(self.single_test(field, check))
    }

    /// Compiles a test of a single value in the body.
    fn single_test(&mut self, field: &FilterField, check: &FieldCheck) -> String {
        let path = self.bind(fields::build_json_path(field, fields::PathDepth::Leaf));
        if *check == FieldCheck::Present && field.kind == DataType::Complex {
            return format!("EXISTS (SELECT 1 FROM json_tree(r.body, {path}) t WHERE t.atom <> '')");
        }
        if field.sub_multi_valued {
            let condition = self.check(field, &FieldExpression::new("s.value".into(), ValueForm::Json), check);
            return build_exists(&format!("json_each(r.body, {path}) s"), "1", &condition, is_ne(check));
        }
        self.check(field, &FieldExpression::new(format!("json_extract(r.body, {path})"), ValueForm::Json), check)
    }

    /// Compiles a test of one element: of a list in the body (`e`) or of a membership (`l`, `x`).
    fn sub_test(&mut self, field: &FilterField, check: &FieldCheck, owner: FieldOwner) -> String {
        if let FieldOwner::Link(links) = owner {
            let expression = self.link_expression(links, field);
            return self.check(field, &expression, check);
        }
        if field.sub.is_none() {
            if *check == FieldCheck::Present && field.kind == DataType::Complex {
                return "EXISTS (SELECT 1 FROM json_tree(e.value) t WHERE t.atom <> '')".into();
            }
            return self.check(field, &FieldExpression::new("e.value".into(), ValueForm::Json), check);
        }
        let path = self.bind(fields::build_json_path(field, fields::PathDepth::Sub));
        if field.sub_multi_valued {
            let condition = self.check(field, &FieldExpression::new("s.value".into(), ValueForm::Json), check);
            return build_exists(&format!("json_each(e.value, {path}) s"), "1", &condition, is_ne(check));
        }
        self.check(field, &FieldExpression::new(format!("json_extract(e.value, {path})"), ValueForm::Json), check)
    }

    fn check(&mut self, field: &FilterField, expression: &FieldExpression, check: &FieldCheck) -> String {
        match check {
            FieldCheck::Present => compile_presence(expression),
            FieldCheck::Compare(operator, operand) => {
                compile_comparison(field, expression, *operator, operand, |value| self.bind(value))
            }
        }
    }

    /// Compiles a test of an indexed value of a list or an extension as a search in `resource_values`.
    fn row_test(&mut self, field: &FilterField, check: &FieldCheck) -> Option<SqlTerm> {
        let FieldCheck::Compare(operator, operand @ FilterOperand::Text { .. }) = check else {
            return None;
        };
        if !matches!(operator, FilterOperator::Eq | FilterOperator::Sw)
            || !has_value_rows(self.context.resource_type, field)
        {
            return None;
        }
        let configuration = self.configuration();
        let path = self.bind(field.to_string());
        let expression = FieldExpression { sorted: true, ..FieldExpression::new("v.key".into(), ValueForm::Key) };
        let condition = compile_comparison(field, &expression, *operator, operand, |value| self.bind(value));
        let sql = format!(
            "r.resource IN (SELECT v.resource FROM resource_values v \
             WHERE v.configuration = {configuration} AND v.path = {path} AND {condition})"
        );
        Some(SqlTerm {
            sql,
            access_path: if *operator == FilterOperator::Eq { AccessPath::Row } else { AccessPath::Scan },
        })
    }

    fn link_test(&mut self, links: MembershipLinks, field: &FilterField, check: &FieldCheck) -> SqlTerm {
        if field.sub.is_none() {
            // A membership always has a value, so `pr` is true if there is any.
            return SqlTerm::scan(format!("EXISTS (SELECT 1 FROM {})", links.any_link_sql()));
        }
        if is_eq(check) && field.indexed {
            return self.compile_link_search(links, (field, check), &Predicate::Test(field.clone(), check.clone()));
        }
        let condition = self.sub_test(field, check, FieldOwner::Link(links));
        SqlTerm::scan(build_exists(links.rows_sql(), "1", &condition, is_ne(check)))
    }

    /// Compiles a search for the resources linked to those that satisfy the predicate. One term of the predicate fixes
    /// the id of the linked resource.
    fn compile_link_search(
        &mut self,
        links: MembershipLinks,
        fixes: (&FilterField, &FieldCheck),
        predicate: &Predicate,
    ) -> SqlTerm {
        let configuration = self.configuration();
        let fixes = self.sub_test(fixes.0, fixes.1, FieldOwner::Link(links));
        let condition = self.predicate(predicate, FieldOwner::Link(links)).sql;
        let fixes = format!("+x.configuration = {configuration} AND {fixes}");
        let sql =
            format!("r.resource IN ({})", links.linked_resources_sql(&fixes, &format!("{fixes} AND {condition}")));
        SqlTerm { sql, access_path: AccessPath::Row }
    }

    fn element(&mut self, field: &FilterField, inner: &Predicate) -> SqlTerm {
        if let Some(links) = MembershipLinks::from_field(self.context.resource_type, field) {
            if let Some(fixes) = find_indexed_eq(inner) {
                return self.compile_link_search(links, fixes, inner);
            }
            let condition = self.predicate(inner, FieldOwner::Link(links)).sql;
            return SqlTerm::scan(build_exists(links.rows_sql(), "1", &condition, false));
        }
        if !field.multi_valued {
            let inner = self.predicate(inner, FieldOwner::Resource);
            if field.extension.is_none() && field.attribute == "meta" {
                return inner;
            }
            let path = self.bind(fields::build_json_path(field, fields::PathDepth::Attribute));
            let sql = format!("({} AND json_type(r.body, {path}) = 'object')", inner.sql);
            return SqlTerm { sql, access_path: inner.access_path };
        }
        let by_value = find_indexed_eq(inner).and_then(|(field, check)| self.row_test(field, check));
        let path = self.bind(fields::build_json_path(field, fields::PathDepth::Attribute));
        let condition = self.predicate(inner, FieldOwner::Json).sql;
        let element_matches = build_exists(&format!("json_each(r.body, {path}) e"), "1", &condition, false);
        match by_value {
            Some(term) => {
                SqlTerm { sql: format!("({} AND {element_matches})", term.sql), access_path: term.access_path }
            }
            None => SqlTerm::scan(element_matches),
        }
    }
}

/// Builds `EXISTS` over rows. With `or_none`, also true if there are no rows, for operators that are true without a
/// value.
fn build_exists(rows: &str, filter: &str, condition: &str, or_none: bool) -> String {
    let exists = format!("EXISTS (SELECT 1 FROM {rows} WHERE {filter} AND {condition})");
    if or_none { format!("(NOT EXISTS (SELECT 1 FROM {rows} WHERE {filter}) OR {exists})") } else { exists }
}

/// Returns an `eq` term on an indexed sub-attribute that is true for every element that satisfies the predicate.
fn find_indexed_eq(predicate: &Predicate) -> Option<(&FilterField, &FieldCheck)> {
    match predicate {
        Predicate::Test(field, check) if field.indexed && is_eq(check) => Some((field, check)),
        Predicate::And(terms) => terms.iter().find_map(find_indexed_eq),
        _ => None,
    }
}

/// Whether the predicate is one `eq` comparison with a column of the resource itself.
fn is_column_eq(predicate: &Predicate) -> bool {
    let Predicate::Test(field, check) = predicate else { return false };
    let is_column = matches!(&*field.attribute, "id" | "externalId" | "userName" | "displayName");
    is_eq(check) && is_column && field.extension.is_none() && field.sub.is_none()
}

fn is_eq(check: &FieldCheck) -> bool {
    matches!(check, FieldCheck::Compare(FilterOperator::Eq, _))
}

fn is_ne(check: &FieldCheck) -> bool {
    matches!(check, FieldCheck::Compare(FilterOperator::Ne, _))
}

/// Registers `scim_key(text)`, `scim_instant(text)` and `scim_tag(version, groups)`. Every connection that runs a
/// compiled filter needs them.
///
/// - `scim_key` returns the text normalized for comparison, or NULL if the argument is not text.
/// - `scim_instant` returns microseconds since 1970, or NULL if the argument is not a dateTime.
/// - `scim_tag` returns the entity tag of a user with these groups: a JSON array of `[id, direct (1 or 0), name]`.
pub fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("scim_key", 1, flags, |context| {
        Ok(read_text(context.get_raw(0)).map(|text| fold::fold_case(text).into_owned()))
    })?;
    connection.create_scalar_function("scim_instant", 1, flags, |context| {
        Ok(read_text(context.get_raw(0)).and_then(parse_timestamp))
    })?;
    connection.create_scalar_function("scim_tag", 2, flags, |context| {
        let groups = read_text(context.get_raw(1)).and_then(|text| serde_json::from_str(text).ok());
        let groups: Vec<(String, u8, Option<String>)> = groups.unwrap_or_default();
        let members =
            groups.iter().map(|(id, direct, name)| (&**id, *direct == 1, name.as_deref().unwrap_or_default()));
        Ok(entity_tag::format_entity_tag(context.get(0)?, entity_tag::hash_groups(members)))
    })
}

fn read_text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
