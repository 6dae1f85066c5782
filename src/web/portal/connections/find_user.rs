//! The search of the portal: where is my user, in one sentence, with the record and the last requests about the user; and groups,
//! connections, accounts and requests.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::diagnosis::connection_status::format_ago;
use crate::error::Result;
use crate::management::accounts;
use crate::management::configurations;
use crate::management::overview::{self, ConfigurationOverview, OverviewQuery};
use crate::management::request_log::{self, RequestLogQuery};
use crate::model::audit_context::AccountScope;
use crate::model::ids;
use crate::model::permission::Permission;
use crate::provisioning::directory::user_search::{self, SearchedCalls, SearchedSources};
use crate::provisioning::directory::{DirectoryResource, DirectorySource};
use crate::provisioning::resource_details::{self, RESULTS_MAX};
use crate::store::Snapshot;
use crate::web::portal::connections::log_view::{CallLine, CallView, LogReader, shorten_name};
use crate::web::portal::forms::{PageRequest, encode_query};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::required_permission::Directory;

/// Most calls on the page, and most calls of one user.
const CALLS_MAX: u32 = 10;
const CALLS_PER_USER_MAX: u32 = 10;
/// Most users whose calls are listed, if several match.
const USERS_WITH_CALLS_MAX: usize = 3;
/// Longest search text, in characters.
const TEXT_MAX_CHARS: usize = 200;
/// Most results of each other kind.
const OTHERS_MAX: usize = 10;
/// Most accounts that are searched.
const ACCOUNTS_SEARCHED_MAX: u32 = 10_000;

#[derive(Template)]
#[template(path = "portal/find_user.html")]
struct FindPage {
    layout: PageLayout,
    q: String,
    answer: String,
    users: Vec<FoundUser>,
    deleted_user: Option<DeletedUserLink>,
    lines: Vec<CallLine>,
    others: Vec<OtherResult>,
}

/// A group, a connection, an account or a request.
#[derive(Debug)]
struct OtherResult {
    kind: &'static str,
    title: String,
    subtitle: String,
    path: String,
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
    others: Vec<OtherResult>,
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
    fn from_stored(at: &Snapshot<'_>, names: &mut FoundNames, found: &DirectoryResource, now: i64) -> Result<Self> {
        let body = resource_details::parse_stored_json(&found.stored.id, &found.stored.body)?;
        let (connection, account) = names.find(at, &found.source)?.clone();
        Ok(Self {
            name: resource_details::extract_name(&body)
                .map_or_else(|| found.stored.id.clone(), |name| shorten_name(&name)),
            address: format!("/connections/{}/users/{}", found.source.id, found.stored.id),
            connection,
            configuration: found.source.id.clone(),
            account,
            is_on: body.get("active") == Some(&Value::Bool(true)),
            groups: resource_details::count_groups(at, &found.stored)?,
            changed: format_ago(now - found.stored.last_modified),
        })
    }

    fn sentence(&self) -> String {
        texts::directory::locate_user(&self.name, &self.connection, self.is_on, self.groups, &self.changed)
    }
}

/// The names of the connections and accounts of the users that were found, each read once.
#[derive(Default)]
struct FoundNames(HashMap<i64, (String, String)>);

impl FoundNames {
    fn find(&mut self, at: &Snapshot<'_>, source: &DirectorySource) -> Result<&(String, String)> {
        Ok(match self.0.entry(source.configuration) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(entry) => {
                let found = configurations::find_configuration_by_key(at, source.configuration)?;
                let connection = found.map(|found| found.connection_name).unwrap_or_default();
                entry.insert((connection, accounts::find_name(at, &source.account)?))
            }
        })
    }
}

/// `GET /find`
pub(crate) async fn show_search(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let query: FindQuery = page_request.query().unwrap_or_default();
    let q: String = query.q.trim().chars().take(TEXT_MAX_CHARS).collect();
    let layout = PageLayout::new(texts::directory::SEARCH, Some(&admin.signed), NavigationEntry::Find);
    if q.is_empty() {
        let SearchResults { users, deleted_user, lines, others, .. } = SearchResults::default();
        let answer = String::new();
        return Ok(render_page(200, &FindPage { layout, q, answer, users, deleted_user, lines, others }));
    }
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let (scope, text, now) = (admin.context.scope, q.clone(), clock::current_millis());
    let may = |permission| admin.signed.permissions.contains(permission);
    let (sees_connections, sees_requests) = (may(Permission::ProvisioningRead), may(Permission::RequestsRead));
    let reader = sees_requests.then_some(reader);
    let search = move |at: &Snapshot<'_>| {
        let sources = user_search::list_searched_sources(at, &scope)?;
        let mut others = find_groups(at, &sources, &text)?;
        if sees_requests {
            others.extend(find_request(at, &sources, &text)?);
        }
        if sees_connections {
            others.extend(find_connections_and_accounts(at, &scope, &text, now)?);
        }
        Ok(SearchResults { others, ..search_users(at, (&scope, &sources), reader, &text, now)? })
    };
    let found = page_request.read(search).await?;
    let answer = answer_sentence(&q, &found);
    let SearchResults { users, deleted_user, lines, others, .. } = found;
    Ok(render_page(200, &FindPage { layout, q, answer, users, deleted_user, lines, others }))
}

