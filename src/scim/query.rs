//! The parameters of a query (RFC 7644 sections 3.4.2 and 3.9, RFC 9865 section 2), from name and value pairs or from a
//! search request.

use serde_json::Value;

use super::sort::Sort;
use super::{Error, ScimType, urn};

/// Parameters as they came, each at most once. Names are compared without case, unknown ones are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// `filter`, unparsed.
    pub filter: Option<String>,
    /// `startIndex`, at least 1.
    pub start_index: Option<u64>,
    /// `count`, never negative.
    pub count: Option<u64>,
    /// `cursor`; empty where a walk begins.
    pub cursor: Option<String>,
    /// `sortBy`, unparsed.
    pub sort_by: Option<String>,
    /// `sortOrder`, unparsed.
    pub sort_order: Option<String>,
    /// `attributes`, unparsed.
    pub attributes: Option<String>,
    /// `excludedAttributes`, unparsed.
    pub excluded_attributes: Option<String>,
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging<'q> {
    /// The page that starts at this position, from 1.
    Index(u64),
    /// The first page of a walk by cursor.
    FirstOfWalk,
    /// The page that this cursor leads to.
    Cursor(&'q str),
}

impl Query {
    /// Reads the pairs of a query string, already percent-decoded.
    ///
    /// # Errors
    /// 400 invalidValue for a number that is none and for a parameter given twice; invalidCount for a count that is no
    /// number beside a cursor.
    pub fn read<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut query = Self::default();
        let mut count = None;
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case("startIndex") {
                once(&mut query.start_index, "startIndex", whole_number("startIndex", value)?.max(1))?;
            } else if name.eq_ignore_ascii_case("count") {
                once(&mut count, "count", value)?;
            } else if let Some((name, slot)) = query.text(name) {
                once(slot, name, value.to_owned())?;
            }
        }
        if let Some(count) = count {
            query.count = Some(whole_number("count", count).map_err(|refused| query.about_count(refused))?);
        }
        Ok(query)
    }

    /// Where a parameter that is text belongs, and its canonical name.
    fn text(&mut self, name: &str) -> Option<(&'static str, &mut Option<String>)> {
        let slots = [
            ("filter", &mut self.filter),
            ("cursor", &mut self.cursor),
            ("sortBy", &mut self.sort_by),
            ("sortOrder", &mut self.sort_order),
            ("attributes", &mut self.attributes),
            ("excludedAttributes", &mut self.excluded_attributes),
        ];
        slots.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known))
    }

    /// RFC 9865 section 2.1 has a word of its own for a wrong count in cursor paging.
    fn about_count(&self, mut refused: Error) -> Error {
        if self.cursor.is_some() {
            refused.scim_type = Some(ScimType::InvalidCount);
        }
        refused
    }

    /// Which page is asked for: by cursor where one is given, else by index (RFC 9865 section 2).
    ///
    /// # Errors
    /// 400 invalidValue where both are asked for at once.
    pub fn paging(&self) -> Result<Paging<'_>, Error> {
        match (self.cursor.as_deref(), self.start_index) {
            (Some(_), Some(_)) => Err(Error::value("cursor and startIndex exclude each other; give one of them")),
            (Some(""), None) => Ok(Paging::FirstOfWalk),
            (Some(cursor), None) => Ok(Paging::Cursor(cursor)),
            (None, start) => Ok(Paging::Index(start.unwrap_or(1))),
        }
    }

    /// What the answer is sorted by.
    ///
    /// # Errors
    /// 400 invalidPath or invalidValue, see [`Sort::read`].
    pub fn sort(&self) -> Result<Option<Sort>, Error> {
        Sort::read(self.sort_by.as_deref(), self.sort_order.as_deref())
    }
}

impl Query {
    /// Reads the body of `POST /.search` (RFC 7644 section 3.4.3).
    ///
    /// # Errors
    /// 400 invalidSyntax where the body is no search request, 400 invalidValue for a member of the wrong kind.
    pub fn from_search(body: &Value) -> Result<Self, Error> {
        let named = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(urn::SEARCH_REQUEST));
        let object = body.as_object().ok_or_else(|| Error::syntax("the body must be a search request"))?;
        let is_search = |(name, value): (&String, &Value)| {
            name.eq_ignore_ascii_case("schemas") && value.as_array().is_some_and(|uris| uris.iter().any(named))
        };
        if !object.iter().any(is_search) {
            return Err(Error::syntax(format!("schemas must name {}", urn::SEARCH_REQUEST)));
        }
        let mut pairs = Vec::new();
        for (name, value) in object.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("schemas")) {
            if let Some(text) = parameter(name, value)? {
                pairs.push((name.as_str(), text));
            }
        }
        Self::read(pairs.iter().map(|(name, text)| (*name, text.as_str())))
    }
}

