//! A parsed filter prints as a text that parses to the same filter; checking and matching accept every parsed filter.

use super::scim::filter::ScimFilter;
use super::scim::filter::evaluate::matches_resource;
use super::scim::schema::standard_types;
use super::scim::work::WorkBudget;
use super::stored_resource;

pub fn check_input(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(filter) = ScimFilter::parse(text) else { return };
    let printed = filter.to_string();
    let again = ScimFilter::parse(&printed);
    assert_eq!(again.as_ref(), Ok(&filter), "{text:?} prints as {printed:?}");
    for of in standard_types() {
        let resource = stored_resource(of);
        let of_any = filter.check_for_any(of);
        let of_one = filter.check(of);
        if let Ok(predicate) = &of_one {
            let _ = matches_resource(predicate, &resource, &mut WorkBudget::default());
        }
        if let Ok(predicate) = &of_any {
            let _ = matches_resource(predicate, &resource, &mut WorkBudget::default());
        }
        assert!(of_one.is_err() || of_any.is_ok(), "{text:?} is right for one type and wrong for all");
    }
}
