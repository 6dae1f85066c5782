//! The users of all connections that the admin may see, with a search by the beginning of the user name.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use askama::Template;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::error::Result;
use crate::management::{accounts, configurations};
use crate::model::audit_context::AccountScope;
use crate::provisioning::directory::DirectoryResource;
use crate::provisioning::directory::user_search::{self, UserPosition};
use crate::provisioning::resource_details;
use crate::store::{Snapshot, Tx};
use crate::web::portal::csv;
use crate::web::portal::forms::{PageRequest, encode_query};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::Directory;

/// Users on a page.
const PER_PAGE: usize = 50;
/// Longest search text, in characters.
const TEXT_MAX_CHARS: usize = 200;

/// A user in the list.
struct UserLine {
    path: String,
    name: String,
    display: String,
    is_on: bool,
    connection_path: String,
    connection: String,
    account: String,
    changed: PageTime,
}

impl UserLine {
    fn read(at: &Snapshot<'_>, found: DirectoryResource) -> Result<Self> {
        let DirectoryResource { source, stored } = found;
        let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
        let connection = configurations::find_configuration_by_key(at, source.configuration)?;
        let connection_path = format!("/connections/{}", source.id);
        Ok(Self {
            path: format!("{connection_path}/users/{}", stored.id),
            name: resource_details::extract_name(&body).unwrap_or_else(|| stored.id.clone()),
            display: body.get("displayName").and_then(Value::as_str).unwrap_or_default().to_owned(),
            is_on: body.get("active") == Some(&Value::Bool(true)),
            connection: connection.map(|found| found.connection_name).unwrap_or_default(),
            connection_path,
            account: source.account.id,
            changed: PageTime::from_millis(stored.last_modified),
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AllUsersQuery {
    q: String,
    after: String,
}

impl AllUsersQuery {
    fn text(&self) -> String {
        self.q.trim().chars().take(TEXT_MAX_CHARS).collect()
    }

    /// The position after which the page starts: key of the configuration, and the user name if there is one.
    fn position(&self) -> Option<UserPosition> {
        let (configuration, name) = self.after.split_once('.')?;
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        Some(UserPosition { configuration: configuration.parse().ok()?, name })
    }

    /// The query string of the page after a position.
    fn next_url(&self, next: &UserPosition) -> String {
        let after = format!("{}.{}", next.configuration, next.name.as_deref().unwrap_or_default());
        format!("?q={}&after={}", encode_query(&self.q), encode_query(&after))
    }
}

#[derive(Template)]
#[template(path = "portal/all_users.html")]
struct AllUsersPage {
    layout: PageLayout,
    query: AllUsersQuery,
    lines: Vec<UserLine>,
    /// Query string of the next page.
    next: Option<String>,
}

/// `GET /users`
pub(crate) async fn list_users(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let query: AllUsersQuery = page_request.query().unwrap_or_default();
    let (scope, text, after): (AccountScope, _, _) = (admin.context.scope, query.text(), query.position());
    let read = move |at: &Snapshot<'_>| {
        let page = user_search::list_users_by_name(at, &scope, &text, after.as_ref(), PER_PAGE)?;
        let lines = page.users.into_iter().map(|found| UserLine::read(at, found)).collect::<Result<Vec<_>>>()?;
        Ok((lines, page.next))
    };
    let (lines, next) = page_request.read(read).await?;
    let next = next.map(|next| query.next_url(&next));
    let layout = PageLayout::new("Users", Some(&admin.signed), NavigationEntry::Users);
    Ok(render_page(200, &AllUsersPage { layout, query, lines, next }))
}

const CSV_FILE: &str = "users.csv";
const CSV_COLUMNS: [&str; 9] =
    ["customer", "connection", "id", "userName", "displayName", "active", "externalId", "created", "lastModified"];
/// Users that one part of the file has.
const PER_PART: usize = 500;

/// `GET /users/export.csv`: all users that match the search.
pub(crate) async fn export_users(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let query: AllUsersQuery = page_request.query().unwrap_or_default();
    let (context, text) = (admin.context.clone(), query.text());
    let is_filtered = !text.is_empty();
    let record = move |tx: &Tx<'_>| accounts::record_user_export(tx, &context, CSV_FILE, is_filtered);
    page_request.write(record).await?;
    let next = Some(UserPosition { configuration: 0, name: None });
    let export = UserExport { page_request, scope: admin.context.scope, text, next, is_first: true };
    let parts = stream::try_unfold(export, UserExport::next_part);
    let disposition = format!("attachment; filename=\"{CSV_FILE}\"");
    let mut response = HttpResponse::Ok();
    response.content_type("text/csv; charset=utf-8").insert_header((CONTENT_DISPOSITION, disposition));
    Ok(response.streaming(parts))
}

/// The file while it is sent.
struct UserExport {
    page_request: PageRequest,
    scope: AccountScope,
    text: String,
    /// Where the next part starts; `None` after the last one.
    next: Option<UserPosition>,
    is_first: bool,
}

impl UserExport {
    async fn next_part(mut self) -> Result<Option<(Bytes, Self)>> {
        let Some(position) = self.next.take() else { return Ok(None) };
        let (scope, text) = (self.scope.clone(), self.text.clone());
        let read = move |at: &Snapshot<'_>| {
            let page = user_search::list_users_by_name(at, &scope, &text, Some(&position), PER_PART)?;
            let rows = page.users.into_iter().map(|found| build_row(at, &found)).collect::<Result<Vec<_>>>()?;
            Ok((rows.concat(), page.next))
        };
        let (rows, next) = self.page_request.read(read).await?;
        let header = if self.is_first { csv::build_header(&CSV_COLUMNS) } else { String::new() };
        (self.next, self.is_first) = (next, false);
        Ok(Some((Bytes::from(header + &rows), self)))
    }
}

fn build_row(at: &Snapshot<'_>, found: &DirectoryResource) -> Result<String> {
    let DirectoryResource { source, stored } = found;
    let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let connection = configurations::find_configuration_by_key(at, source.configuration)?;
    Ok(csv::build_row(&[
        source.account.id.clone(),
        connection.map(|found| found.connection_name).unwrap_or_default(),
        stored.id.clone(),
        text("userName"),
        text("displayName"),
        (body.get("active") == Some(&Value::Bool(true))).to_string(),
        text("externalId"),
        clock::format_rfc3339(stored.created_at),
        clock::format_rfc3339(stored.last_modified),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_url() {
        let query = |after: &str| AllUsersQuery { q: "a&b".to_owned(), after: after.to_owned() };
        let position = UserPosition { configuration: 7, name: Some("ada.l@example.com".to_owned()) };
        assert_eq!(query("7.ada.l@example.com").position(), Some(position.clone()));
        assert_eq!(query("").next_url(&position), "?q=a%26b&after=7.ada.l%40example.com");
        assert_eq!(query("7.").position(), Some(UserPosition { configuration: 7, name: None }));
        for invalid in ["", "7", "x.y", "."] {
            assert_eq!(query(invalid).position(), None, "{invalid}");
        }
    }
}
