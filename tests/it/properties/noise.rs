//! Random requests: every request gets a valid answer, and every refusal is a SCIM error with a standard `scimType`.

use std::cell::RefCell;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::check_property;
use crate::app::{App, Client, Reply};
use crate::sample::{ENTERPRISE, GROUP, PATCH_OP, SEARCH, USER, group, user_with};

/// The values of `scimType` of RFC 7644 table 9 and RFC 9865.
const SCIM_TYPES: &[&str] = &[
    "invalidFilter",
    "tooMany",
    "uniqueness",
    "mutability",
    "invalidSyntax",
    "invalidPath",
    "noTarget",
    "invalidValue",
    "invalidVers",
    "sensitive",
    "invalidCursor",
    "expiredCursor",
    "invalidCount",
];

const NAMES: &[&str] = &[
    "schemas",
    "id",
    "externalId",
    "meta",
    "userName",
    "displayName",
    "active",
    "name",
    "givenName",
    "emails",
    "value",
    "type",
    "primary",
    "members",
    "groups",
    "$ref",
    "manager",
    "password",
    "x509Certificates",
    "Operations",
    "op",
    "path",
    "filter",
    "count",
    "startIndex",
    "attributes",
    "excludedAttributes",
    "sortBy",
    "sortOrder",
    "cursor",
    "failOnErrors",
    "method",
    "bulkId",
    "data",
    "",
    "é",
    ENTERPRISE,
];

const TEXTS: &[&str] = &[
    "",
    "x",
    "True",
    "false",
    "work",
    "add",
    "Replace",
    "remove",
    "title",
    "members",
    "userName eq \"x\"",
    "emails[",
    "0",
    "emails[type eq \"work\"].value",
    "members[value eq \"x\"]",
    "name.givenName",
    "2020-01-01T00:00:00Z",
    "\u{0}",
    "é\u{301}",
    "👩‍🔬",
    "../Users",
    "W/\"1\"",
    "bulkId:x",
    "POST",
    "/Users",
    USER,
    GROUP,
    ENTERPRISE,
    PATCH_OP,
    SEARCH,
];

fn text() -> BoxedStrategy<String> {
    prop_oneof![4 => select(TEXTS).prop_map(str::to_owned), 1 => ".{0,12}"].boxed()
}

fn values() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        6 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from).boxed(),
            btree_map(select(NAMES).prop_map(str::to_owned), inner, 0..6)
                .prop_map(|parts| Value::Object(parts.into_iter().collect())),
        ]
    })
    .boxed()
}

/// A nearly valid body.
fn requests() -> BoxedStrategy<Value> {
    let parts = || btree_map(select(NAMES).prop_map(str::to_owned), values(), 0..4);
    let operation = (select(&["add", "replace", "remove"][..]), prop::option::of(text()), prop::option::of(values()))
        .prop_map(|(op, path, value)| {
            let mut operation = json!({"op": op});
            if let Some(path) = path {
                operation["path"] = path.into();
            }
            if let Some(value) = value {
                operation["value"] = value;
            }
            operation
        });
    let with = |base: Value, parts: std::collections::BTreeMap<String, Value>| {
        let mut document: Map<String, Value> = base.as_object().unwrap().clone();
        document.extend(parts);
        Value::Object(document)
    };
    prop_oneof![
        parts().prop_map(move |parts| with(json!({"userName": "noise"}), parts)),
        parts().prop_map(move |parts| with(json!({"displayName": "noise"}), parts)),
        parts().prop_map(move |parts| with(json!({"schemas": [SEARCH]}), parts)),
        vec(operation, 1..4).prop_map(|all| json!({"schemas": [PATCH_OP], "Operations": all})),
        values(),
    ]
    .boxed()
}

fn bodies() -> BoxedStrategy<Option<Vec<u8>>> {
    let cut = (requests(), 0.0..1.0_f64).prop_map(|(body, share)| {
        let mut bytes = body.to_string().into_bytes();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "any position"
        )]
        bytes.truncate((bytes.len() as f64 * share) as usize);
        bytes
    });
    prop_oneof![
        1 => Just(None),
        8 => requests().prop_map(|body| Some(body.to_string().into_bytes())),
        1 => cut.prop_map(Some),
        1 => vec(any::<u8>(), 0..40).prop_map(Some),
    ]
    .boxed()
}

/// The text with some or all bytes percent-encoded, so that it is valid in a URL.
fn escaped(text: &str, all: bool) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:@!$'()*,;=".contains(byte);
    let escape = |byte: u8| if !all && plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    text.bytes().map(escape).collect()
}

