//! A query string, decoded and parsed.

use super::scim::percent;
use super::scim::projection::Projection;
use super::scim::query::QueryParameters;
use super::scim::schema::standard_types;

pub fn check_input(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = percent::parse_query_string(text);
    let Ok(query) = QueryParameters::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    else {
        return;
    };
    assert!(query.start_index.is_none_or(|start| start > 0));
    for of in standard_types() {
        for strict in [false, true] {
            let _ = Projection::read(query.attributes.as_deref(), query.excluded_attributes.as_deref(), of, strict);
        }
    }
}
