//! Attributes that the identity provider of a connection sends and no schema declares, and the form that declares them.

use std::collections::BTreeMap;

use askama::Template;

use crate::management::schema_extensions::undeclared::{self, AttributeDeclaration, UNDECLARED_MAX};
use crate::scim::schema::DataType;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::connections::undeclared_rows::{UndeclaredRow, read_undeclared_rows};
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::required_permission::{Create, Read};

/// Suggested URN for attributes that are sent without one.
const SUGGESTED_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:Custom:2.0";
/// Values of the form by field name.
type DeclarationForm = BTreeMap<String, String>;

#[derive(Template)]
#[template(path = "portal/undeclared.html")]
struct UndeclaredPage {
    layout: PageLayout,
    connection: ConnectionView,
    rows: Vec<UndeclaredRow>,
    schema: String,
    problems: Vec<FormError>,
}

impl UndeclaredPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn kinds() -> [&'static str; 8] {
        DataType::ALL.map(DataType::as_str)
    }

    fn needs_schema(&self) -> bool {
        self.rows.iter().any(UndeclaredRow::needs_schema)
    }
}

/// Renders the page; values in `fields` override the suggested ones. 200 without errors, else 422.
async fn undeclared_page<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    fields: &DeclarationForm,
    problems: Vec<FormError>,
) -> PageResult {
    let connection = ConnectionView::read(page_request, &admin.context.scope, "overview")?;
    let mut rows = read_undeclared_rows(page_request, &admin.context.scope, connection.id()).await?;
    let sent = read_form(fields);
    for row in &mut rows {
        let used = &row.entry.used;
        if let Some(posted) = sent.iter().find(|posted| used.has_name(&posted.resource_type, &posted.name)) {
            row.is_chosen = posted.is_chosen;
            row.is_list = posted.is_list;
            row.kind.clone_from(&posted.kind);
        }
    }
    let schema = fields.get("schema").cloned().unwrap_or_else(|| {
        let of = rows.iter().find(|row| row.needs_schema()).map_or("User", |row| &row.entry.used.resource_type);
        format!("{SUGGESTED_SCHEMA}:{of}")
    });
    let layout = connection.layout(&admin.signed, texts::directory::ATTRIBUTES_NOT_STORED);
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(render_page(status, &UndeclaredPage { layout, connection, rows, schema, problems }))
}

/// A row of the form.
struct PostedRow {
    resource_type: String,
    name: String,
    kind: String,
    is_list: bool,
    is_chosen: bool,
}

fn read_form(fields: &DeclarationForm) -> Vec<PostedRow> {
    let posted = |number: usize| {
        let field = |part: &str| fields.get(&format!("{part}-{number}")).cloned();
        Some(PostedRow {
            name: field("name")?,
            resource_type: field("of").unwrap_or_default(),
            kind: field("kind").unwrap_or_default(),
            is_list: field("list").is_some(),
            is_chosen: field("pick").is_some(),
        })
    };
    (0..UNDECLARED_MAX).filter_map(posted).collect()
}

/// `GET /connections/{id}/undeclared`
pub(crate) async fn show_undeclared(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    undeclared_page(&admin, &page_request, &DeclarationForm::new(), Vec::new()).await
}

/// `POST /connections/{id}/undeclared`: declares the chosen attributes.
pub(crate) async fn declare_undeclared(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "overview")?;
    let fields = page_request.form::<DeclarationForm>(&admin.signed).await?;
    let rows = read_undeclared_rows(&page_request, &admin.context.scope, connection.id()).await?;
    let schema = fields.get("schema").map(|schema| schema.trim().to_owned()).filter(|schema| !schema.is_empty());
    let declaration = |posted: PostedRow| {
        let row = rows.iter().find(|row| row.entry.used.has_name(&posted.resource_type, &posted.name));
        AttributeDeclaration {
            kind: posted.kind.parse::<DataType>().ok(),
            multi_valued: Some(posted.is_list),
            schema: schema.clone().filter(|_| row.is_some_and(UndeclaredRow::needs_schema)),
            resource_type: posted.resource_type,
            name: posted.name,
        }
    };
    let chosen: Vec<AttributeDeclaration> =
        read_form(&fields).into_iter().filter(|posted| posted.is_chosen).map(declaration).collect();
    let pending = page_request.state.usage.undeclared.list_pending(connection.overview.configuration.key);
    let (context, id) = (admin.context.clone(), connection.id().to_owned());
    let written =
        page_request.write(move |tx| undeclared::declare_attributes(tx, &context, &id, (&chosen, &pending)).map(drop));
    match written.await {
        Ok(()) => Ok(redirect_to(&format!("/connections/{}?done=declared", connection.id())).finish()),
        Err(error) if error.is_about_input() => {
            let field = if matches!(error.field(), Some("schema" | "id")) { "schema" } else { "attributes" };
            let sentence = texts::directory::say_nothing_declared(&error);
            undeclared_page(&admin, &page_request, &fields, vec![FormError { field, sentence }]).await
        }
        Err(error) => Err(error.into()),
    }
}
