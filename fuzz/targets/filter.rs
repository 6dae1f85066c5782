//! A filter that is read prints as one that reads back the same; checking and matching take whatever was read.

#![no_main]

use libfuzzer_sys::fuzz_target;

use rollcall_fuzz::kept;
use rollcall_fuzz::scim::filter::Filter;
use rollcall_fuzz::scim::matches::matches;
use rollcall_fuzz::scim::schema::standard_types;

fuzz_target!(|text: &str| {
    let Ok(filter) = Filter::parse(text) else { return };
    let printed = filter.to_string();
    let again = Filter::parse(&printed);
    assert_eq!(again.as_ref(), Ok(&filter), "{text:?} prints as {printed:?}");
    for of in standard_types() {
        let resource = kept(of);
        let of_any = filter.check_for_any(of);
        let of_one = filter.check(of);
        if let Ok(predicate) = &of_one {
            matches(predicate, &resource);
        }
        if let Ok(predicate) = &of_any {
            matches(predicate, &resource);
        }
        assert!(of_one.is_err() || of_any.is_ok(), "{text:?} is right for one type and wrong for all");
    }
});
