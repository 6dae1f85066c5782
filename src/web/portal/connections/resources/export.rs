//! The users or groups of a connection, or those that a deleted connection has left, as a file: CSV for a spreadsheet, JSON
//! for a program.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use futures_util::stream;
use serde_json::{Map, Value};

use super::{read_deleted_view, render_resource};
use crate::error::{Reason, Result};
use crate::management::configuration_lifecycle;
use crate::provisioning::directory::{
    self, DirectoryCursor, DirectoryFilter, DirectoryQuery, DirectoryResource, DirectoryScope,
};
use crate::store::{Snapshot, Tx};
use crate::web::portal::connections::deleted::find_deleted;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::csv;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageResult};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::required_permission::Directory;

/// Resources that one part of the file has.
const PER_PART: usize = 500;
/// Members of a group that are read at a time.
const MEMBERS_PER_READ: usize = 1_000;

const USER_COLUMNS: [&str; 10] = [
    "id",
    "userName",
    "active",
    "displayName",
    "givenName",
    "familyName",
    "email",
    "externalId",
    "created",
    "lastModified",
];
const GROUP_COLUMNS: [&str; 6] = ["id", "displayName", "externalId", "members", "created", "lastModified"];

/// What a file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExportFile {
    name: &'static str,
    resource_type: &'static str,
    is_json: bool,
}

const FILES: [ExportFile; 4] = [
    ExportFile { name: "users.csv", resource_type: "User", is_json: false },
    ExportFile { name: "users.json", resource_type: "User", is_json: true },
    ExportFile { name: "groups.csv", resource_type: "Group", is_json: false },
    ExportFile { name: "groups.json", resource_type: "Group", is_json: true },
];

impl ExportFile {
    fn begin(self) -> String {
        match (self.is_json, self.resource_type) {
            (true, _) => "[".to_owned(),
            (false, "User") => csv::build_header(&USER_COLUMNS),
            (false, _) => csv::build_header(&GROUP_COLUMNS),
        }
    }

    fn end(self) -> &'static str {
        if self.is_json { "\n]\n" } else { "" }
    }

    /// Resources of one part. A group in JSON has all its members, which can be many.
    fn part_size(self) -> usize {
        if self.is_json && self.resource_type == "Group" { 1 } else { PER_PART }
    }
}

/// `GET /connections/deleted/{id}/export/{file}`
pub(crate) async fn export_remaining(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = read_deleted_view(&page_request, &admin.context, "users").await?;
    export_file(admin, page_request, connection).await
}

/// `GET /connections/{id}/export/{file}`
pub(crate) async fn export_current(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "users")?;
    export_file(admin, page_request, connection).await
}

async fn export_file(
    admin: PermittedAdmin<Directory>,
    page_request: PageRequest,
    connection: ConnectionView,
) -> PageResult {
    let name = page_request.path_parameter("file");
    let file = *FILES.iter().find(|file| file.name == name).ok_or(PageError::NotFound)?;
    let (context, id) = (admin.context.clone(), connection.id().to_owned());
    let record = move |tx: &Tx<'_>| configuration_lifecycle::record_export(tx, &context, &id, file.name);
    page_request.write(record).await?;
    let scope =
        DirectoryScope { account: admin.context.scope.filter(None), configuration: Some(connection.id().to_owned()) };
    let source = ExportSource { scope, is_deleted: connection.is_deleted() };
    let export = ResourceExport { page_request, file, source, position: None, is_first: true, is_done: false };
    let parts = stream::try_unfold(export, ResourceExport::next_part);
    let kind = if file.is_json { "application/json" } else { "text/csv; charset=utf-8" };
    let disposition = format!("attachment; filename=\"{}\"", file.name);
    Ok(HttpResponse::Ok().content_type(kind).insert_header((CONTENT_DISPOSITION, disposition)).streaming(parts))
}

/// The connection whose resources are exported.
#[derive(Clone)]
struct ExportSource {
    scope: DirectoryScope,
    is_deleted: bool,
}

/// A file while it is sent.
struct ResourceExport {
    page_request: PageRequest,
    file: ExportFile,
    source: ExportSource,
    position: Option<DirectoryCursor>,
    is_first: bool,
    is_done: bool,
}

impl ResourceExport {
    /// The next part of the file. A deletion or a purge that begins meanwhile ends the file early, as an error of the transfer.
    async fn next_part(mut self) -> Result<Option<(Bytes, Self)>> {
        if self.is_done {
            return Ok(None);
        }
        let (file, source, position) = (self.file, self.source.clone(), self.position.clone());
        let read = move |at: &Snapshot<'_>| read_part(at, file, &source, position.as_ref());
        let (lines, next) = self.page_request.read(read).await?;
        let mut text = if self.is_first { file.begin() } else { String::new() };
        for line in &lines {
            if file.is_json {
                text.push_str(if self.is_first { "\n" } else { ",\n" });
            }
            text.push_str(line);
            self.is_first = false;
        }
        self.is_first &= lines.is_empty() && next.is_some();
        self.is_done = next.is_none();
        self.position = next;
        if self.is_done {
            text.push_str(file.end());
        }
        Ok(Some((Bytes::from(text), self)))
    }
}

