//! The parameters of a query (RFC 7644 sections 3.4.2 and 3.9), from name and value pairs or from a search request.

use serde_json::Value;

use super::{Error, urn};

/// Parameters as they came, each at most once. Names are compared without case, unknown ones are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// `filter`, unparsed.
    pub filter: Option<String>,
    /// `startIndex`, at least 1.
    pub start_index: Option<u64>,
    /// `count`, never negative.
    pub count: Option<u64>,
    /// `attributes`, unparsed.
    pub attributes: Option<String>,
    /// `excludedAttributes`, unparsed.
    pub excluded_attributes: Option<String>,
}

impl Query {
    /// Reads the pairs of a query string, already percent-decoded.
    ///
    /// # Errors
    /// 400 invalidValue for a number that is none and for a parameter given twice.
    pub fn read<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut query = Self::default();
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case("filter") {
                once(&mut query.filter, "filter", value.to_owned())?;
            } else if name.eq_ignore_ascii_case("startIndex") {
                once(&mut query.start_index, "startIndex", whole_number("startIndex", value)?.max(1))?;
            } else if name.eq_ignore_ascii_case("count") {
                once(&mut query.count, "count", whole_number("count", value)?)?;
            } else if name.eq_ignore_ascii_case("attributes") {
                once(&mut query.attributes, "attributes", value.to_owned())?;
            } else if name.eq_ignore_ascii_case("excludedAttributes") {
                once(&mut query.excluded_attributes, "excludedAttributes", value.to_owned())?;
            }
        }
        Ok(query)
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
        Value::String(text) if is(&["filter", "attributes", "excludedAttributes"]) => Ok(Some(text.clone())),
        Value::Number(number) if is(&["startIndex", "count"]) => Ok(Some(number.to_string())),
        _ if is(&["attributes", "excludedAttributes"]) => wrong("a list of names"),
        _ if is(&["startIndex", "count"]) => wrong("a whole number"),
        _ if is(&["filter"]) => wrong("text"),
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
    fn text_and_doubles_are_refused() {
        for pairs in
            [&[("count", "ten")][..], &[("startIndex", "1.5")], &[("count", "")], &[("count", "1"), ("Count", "1")]]
        {
            assert_eq!(read(pairs).unwrap_err().status, 400, "{pairs:?}");
        }
    }
}
