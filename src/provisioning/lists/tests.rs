//! The limits of a page: bytes of the answer, and the effort on the event loop.

use serde_json::{Value, json};

use super::*;
use crate::provisioning::tests::{create_in_store, open_store_with_configuration};
use crate::scim::filter::ScimFilter;
use crate::scim::schema::USER_TYPE;
use crate::store::Store;

const MIB: usize = 1 << 20;

struct Fixture {
    store: Store,
    scope: Scope,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (folder, store, scope) = open_store_with_configuration();
        Self { store, scope, _folder: folder }
    }

    fn create_user(&self, name: &str, more: &Value) {
        let mut document = json!({"schemas": [USER_TYPE.schema.id], "userName": name});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        create_in_store(&self.store, &self.scope, &USER_TYPE, &document).unwrap();
    }

    fn query(&self, filter: Option<&str>) -> ListQuery {
        let predicate = filter.map(|text| ScimFilter::parse(text).unwrap().check(&USER_TYPE).unwrap());
        let part = TypeQuery::compile(&self.scope, &USER_TYPE, "https://x.example", predicate.as_ref(), None);
        ListQuery { parts: vec![part], descending: false, start: PageStart::Index(1), count: 500 }
    }

    /// Returns the number of resources of the page if it is read on the event loop.
    fn list_few(&self, filter: &str) -> Option<usize> {
        self.list_inline(&self.query(Some(filter)))
    }

    fn list_inline(&self, query: &ListQuery) -> Option<usize> {
        let read = |at: &Snapshot<'_>| list_resources_inline(at, &self.scope, query, &mut |_, one| Ok(one.length()));
        self.store.read_inline(read).unwrap().map(|page| page.count)
    }
}

#[test]
fn a_page_ends_when_the_answer_is_full() {
    let fixture = Fixture::new();
    (0..10).for_each(|number| fixture.create_user(&format!("u{number}"), &json!({})));
    for (length, expected) in [(100, 10), (3 * MIB, 2), (4 * MIB, 2), (5 * MIB, 1), (20 * MIB, 1)] {
        let mut written = 0;
        let query = fixture.query(None);
        let read = |at: &Snapshot<'_>| {
            list_resources(at, &fixture.scope, &query, &mut |_, _| {
                written += 1;
                Ok(length)
            })
        };
        let page = fixture.store.read_inline(read).unwrap();
        assert_eq!((page.count, page.total), (expected, 10), "{length}");
        assert!(written <= expected + 1, "at most one resource too many is rendered");
    }
}

#[test]
fn only_short_pages_of_small_resources_are_read_on_the_event_loop() {
    let fixture = Fixture::new();
    let page = |count: u64| ListQuery { count, ..fixture.query(None) };
    (0..120).for_each(|number| fixture.create_user(&format!("u{number}"), &json!({})));
    assert_eq!(fixture.list_inline(&page(20)), Some(20));
    assert_eq!(fixture.list_inline(&page(SHORT_PAGE_RESOURCES)), Some(100));
    assert_eq!(fixture.list_inline(&page(SHORT_PAGE_RESOURCES + 1)), None);
    let deep = ListQuery { start: PageStart::Index(111), ..page(100) };
    assert_eq!(fixture.list_inline(&deep), Some(10));
    let scan = ListQuery { count: 5, ..fixture.query(Some("title co \"x\"")) };
    assert_eq!(fixture.list_inline(&scan), None, "a scan of all resources");
    fixture.create_user("large", &json!({"title": "x".repeat(SHORT_PAGE_BYTES)}));
    assert_eq!(fixture.list_inline(&ListQuery { start: PageStart::Index(111), ..page(10) }), Some(10));
    assert_eq!(fixture.list_inline(&deep), None, "a page with a large resource");
}

#[test]
fn only_few_small_matches_are_read_on_the_event_loop() {
    let fixture = Fixture::new();
    for number in 0..10 {
        let external = if number < 4 { "few" } else { "many" };
        fixture.create_user(&format!("u{number}"), &json!({"externalId": external}));
    }
    assert_eq!(fixture.list_few("userName eq \"u1\""), Some(1));
    assert_eq!(fixture.list_few("userName eq \"absent\""), Some(0));
    assert_eq!(fixture.list_few("externalId eq \"few\""), Some(4));
    assert_eq!(fixture.list_few("externalId eq \"many\""), None);
    let numbers: Vec<Value> = (0..3).map(|at| json!({"value": format!("{at}{}", "x".repeat(40_000))})).collect();
    fixture.create_user("large", &json!({"phoneNumbers": numbers}));
    assert_eq!(fixture.list_few("userName eq \"large\""), None);
}
