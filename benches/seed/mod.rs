//! A data folder with many users and groups, created through the crate's write path in a few large transactions.
// Each benchmark is a separate crate and uses a part of this module.
#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::sync::Arc;

use rollcall::auth::secret::BearerToken;
use rollcall::clock;
use rollcall::management::configuration_lifecycle::{self, NewConfiguration};
use rollcall::management::tokens::TokenDraft;
use rollcall::model::audit_context::AuditContext;
use rollcall::model::configuration::{ConfigurationSource, InitialSync};
use rollcall::provisioning::Scope;
use rollcall::provisioning::resources::{PreparedResource, ResourceWrite, build_rules, create_resource};
use rollcall::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
use rollcall::scim::validate::read_new_resource;
use rollcall::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Resources per transaction while seeding.
const BATCH: usize = 2_000;

/// An open store with one configuration.
pub(crate) struct Seeded {
    pub(crate) store: Store,
    pub(crate) scope: Scope,
    /// The configuration's bearer token.
    pub(crate) token: String,
    /// Ids of its users, in the order of creation.
    pub(crate) users: Vec<String>,
    pub(crate) folder: TempDir,
}

impl Seeded {
    /// A new store with that many users, in the folder for temporary files.
    pub(crate) fn with_users(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let store = Store::open_for_command(folder.path()).expect("a new store");
        let token = BearerToken::generate().expect("randomness");
        let new = NewConfiguration {
            id: clock::new_id(),
            account: "bench".into(),
            connection_name: None,
            source: ConfigurationSource::Other,
            provider: None,
            preset: None,
            sync: InitialSync::On,
            token: TokenDraft::new(clock::new_id(), &token, "bench"),
        };
        let made = store
            .write_blocking(move |tx| configuration_lifecycle::create_configuration(tx, &AuditContext::server(), &new));
        let made = made.expect("a configuration");
        let scope = store.read_inline(move |at| Scope::load(at, made)).expect("the scope");
        let mut seeded = Self { store, scope, token: token.reveal().to_owned(), users: Vec::new(), folder };
        let users: Vec<Value> = (0..count).map(user).collect();
        seeded.users = seeded.create(&USER_TYPE, &users);
        seeded
    }

    /// Creates that many groups, each with these members; returns their ids.
    pub(crate) fn groups(&self, names: &str, count: usize, members: &[String]) -> Vec<String> {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let group = |number| json!({"displayName": format!("{names} {number}"), "members": members});
        self.create(&GROUP_TYPE, &(0..count).map(group).collect::<Vec<_>>())
    }

    /// A body, validated like that of a request.
    pub(crate) fn prepared(&self, of: &ResourceType, body: &Value) -> PreparedResource {
        PreparedResource::new(
            read_new_resource(body, of, build_rules(&self.scope)).expect("a body without a fault"),
            of,
        )
        .expect("a small resource")
    }

    fn create(&self, of: &'static Arc<ResourceType>, bodies: &[Value]) -> Vec<String> {
        let mut ids = Vec::with_capacity(bodies.len());
        for batch in bodies.chunks(BATCH) {
            let drafts: Vec<(String, PreparedResource)> =
                batch.iter().map(|body| (clock::new_id(), self.prepared(of, body))).collect();
            ids.extend(drafts.iter().map(|(id, _)| id.clone()));
            let scope = self.scope.clone();
            let written = self.store.write_blocking(move |tx| {
                drafts.iter().try_for_each(|(id, draft)| {
                    create_resource(tx, &ResourceWrite::new(&scope, of, id), draft).map(drop)
                })
            });
            written.expect("unique names");
        }
        ids
    }
}

/// `userName` of the user with that number.
pub(crate) fn user_name(number: usize) -> String {
    format!("user.number{number}@example.com")
}

/// The body of a user as an identity provider with a full mapping sends it: about 1.1 KB.
pub(crate) fn user(number: usize) -> Value {
    let full_name = format!("Given{number} Family{number}");
    json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
        ],
        "externalId": format!("00u{number:017}"),
        "userName": user_name(number),
        "name": {
            "formatted": full_name, "familyName": format!("Family{number}"), "givenName": format!("Given{number}"),
            "middleName": "Quentin", "honorificPrefix": "Ms.", "honorificSuffix": "III"
        },
        "displayName": full_name,
        "nickName": format!("Nick{number}"),
        "title": "Senior Tour Guide",
        "userType": "Employee",
        "preferredLanguage": "en-US",
        "locale": "en-US",
        "timezone": "America/Los_Angeles",
        "active": true,
        "emails": [{"value": user_name(number), "type": "work", "primary": true}],
        "phoneNumbers": [
            {"value": format!("+1 555 {number:07}"), "type": "work"},
            {"value": format!("+1 556 {number:07}"), "type": "mobile"}
        ],
        "addresses": [{
            "type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood", "region": "CA",
            "postalCode": "91608", "country": "US", "primary": true
        }],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "employeeNumber": number.to_string(), "costCenter": "4130", "organization": "Universal Studios",
            "division": "Theme Park", "department": "Tour Operations"
        }
    })
}

/// A PATCH body with one operation.
pub(crate) fn patch_body(op: &str, path: &str, value: Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": op, "path": path, "value": value}]
    })
}
