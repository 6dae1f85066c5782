//! The OpenAPI document of the management API and the reference pages generated from it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::app::App;
use crate::management::event_contract::conforms;

fn document() -> Value {
    App::shared().anonymous().get("/openapi.json").answered(200).json
}

/// Every operation with its `METHOD path`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let below = |(path, item): (&String, &'_ Value)| (path.clone(), item.as_object().unwrap().clone());
    let named = paths
        .iter()
        .map(below)
        .flat_map(|(path, item)| item.into_iter().map(move |(method, _)| (method, path.clone())).collect::<Vec<_>>());
    named.map(|(method, path)| (format!("{method} {path}"), &document["paths"][&path][&method])).collect()
}

#[test]
fn every_operation_can_be_understood_from_the_document() {
    let document = document();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let (mut used, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let mut lacking = Vec::new();
    for (name, operation) in operations(&document) {
        let mut lacks = |what: String| lacking.push(format!("{name}: {what}"));
        if operation["summary"]
            .as_str()
            .is_none_or(|summary| summary.is_empty() || summary.ends_with('.') || summary.contains('`'))
        {
            lacks("a summary: a phrase without a full stop and code".into());
        }
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        if !tags.contains(tag) {
            lacks(format!("a described tag, not {tag:?}"));
        }
        used.insert(tag);
        if !ids.insert(operation["operationId"].as_str().unwrap_or_default()) {
            lacks("an operationId of its own".into());
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                lacks(format!("a description of the parameter {}", parameter["name"]));
            }
        }
        if !operation["security"].is_array() {
            lacks("a security requirement".into());
        }
    }
    lacking.extend(tags.difference(&used).map(|tag| format!("nothing is tagged {tag}")));
    assert!(lacking.is_empty(), "the document lacks:\n  {}", lacking.join("\n  "));
}

#[test]
fn every_schema_has_a_description_and_is_referenced() {
    let document = document();
    let text = document.to_string();
    let mut lacking = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if schema["description"].as_str().is_none_or(str::is_empty) {
            lacking.push(format!("{name}: a description"));
        }
        if !text.contains(&format!("\"#/components/schemas/{name}\"")) {
            lacking.push(format!("{name}: a reference to it"));
        }
    }
    for reference in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        if document["components"]["schemas"][reference].is_null() {
            lacking.push(format!("the schema {reference}, which is referred to"));
        }
    }
    assert!(lacking.is_empty(), "the document lacks:\n  {}", lacking.join("\n  "));
}

/// Names of types that every program has: a generated type with such a name would hide it.
const GLOBAL_NAMES: &[&str] = &[
    "Array",
    "Boolean",
    "Comment",
    "Date",
    "Document",
    "Element",
    "Error",
    "Event",
    "File",
    "Function",
    "Headers",
    "Location",
    "Lock",
    "Map",
    "Name",
    "Node",
    "Notification",
    "Number",
    "Object",
    "Option",
    "Plugin",
    "Promise",
    "Proxy",
    "Range",
    "Record",
    "Report",
    "Request",
    "Response",
    "Set",
    "String",
    "Symbol",
    "Text",
];

/// Collects what a generator of clients cannot use in a schema and everything below it.
fn collect_shapes(path: &str, value: &Value, found: &mut Vec<String>) {
    let Some(members) = value.as_object() else {
        for item in value.as_array().into_iter().flatten() {
            collect_shapes(path, item, found);
        }
        return;
    };
    let types =
        |name: &str| value["type"] == name || value["type"].as_array().is_some_and(|all| all.contains(&name.into()));
    let is_component = path.matches('/').count() == 1;
    if value["enum"].is_array() && !is_component {
        found.push(format!("{path}: fixed values without a name"));
    }
    if types("object") && value["properties"].is_null() && value["additionalProperties"].is_null() {
        found.push(format!("{path}: an object without members"));
    }
    if types("integer") && value["format"].is_null() {
        found.push(format!("{path}: an integer without a format"));
    }
    for (name, member) in members.iter().filter(|(name, _)| !["example", "default", "mapping"].contains(&name.as_str()))
    {
        collect_shapes(&format!("{path}/{name}"), member, found);
    }
}

