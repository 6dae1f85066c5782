//! The parameters of a query (RFC 7644 sections 3.4.2 and 3.9, RFC 9865 section 2), from a query string or from a
//! search request.

use serde_json::Value;

use super::sort::Sort;
use super::urn;
use crate::error::{Error, Reason, ScimType};

/// Parameters of a request, each at most once. Names are case-insensitive; unknown names are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryParameters {
    /// `filter`, unparsed.
    pub filter: Option<String>,
    /// `startIndex`, at least 1.
    pub start_index: Option<u64>,
    /// `count`, never negative.
    pub count: Option<u64>,
    /// `cursor`; empty for the first page.
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

/// The requested page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging<'q> {
    /// The page that starts at this position, counted from 1.
    Index(u64),
    /// The first page of cursor-based pagination.
    FirstByCursor,
    /// The page that this cursor points to.
    Cursor(&'q str),
}

impl QueryParameters {
    /// Reads the percent-decoded pairs of a query string.
    ///
    /// # Errors
    /// 400 invalidValue for a number that cannot be parsed and for a duplicate parameter; 400 invalidCount if `count`
    /// cannot be parsed and the query has a cursor.
    pub fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut query = Self::default();
        let mut count = None;
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case("startIndex") {
                set_once(&mut query.start_index, "startIndex", parse_whole_number("startIndex", value)?.max(1))?;
            } else if name.eq_ignore_ascii_case("count") {
                set_once(&mut count, "count", value)?;
            } else if let Some((name, slot)) = query.text_parameter(name) {
                set_once(slot, name, value.to_owned())?;
            }
        }
        if let Some(count) = count {
            query.count = Some(parse_whole_number("count", count).map_err(|refused| query.count_error(refused))?);
        }
        Ok(query)
    }

    /// Returns the canonical name and the field of a text parameter.
    fn text_parameter(&mut self, name: &str) -> Option<(&'static str, &mut Option<String>)> {
        let slots = [
            ("filter", &mut self.filter),
            ("cursor", &mut self.cursor),
            ("sortBy", &mut self.sort_by),
            ("sortOrder", &mut self.sort_order),
            ("attributes", &mut self.attributes),
            ("excludedAttributes", &mut self.excluded_attributes),
        ];
        slots.into_iter().find(|(canonical, _)| name.eq_ignore_ascii_case(canonical))
    }

    /// RFC 9865 section 2.1 defines a separate error code for an invalid count in cursor-based pagination.
    fn count_error(&self, error: Error) -> Error {
        if self.cursor.is_some() { error.as_scim_type(ScimType::InvalidCount) } else { error }
    }

    /// Returns the requested page: by cursor if the query has one, else by index (RFC 9865 section 2).
    ///
    /// # Errors
    /// 400 invalidValue if the query has both.
    pub fn paging(&self) -> Result<Paging<'_>, Error> {
        match (self.cursor.as_deref(), self.start_index) {
            (Some(_), Some(_)) => Err(Error::new(Reason::PagingConflict)),
            (Some(""), None) => Ok(Paging::FirstByCursor),
            (Some(cursor), None) => Ok(Paging::Cursor(cursor)),
            (None, start) => Ok(Paging::Index(start.unwrap_or(1))),
        }
    }

    /// Returns the sort parameters.
    ///
    /// # Errors
    /// 400 invalidPath or invalidValue, see [`Sort::read`].
    pub fn sort(&self) -> Result<Option<Sort>, Error> {
        Sort::read(self.sort_by.as_deref(), self.sort_order.as_deref())
    }
}

impl QueryParameters {
    /// Reads the body of `POST /.search` (RFC 7644 section 3.4.3).
    ///
    /// # Errors
    /// 400 invalidSyntax if the body is not a search request, 400 invalidValue for a member of the wrong type.
    pub fn from_search(body: &Value) -> Result<Self, Error> {
        let named = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(urn::SEARCH_REQUEST));
        let object = body.as_object().ok_or_else(|| Error::new(Reason::SearchBodyInvalid))?;
        let is_search = |(name, value): (&String, &Value)| {
            name.eq_ignore_ascii_case("schemas") && value.as_array().is_some_and(|uris| uris.iter().any(named))
        };
        if !object.iter().any(is_search) {
            return Err(Reason::SchemasIncomplete.with("schema", urn::SEARCH_REQUEST));
        }
        let mut pairs = Vec::new();
        for (name, value) in object.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("schemas")) {
            if let Some(text) = format_parameter(name, value)? {
                pairs.push((name.as_str(), text));
            }
        }
        Self::from_pairs(pairs.iter().map(|(name, text)| (*name, text.as_str())))
    }
}

