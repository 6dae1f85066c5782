//! A bulk job: each item runs once, after what it refers to; no reference is left once all are replaced.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rollcall_fuzz::choices;
use rollcall_fuzz::scim::bulk::references::{self, Made};
use rollcall_fuzz::scim::bulk::{Facts, Method, plan, read};
use rollcall_fuzz::scim::json;
use rollcall_fuzz::scim::schema::{GROUP_TYPE, USER_TYPE};

fuzz_target!(|data: &[u8]| {
    let (_, rules, rest) = choices(data);
    let Ok(body) = json::read(rest) else { return };
    let Ok(mut job) = read(body, rules) else { return };
    let facts = job.items.iter().map(|item| {
        let of = if item.path.starts_with("/Users") { &USER_TYPE } else { &GROUP_TYPE };
        let id = item.path.rsplit('/').next().filter(|_| item.method != Some(Method::Post));
        if item.refusal.is_some() { Facts::refused(item) } else { Facts::of(item, of, id) }
    });
    let facts: Vec<Facts<'_>> = facts.collect();
    let plan = plan(&facts);
    let mut ran = vec![false; facts.len()];
    for step in &plan.steps {
        for &number in step {
            assert!(!std::mem::replace(&mut ran[number], true), "{number} runs twice");
        }
        for &needed in step.iter().flat_map(|&number| &plan.needs[number]) {
            assert!(ran[needed], "{needed} is needed before it has run");
        }
    }
    assert!(ran.iter().all(|ran| *ran));
    drop(facts);
    let made = Made { id: "7".to_owned(), location: "https://x.example/Users/7".to_owned() };
    for item in &mut job.items {
        references::replace(&mut item.data, &|_| Some(&made)).expect("all names are known");
        let mut left = BTreeSet::new();
        references::collect(&item.data, &mut left);
        assert!(left.is_empty(), "{left:?}");
    }
});