#[test]
fn generators_of_clients_understand_every_schema() {
    let document = document();
    let mut found = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        collect_shapes(&format!("schemas/{name}"), schema, &mut found);
        if GLOBAL_NAMES.contains(&name.as_str()) || name.contains('_') {
            found.push(format!("{name}: the name"));
        }
    }
    for (name, operation) in operations(&document) {
        collect_shapes(&format!("paths/{name}/schema"), operation, &mut found);
        for content in operation["requestBody"]["content"].as_object().into_iter().flat_map(serde_json::Map::values) {
            if content["schema"]["$ref"].is_null() {
                found.push(format!("{name}: the body has no named schema"));
            }
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            if response["headers"]["X-Request-Id"].is_null() {
                found.push(format!("{name}: {status} has no headers"));
            }
        }
    }
    assert!(found.is_empty(), "not good for generators:\n  {}", found.join("\n  "));
}

#[test]
fn the_command_prints_what_the_server_serves() {
    let app = App::shared();
    let printed: Value = serde_json::from_slice(&app.succeeds(&["openapi"])).unwrap();
    assert_eq!(printed, document());
    assert_eq!(printed["servers"][0]["url"], format!("http://{}", app.address));
}

#[test]
fn the_command_needs_no_data_folder_and_creates_none() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let output = crate::app::rollcall(&nowhere, &["openapi"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["servers"][0]["url"], "http://127.0.0.1:8080");
    assert!(!nowhere.exists());
}

/// The paths of all pages of the reference that its pages link.
fn page_paths() -> BTreeSet<String> {
    let mut found = BTreeSet::from(["/docs/api".to_owned()]);
    let mut left: Vec<String> = found.iter().cloned().collect();
    while let Some(path) = left.pop() {
        let page = get_page(&path);
        let links = page.split("<a href=\"/docs/api").skip(1).filter_map(|rest| rest.split(['"', '#']).next());
        for linked in links.map(|rest| format!("/docs/api{rest}")) {
            if found.insert(linked.clone()) {
                left.push(linked);
            }
        }
    }
    found
}

fn get_page(path: &str) -> String {
    String::from_utf8(App::shared().anonymous().get(path).answered(200).answer.body).unwrap()
}

#[test]
fn every_example_conforms_to_its_schema() {
    let document = document();
    let (mut wrong, mut examples) = (Vec::new(), 0);
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        for content in responses.chain([&operation["requestBody"]]).map(|body| &body["content"]["application/json"]) {
            let (schema, example) = (&content["schema"], &content["example"]);
            if schema.as_object().is_none_or(serde_json::Map::is_empty) {
                continue;
            }
            examples += 1;
            if example.is_null() || example.to_string().contains('…') || !conforms(&document, schema, example) {
                wrong.push(format!("{name}: {example}"));
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let example = &parameter["example"];
            if parameter["required"] == true && example.is_null() && name != "get /docs/api/{page}" {
                wrong.push(format!("{name}: no example of {}", parameter["name"]));
            }
            if !example.is_null() && !conforms(&document, &parameter["schema"], example) {
                wrong.push(format!("{name}: {} {example}", parameter["name"]));
            }
        }
    }
    assert!(examples > 900, "{examples} examples");
    assert!(wrong.is_empty(), "wrong examples:\n  {}", wrong.join("\n  "));
}

