//! Checked filters as SQL conditions over `resources r`.
//!
//! The text depends on the shape of the filter alone: every value and every JSON path is bound, so statements are
//! few, can be prepared once, and carry nothing of a request. Each condition is true exactly where
//! [`crate::scim::matches::matches`] is; where SQL says NULL, the answer is no.

mod compare;
#[cfg(test)]
mod differential_tests;
mod functions;
mod order;
mod place;
#[cfg(test)]
mod plan_tests;

use rusqlite::types::Value;

pub use functions::register;
pub use order::{SortKey, sort_key};
pub(super) use place::Links;

use self::compare::{compare, present};
use self::place::{Form, Place, Spot};
use super::value_keys;
use crate::scim::filter::{Check, Field, Operand, Operator, Predicate};
use crate::scim::schema::{Kind, ResourceType};

/// What a condition is compiled for.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// Key of the configuration.
    pub configuration: i64,
    /// The type whose resources are asked; the filter was checked against it.
    pub resource_type: &'c ResourceType,
    /// URL before the endpoints, without a slash at its end: `meta.location` is `base`, the endpoint, `/` and the id.
    pub base: &'c str,
    /// How many parameters (`?1`, `?2`, …) the caller's statement uses itself.
    pub taken: usize,
}

/// A condition on `resources r`, for `SELECT … FROM resources r WHERE r.configuration = ?1 AND r.type = ?2 AND (…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Where {
    /// The condition; parameters start at `?{taken + 1}`.
    pub sql: String,
    /// Values of the parameters, in order.
    pub params: Vec<Value>,
    /// Whether a term that every match satisfies is answered by an index with few rows.
    pub indexed: bool,
    /// Whether that index gives rows of `resources` directly. Then [`Where::clause`] writes `+r.configuration` and `+r.type`,
    /// so that SQLite has no reason to walk the resources of the type instead.
    pub by_row: bool,
}

impl Where {
    /// The whole `WHERE` clause: `configuration` and `resource_type` say which parameters the caller binds them to.
    pub fn clause(&self, configuration: usize, resource_type: usize) -> String {
        let plus = if self.by_row { "+" } else { "" };
        format!("{plus}r.configuration = ?{configuration} AND {plus}r.type = ?{resource_type} AND ({})", self.sql)
    }
}

/// Compiles a predicate that was checked against the context's resource type.
pub fn compile(predicate: &Predicate, context: &Context<'_>) -> Where {
    let mut compiler = Compiler { context, params: Vec::new(), configuration: None };
    let term = compiler.predicate(predicate, Place::Resource);
    Where {
        sql: term.sql,
        params: compiler.params,
        indexed: term.reach != Reach::Scan,
        by_row: term.reach == Reach::Row,
    }
}

/// How SQLite gets to the rows of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// By looking at every resource of the type, or many of them.
    Scan,
    /// By an index that leads with configuration and type.
    Index,
    /// By the row's number or the unique id, whatever the configuration.
    Row,
}

struct Term {
    sql: String,
    reach: Reach,
}

impl Term {
    fn scan(sql: String) -> Self {
        Self { sql, reach: Reach::Scan }
    }
}

struct Compiler<'c> {
    context: &'c Context<'c>,
    params: Vec<Value>,
    /// Where the configuration is bound, once it is needed.
    configuration: Option<String>,
}