fn find_groups(at: &Snapshot<'_>, sources: &SearchedSources, text: &str) -> Result<Vec<OtherResult>> {
    let mut found = Vec::new();
    for DirectoryResource { source, stored } in sources.find_groups(at, text)?.iter().take(OTHERS_MAX) {
        let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
        found.push(OtherResult {
            kind: texts::labels::GROUP,
            title: resource_details::extract_name(&body).map_or_else(|| stored.id.clone(), |name| shorten_name(&name)),
            subtitle: accounts::find_name(at, &source.account)?,
            path: format!("/connections/{}/groups/{}", source.id, stored.id),
        });
    }
    Ok(found)
}

fn find_request(at: &Snapshot<'_>, sources: &SearchedSources, text: &str) -> Result<Option<OtherResult>> {
    let Some(source) = sources.find_call_source(at, text)? else { return Ok(None) };
    Ok(Some(OtherResult {
        kind: texts::directory::REQUEST,
        title: text.to_owned(),
        subtitle: accounts::find_name(at, &source.account)?,
        path: format!("/connections/{}/requests/{text}", source.id),
    }))
}

/// Connections whose name or account contains the text, or whose id equals it, and accounts whose id or name contains it.
fn find_connections_and_accounts(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    text: &str,
    now: i64,
) -> Result<Vec<OtherResult>> {
    let mut found = Vec::new();
    let query = OverviewQuery { text: text.to_owned(), ..OverviewQuery::default() };
    let mut connections = overview::list_overviews(at, scope, &query, now)?;
    if let (true, Ok(one)) = (ids::is_id(text), configurations::find_configuration(at, scope, text)) {
        connections.push(ConfigurationOverview::load(at, scope, one, now)?);
    }
    for one in connections.into_iter().take(OTHERS_MAX) {
        found.push(OtherResult {
            kind: texts::directory::CONNECTION,
            path: format!("/connections/{}", one.configuration.id),
            subtitle: format!("{} · {}", one.account_name, one.provider.name),
            title: one.configuration.connection_name,
        });
    }
    let folded = text.to_lowercase();
    let all = accounts::list_accounts(at, scope, None, ACCOUNTS_SEARCHED_MAX)?;
    let has = |value: &str| value.to_lowercase().contains(&folded);
    for one in all.into_iter().filter(|one| has(&one.id) || has(&one.name)).take(OTHERS_MAX) {
        found.push(OtherResult {
            kind: texts::directory::ACCOUNT,
            path: format!("/accounts/{}", encode_query(&one.id)),
            subtitle: one.id,
            title: one.name,
        });
    }
    Ok(found)
}

/// Searches the users, and the requests if there is a reader of the log.
fn search_users(
    at: &Snapshot<'_>,
    (scope, sources): (&AccountScope, &SearchedSources),
    reader: Option<LogReader>,
    text: &str,
    now: i64,
) -> Result<SearchResults> {
    let mut results = SearchResults { is_truncated: sources.is_truncated, ..SearchResults::default() };
    let mut found = sources.find_users(at, text)?;
    if found.is_empty() {
        if let Some(deleted) = sources.find_deleted_user(at, text)? {
            let address = format!("/connections/{}/users/{}", deleted.source.id, deleted.id);
            results.deleted_user = Some(DeletedUserLink { address, when: format_ago(now - deleted.deleted_at) });
            if let Some(reader) = reader {
                results.lines = list_last_calls(at, scope, reader, &deleted.source, &deleted.id)?;
            }
            return Ok(results);
        }
        found = sources.find_users_by_prefix(at, text)?;
        results.is_prefix = true;
    }
    let mut names = FoundNames::default();
    let read = |one| FoundUser::from_stored(at, &mut names, one, now);
    results.users = found.iter().map(read).collect::<Result<Vec<_>>>()?;
    let Some(reader) = reader else { return Ok(results) };
    if found.is_empty() {
        let texts = [text, &encode_query(text)];
        let (calls, searched) = sources.find_calls(at, texts, CALLS_MAX)?;
        results.searched = Some(searched);
        for (source, call) in calls {
            results.lines.push(CallView::read(at, reader, source.configuration, &source.id, call)?.line());
        }
        return Ok(results);
    }
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
        return texts::directory::say_user_deleted(q, &deleted.when);
    }
    match (&found.users[..], &found.lines[..]) {
        ([one], _) => one.sentence(),
        ([], _) if !found.others.is_empty() => texts::directory::say_other_results(q),
        ([], []) => texts::directory::say_no_user(q, &describe_searched(found)),
        ([], [last, ..]) if last.failed => texts::directory::say_last_request_failed(q, &last.sentence),
        ([], [last, ..]) => texts::directory::say_last_request(q, &last.sentence),
        (several, _) => {
            let is_more = several.len() >= RESULTS_MAX;
            texts::directory::say_several_users(q, several.len(), is_more, found.is_prefix)
        }
    }
}

/// What was searched without a result: not more can be said of the requests.
fn describe_searched(found: &SearchResults) -> String {
    let Some(searched) = found.searched else { return String::new() };
    let SearchedCalls { configurations, failures, newest, calls } = searched;
    texts::directory::describe_search(configurations, found.is_truncated, failures, (calls, newest))
}
