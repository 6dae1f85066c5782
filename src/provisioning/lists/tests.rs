//! The limits of a page: bytes of the answer, and the effort on the event loop.

use serde_json::{Value, json};

use super::*;
use crate::auth::secret::BearerToken;
use crate::clock;
use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
use crate::management::tokens::TokenDraft;
use crate::model::audit_context::AuditContext;
use crate::model::configuration::ConfigurationSource;
use crate::provisioning::resources::{PreparedResource, ResourceWrite, build_rules, create_resource};
use crate::scim::filter::ScimFilter;
use crate::scim::schema::USER_TYPE;
use crate::scim::validate;
use crate::store::{Store, Tx};

const MIB: usize = 1 << 20;

struct Fixture {
    store: Store,
    scope: Scope,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let token = BearerToken::generate().unwrap();
        let new = NewConfiguration {
            id: clock::new_id(),
            account: "acme".into(),
            connection_name: None,
            source: ConfigurationSource::Other,
            provider: None,
            preset: None,
            sync: true,
            token: TokenDraft::new(clock::new_id(), &token, "first"),
        };
        let job = move |tx: &Tx<'_>| Scope::load(tx, create_configuration(tx, &AuditContext::server(), &new)?);
        let scope = store.write_blocking(job).unwrap();
        Self { store, scope, _folder: folder }
    }

    fn create_user(&self, name: &str, more: &Value) {
        let mut document = json!({"schemas": [USER_TYPE.schema.id], "userName": name});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let draft = validate::read_new_resource(&document, &USER_TYPE, build_rules(&self.scope));
        let prepared = PreparedResource::new(draft.unwrap(), &USER_TYPE).unwrap();
        let (scope, id) = (self.scope.clone(), clock::new_id());
        let job =
            move |tx: &Tx<'_>| create_resource(tx, &ResourceWrite::new(&scope, &USER_TYPE, &id), &prepared).map(drop);
        self.store.write_blocking(job).unwrap();
    }

    fn query(&self, filter: Option<&str>) -> ListQuery {
        let predicate = filter.map(|text| ScimFilter::parse(text).unwrap().check(&USER_TYPE).unwrap());
        let part = TypeQuery::compile(&self.scope, &USER_TYPE, "https://x.example", predicate.as_ref(), None);
        ListQuery { parts: vec![part], descending: false, start: PageStart::Index(1), count: 500 }
    }

    /// Returns the number of resources of the page if it has few, and the number of written ones.
    fn list_few(&self, filter: &str) -> Option<usize> {
        let query = self.query(Some(filter));
        assert!(query.is_key_lookup(), "{filter}");
        let read = |at: &Snapshot<'_>| list_few_resources(at, &self.scope, &query, &mut |_, one| Ok(one.length()));
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