impl Compiler<'_> {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("?{}", self.context.taken + self.params.len())
    }

    fn configuration(&mut self) -> String {
        if let Some(bound) = &self.configuration {
            return bound.clone();
        }
        let bound = self.bind(self.context.configuration);
        self.configuration = Some(bound.clone());
        bound
    }

    fn predicate(&mut self, predicate: &Predicate, place: Place) -> Term {
        match predicate {
            Predicate::Constant(answer) => Term::scan(if *answer { "1" } else { "0" }.into()),
            Predicate::Test(field, check) => self.test(field, check, place),
            Predicate::Element(field, inner) => self.element(field, inner),
            // NULL counts as no, so its negation must be yes.
            Predicate::Not(inner) => Term::scan(format!("({}) IS NOT TRUE", self.predicate(inner, place).sql)),
            Predicate::And(terms) => self.joined(terms, place, " AND ", Iterator::max),
            Predicate::Or(terms) => self.joined(terms, place, " OR ", Iterator::min),
        }
    }

    fn joined(
        &mut self,
        terms: &[Predicate],
        place: Place,
        between: &str,
        reach: fn(std::vec::IntoIter<Reach>) -> Option<Reach>,
    ) -> Term {
        let terms: Vec<Term> = terms.iter().map(|term| self.predicate(term, place)).collect();
        let sql: Vec<&str> = terms.iter().map(|term| term.sql.as_str()).collect();
        let sql = format!("({})", sql.join(between));
        let reaches: Vec<Reach> = terms.iter().map(|term| term.reach).collect();
        Term { sql, reach: reach(reaches.into_iter()).unwrap_or(Reach::Scan) }
    }

    fn test(&mut self, field: &Field, check: &Check, place: Place) -> Term {
        if place != Place::Resource {
            return Term::scan(self.sub_test(field, check, place));
        }
        if let Some(links) = Links::of(self.context.resource_type, field) {
            return self.link_test(links, field, check);
        }
        if let Some(term) = self.row_test(field, check) {
            return term;
        }
        if let Some(spot) = self.column(field) {
            let reach = if is_eq(check) { spot.reach } else { Reach::Scan };
            return Term { sql: self.check(field, &spot, check), reach };
        }
        if field.multi_valued {
            let path = self.bind(place::json_path(field, place::Depth::Attribute));
            let rows = format!("json_each(r.body, {path}) e");
            let condition = self.sub_test(field, check, Place::Json);
            return Term::scan(quantified(&rows, "1", &condition, is_ne(check)));
        }
        Term::scan(self.single_test(field, check))
    }

    /// A test on a value that is no list, read from the body.
    fn single_test(&mut self, field: &Field, check: &Check) -> String {
        let path = self.bind(place::json_path(field, place::Depth::Leaf));
        if *check == Check::Present && field.kind == Kind::Complex {
            return format!("EXISTS (SELECT 1 FROM json_tree(r.body, {path}) t WHERE t.atom <> '')");
        }
        if field.sub_multi_valued {
            let condition = self.check(field, &Spot::new("s.value".into(), Form::Json), check);
            return quantified(&format!("json_each(r.body, {path}) s"), "1", &condition, is_ne(check));
        }
        self.check(field, &Spot::new(format!("json_extract(r.body, {path})"), Form::Json), check)
    }

    /// A test on one element: of a list in the body (`e`) or of a membership (`l`, `x`).
    fn sub_test(&mut self, field: &Field, check: &Check, place: Place) -> String {
        if let Place::Link(links) = place {
            let spot = self.link_spot(links, field);
            return self.check(field, &spot, check);
        }
        if field.sub.is_none() {
            if *check == Check::Present && field.kind == Kind::Complex {
                return "EXISTS (SELECT 1 FROM json_tree(e.value) t WHERE t.atom <> '')".into();
            }
            return self.check(field, &Spot::new("e.value".into(), Form::Json), check);
        }
        let path = self.bind(place::json_path(field, place::Depth::Sub));
        if field.sub_multi_valued {
            let condition = self.check(field, &Spot::new("s.value".into(), Form::Json), check);
            return quantified(&format!("json_each(e.value, {path}) s"), "1", &condition, is_ne(check));
        }
        self.check(field, &Spot::new(format!("json_extract(e.value, {path})"), Form::Json), check)
    }

    fn check(&mut self, field: &Field, spot: &Spot, check: &Check) -> String {
        match check {
            Check::Present => present(spot),
            Check::Compare(operator, operand) => compare(field, spot, *operator, operand, |value| self.bind(value)),
        }
    }

    /// An indexed value of a list or an extension: from the index to the resources.
    fn row_test(&mut self, field: &Field, check: &Check) -> Option<Term> {
        let Check::Compare(operator, operand @ Operand::Text { .. }) = check else {
            return None;
        };
        if !value_keys::by_key(*operator) || !value_keys::has_rows(self.context.resource_type, field) {
            return None;
        }
        let configuration = self.configuration();
        let path = self.bind(field.to_string());
        let spot = Spot { sorted: true, ..Spot::new("v.key".into(), Form::Key) };
        let condition = compare(field, &spot, *operator, operand, |value| self.bind(value));
        let sql = format!(
            "r.resource IN (SELECT v.resource FROM resource_values v \
             WHERE v.configuration = {configuration} AND v.path = {path} AND {condition})"
        );
        Some(Term { sql, reach: if *operator == Operator::Eq { Reach::Row } else { Reach::Scan } })
    }

    fn link_test(&mut self, links: Links, field: &Field, check: &Check) -> Term {
        if field.sub.is_none() {
            // A link always has a value, so being linked at all is enough.
            return Term::scan(format!("EXISTS (SELECT 1 FROM {})", links.of_resource()));
        }
        if is_eq(check) && field.indexed {
            return self.linked_by_id(links, (field, check), &Predicate::Test(field.clone(), check.clone()));
        }
        let condition = self.sub_test(field, check, Place::Link(links));
        Term::scan(quantified(links.rows(), "1", &condition, is_ne(check)))
    }

    /// Resources linked to those that satisfy a predicate, one term of which fixes the other side's id.
    fn linked_by_id(&mut self, links: Links, fixes: (&Field, &Check), predicate: &Predicate) -> Term {
        let configuration = self.configuration();
        let fixes = self.sub_test(fixes.0, fixes.1, Place::Link(links));
        let condition = self.predicate(predicate, Place::Link(links)).sql;
        let fixes = format!("+x.configuration = {configuration} AND {fixes}");
        let sql = format!("r.resource IN ({})", links.reached(&fixes, &format!("{fixes} AND {condition}")));
        Term { sql, reach: Reach::Row }
    }

    fn element(&mut self, field: &Field, inner: &Predicate) -> Term {
        if let Some(links) = Links::of(self.context.resource_type, field) {
            if let Some(fixes) = fixed(inner) {
                return self.linked_by_id(links, fixes, inner);
            }
            let condition = self.predicate(inner, Place::Link(links)).sql;
            return Term::scan(quantified(links.rows(), "1", &condition, false));
        }
        if !field.multi_valued {
            let inner = self.predicate(inner, Place::Resource);
            if field.extension.is_none() && field.attribute == "meta" {
                return inner;
            }
            let path = self.bind(place::json_path(field, place::Depth::Attribute));
            let sql = format!("({} AND json_type(r.body, {path}) = 'object')", inner.sql);
            return Term { sql, reach: inner.reach };
        }
        let by_value = fixed(inner).and_then(|(field, check)| self.row_test(field, check));
        let path = self.bind(place::json_path(field, place::Depth::Attribute));
        let condition = self.predicate(inner, Place::Json).sql;
        let here = quantified(&format!("json_each(r.body, {path}) e"), "1", &condition, false);
        match by_value {
            Some(term) => Term { sql: format!("({} AND {here})", term.sql), reach: term.reach },
            None => Term::scan(here),
        }
    }
}

/// `EXISTS` over rows; an operator that holds where there is nothing to compare also holds without rows.
fn quantified(rows: &str, belongs: &str, condition: &str, or_none: bool) -> String {
    let exists = format!("EXISTS (SELECT 1 FROM {rows} WHERE {belongs} AND {condition})");
    if or_none { format!("(NOT EXISTS (SELECT 1 FROM {rows} WHERE {belongs}) OR {exists})") } else { exists }
}

/// The `eq` term on an indexed sub-attribute that every element satisfying the predicate satisfies.
fn fixed(predicate: &Predicate) -> Option<(&Field, &Check)> {
    match predicate {
        Predicate::Test(field, check) if field.indexed && is_eq(check) => Some((field, check)),
        Predicate::And(terms) => terms.iter().find_map(fixed),
        _ => None,
    }
}

fn is_eq(check: &Check) -> bool {
    matches!(check, Check::Compare(Operator::Eq, _))
}

fn is_ne(check: &Check) -> bool {
    matches!(check, Check::Compare(Operator::Ne, _))
}