/// Returns a member of a search request in the text form of a URL parameter: lists of names may be arrays or
/// comma-separated.
fn format_parameter(name: &str, value: &Value) -> Result<Option<String>, Error> {
    let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    let wrong = |kind: &str| Err(Reason::ParameterType.on_field(name.to_owned()).with("expected", kind));
    match value {
        Value::Null => Ok(None),
        Value::Array(names) if is(&["attributes", "excludedAttributes"]) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            names.map_or_else(|| wrong("a list of names"), |names| Ok(Some(names.join(","))))
        }
        Value::String(text) if is(&["filter", "cursor", "sortBy", "sortOrder", "attributes", "excludedAttributes"]) => {
            Ok(Some(text.clone()))
        }
        // The number is validated when its text is parsed. A JSON string keeps its quotes, so it is rejected there.
        _ if is(&["startIndex", "count"]) => Ok(Some(value.to_string())),
        _ if is(&["attributes", "excludedAttributes"]) => wrong("a list of names"),
        _ if is(&["filter", "cursor", "sortBy", "sortOrder"]) => wrong("text"),
        _ => Ok(None),
    }
}

fn set_once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Error> {
    if slot.replace(value).is_some() {
        return Err(Reason::ParameterTwice.on_field(name.to_owned()));
    }
    Ok(())
}

/// RFC 7644 section 3.4.2.4: a value below the minimum is interpreted as the minimum.
fn parse_whole_number(name: &str, text: &str) -> Result<u64, Error> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::ParameterNotNumber.on_field(name.to_owned()));
    }
    if text.starts_with('-') {
        return Ok(0);
    }
    // The value is larger than any directory, so the cap does not change the page.
    Ok(digits.parse().unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<QueryParameters, Error> {
        QueryParameters::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn numbers_below_the_minimum_are_the_minimum() {
        let query = read(&[("STARTINDEX", "-5"), ("count", "-1"), ("foo", "x")]).unwrap();
        assert_eq!((query.start_index, query.count), (Some(1), Some(0)));
        assert_eq!(read(&[("startIndex", "0")]).unwrap().start_index, Some(1));
        assert!(read(&[("count", "99999999999999999999999")]).unwrap().count.unwrap() > 1_000_000);
    }

    #[test]
    fn a_search_request_is_equivalent_to_a_query() {
        let schemas = serde_json::json!([urn::SEARCH_REQUEST]);
        let body = serde_json::json!({
            "schemas": schemas, "Filter": "title pr", "attributes": ["userName", "title"], "startIndex": 0, "count": 5,
        });
        let query = QueryParameters::from_search(&body).unwrap();
        let pairs = [("filter", "title pr"), ("attributes", "userName,title"), ("startIndex", "1"), ("count", "5")];
        assert_eq!(query, read(&pairs).unwrap());
        for wrong in [serde_json::json!({}), serde_json::json!([]), serde_json::json!({"schemas": ["x"]})] {
            assert_eq!(
                QueryParameters::from_search(&wrong).unwrap_err().scim_type().unwrap().as_str(),
                "invalidSyntax"
            );
        }
        for (name, value) in
            [("count", serde_json::json!("ten")), ("count", serde_json::json!(1.5)), ("filter", serde_json::json!(1))]
        {
            let wrong = serde_json::json!({"schemas": schemas, name: value});
            assert_eq!(
                QueryParameters::from_search(&wrong).unwrap_err().scim_type().unwrap().as_str(),
                "invalidValue",
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_cursor_selects_cursor_pagination_and_excludes_an_index() {
        assert_eq!(read(&[]).unwrap().paging().unwrap(), Paging::Index(1));
        assert_eq!(read(&[("startIndex", "7")]).unwrap().paging().unwrap(), Paging::Index(7));
        assert_eq!(read(&[("cursor", "")]).unwrap().paging().unwrap(), Paging::FirstByCursor);
        assert_eq!(read(&[("Cursor", "x")]).unwrap().paging().unwrap(), Paging::Cursor("x"));
        let both = read(&[("cursor", ""), ("startIndex", "1")]).unwrap().paging().unwrap_err();
        assert_eq!(both.scim_type(), Some(ScimType::InvalidValue));
        let search = serde_json::json!({"schemas": [urn::SEARCH_REQUEST], "cursor": "", "count": "ten"});
        for refused in [read(&[("count", "ten"), ("cursor", "x")]), QueryParameters::from_search(&search)] {
            assert_eq!(refused.unwrap_err().scim_type(), Some(ScimType::InvalidCount));
        }
    }

    #[test]
    fn invalid_numbers_and_duplicates_are_rejected() {
        for pairs in
            [&[("count", "ten")][..], &[("startIndex", "1.5")], &[("count", "")], &[("count", "1"), ("Count", "1")]]
        {
            assert_eq!(read(pairs).unwrap_err().status(), 400, "{pairs:?}");
        }
    }
}