fn targets() -> BoxedStrategy<String> {
    let valid = select(
        &[
            "",
            "Users",
            "Groups",
            "Users/USER",
            "Groups/GROUP",
            "Users/GROUP",
            "Users/.search",
            ".search",
            "Groups/.search",
            "Me",
            "Bulk",
            "Schemas",
            "ResourceTypes",
            "ServiceProviderConfig",
            "Schemas/USER",
            "v2/Users",
            "v1/Users",
            "v3",
        ][..],
    );
    let odd = (vec(text(), 0..4), any::<bool>())
        .prop_map(|(parts, all)| parts.iter().map(|part| escaped(part, all)).collect::<Vec<_>>().join("/"));
    let name =
        select(&["filter", "count", "startIndex", "attributes", "excludedAttributes", "sortBy", "cursor", "x", ""][..]);
    let filter = prop_oneof![
        text(),
        (select(NAMES), select(&["eq", "co", "pr", "gt", "ne", "xx"][..]), values())
            .prop_map(|(name, operator, value)| format!("{name} {operator} {value}")),
    ];
    let query = vec((name, filter, any::<bool>()), 0..3).prop_map(|pairs| {
        let pairs = pairs.iter().map(|(name, value, all)| format!("{name}={}", escaped(value, *all)));
        pairs.collect::<Vec<_>>().join("&")
    });
    (prop_oneof![6 => valid.prop_map(str::to_owned), 1 => odd], query)
        .prop_map(|(path, query)| format!("/{path}?{query}"))
        .boxed()
}

fn headers() -> BoxedStrategy<Vec<(&'static str, String)>> {
    let name = select(
        &[
            "If-Match",
            "If-None-Match",
            "Accept-Charset",
            "Content-Type",
            "Content-Encoding",
            "Accept-Encoding",
            "Prefer",
            "X-Odd",
        ][..],
    );
    let value = prop_oneof![
        select(
            &[
                "*",
                "W/\"1\"",
                "\"",
                "application/json",
                "application/scim+json; charset=utf-8",
                "text/plain",
                "gzip",
                ","
            ][..]
        )
        .prop_map(str::to_owned),
        "[ -~]{0,20}",
    ];
    prop_oneof![3 => Just(Vec::new()), 2 => vec((name, value), 1..3)].boxed()
}

/// Asserts the rules for errors; `send` has already checked the rules for all answers.
fn check_error(reply: Reply) -> Result<(), TestCaseError> {
    prop_assert!(reply.status < 500 || reply.status == 501, "{}", reply.status);
    if reply.status < 400 || reply.answer.body.is_empty() {
        return Ok(());
    }
    let reply = reply.with_scim_error();
    if let Some(scim_type) = reply.json.get("scimType") {
        prop_assert!(scim_type.as_str().is_some_and(|scim_type| SCIM_TYPES.contains(&scim_type)), "{}", scim_type);
        prop_assert_eq!(reply.status, if scim_type == "uniqueness" { 409 } else { 400 }, "{}", reply.json);
    }
    Ok(())
}

#[test]
fn no_request_causes_a_server_error() {
    //
    let client = App::shared().configuration("other");
    let methods =
        select(&["GET", "GET", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "FOO"][..]);
    // Looked for again only after a call that can delete them.
    let objects = RefCell::new(None);
    check_property(4_000, (methods, targets(), headers(), bodies()), |(method, target, headers, body)| {
        let (user, group) = objects.take().unwrap_or_else(|| existing_or_new(&client));
        let target = target.replace("USER", &user).replace("GROUP", &group);
        let mut request = client.request(method, &target);
        // An answer without a body to a request with one closes its connection only after a second.
        if let Some(body) = body.as_ref().filter(|_| method != "OPTIONS") {
            request = request.body(body);
        }
        for (name, value) in headers {
            request = request.header(name, &value);
        }
        let reply = request.send();
        if method != "DELETE" && !target.contains("Bulk") {
            objects.replace(Some((user, group)));
        }
        if method == "HEAD" {
            prop_assert!(reply.answer.body.is_empty());
            return Ok(());
        }
        check_error(reply)
    });
    assert_eq!(client.get("/Users").status, 200);
}

/// A user and a group to work on: existing ones, or new ones.
fn existing_or_new(client: &Client) -> (String, String) {
    let first = |endpoint: &str, document: Value| {
        let page = client.get(&format!("{endpoint}?count=1&attributes=id")).answered(200).json;
        match page["Resources"][0]["id"].as_str() {
            Some(id) => id.to_owned(),
            None => client.created(endpoint, &document),
        }
    };
    let user = first("/Users", user_with("ada", &json!({"emails": [{"value": "x", "type": "work"}]})));
    let group = first("/Groups", group("Some group", &[&user]));
    (user, group)
}
