//! A bulk job: each item runs once, after the items it refers to; no reference is left after the replacement.

use std::collections::BTreeSet;

use super::choices;
use super::scim::bulk::references::{CreatedResource, collect_references, replace_references};
use super::scim::bulk::{BulkMethod, ItemProperties, parse_bulk_job, plan_execution};
use super::scim::json::parse_json;
use super::scim::schema::{GROUP_TYPE, USER_TYPE};

pub fn check_input(data: &[u8]) {
    let (_, rules, rest) = choices(data);
    let Ok(body) = parse_json(rest) else { return };
    let Ok(mut job) = parse_bulk_job(body, rules) else { return };
    let facts = job.items.iter().map(|item| {
        let of = if item.path.starts_with("/Users") { &USER_TYPE } else { &GROUP_TYPE };
        let id = item.path.rsplit('/').next().filter(|_| item.method != Some(BulkMethod::Post));
        if item.error.is_some() { ItemProperties::rejected(item) } else { ItemProperties::from_item(item, of, id) }
    });
    let facts: Vec<ItemProperties<'_>> = facts.collect();
    let plan = plan_execution(&facts);
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
    let created = CreatedResource { id: "7".to_owned(), location: "https://x.example/Users/7".to_owned() };
    for item in &mut job.items {
        replace_references(&mut item.data, &|_| Some(&created)).expect("all names are known");
        let mut left = BTreeSet::new();
        collect_references(&item.data, &mut left);
        assert!(left.is_empty(), "{left:?}");
    }
}
