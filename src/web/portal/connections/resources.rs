//! Users and groups of a connection: the list with a search, and one resource with its history.

pub(crate) mod export;

use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::error::{Error, Result};
use crate::management::configuration_lifecycle;
use crate::management::overview::ConfigurationOverview;
use crate::management::request_log::RequestLogQuery;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::configuration::provisioning_url;
use crate::model::permission::Permission;
use crate::provisioning::directory::user_list::{self, FilterCount, UserCounts};
use crate::provisioning::directory::{
    self, DirectoryCursor, DirectoryFilter, DirectoryMember, DirectoryPage, DirectoryPosition, DirectoryQuery,
    DirectoryResource, DirectoryScope, StoredResource,
};
use crate::provisioning::resource_details::{self, ResourceDetails};
use crate::store::Snapshot;
use crate::web::portal::connections::attribute_tables::{self, AttributeSection};
use crate::web::portal::connections::deleted::find_deleted;
use crate::web::portal::connections::history::HistoryStep;
use crate::web::portal::connections::log_view::{CallLine, LogReader, read_call_lines, shorten_name};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageLayout, PageResult, render_page};
use crate::web::portal::list_pages::{PER_PAGE, PageLinks, build_list_url, split_position, trim_search_text};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::Directory;

/// Most groups of a user on the page.
const GROUPS_MAX: usize = 100;

/// The listed resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListedKind {
    Users,
    Groups,
}

impl ListedKind {
    fn resource_type(self) -> &'static str {
        match self {
            Self::Users => "User",
            Self::Groups => "Group",
        }
    }

    /// The path segment.
    fn path_segment(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "groups",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Users => texts::labels::USERS,
            Self::Groups => texts::labels::GROUPS,
        }
    }
}

/// A user or group in a list.
struct ResourceLine {
    id: String,
    name: String,
    display: String,
    external_id: String,
    is_on: bool,
    members: i64,
    changed: PageTime,
}

impl ResourceLine {
    fn from_stored(stored: &StoredResource) -> Result<Self> {
        let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
        let text = |name: &str| shorten_name(body.get(name).and_then(Value::as_str).unwrap_or_default());
        Ok(Self {
            name: resource_details::extract_name(&body).map_or_else(|| stored.id.clone(), |name| shorten_name(&name)),
            display: text("displayName"),
            external_id: text("externalId"),
            is_on: body.get("active") == Some(&Value::Bool(true)),
            members: stored.member_count,
            changed: PageTime::from_millis(stored.last_modified),
            id: stored.id.clone(),
        })
    }
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct ResourcesQuery {
    q: String,
    active: String,
    after: String,
    older: Option<i64>,
}

impl ResourcesQuery {
    fn text(&self) -> String {
        trim_search_text(&self.q)
    }

    /// The value of the filter on the state; an unknown one is that of all users.
    fn state(&self) -> &str {
        if matches!(&*self.active, "on" | "off") { &self.active } else { "" }
    }

    fn is_state(&self, state: &str) -> bool {
        self.state() == state
    }

    /// Whether the listed users are active; `None` for all.
    fn is_active(&self) -> Option<bool> {
        let state = self.state();
        (!state.is_empty()).then_some(state == "on")
    }

    /// The position after which a page starts: row and id of the last resource of the previous page.
    fn position(&self, configuration: i64) -> Option<DirectoryCursor> {
        let (row, id) = split_position(&self.after)?;
        let position = DirectoryPosition { changed: 0, row, id: id.to_owned() };
        Some(DirectoryCursor { configuration, position: Some(position) })
    }
}

/// A position as the `after` parameter of the next page.
fn encode_mark(mark: Option<DirectoryCursor>) -> Option<String> {
    let position = mark?.position?;
    Some(format!("{}.{}", position.row, position.id))
}

#[derive(Template)]
#[template(path = "portal/resources.html")]
struct ResourcesListPage {
    layout: PageLayout,
    connection: ConnectionView,
    kind: ListedKind,
    query: ResourcesQuery,
    lines: Vec<ResourceLine>,
    counts: UserCounts,
    links: PageLinks,
}

impl ResourcesListPage {
    fn lists_users(&self) -> bool {
        self.kind == ListedKind::Users
    }

    fn total(&self) -> i64 {
        if self.lists_users() { self.connection.overview.users } else { self.connection.overview.groups }
    }

