//! "Where is my user?": an answer in one sentence, the record, and the last calls about the user.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::diagnosis::connection_status::format_ago;
use crate::error::Result;
use crate::management::configurations;
use crate::management::request_log::{self, RequestLogQuery};
use crate::model::audit_context::AccountScope;
use crate::model::permission::Permission;
use crate::provisioning::directory::user_search::{self, SearchedCalls};
use crate::provisioning::directory::{DirectoryResource, DirectorySource};
use crate::provisioning::resource_details::{self, RESULTS_MAX};
use crate::store::Snapshot;
use crate::web::portal::connections::log_view::{CallLine, CallView, LogReader};
use crate::web::portal::forms::{PageRequest, encode_query};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::required_permission::Directory;

/// Most calls on the page, and most calls of one user.
const CALLS_MAX: u32 = 10;
const CALLS_PER_USER_MAX: u32 = 10;
/// Most users whose calls are listed, if several match.
const USERS_WITH_CALLS_MAX: usize = 3;
/// Longest search text, in characters.
const TEXT_MAX_CHARS: usize = 200;
/// Shortest text that is searched as the beginning of a name, in characters.
const PREFIX_MIN_CHARS: usize = 2;

#[derive(Template)]
#[template(path = "portal/find_user.html")]
struct FindPage {
    layout: PageLayout,
    q: String,
    answer: String,
    users: Vec<FoundUser>,
    deleted_user: Option<DeletedUserLink>,
    lines: Vec<CallLine>,
}

/// A deleted user.
struct DeletedUserLink {
    address: String,
    when: String,
}

/// Results of a search.
#[derive(Default)]
struct SearchResults {
    users: Vec<FoundUser>,
    /// Whether the text is only the beginning of their names.
    is_prefix: bool,
    deleted_user: Option<DeletedUserLink>,
    lines: Vec<CallLine>,
    /// What was searched, if there is no user.
    searched: Option<SearchedCalls>,
    is_truncated: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FindQuery {
    q: String,
}

/// A user that matches.
struct FoundUser {
    name: String,
    address: String,
    connection: String,
    configuration: String,
    account: String,
    is_on: bool,
    groups: usize,
    changed: String,
}

impl FoundUser {
    fn from_stored(at: &Snapshot<'_>, scope: &AccountScope, found: &DirectoryResource, now: i64) -> Result<Self> {
        let body = resource_details::parse_stored_json(&found.stored.id, &found.stored.body)?;
        let configuration = configurations::find_configuration(at, scope, &found.source.id)?;
        let record =
            resource_details::find_resource_details(at, found.source.configuration, "User", &found.stored.id, None)?;
        Ok(Self {
            name: resource_details::extract_name(&body).unwrap_or_else(|| found.stored.id.clone()),
            address: format!("/connections/{}/users/{}", found.source.id, found.stored.id),
            connection: configuration.connection_name,
            configuration: found.source.id.clone(),
            account: found.source.account.id.clone(),
            is_on: body.get("active") == Some(&Value::Bool(true)),
            groups: record.groups.len(),
            changed: format_ago(now - found.stored.last_modified),
        })
    }