/// A member of a search request as the text it would be in a URL: lists of names may be arrays or comma-separated.
fn parameter(name: &str, value: &Value) -> Result<Option<String>, Error> {
    let is = |wanted: &[&str]| wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted));
    let wrong = |kind: &str| Err(Error::value(format!("{name} must be {kind}")));
    match value {
        Value::Null => Ok(None),
        Value::Array(names) if is(&["attributes", "excludedAttributes"]) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            names.map_or_else(|| wrong("a list of names"), |names| Ok(Some(names.join(","))))
        }
        Value::String(text) if is(&["filter", "cursor", "sortBy", "sortOrder", "attributes", "excludedAttributes"]) => {
            Ok(Some(text.clone()))
        }
        // What is no number is refused when the text is read as one; a number in quotes keeps them.
        _ if is(&["startIndex", "count"]) => Ok(Some(value.to_string())),
        _ if is(&["attributes", "excludedAttributes"]) => wrong("a list of names"),
        _ if is(&["filter", "cursor", "sortBy", "sortOrder"]) => wrong("text"),
        _ => Ok(None),
    }
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Error> {
    if slot.replace(value).is_some() {
        return Err(Error::value(format!("the parameter {name} is given twice")));
    }
    Ok(())
}

/// RFC 7644 section 3.4.2.4: what is below the smallest value counts as the smallest.
fn whole_number(name: &str, text: &str) -> Result<u64, Error> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::value(format!("{name} must be a whole number")));
    }
    if text.starts_with('-') {
        return Ok(0);
    }
    // Larger than any directory: the page is empty or capped all the same.
    Ok(digits.parse().unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Query, Error> {
        Query::read(pairs.iter().copied())
    }

    #[test]
    fn numbers_below_the_smallest_count_as_the_smallest() {
        let query = read(&[("STARTINDEX", "-5"), ("count", "-1"), ("foo", "x")]).unwrap();
        assert_eq!((query.start_index, query.count), (Some(1), Some(0)));
        assert_eq!(read(&[("startIndex", "0")]).unwrap().start_index, Some(1));
        assert!(read(&[("count", "99999999999999999999999")]).unwrap().count.unwrap() > 1_000_000);
    }

    #[test]
    fn a_search_request_says_the_same_as_a_query() {
        let schemas = serde_json::json!([urn::SEARCH_REQUEST]);
        let body = serde_json::json!({
            "schemas": schemas, "Filter": "title pr", "attributes": ["userName", "title"], "startIndex": 0, "count": 5,
        });
        let query = Query::from_search(&body).unwrap();
        let pairs = [("filter", "title pr"), ("attributes", "userName,title"), ("startIndex", "1"), ("count", "5")];
        assert_eq!(query, read(&pairs).unwrap());
        for wrong in [serde_json::json!({}), serde_json::json!([]), serde_json::json!({"schemas": ["x"]})] {
            assert_eq!(Query::from_search(&wrong).unwrap_err().scim_type.unwrap().as_str(), "invalidSyntax");
        }
        for (name, value) in
            [("count", serde_json::json!("ten")), ("count", serde_json::json!(1.5)), ("filter", serde_json::json!(1))]
        {
            let wrong = serde_json::json!({"schemas": schemas, name: value});
            assert_eq!(Query::from_search(&wrong).unwrap_err().scim_type.unwrap().as_str(), "invalidValue", "{wrong}");
        }
    }

    #[test]
    fn a_cursor_asks_for_a_walk_and_excludes_an_index() {
        assert_eq!(read(&[]).unwrap().paging().unwrap(), Paging::Index(1));
        assert_eq!(read(&[("startIndex", "7")]).unwrap().paging().unwrap(), Paging::Index(7));
        assert_eq!(read(&[("cursor", "")]).unwrap().paging().unwrap(), Paging::FirstOfWalk);
        assert_eq!(read(&[("Cursor", "x")]).unwrap().paging().unwrap(), Paging::Cursor("x"));
        let both = read(&[("cursor", ""), ("startIndex", "1")]).unwrap().paging().unwrap_err();
        assert_eq!(both.scim_type, Some(ScimType::InvalidValue));
        let search = serde_json::json!({"schemas": [urn::SEARCH_REQUEST], "cursor": "", "count": "ten"});
        for refused in [read(&[("count", "ten"), ("cursor", "x")]), Query::from_search(&search)] {
            assert_eq!(refused.unwrap_err().scim_type, Some(ScimType::InvalidCount));
        }
    }

    #[test]
    fn text_and_doubles_are_refused() {
        for pairs in
            [&[("count", "ten")][..], &[("startIndex", "1.5")], &[("count", "")], &[("count", "1"), ("Count", "1")]]
        {
            assert_eq!(read(pairs).unwrap_err().status, 400, "{pairs:?}");
        }
    }
}