fn read_part(
    at: &Snapshot<'_>,
    file: ExportFile,
    source: &ExportSource,
    position: Option<&DirectoryCursor>,
) -> Result<(Vec<String>, Option<DirectoryCursor>)> {
    let ExportSource { scope, is_deleted } = source;
    let id = scope.configuration.as_deref().unwrap_or_default();
    if *is_deleted && find_deleted(at, scope.account.as_ref(), id)?.is_none() {
        return Err(Reason::ConfigurationNoLongerExists.into());
    }
    let filter = DirectoryFilter::default();
    let query = DirectoryQuery {
        resource_type: file.resource_type,
        filter: &filter,
        cursor: position,
        limit: file.part_size(),
    };
    let list = if *is_deleted { directory::list_remaining } else { directory::list_current };
    let page = list(at, scope, &query)?;
    let lines = page.items.iter().map(|one| render_line(at, file, source, one)).collect::<Result<_>>()?;
    Ok((lines, page.next))
}

fn render_line(at: &Snapshot<'_>, file: ExportFile, source: &ExportSource, one: &DirectoryResource) -> Result<String> {
    let mut rendered = render_resource(&one.stored, file.resource_type)?;
    if !file.is_json {
        let row = if file.resource_type == "User" {
            user_cells(&rendered).to_vec()
        } else {
            group_cells(&rendered, one.stored.member_count).to_vec()
        };
        return Ok(csv::build_row(&row));
    }
    if file.resource_type == "Group" {
        rendered.insert("members".to_owned(), Value::Array(read_members(at, source, &one.stored.id)?));
    }
    Ok(Value::Object(rendered).to_string())
}

fn read_members(at: &Snapshot<'_>, source: &ExportSource, group: &str) -> Result<Vec<Value>> {
    let list = if source.is_deleted { directory::list_remaining_members } else { directory::list_current_members };
    let (mut found, mut position) = (Vec::new(), None);
    loop {
        let page = list(at, &source.scope, group, position.as_ref(), MEMBERS_PER_READ)?;
        found.extend(page.items.into_iter().map(
            |member| serde_json::json!({"value": member.id, "type": member.resource_type, "display": member.label}),
        ));
        if page.next.is_none() {
            return Ok(found);
        }
        position = page.next;
    }
}

fn text_at(resource: &Map<String, Value>, path: &[&str]) -> String {
    let Some((first, rest)) = path.split_first() else { return String::new() };
    let found = rest.iter().try_fold(resource.get(*first), |value, part| Some(value?.get(part)));
    match found.flatten() {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(value)) => value.to_string(),
        _ => String::new(),
    }
}

/// The primary address, or the first one.
pub(super) fn email_of(resource: &Map<String, Value>) -> String {
    let all = resource.get("emails").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_primary = |one: &&Value| one.get("primary") == Some(&Value::Bool(true));
    let found = all.iter().find(is_primary).or(all.first());
    found.and_then(|one| one.get("value")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn user_cells(user: &Map<String, Value>) -> [String; 10] {
    let text = |path: &[&str]| text_at(user, path);
    [
        text(&["id"]),
        text(&["userName"]),
        text(&["active"]),
        text(&["displayName"]),
        text(&["name", "givenName"]),
        text(&["name", "familyName"]),
        email_of(user),
        text(&["externalId"]),
        text(&["meta", "created"]),
        text(&["meta", "lastModified"]),
    ]
}

fn group_cells(group: &Map<String, Value>, members: i64) -> [String; 6] {
    let text = |path: &[&str]| text_at(group, path);
    [
        text(&["id"]),
        text(&["displayName"]),
        text(&["externalId"]),
        members.to_string(),
        text(&["meta", "created"]),
        text(&["meta", "lastModified"]),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_cells_of_a_user_are_its_common_attributes() {
        let user = json!({
            "id": "u1",
            "userName": "ada",
            "active": false,
            "name": {"givenName": "Ada"},
            "emails": [{"value": "first@x.example"}, {"value": "main@x.example", "primary": true}],
            "meta": {"created": "2026-01-01T00:00:00.000Z"},
        });
        let cells = user_cells(user.as_object().unwrap());
        assert_eq!(cells[..4], ["u1", "ada", "false", ""]);
        assert_eq!(cells[4..], ["Ada", "", "main@x.example", "", "2026-01-01T00:00:00.000Z", ""]);
        assert_eq!(email_of(json!({"emails": [{"value": "a@x.example"}]}).as_object().unwrap()), "a@x.example");
        assert_eq!(email_of(&Map::new()), "");
    }
}
