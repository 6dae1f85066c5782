//! A query string, decoded and parsed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::scim::percent;
use rollcall_fuzz::scim::projection::Projection;
use rollcall_fuzz::scim::query::QueryParameters;
use rollcall_fuzz::scim::schema::standard_types;

fuzz_target!(|text: &str| {
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
});
