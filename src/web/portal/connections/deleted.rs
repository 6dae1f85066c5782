//! Users and groups that remain after their connection was deleted, and their purge.

pub(crate) mod receipt;

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::management::accounts::account_names::AccountNames;
use crate::management::configuration_lifecycle;
use crate::model::account::AccountFilter;
use crate::provisioning::purge::{self, LeftoverCounts};
use crate::store::{Snapshot, Store, WorkOwner};
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::timestamps;
use crate::web::required_permission::Delete;

/// Most deleted connections on the page; the oldest come first.
const CONNECTIONS_MAX: u32 = 200;

/// A deleted connection as a row of the page.
pub(super) struct DeletedConnectionRow {
    id: String,
    name: String,
    account: AccountLabel,
    deleted: Option<(String, String)>,
    users: i64,
    groups: i64,
}

impl DeletedConnectionRow {
    fn new((left, counts): LeftoverCounts, names: &AccountNames) -> Self {
        let count = |of: &str| counts.iter().find(|(name, _)| name == of).map_or(0, |(_, total)| *total);
        Self {
            account: AccountLabel::find(names, &left.source.account),
            id: left.source.id,
            name: left.connection_name,
            deleted: left.source.deleted_at.map(|at| (clock::format_rfc3339(at), timestamps::format_minute(at))),
            users: count("User"),
            groups: count("Group"),
        }
    }
}

#[derive(Template)]
#[template(path = "portal/deleted_connections.html")]
struct DeletedConnectionsPage {
    layout: PageLayout,
    found: Vec<DeletedConnectionRow>,
}

/// `GET /connections/deleted`
pub(crate) async fn list_deleted(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    let account = admin.context.scope.filter(None);
    let read = move |at: &Snapshot<'_>| {
        let left = purge::list_leftovers(at, account.as_ref(), 0, CONNECTIONS_MAX)?;
        let names = AccountNames::read(at, left.iter().map(|(one, _)| &one.source.account))?;
        Ok(left.into_iter().map(|one| DeletedConnectionRow::new(one, &names)).collect())
    };
    let found = page_request.read(read).await?;
    let layout =
        PageLayout::new(texts::connections::DELETED_CONNECTIONS, Some(&admin.signed), NavigationEntry::Connections);
    Ok(render_page(200, &DeletedConnectionsPage { layout, found }))
}

#[derive(Template)]
#[template(path = "portal/purge_connection.html")]
struct PurgePage {
    layout: PageLayout,
    connection: DeletedConnectionRow,
    problems: Vec<FormError>,
}

impl PurgePage {
    fn confirm_label(&self) -> String {
        texts::labels::label_confirmation(&self.connection.name)
    }

    fn counts(&self) -> String {
        texts::formats::count_users_and_groups(self.connection.users, self.connection.groups)
    }

    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

/// The deleted connection in the path.
///
/// # Errors
/// `NotFound` if there is none with remaining data within the scope of the admin.
pub(super) async fn read_deleted(
    admin: &PermittedAdmin<Delete>,
    page_request: &PageRequest,
) -> Result<DeletedConnectionRow, PageError> {
    let (id, account) = (page_request.path_parameter("id"), admin.context.scope.filter(None));
    let read = move |at: &Snapshot<'_>| {
        let Some(found) = find_deleted(at, account.as_ref(), &id)? else { return Ok(None) };
        let names = AccountNames::read(at, [&found.0.source.account])?;
        Ok(Some(DeletedConnectionRow::new(found, &names)))
    };
    page_request.read(read).await?.ok_or(PageError::NotFound)
}

pub(super) fn find_deleted(
    at: &Snapshot<'_>,
    account: Option<&AccountFilter>,
    id: &str,
) -> crate::error::Result<Option<LeftoverCounts>> {
    let mut after = 0;
    loop {
        let found = purge::list_leftovers(at, account, after, CONNECTIONS_MAX)?;
        let Some((last, _)) = found.last() else { return Ok(None) };
        after = last.source.configuration;
        if let Some(connection) = found.into_iter().find(|(left, _)| left.source.id == id) {
            return Ok(Some(connection));
        }
    }
}

fn purge_page(
    admin: &PermittedAdmin<Delete>,
    status: u16,
    one: DeletedConnectionRow,
    problems: Vec<FormError>,
) -> HttpResponse {
    let layout =
        PageLayout::new(texts::connections::title_purge(&one.name), Some(&admin.signed), NavigationEntry::Connections);
    render_page(status, &PurgePage { layout, connection: one, problems })
}

/// `GET /connections/deleted/{id}`
pub(crate) async fn show_deleted(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    let one = read_deleted(&admin, &page_request).await?;
    Ok(purge_page(&admin, 200, one, Vec::new()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PurgeForm {
    name: String,
}

/// `POST /connections/deleted/{id}`
pub(crate) async fn purge_connection(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    let one = read_deleted(&admin, &page_request).await?;
    let fields = page_request.form::<PurgeForm>(&admin.signed).await?;
    purge_if_named(admin, &page_request.state.store, one, &fields.name).await
}

/// Purges a deleted connection if `name` is its name, and displays the page again if not.
pub(super) async fn purge_if_named(
    admin: PermittedAdmin<Delete>,
    store: &Store,
    one: DeletedConnectionRow,
    name: &str,
) -> PageResult {
    if name.trim() != one.name {
        let sentence = texts::labels::say_name_differs(&one.name);
        return Ok(purge_page(&admin, 422, one, vec![FormError { field: "name", sentence }]));
    }
    let context = admin.context;
    let owner = WorkOwner::from_scope(&context.scope);
    store.write_as(owner, move |tx| configuration_lifecycle::purge_configuration(tx, &context, &one.id)).await?;
    Ok(redirect_to("/connections/deleted?done=purged").finish())
}
