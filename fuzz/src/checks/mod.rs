//! What each fuzz target checks on one input. The fuzz targets and the Rust tests (`tests/it/fuzz_checks.rs`) compile these
//! files, each with its own `scim` in the parent module.

pub mod bulk;
pub mod cursor;
pub mod filter;
pub mod if_match;
pub mod json;
pub mod patch;
pub mod patch_path;
pub mod query;

use super::scim;
use super::scim::dialect::{ActiveRemoval, DialectRules};
use super::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
use super::scim::validate::{self, Attributes};
use serde_json::{Value, json};

/// Takes one byte of the input to select the resource type and the rules.
pub fn choices(data: &[u8]) -> (&'static ResourceType, DialectRules, &[u8]) {
    let (first, rest) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let of = if first & 1 == 0 { &USER_TYPE } else { &GROUP_TYPE };
    let active_removal = match first >> 4 & 3 {
        0 => ActiveRemoval::Keep,
        1 => ActiveRemoval::Refuse,
        _ => ActiveRemoval::Remove,
    };
    let (strict, create_on_no_target, store_passwords) = (first & 2 != 0, first & 4 != 0, first & 8 != 0);
    (of, DialectRules { strict, create_on_no_target, store_passwords, active_removal }, rest)
}

/// A resource of the type, as it is stored.
pub fn stored_resource(of: &ResourceType) -> Attributes {
    let body = if of.members().is_some() { json!({"displayName": "Analysts", "externalId": "g1"}) } else { user() };
    validate::read_new_resource(&body, of, DialectRules::LENIENT).expect("the fixed resources are valid").attributes
}

fn user() -> Value {
    json!({
        "userName": "ada@example.com",
        "externalId": "e1",
        "displayName": "Ada",
        "title": "Countess",
        "active": true,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [
            {"value": "ada@work.example", "type": "work", "primary": true},
            {"value": "ada@home.example", "type": "home"},
        ],
        "roles": [{"value": "admin"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "Engines",
            "manager": {"value": "7", "$ref": "https://x.example/Users/7"},
        },
    })
}