    /// The total with separators, such as `100,000`.
    fn total_text(&self) -> String {
        texts::formats::group_digits(self.total().unsigned_abs())
    }

    /// Chips above the users: value of `active`, label, and the number of users unless a text is searched.
    fn states(&self) -> [(&'static str, &'static str, Option<String>); 3] {
        let UserCounts { all, active, inactive } = self.counts;
        let count = |count: FilterCount| {
            let text = texts::formats::group_digits(u64::try_from(count.users).unwrap_or(u64::MAX));
            self.query.q.is_empty().then_some(text)
        };
        [
            ("", texts::labels::ALL, count(all)),
            ("on", texts::labels::ACTIVE, count(active)),
            ("off", texts::labels::DEACTIVATED, count(inactive)),
        ]
    }

    /// URL of the same list with another filter on the state.
    fn state_url(&self, active: &str) -> String {
        let path = format!("{}/{}", self.connection.path(), self.kind.path_segment());
        build_list_url(&path, &[("q", &*self.query.q), ("active", active)])
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= resource_details::RESULTS_MAX
    }
}

/// `GET /connections/{id}/users`
pub(crate) async fn list_users(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    list_resources(admin, page_request, ListedKind::Users).await
}

/// `GET /connections/{id}/groups`
pub(crate) async fn list_groups(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    list_resources(admin, page_request, ListedKind::Groups).await
}

/// The deleted connection in the path, for the pages of its users and groups.
///
/// # Errors
/// `NotFound` if there is none with remaining data within the scope of the admin.
pub(super) async fn read_deleted_view(
    page_request: &PageRequest,
    context: &AuditContext,
    tab: &'static str,
) -> std::result::Result<ConnectionView, PageError> {
    let (id, context, now) = (page_request.path_parameter("id"), context.clone(), clock::current_millis());
    let url = provisioning_url(&page_request.state.server.public_url(), &id);
    let read = move |at: &Snapshot<'_>| {
        if find_deleted(at, context.scope.filter(None).as_ref(), &id)?.is_none() {
            return Ok(None);
        }
        let found = configuration_lifecycle::find_configuration_including_deleted(at, &context, &id)?;
        ConfigurationOverview::load(at, &context.scope, found, now).map(Some)
    };
    let overview = page_request.read(read).await?.ok_or(PageError::NotFound)?;
    Ok(ConnectionView::of_deleted(overview, url, now, tab))
}

/// `GET /connections/deleted/{id}/users`
pub(crate) async fn list_remaining_users(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = read_deleted_view(&page_request, &admin.context, "users").await?;
    list_resources_of(admin, page_request, connection, ListedKind::Users).await
}

/// `GET /connections/deleted/{id}/groups`
pub(crate) async fn list_remaining_groups(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = read_deleted_view(&page_request, &admin.context, "groups").await?;
    list_resources_of(admin, page_request, connection, ListedKind::Groups).await
}

async fn list_resources(admin: PermittedAdmin<Directory>, page_request: PageRequest, kind: ListedKind) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, kind.path_segment())?;
    list_resources_of(admin, page_request, connection, kind).await
}

async fn list_resources_of(
    admin: PermittedAdmin<Directory>,
    page_request: PageRequest,
    connection: ConnectionView,
    kind: ListedKind,
) -> PageResult {
    let query: ResourcesQuery = page_request.query().unwrap_or_default();
    let list_query = query.clone();
    let source = ListedSource::new(&admin.context.scope, &connection);
    let read = move |at: &Snapshot<'_>| {
        let lines = list_resource_lines(at, &list_query, &source, kind.resource_type())?;
        Ok((lines, user_list::count_users(at, source.key)?))
    };
    let ((lines, next), counts) = page_request.read(read).await?;
    let layout = connection.layout(&admin.signed, kind.title());
    let path = format!("{}/{}", connection.path(), kind.path_segment());
    let build_url = |after: &str| build_list_url(&path, &[("active", query.state()), ("after", after)]);
    let links = PageLinks::new(build_url, &query.after, next.as_deref());
    Ok(render_page(200, &ResourcesListPage { layout, connection, kind, query, lines, counts, links }))
}

/// The connection whose users and groups are listed.
struct ListedSource {
    key: i64,
    scope: DirectoryScope,
    is_deleted: bool,
}

