//! What stands on the page, ready to be shown.

use askama::Template;
use serde_json::Value;

use super::description::{self, Components, Document, Placed};
use super::example;
use super::words::{Kind, Span, Text, kind, limits, paragraphs, text};
use crate::web::assets;

/// The page.
#[derive(Debug, Template)]
#[template(path = "reference/page.html")]
pub(super) struct Page {
    title: String,
    version: String,
    base_url: String,
    style: String,
    icon: String,
    about: Vec<Text>,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
}

/// The operations of one tag.
#[derive(Debug)]
struct Group {
    anchor: String,
    name: String,
    about: Vec<Text>,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Vec<Text>,
    parameters: Vec<Field>,
    body: Option<Body>,
    answers: Vec<Answer>,
    refusals: Vec<Answer>,
    curl: String,
}

/// A parameter or a member of an object.
#[derive(Debug)]
struct Field {
    name: String,
    /// Where a parameter stands; empty for a member.
    place: String,
    kind: Kind,
    is_required: bool,
    about: Vec<Text>,
    limits: Vec<Text>,
}

#[derive(Debug)]
struct Body {
    kind: Kind,
    is_required: bool,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Answer {
    status: String,
    about: Text,
    kind: Option<Kind>,
}

/// A named schema.
#[derive(Debug)]
struct Shape {
    name: String,
    about: Vec<Text>,
    /// What it is, where it is no object with members.
    kind: Option<Kind>,
    limits: Vec<Text>,
    fields: Vec<Field>,
}

/// The page of a document.
///
/// # Errors
/// The document is not of the form that is read here.
pub(super) fn of(document: &Document) -> serde_json::Result<Page> {
    let base_url = document.servers.first().map(|server| server.url.clone()).unwrap_or_default();
    let placed = document.operations()?;
    let of_tag = |tag: &str| {
        let belongs = |one: &&Placed| one.operation.tags.iter().any(|own| own == tag);
        placed.iter().filter(belongs).map(|one| shown(one, &base_url, &document.components)).collect()
    };
    let groups = document.tags.iter().map(|tag| Group {
        anchor: format!("about-{}", tag.name.to_lowercase().replace(' ', "-")),
        name: tag.name.clone(),
        about: paragraphs(&tag.description),
        operations: of_tag(&tag.name),
    });
    Ok(Page {
        title: document.info.title.clone(),
        version: document.info.version.clone(),
        style: assets::address("reference/style.css"),
        icon: assets::address("reference/icon.svg"),
        about: paragraphs(&document.info.description),
        groups: groups.collect(),
        shapes: document.components.schemas.iter().map(|(name, schema)| shape(name, schema)).collect(),
        base_url,
    })
}

fn shown(placed: &Placed, base_url: &str, components: &Components) -> Operation {
    let Placed { path, method, operation: one } = placed;
    let (answers, refusals) = one.responses.iter().map(answer).partition(|answer| answer.status.starts_with('2'));
    Operation {
        id: one.id.clone(),
        method: method.to_uppercase(),
        path: path.clone(),
        summary: one.summary.clone(),
        about: paragraphs(&one.description),
        parameters: one.parameters.iter().map(parameter).collect(),
        body: one.request_body.as_ref().and_then(|given| body(given, components)),
        answers,
        refusals,
        curl: example::curl(base_url, placed, components),
    }
}

fn parameter(one: &description::Parameter) -> Field {
    Field {
        name: one.name.clone(),
        place: one.place.clone(),
        kind: kind(&one.schema),
        is_required: one.required,
        about: paragraphs(&one.description),
        limits: limits(&one.schema),
    }
}

fn body(given: &description::Body, components: &Components) -> Option<Body> {
    let content = given.content.values().next()?;
    let schema = components.resolved(&content.schema);
    Some(Body { kind: kind(&content.schema), is_required: given.required, fields: fields(schema) })
}

fn answer((status, response): (&String, &description::Response)) -> Answer {
    let schema = response.content.values().next().map(|content| &content.schema);
    Answer { status: status.clone(), about: text(&response.description), kind: schema.map(kind) }
}

fn shape(name: &str, schema: &Value) -> Shape {
    let fields = fields(schema);
    Shape {
        name: name.to_owned(),
        about: paragraphs(schema["description"].as_str().unwrap_or_default()),
        kind: fields.is_empty().then(|| kind(schema)),
        limits: limits(schema),
        fields,
    }
}

/// The members of an object.
fn fields(schema: &Value) -> Vec<Field> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let field = |(name, schema): (&String, &Value)| Field {
        name: name.clone(),
        place: String::new(),
        kind: kind(schema),
        is_required: required(name),
        about: paragraphs(schema["description"].as_str().unwrap_or_default()),
        limits: limits(schema),
    };
    schema["properties"].as_object().into_iter().flatten().map(field).collect()
}
