//! The content of the reference, in the form that the templates use: groups of operations, and schemas.

use askama::Template;
use serde_json::Value;

use super::samples::{self, CodeSamples};
use crate::web::api::reference::parsed_document::{
    self, ParsedComponents, ParsedDocument, PathOperation, list_alternatives,
};
use crate::web::api::reference::schema_text::{
    Paragraph, TextSpan, TypeSpan, TypeText, describe_limits, describe_type, parse_paragraph, parse_paragraphs,
};
use crate::web::api::reference::schema_urls::SCHEMAS;
use crate::web::assets;

/// Name of the page with the errors.
pub(super) const ERRORS: &str = "errors";
/// Name of the page with the events.
pub(super) const EVENT_CATALOGUE: &str = "event-catalogue";
/// Name of the page about SCIM.
pub(super) const SCIM: &str = "scim";

/// Title and name of each guide, in the order of the navigation.
pub(super) const GUIDES: [(&str, &str); 5] = [
    ("Quick start", ""),
    ("Errors", ERRORS),
    ("Event catalogue", EVENT_CATALOGUE),
    ("SCIM", SCIM),
    ("Schemas", SCHEMAS),
];

/// What all pages are built from.
#[derive(Debug, Default)]
pub(super) struct ReferenceContent {
    pub(super) version: String,
    pub(super) base_url: String,
    pub(super) groups: Vec<OperationGroup>,
    pub(super) schemas: Vec<SchemaView>,
}

/// The frame of every page: its title, the navigation, and the files that it loads.
#[derive(Debug)]
pub(super) struct ReferenceLayout {
    pub(super) title: String,
    /// Path of the page.
    pub(super) path: String,
    pub(super) version: String,
    pub(super) base_url: String,
    pub(super) portal_style: String,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
    pub(super) guides: Vec<ReferenceLink>,
    pub(super) groups: Vec<ReferenceLink>,
}

/// A page in the navigation, with the operations of the current page.
#[derive(Debug)]
pub(super) struct ReferenceLink {
    pub(super) url: String,
    pub(super) name: String,
    pub(super) is_current: bool,
    pub(super) operations: Vec<(String, String)>,
}

impl ReferenceContent {
    /// Returns the frame of a page. `slug` is the name of the page in its URL.
    pub(super) fn layout(&self, title: &str, slug: &str) -> ReferenceLayout {
        let guide = |(name, guide): &(&str, &str)| ReferenceLink {
            url: page_path(guide),
            name: (*name).to_owned(),
            is_current: *guide == slug,
            operations: Vec::new(),
        };
        let group = |group: &OperationGroup| {
            let is_current = group.slug == slug;
            let listed = group.operations.iter().filter(|_| is_current);
            ReferenceLink {
                url: page_path(&group.slug),
                name: group.name.clone(),
                is_current,
                operations: listed.map(|operation| (operation.id.clone(), operation.summary.clone())).collect(),
            }
        };
        ReferenceLayout {
            title: title.to_owned(),
            path: page_path(slug),
            version: self.version.clone(),
            base_url: self.base_url.clone(),
            portal_style: assets::asset_url("portal/style.css"),
            style: assets::asset_url("reference/style.css"),
            script: assets::asset_url("reference/script.js"),
            icon: assets::asset_url("reference/icon.svg"),
            guides: GUIDES.iter().map(guide).collect(),
            groups: self.groups.iter().map(group).collect(),
        }
    }
}

fn page_path(slug: &str) -> String {
    if slug.is_empty() { "/docs/api".to_owned() } else { format!("/docs/api/{slug}") }
}

/// The template of the operations of a group.
#[derive(Debug, Template)]
#[template(path = "reference/group.html")]
pub(super) struct GroupPage<'c> {
    pub(super) layout: ReferenceLayout,
    pub(super) group: &'c OperationGroup,
}

/// The operations of one tag.
#[derive(Debug)]
pub(super) struct OperationGroup {
    /// Name of the page in its URL.
    pub(super) slug: String,
    pub(super) name: String,
    description: Vec<Paragraph>,
    pub(super) operations: Vec<OperationView>,
}