impl ListedSource {
    fn new(scope: &AccountScope, connection: &ConnectionView) -> Self {
        Self {
            key: connection.overview.configuration.key,
            scope: DirectoryScope { account: scope.filter(None), configuration: Some(connection.id().to_owned()) },
            is_deleted: connection.is_deleted(),
        }
    }

    fn list(&self, at: &Snapshot<'_>, page: &DirectoryQuery<'_>) -> Result<DirectoryPage<DirectoryResource>> {
        let list = if self.is_deleted { directory::list_remaining } else { directory::list_current };
        list(at, &self.scope, page)
    }

    fn list_members(
        &self,
        at: &Snapshot<'_>,
        group: &str,
        cursor: Option<&DirectoryCursor>,
    ) -> Result<DirectoryPage<DirectoryMember>> {
        let list = if self.is_deleted { directory::list_remaining_members } else { directory::list_current_members };
        list(at, &self.scope, group, cursor, PER_PAGE)
    }
}

fn list_resource_lines(
    at: &Snapshot<'_>,
    query: &ResourcesQuery,
    source: &ListedSource,
    of: &str,
) -> Result<(Vec<ResourceLine>, Option<String>)> {
    let text = query.text();
    if !text.is_empty() {
        let found = resource_details::search_resources(at, source.key, of, &text)?;
        let mut lines = found.iter().map(ResourceLine::from_stored).collect::<Result<Vec<_>>>()?;
        lines.retain(|line| query.is_active().is_none_or(|active| line.is_on == active));
        return Ok((lines, None));
    }
    let filter = DirectoryFilter { active: query.is_active(), ..DirectoryFilter::default() };
    let cursor = query.position(source.key);
    let page = DirectoryQuery { resource_type: of, filter: &filter, cursor: cursor.as_ref(), limit: PER_PAGE };
    let found = source.list(at, &page)?;
    let lines = found.items.iter().map(|found| ResourceLine::from_stored(&found.stored)).collect::<Result<_>>()?;
    Ok((lines, encode_mark(found.next)))
}

#[derive(Template)]
#[template(path = "portal/resource.html")]
struct RecordPage {
    layout: PageLayout,
    connection: ConnectionView,
    kind: ListedKind,
    id: String,
    /// The current resource; `None` if it was deleted.
    present: Option<PresentResource>,
    groups: Vec<(String, String, bool)>,
    more_groups: usize,
    members: Vec<DirectoryMember>,
    next_members: Option<String>,
    is_later_members: bool,
    history: Vec<HistoryStep>,
    older: Option<i64>,
    is_older: bool,
    /// The last request about it that was rejected, if the admin may see it.
    rejected: Option<CallLine>,
}

/// A current resource.
struct PresentResource {
    is_on: bool,
    is_off: bool,
    created: PageTime,
    changed: PageTime,
    version: i64,
    member_count: i64,
    sections: Vec<AttributeSection>,
    /// The primary address of a user; may be empty.
    email: String,
    raw: String,
}

impl PresentResource {
    fn from_stored(stored: &StoredResource, resource_type: &str) -> Result<Self> {
        let body = parse_body(stored)?;
        let raw = add_common_attributes(body.clone(), stored, resource_type);
        Ok(Self {
            is_on: body.get("active") == Some(&Value::Bool(true)),
            is_off: body.get("active") == Some(&Value::Bool(false)),
            created: PageTime::from_millis(stored.created_at),
            changed: PageTime::from_millis(stored.last_modified),
            version: stored.version,
            member_count: stored.member_count,
            sections: attribute_tables::attribute_sections(&body),
            email: export::email_of(&body),
            raw: serde_json::to_string_pretty(&raw).unwrap_or_default(),
        })
    }
}

fn parse_body(stored: &StoredResource) -> Result<Map<String, Value>> {
    serde_json::from_str(&stored.body).map_err(|problem| Error::undecodable(&stored.id, problem))
}

/// Adds `id` and `meta` to the attributes of a resource.
fn add_common_attributes(
    mut body: Map<String, Value>,
    stored: &StoredResource,
    resource_type: &str,
) -> Map<String, Value> {
    body.insert("id".to_owned(), stored.id.clone().into());
    let meta = json!({
        "resourceType": resource_type,
        "created": clock::format_rfc3339(stored.created_at),
        "lastModified": clock::format_rfc3339(stored.last_modified),
    });
    body.insert("meta".to_owned(), meta);
    body
}

