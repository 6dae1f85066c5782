//! Deleted users and groups of a connection: the list with a search, and the restore of one of them.

pub(crate) mod reversal;

use askama::Template;
use serde::Deserialize;

use crate::clock::{self, Millis};
use crate::error::ErrorKind;
use crate::management::configurations::deleted_resources;
use crate::model::ids;
use crate::provisioning::tombstones::{DeletedFilter, DeletedPosition, DeletedQuery, DeletedResource};
use crate::store::{Snapshot, Tx};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::list_pages::{PER_PAGE, PageLinks, build_list_url, split_position, trim_search_text};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::{Directory, RestoreDeleted};

/// A deleted user or group in the list.
struct DeletedLine {
    id: String,
    name: String,
    display: String,
    is_user: bool,
    deleted: PageTime,
    expires: PageTime,
    token_label: Option<String>,
    request_id: Option<String>,
}

impl DeletedLine {
    fn from_row(row: DeletedResource, restorable_ms: Millis) -> Self {
        Self {
            name: row.name.unwrap_or_else(|| row.id.clone()),
            display: row.display_name.unwrap_or_default(),
            is_user: row.resource_type == "User",
            deleted: PageTime::from_millis(row.deleted_at),
            expires: PageTime::from_millis(row.deleted_at.saturating_add(restorable_ms)),
            token_label: row.token_label,
            request_id: row.request_id,
            id: row.id,
        }
    }
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct DeletedPageQuery {
    q: String,
    #[serde(rename = "type")]
    resource_type: String,
    after: String,
}

impl DeletedPageQuery {
    fn filter(&self) -> DeletedFilter {
        let text = trim_search_text(&self.q);
        let is_type = matches!(&*self.resource_type, "User" | "Group");
        let rows = DeletedQuery {
            resource_type: is_type.then(|| self.resource_type.clone()),
            after: self.position(),
            ..DeletedQuery::default()
        };
        DeletedFilter { rows, text: Some(text).filter(|text| !text.is_empty()) }
    }

    /// The position after which a page starts: time and id of the last line of the previous page.
    fn position(&self) -> Option<DeletedPosition> {
        let (time, id) = split_position(&self.after)?;
        ids::is_id(id).then(|| (time, id.to_owned()))
    }

    /// URL of the page of the same list after a position.
    fn url(&self, path: &str, after: &str) -> String {
        build_list_url(path, &[("q", &self.q), ("type", &self.resource_type), ("after", after)])
    }
}

#[derive(Template)]
#[template(path = "portal/deleted_resources.html")]
struct DeletedResourcesPage {
    layout: PageLayout,
    connection: ConnectionView,
    query: DeletedPageQuery,
    lines: Vec<DeletedLine>,
    links: PageLinks,
    /// Days for which deleted users and groups can be restored.
    days: Millis,
    /// Why the restore failed.
    problem: Option<String>,
}

/// `GET /connections/{id}/deleted`
pub(crate) async fn list_deleted_resources(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    show_list(&admin, &page_request, None).await
}

async fn show_list<N>(admin: &PermittedAdmin<N>, page_request: &PageRequest, problem: Option<String>) -> PageResult {
    let connection = ConnectionView::read(page_request, &admin.context.scope, "deleted")?;
    let query: DeletedPageQuery = page_request.query().unwrap_or_default();
    let (scope, id, filter) = (admin.context.scope.clone(), connection.id().to_owned(), query.filter());
    let selected = (clock::current_millis(), PER_PAGE);
    let read = move |at: &Snapshot<'_>| deleted_resources::list_deleted(at, &scope, &id, &filter, selected);
    let found = page_request.read(read).await?;
    let restorable_ms = found.restorable_ms;
    let next = found.page.next.map(|(time, id)| format!("{time}.{id}"));
    let path = format!("/connections/{}/deleted", connection.id());
    let links = PageLinks::new(|after| query.url(&path, after), &query.after, next.as_deref());
    let lines = found.page.items.into_iter().map(|row| DeletedLine::from_row(row, restorable_ms)).collect();
    let layout = connection.layout(&admin.signed, texts::holds::DELETED_RESOURCES);
    let status = if problem.is_some() { 422 } else { 200 };
    let days = restorable_ms / 86_400_000;
    Ok(render_page(status, &DeletedResourcesPage { layout, connection, query, lines, links, days, problem }))
}

/// A form without fields of its own.
#[derive(Default, Deserialize)]
struct RestoreForm {}

/// `POST /connections/{id}/deleted/{uid}/restore`
pub(crate) async fn restore_resource(admin: PermittedAdmin<RestoreDeleted>, page_request: PageRequest) -> PageResult {
    page_request.form::<RestoreForm>(&admin.signed).await?;
    let (id, resource) = (page_request.path_parameter("id"), page_request.path_parameter("uid"));
    let (context, configuration) = (admin.context.clone(), id.clone());
    let restore = move |tx: &Tx<'_>| deleted_resources::restore_deleted(tx, &context, &configuration, &resource);
    match page_request.write(restore).await {
        Ok(restored) => {
            let list = if restored.resource_type == "User" { "users" } else { "groups" };
            Ok(redirect_to(&format!("/connections/{id}/{list}/{}?done=restored", restored.id)).finish())
        }
        // A name in use, or a quota.
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Forbidden) => {
            show_list(&admin, &page_request, Some(render_sentence(&error))).await
        }
        Err(error) => Err(error.into()),
    }
}