#[derive(Debug)]
pub(super) struct OperationView {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    description: Vec<Paragraph>,
    /// The description as it is searched.
    pub(super) plain_description: String,
    /// Who may call it.
    access: Paragraph,
    parameters: Vec<FieldView>,
    body: Option<BodyView>,
    responses: Vec<ResponseView>,
    errors: Vec<ResponseView>,
    samples: CodeSamples,
    /// Status and body of the example of a response.
    response_example: Option<(String, String)>,
}

/// A parameter or a member of an object.
#[derive(Debug)]
pub(super) struct FieldView {
    pub(super) name: String,
    /// Location of a parameter, such as `query`; empty for a member.
    pub(super) location: String,
    pub(super) kind: TypeText,
    pub(super) is_required: bool,
    pub(super) description: Vec<Paragraph>,
    pub(super) limits: Vec<Paragraph>,
}

#[derive(Debug)]
struct BodyView {
    kind: TypeText,
    is_required: bool,
    forms: Vec<ObjectForm>,
}

/// The members of an object.
pub(super) type ObjectForm = Vec<FieldView>;

#[derive(Debug)]
struct ResponseView {
    status: String,
    description: Paragraph,
    kind: Option<TypeText>,
}

/// A named schema.
#[derive(Debug)]
pub(super) struct SchemaView {
    pub(super) name: String,
    pub(super) description: Vec<Paragraph>,
    /// Its type, if it is not an object with members.
    pub(super) kind: Option<TypeText>,
    pub(super) limits: Vec<Paragraph>,
    /// The members of an object; several lists if it has several forms.
    pub(super) forms: Vec<ObjectForm>,
}

/// Reads the content of the pages from a document.
///
/// # Errors
/// The document does not have the expected structure.
pub(super) fn read_content(document: &ParsedDocument) -> serde_json::Result<ReferenceContent> {
    let base_url = document.servers.first().map(|server| server.url.clone()).unwrap_or_default();
    let operations = document.operations()?;
    let of_tag = |tag: &str| {
        let has_tag = |located: &&PathOperation| located.operation.tags.iter().any(|own| own == tag);
        let located = operations.iter().filter(has_tag);
        located.map(|located| build_operation(located, &base_url, &document.components)).collect()
    };
    let groups = document.tags.iter().map(|tag| OperationGroup {
        slug: tag.name.to_lowercase().replace(' ', "-"),
        name: tag.name.clone(),
        description: parse_paragraphs(&tag.description),
        operations: of_tag(&tag.name),
    });
    let schemas = document.components.schemas.iter();
    Ok(ReferenceContent {
        version: document.info.version.clone(),
        groups: groups.collect(),
        schemas: schemas.map(|(name, schema)| build_schema(name, schema, &document.components)).collect(),
        base_url,
    })
}

fn build_operation(located: &PathOperation, base_url: &str, components: &ParsedComponents) -> OperationView {
    let PathOperation { path, method, operation } = located;
    let (responses, errors) =
        operation.responses.iter().map(build_response).partition(|response| response.status.starts_with('2'));
    // The last paragraph of every description is the required permission.
    let (description, access) = operation.description.rsplit_once("\n\n").unwrap_or(("", &operation.description));
    let example =
        operation.responses.iter().filter(|(status, _)| status.starts_with('2')).find_map(|(status, response)| {
            let content = response.content.values().find_map(|content| content.example.as_ref())?;
            Some((status.clone(), samples::format_json(content)))
        });
    OperationView {
        id: operation.id.clone(),
        method: method.to_uppercase(),
        path: path.clone(),
        summary: operation.summary.clone(),
        description: parse_paragraphs(description),
        plain_description: operation.description.clone(),
        access: parse_paragraph(access),
        parameters: operation.parameters.iter().map(build_parameter).collect(),
        body: operation.request_body.as_ref().and_then(|request_body| build_body(request_body, components)),
        responses,
        errors,
        samples: samples::build_samples(base_url, located),
        response_example: example,
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
