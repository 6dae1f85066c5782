//! The content of the reference page, in the form that the template uses.

use askama::Template;
use serde_json::Value;

use super::example;
use crate::web::api::reference::parsed_document::{
    self, ParsedComponents, ParsedDocument, PathOperation, list_alternatives,
};
use crate::web::api::reference::schema_text::{
    Paragraph, TextSpan, TypeSpan, TypeText, describe_limits, describe_type, parse_paragraph, parse_paragraphs,
};
use crate::web::assets;

/// The template of the page.
#[derive(Debug, Template)]
#[template(path = "reference/page.html")]
pub(super) struct ReferencePage {
    title: String,
    version: String,
    base_url: String,
    style: String,
    icon: String,
    description: Vec<Paragraph>,
    groups: Vec<OperationGroup>,
    schemas: Vec<SchemaView>,
}

/// The operations of one tag.
#[derive(Debug)]
struct OperationGroup {
    anchor: String,
    name: String,
    description: Vec<Paragraph>,
    operations: Vec<OperationView>,
}

#[derive(Debug)]
struct OperationView {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: Vec<Paragraph>,
    parameters: Vec<FieldView>,
    body: Option<BodyView>,
    responses: Vec<ResponseView>,
    errors: Vec<ResponseView>,
    curl: String,
}

/// A parameter or a member of an object.
#[derive(Debug)]
struct FieldView {
    name: String,
    /// Location of a parameter, such as `query`; empty for a member.
    location: String,
    kind: TypeText,
    is_required: bool,
    description: Vec<Paragraph>,
    limits: Vec<Paragraph>,
}

#[derive(Debug)]
struct BodyView {
    kind: TypeText,
    is_required: bool,
    forms: Vec<ObjectForm>,
}

/// The members of an object.
type ObjectForm = Vec<FieldView>;

#[derive(Debug)]
struct ResponseView {
    status: String,
    description: Paragraph,
    kind: Option<TypeText>,
}

/// A named schema.
#[derive(Debug)]
struct SchemaView {
    name: String,
    description: Vec<Paragraph>,
    /// Its type, if it is not an object with members.
    kind: Option<TypeText>,
    limits: Vec<Paragraph>,
    /// The members of an object; several lists if it has several forms.
    forms: Vec<ObjectForm>,
}

/// Creates the page from a document.
///
/// # Errors
/// The document does not have the expected structure.
pub(super) fn build_page(document: &ParsedDocument) -> serde_json::Result<ReferencePage> {
    let base_url = document.servers.first().map(|server| server.url.clone()).unwrap_or_default();
    let operations = document.operations()?;
    let of_tag = |tag: &str| {
        let has_tag = |placed: &&PathOperation| placed.operation.tags.iter().any(|own| own == tag);
        operations
            .iter()
            .filter(has_tag)
            .map(|placed| build_operation(placed, &base_url, &document.components))
            .collect()
    };
    let groups = document.tags.iter().map(|tag| OperationGroup {
        anchor: format!("about-{}", tag.name.to_lowercase().replace(' ', "-")),
        name: tag.name.clone(),
        description: parse_paragraphs(&tag.description),
        operations: of_tag(&tag.name),
    });
    Ok(ReferencePage {
        title: document.info.title.clone(),
        version: document.info.version.clone(),
        style: assets::asset_url("reference/style.css"),
        icon: assets::asset_url("reference/icon.svg"),
        description: parse_paragraphs(&document.info.description),
        groups: groups.collect(),
        schemas: document
            .components
            .schemas
            .iter()
            .map(|(name, schema)| build_schema(name, schema, &document.components))
            .collect(),
        base_url,
    })
}

fn build_operation(placed: &PathOperation, base_url: &str, components: &ParsedComponents) -> OperationView {
    let PathOperation { path, method, operation } = placed;
    let (answers, refusals) =
        operation.responses.iter().map(build_response).partition(|response| response.status.starts_with('2'));
    OperationView {
        id: operation.id.clone(),
        method: method.to_uppercase(),
        path: path.clone(),
        summary: operation.summary.clone(),
        description: parse_paragraphs(&operation.description),
        parameters: operation.parameters.iter().map(build_parameter).collect(),
        body: operation.request_body.as_ref().and_then(|request_body| build_body(request_body, components)),
        responses: answers,
        errors: refusals,
        curl: example::build_command(base_url, placed, components),
    }
}

fn build_parameter(parameter: &parsed_document::ParsedParameter) -> FieldView {
    FieldView {
        name: parameter.name.clone(),
        location: parameter.location.clone(),
        kind: describe_type(&parameter.schema),
        is_required: parameter.required,
        description: parse_paragraphs(&parameter.description),
        limits: describe_limits(&parameter.schema),
    }
}

fn build_body(request_body: &parsed_document::ParsedBody, components: &ParsedComponents) -> Option<BodyView> {
    let content = request_body.content.values().next()?;
    let schema = components.resolve(&content.schema);
    Some(BodyView {
        kind: describe_type(&content.schema),
        is_required: request_body.required,
        forms: list_forms(schema, components),
    })
}

fn build_response((status, response): (&String, &parsed_document::ParsedResponse)) -> ResponseView {
    let schema = response.content.values().next().map(|content| &content.schema);
    ResponseView {
        status: status.clone(),
        description: parse_paragraph(&response.description),
        kind: schema.map(describe_type),
    }
}

fn build_schema(name: &str, schema: &Value, components: &ParsedComponents) -> SchemaView {
    let forms = list_forms(schema, components);
    SchemaView {
        name: name.to_owned(),
        description: parse_paragraphs(schema["description"].as_str().unwrap_or_default()),
        kind: forms.is_empty().then(|| describe_type(schema)),
        limits: describe_limits(schema),
        forms,
    }
}

/// Returns the members of an object schema: one list for each form that is described in place. A form that is a named schema is
/// described there.
fn list_forms(schema: &Value, components: &ParsedComponents) -> Vec<ObjectForm> {
    let parts = if schema["allOf"].is_array() { Vec::new() } else { list_alternatives(schema) };
    let forms = if parts.len() > 1 { parts } else { vec![schema] };
    forms.into_iter().map(|form| list_fields(form, components)).filter(|fields| !fields.is_empty()).collect()
}

/// Returns the members of an object schema, and those of its parts.
fn list_fields(schema: &Value, components: &ParsedComponents) -> ObjectForm {
    let parts = schema["allOf"].as_array().into_iter().flatten();
    parts.map(|part| components.resolve(part)).chain([schema]).flat_map(list_members).collect()
}

fn list_members(schema: &Value) -> ObjectForm {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let field = |(name, schema): (&String, &Value)| FieldView {
        name: name.clone(),
        location: String::new(),
        kind: describe_type(schema),
        is_required: required(name),
        description: parse_paragraphs(schema["description"].as_str().unwrap_or_default()),
        limits: describe_limits(schema),
    };
    schema["properties"].as_object().into_iter().flatten().map(field).collect()
}