    fn sentence(&self) -> String {
        let state = if self.is_on { "active" } else { "deactivated" };
        let groups = match self.groups {
            0 => "in no group".to_owned(),
            1 => "in 1 group".to_owned(),
            count => format!("in {count} groups"),
        };
        format!("{} is in {}: {state}, {groups}, last changed {}.", self.name, self.connection, self.changed)
    }
}

/// `GET /find`
pub(crate) async fn show_search(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    if !admin.signed.permissions.contains(Permission::RequestsRead) {
        return Err(PageError::MissingPermission(Permission::RequestsRead));
    }
    let query: FindQuery = page_request.query().unwrap_or_default();
    let q: String = query.q.trim().chars().take(TEXT_MAX_CHARS).collect();
    let layout = PageLayout::new("Where is my user?", Some(&admin.signed), NavigationEntry::Find);
    if q.is_empty() {
        let SearchResults { users, deleted_user, lines, .. } = SearchResults::default();
        let answer = String::new();
        return Ok(render_page(200, &FindPage { layout, q, answer, users, deleted_user, lines }));
    }
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let (scope, text, now) = (admin.context.scope, q.clone(), clock::current_millis());
    let found = page_request.read(move |at| search_users(at, &scope, reader, &text, now)).await?;
    let answer = answer_sentence(&q, &found);
    let SearchResults { users, deleted_user, lines, .. } = found;
    Ok(render_page(200, &FindPage { layout, q, answer, users, deleted_user, lines }))
}

fn search_users(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    reader: LogReader,
    text: &str,
    now: i64,
) -> Result<SearchResults> {
    let sources = user_search::list_searched_sources(at, scope)?;
    let mut results = SearchResults { is_truncated: sources.is_truncated, ..SearchResults::default() };
    let mut found = sources.find_users(at, text)?;
    if found.is_empty() {
        if let Some(deleted) = sources.find_deleted_user(at, text)? {
            let address = format!("/connections/{}/users/{}", deleted.source.id, deleted.id);
            results.deleted_user = Some(DeletedUserLink { address, when: format_ago(now - deleted.deleted_at) });
            results.lines = list_last_calls(at, scope, reader, &deleted.source, &deleted.id)?;
            return Ok(results);
        }
        if text.chars().count() >= PREFIX_MIN_CHARS {
            found = sources.find_users_by_prefix(at, text)?;
            results.is_prefix = true;
        }
    }
    if found.is_empty() {
        let texts = [text, &encode_query(text)];
        let (calls, searched) = sources.find_calls(at, texts, CALLS_MAX)?;
        results.searched = Some(searched);
        for (source, call) in calls {
            results.lines.push(CallView::read(at, reader, source.configuration, &source.id, call)?.line());
        }
        return Ok(results);
    }
    results.users = found.iter().map(|one| FoundUser::from_stored(at, scope, one, now)).collect::<Result<Vec<_>>>()?;
    for DirectoryResource { source, stored } in found.iter().take(USERS_WITH_CALLS_MAX) {
        results.lines.extend(list_last_calls(at, scope, reader, source, &stored.id)?);
    }
    results.lines.sort_by(|one, other| other.id.cmp(&one.id));
    results.lines.truncate(usize::try_from(CALLS_MAX).unwrap_or(usize::MAX));
    Ok(results)
}

/// The last calls about a user.
fn list_last_calls(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    reader: LogReader,
    source: &DirectorySource,
    id: &str,
) -> Result<Vec<CallLine>> {
    let filter = RequestLogQuery { resource: Some(id.to_owned()), ..RequestLogQuery::default() };
    let found = request_log::list_calls_with_bodies(at, scope, &source.id, &filter, CALLS_PER_USER_MAX)?;
    let line = |call| Ok(CallView::read(at, reader, source.configuration, &source.id, call)?.line());
    found.calls.into_iter().map(line).collect()
}

/// The result in one sentence, or a few if there is no user.
fn answer_sentence(q: &str, found: &SearchResults) -> String {
    if let Some(deleted) = &found.deleted_user {
        return format!("{q} was deleted {}.", deleted.when);
    }
    match (&found.users[..], &found.lines[..]) {
        ([one], _) => one.sentence(),
        ([], []) => format!(
            "No user {q} is here. {} If the identity provider should have sent the user, check that the user is assigned \
             to the application there.",
            describe_searched(found)
        ),
        ([], [last, ..]) if last.failed => {
            format!("No user {q} is here. The last request that mentions them failed. {}.", last.sentence)
        }
        ([], [last, ..]) => {
            format!("No user {q} is here. The last request that mentions them: {}.", last.sentence)
        }
        (several, _) => {
            let more = if several.len() >= RESULTS_MAX { " or more" } else { "" };
            let relation = if found.is_prefix { "have a name that begins with" } else { "match" };
            format!("{}{more} users {relation} {q}.", several.len())
        }
    }
}

/// What was searched without a result: not more can be said of the requests.
fn describe_searched(found: &SearchResults) -> String {
    let Some(searched) = found.searched else { return String::new() };
    let connections =
        |count: usize| if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") };
    let limit = if found.is_truncated { " (the first 1,000)" } else { "" };
    format!(
        "None of these mentions them: the users and deleted users of {}{limit}, their last {} failed requests, and the last \
         {} requests of the newest {}.",
        connections(searched.configurations),
        searched.failures,
        searched.calls,
        connections(searched.newest),
    )
}