#[test]
fn the_pages_have_every_operation_and_schema_with_samples_for_this_server() {
    let (app, document) = (App::shared(), document());
    let pages: BTreeMap<String, String> =
        page_paths().into_iter().map(|path| (path.clone(), get_page(&path))).collect();
    let all = pages.values().map(String::as_str).collect::<String>();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(all.contains(&format!("<h2 id=\"{id}\">")), "{name}");
        let path = name.split(' ').nth(1).unwrap().split('{').next().unwrap();
        assert!(all.contains(&format!("&#39;http://{}{path}", app.address)), "{name}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        // The index, whose anchors are those of earlier links, and the page with the description.
        let anchor = format!("id=\"schema-{name}\"");
        assert!(pages["/docs/api/schemas"].contains(&anchor), "{name}");
        let described = pages.values().filter(|page| page.contains(&format!("<h2 {anchor}>"))).count();
        assert_eq!(described, 1, "{name}");
    }
    for (path, page) in &pages {
        for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { path } else { target };
            if target.starts_with("/docs/api") {
                let exists = pages
                    .get(target)
                    .is_some_and(|page| anchor.is_empty() || page.contains(&format!("id=\"{anchor}\"")));
                assert!(exists, "{path}: {link}");
            }
        }
    }
    assert!(pages["/docs/api/errors"].contains("id=\"connection_name_taken\""));
    assert_eq!(app.anonymous().get("/docs/api/no-such-page").status, 404);
}

#[test]
fn the_examples_of_the_event_catalogue_conform_to_their_schemas() {
    let (page, document) = (get_page("/docs/api/event-catalogue"), document());
    let examples: Vec<&str> = page.split("<pre ").skip(1).map(|rest| rest.split("<code>").nth(1).unwrap()).collect();
    assert_eq!(examples.len(), 17);
    for example in examples {
        let text = example.split("</code>").next().unwrap().replace("&#34;", "\"").replace("&#38;", "&");
        let event: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(conforms(&document, &document["components"]["schemas"]["ProvisioningEvent"], &event), "{text}");
    }
}

#[test]
fn the_search_finds_operations_codes_events_and_schemas() {
    for (query, link) in [
        ("rotate+token", "/docs/api/tokens#rotateToken"),
        ("connection_name_taken", "/docs/api/errors#connection_name_taken"),
        ("user.deactivated", "/docs/api/event-catalogue#user.deactivated"),
        ("CreatedLink", "/docs/api/schemas-c#schema-CreatedLink"),
        ("idempotency", "/docs/api#idempotency"),
    ] {
        let page = get_page(&format!("/docs/api/search?q={query}"));
        assert!(page.contains(&format!("<a href=\"{link}\">")), "{query}: {page}");
    }
    let page = get_page("/docs/api/search?q=%3Cscript%3E");
    assert!(page.contains("Nothing contains “&#60;script&#62;”"), "{page}");
    assert!(get_page("/docs/api/search?q=e").matches("<li><a href=\"/docs/api").count() < 150);
}

/// Most bytes of a page, compressed.
const PAGE_MAX_BYTES: usize = 15 * 1024;

#[test]
fn the_pages_load_only_own_files_and_are_small_and_cacheable() {
    let anonymous = App::shared().anonymous();
    let mut total = 0;
    let paths = page_paths();
    assert!(paths.len() > 28 && paths.contains("/docs/api/schemas-t-z"), "{paths:?}");
    for path in paths {
        let reply = anonymous.request("GET", &path).header("Accept-Encoding", "gzip").send().answered(200);
        assert!(reply.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
        assert_eq!(reply.header("cache-control"), "public, no-cache", "{path}");
        // The errors are one page.
        let most = if path == "/docs/api/errors" { PAGE_MAX_BYTES } else { 9_000 };
        assert!(reply.answer.body.len() <= most, "{path} has {} bytes", reply.answer.body.len());
        total += reply.answer.body.len();
    }
    assert!(total < 150_000, "all pages have {total} bytes");
    println!("all pages of the API reference have {total} bytes");
    let page = get_page("/docs/api");
    assert!(!page.contains("style=\"") && !page.contains("<script>"), "no inline script and no inline style");
    let files: Vec<&str> = page.split("=\"/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files {
        let asset = anonymous.get(&format!("/assets/{file}")).answered(200);
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        let other = format!("/assets/0000000000000000/{}", file.split_once('/').unwrap().1);
        assert_eq!(anonymous.get(&other).status, 404);
    }
}