/// A stored resource as SCIM shows it, without the members of a group.
pub(super) fn render_resource(stored: &StoredResource, resource_type: &str) -> Result<Map<String, Value>> {
    Ok(add_common_attributes(parse_body(stored)?, stored, resource_type))
}

impl RecordPage {
    fn is_user(&self) -> bool {
        self.kind == ListedKind::Users
    }

    fn address(&self) -> String {
        format!("{}/{}/{}", self.connection.path(), self.kind.path_segment(), self.id)
    }
}

/// `GET /connections/{id}/users/{uid}`
pub(crate) async fn show_user(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    show_resource(admin, page_request, ListedKind::Users).await
}

/// `GET /connections/{id}/groups/{uid}`
pub(crate) async fn show_group(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    show_resource(admin, page_request, ListedKind::Groups).await
}

/// `GET /connections/deleted/{id}/users/{uid}`
pub(crate) async fn show_remaining_user(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = read_deleted_view(&page_request, &admin.context, "users").await?;
    show_resource_of(admin, page_request, connection, ListedKind::Users).await
}

/// `GET /connections/deleted/{id}/groups/{uid}`
pub(crate) async fn show_remaining_group(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = read_deleted_view(&page_request, &admin.context, "groups").await?;
    show_resource_of(admin, page_request, connection, ListedKind::Groups).await
}

async fn show_resource(admin: PermittedAdmin<Directory>, page_request: PageRequest, kind: ListedKind) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, kind.path_segment())?;
    show_resource_of(admin, page_request, connection, kind).await
}

async fn show_resource_of(
    admin: PermittedAdmin<Directory>,
    page_request: PageRequest,
    connection: ConnectionView,
    kind: ListedKind,
) -> PageResult {
    let (query, id): (ResourcesQuery, String) =
        (page_request.query().unwrap_or_default(), page_request.path_parameter("uid"));
    let (resource_id, of) = (id.clone(), kind.resource_type());
    let source = ListedSource::new(&admin.context.scope, &connection);
    let key = source.key;
    let (is_later_members, is_older) = (!query.after.is_empty(), query.older.is_some());
    let sees_requests = admin.signed.permissions.contains(Permission::RequestsRead) && !connection.is_deleted();
    let reader = sees_requests.then(|| LogReader::new(&admin.signed, &page_request.state.server.public_url()));
    let (scope, configuration) = (admin.context.scope.clone(), connection.overview.configuration.clone());
    let read = move |at: &Snapshot<'_>| {
        let found = resource_details::find_resource_details(at, key, of, &resource_id, query.older)?;
        let name =
            resource_details::find_resource_name(at, key, of, &resource_id)?.unwrap_or_else(|| resource_id.clone());
        let members = if kind == ListedKind::Groups && found.stored.is_some() {
            source.list_members(at, &resource_id, query.position(key).as_ref())?
        } else {
            DirectoryPage { items: Vec::new(), next: None }
        };
        let query =
            RequestLogQuery { failed: Some(true), resource: Some(resource_id.clone()), ..RequestLogQuery::default() };
        let rejected = match reader {
            Some(reader) => read_call_lines(at, &scope, reader, &configuration, (&query, 1))?.0.pop(),
            None => None,
        };
        Ok((found, name, members, rejected))
    };
    let (details, name, members, rejected) = page_request.read(read).await?;
    let ResourceDetails { stored, groups, history, older } = details;
    let layout = connection.record_layout(&admin.signed, name);
    let present = stored.map(|stored| PresentResource::from_stored(&stored, of)).transpose()?;
    let more_groups = groups.len().saturating_sub(GROUPS_MAX);
    let groups = groups.into_iter().take(GROUPS_MAX);
    let groups =
        groups.map(|(group, direct)| (group.label.unwrap_or_else(|| group.id.clone()), group.id, direct)).collect();
    let history = history.iter().map(HistoryStep::from_event).collect::<Result<_>>()?;
    let next_members = encode_mark(members.next);
    let members = members.items;
    Ok(render_page(
        200,
        &RecordPage {
            layout,
            connection,
            kind,
            id,
            present,
            groups,
            more_groups,
            members,
            next_members,
            is_later_members,
            history,
            older,
            is_older,
            rejected,
        },
    ))
}
