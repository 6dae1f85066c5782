//! The OpenAPI document of the management API and the reference page generated from it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app::App;

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

#[test]
fn the_page_has_every_operation_and_schema_with_a_command_for_this_server() {
    let app = App::shared();
    let reply = app.anonymous().get("/docs/api").answered(200);
    let (page, document) = (String::from_utf8(reply.answer.body).unwrap(), document());
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("<h3 id=\"{id}\">")), "{name}");
        let path = name.split(' ').nth(1).unwrap().split('{').next().unwrap();
        assert!(page.contains(&format!("&#39;http://{}{path}", app.address)), "{name}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
}

#[test]
fn the_page_loads_only_own_files_and_these_are_cacheable() {
    let anonymous = App::shared().anonymous();
    let reply = anonymous.get("/docs/api").answered(200);
    assert!(reply.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    let page = String::from_utf8(reply.answer.body).unwrap();
    assert!(!page.contains("<script") && !page.contains("style="), "no script and no inline style");
    let files: Vec<&str> = page.split("href=\"/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(files.len(), 2);
    for file in files {
        let asset = anonymous.get(&format!("/assets/{file}")).answered(200);
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        let other = format!("/assets/0000000000000000/{}", file.split_once('/').unwrap().1);
        assert_eq!(anonymous.get(&other).status, 404);
    }
}
