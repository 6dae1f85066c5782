//! The schema extensions of one connection.

use askama::Template;
use serde_json::Value;

use super::SettingsForm;
use crate::error::ErrorKind;
use crate::management::schema_extensions::{self, NewExtension, StoredExtension};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::required_permission::Create;

#[derive(Template)]
#[template(path = "portal/connection_schemas.html")]
struct ConnectionSchemasPage {
    layout: PageLayout,
    connection: ConnectionView,
    extensions: Vec<StoredExtension>,
    fields: SettingsForm,
    problems: Vec<FormError>,
}

impl ConnectionSchemasPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

/// Renders the page with the values of a form. 200 without errors, else 422.
fn schemas_page(
    admin: &PermittedAdmin<Create>,
    page_request: &PageRequest,
    id: &str,
    fields: SettingsForm,
    problems: Vec<FormError>,
) -> PageResult {
    let connection = ConnectionView::find(&page_request.state, &admin.context.scope, id, "settings")?;
    let extensions = page_request.read_inline(|at| schema_extensions::list_extensions(at, &admin.context.scope, id))?;
    let status = if problems.is_empty() { 200 } else { 422 };
    let layout = connection.layout(&admin.signed, texts::connection_settings::SCHEMAS);
    Ok(render_page(status, &ConnectionSchemasPage { layout, connection, extensions, fields, problems }))
}

/// `GET /connections/{id}/schemas`
pub(crate) async fn show_schemas(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    schemas_page(&admin, &page_request, &page_request.path_parameter("id"), SettingsForm::new(), Vec::new())
}

/// `POST /connections/{id}/schemas`: adds a schema.
pub(crate) async fn add_schema(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let fields = page_request.form::<SettingsForm>(&admin.signed).await?;
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let refused = |fields, sentence| {
        schemas_page(&admin, &page_request, &id, fields, vec![FormError { field: "document", sentence }])
    };
    let document: Value = match serde_json::from_str(&text("document")) {
        Ok(document) => document,
        Err(problem) => return refused(fields, texts::connection_settings::say_schema_not_json(&problem)),
    };
    let new = NewExtension { resource_type: text("resource_type"), required: text("required") == "on", document };
    let (context, target_id) = (admin.context.clone(), id.clone());
    match page_request.write(move |tx| schema_extensions::add_extension(tx, &context, &target_id, &new)).await {
        Ok(_) => Ok(redirect_to(&format!("/connections/{id}/schemas?done=schema-added")).finish()),
        Err(error) if error.is_about_input() => refused(fields, texts::connection_settings::say_not_added(&error)),
        Err(error) => Err(error.into()),
    }
}

/// `POST /connections/{id}/schemas/remove`
pub(crate) async fn remove_schema(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let fields = page_request.form::<SettingsForm>(&admin.signed).await?;
    let urn = fields.get("urn").cloned().unwrap_or_default();
    let purge = fields.get("purge").is_some_and(|purge| purge == "on");
    let (context, target_id) = (admin.context.clone(), id.clone());
    match page_request.write(move |tx| schema_extensions::delete_extension(tx, &context, &target_id, &urn, purge)).await
    {
        Ok(()) => Ok(redirect_to(&format!("/connections/{id}/schemas?done=schema-removed")).finish()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let problems = vec![FormError { field: "schemas", sentence: texts::labels::say_not_removed(&error) }];
            schemas_page(&admin, &page_request, &id, SettingsForm::new(), problems)
        }
        Err(error) => Err(error.into()),
    }
}
