//! The users of all connections that the admin may see: sorted, filtered by state, with a search by the beginning of a name,
//! an e-mail address or an id.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use askama::Template;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::error::Result;
use crate::management::accounts::account_names::AccountNames;
use crate::management::{accounts, configurations};
use crate::model::audit_context::AccountScope;
use crate::provisioning::directory::DirectoryResource;
use crate::provisioning::directory::user_list::{
    self, FilterCount, UserCounts, UserFilter, UserList, UserOrder, UserPosition, UserQuery,
};
use crate::provisioning::resource_details;
use crate::store::{Snapshot, Tx};
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::csv;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::list_pages::{PER_PAGE, PageLinks, build_list_url, split_position, trim_search_text};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::Directory;

/// A user in the list.
struct UserLine {
    path: String,
    name: String,
    display: String,
    is_on: bool,
    connection_path: String,
    connection: String,
    account: AccountLabel,
    changed: PageTime,
}

impl UserLine {
    fn new(found: DirectoryResource, names: &SourceNames) -> Result<Self> {
        let DirectoryResource { source, stored } = found;
        let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
        let connection_path = format!("/connections/{}", source.id);
        Ok(Self {
            path: format!("{connection_path}/users/{}", stored.id),
            name: resource_details::extract_name(&body).unwrap_or_else(|| stored.id.clone()),
            display: body.get("displayName").and_then(Value::as_str).unwrap_or_default().to_owned(),
            is_on: body.get("active") == Some(&Value::Bool(true)),
            connection: names.connection(source.configuration).to_owned(),
            connection_path,
            account: AccountLabel::find(&names.accounts, &source.account),
            changed: PageTime::from_millis(stored.last_modified),
        })
    }
}

/// The names of the connections and accounts of the users of a page.
struct SourceNames {
    connections: HashMap<i64, String>,
    accounts: AccountNames,
}

impl SourceNames {
    /// Reads each connection once, and all accounts at once.
    fn read(at: &Snapshot<'_>, users: &[DirectoryResource]) -> Result<Self> {
        let mut connections = HashMap::new();
        for DirectoryResource { source, .. } in users {
            if let Entry::Vacant(entry) = connections.entry(source.configuration) {
                let found = configurations::find_configuration_by_key(at, source.configuration)?;
                entry.insert(found.map(|found| found.connection_name).unwrap_or_default());
            }
        }
        let accounts = AccountNames::read(at, users.iter().map(|user| &user.source.account))?;
        Ok(Self { connections, accounts })
    }

    fn connection(&self, key: i64) -> &str {
        self.connections.get(&key).map_or("", String::as_str)
    }
}

/// Path of the list.
const PATH: &str = "/users";

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct AllUsersQuery {
    q: String,
    /// `on`, `off`, or empty for all.
    active: String,
    /// `name` or `changed`; else by connection.
    sort: String,
    after: String,
}

impl AllUsersQuery {
    fn filter(&self) -> UserFilter {
        let active = match self.state() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        UserFilter::new(&self.text(), active)
    }

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

    fn order(&self) -> UserOrder {
        match &*self.sort {
            "name" => UserOrder::Name,
            "changed" => UserOrder::Changed,
            _ => UserOrder::Configuration,
        }
    }

    /// The position after which the page starts.
    fn position(&self) -> Option<UserPosition> {
        let (number, rest) = split_position(&self.after)?;
        match self.order() {
            UserOrder::Configuration => {
                Some(UserPosition::Configuration(number, Some(rest.to_owned()).filter(|name| !name.is_empty())))
            }
            UserOrder::Name => Some(UserPosition::Name(rest.to_owned(), number)),
            UserOrder::Changed => Some(UserPosition::Changed(Reverse(rest.parse().ok()?), Reverse(number))),
        }
    }

    fn url(&self, (active, sort, after): (&str, &str, &str)) -> String {
        build_list_url(PATH, &[("q", &self.q), ("active", active), ("sort", sort), ("after", after)])
    }

    /// URL of the same list with another filter on the state.
    fn state_url(&self, active: &str) -> String {
        self.url((active, &self.sort, ""))
    }

    /// URL of the same list in another order.
    fn sort_url(&self, sort: &str) -> String {
        self.url((self.state(), sort, ""))
    }

    /// URL of the file with the users of the list.
    fn export_url(&self) -> String {
        build_list_url("/users/export.csv", &[("q", &self.q), ("active", self.state())])
    }

    /// Whether the list is in this order.
    fn is_sorted_by(&self, order: &str) -> bool {
        match self.order() {
            UserOrder::Configuration => order == "connection",
            UserOrder::Name => order == "name",
            UserOrder::Changed => order == "changed",
        }
    }

    fn is_empty(&self) -> bool {
        self.q.is_empty() && self.state().is_empty()
    }
}

/// A position as the `after` parameter.
fn encode_position(position: &UserPosition) -> String {
    match position {
        UserPosition::Configuration(key, name) => format!("{key}.{}", name.as_deref().unwrap_or_default()),
        UserPosition::Name(name, row) => format!("{row}.{name}"),
        UserPosition::Changed(Reverse(at), Reverse(row)) => format!("{row}.{at}"),
    }
}

#[derive(Template)]
#[template(path = "portal/all_users.html")]
struct AllUsersPage {
    layout: PageLayout,
    query: AllUsersQuery,
    lines: Vec<UserLine>,
    counts: UserCounts,
    /// Whether there are more connections than one page reads, so that the list in this order lacks users.
    is_cut: bool,
    /// Whether the search has found more users than a list has.
    has_more_matches: bool,
    links: PageLinks,
}

impl AllUsersPage {
    /// Chips above the list: value of `active`, label, and number of users.
    fn states(&self) -> [(&'static str, &'static str, String); 3] {
        let UserCounts { all, active, inactive } = self.counts;
        [
            ("", texts::labels::ALL, format_count(all)),
            ("on", texts::labels::ACTIVE, format_count(active)),
            ("off", texts::labels::DEACTIVATED, format_count(inactive)),
        ]
    }

    fn matches_max() -> String {
        texts::formats::group_digits(u64::try_from(user_list::MATCHES_MAX).unwrap_or(u64::MAX))
    }

    fn id_prefix_min() -> usize {
        user_list::ID_PREFIX_MIN
    }

    /// The orders of the list: value of `sort`, and label.
    fn orders() -> [(&'static str, &'static str); 3] {
        [
            ("", texts::directory::CONNECTION),
            ("name", texts::directory::NAME),
            ("changed", texts::directory::LAST_CHANGE),
        ]
    }

    fn is_order(&self, label: &str) -> bool {
        self.order_label() == label
    }

    fn order_label(&self) -> &'static str {
        match self.query.order() {
            UserOrder::Configuration => texts::directory::CONNECTION,
            UserOrder::Name => texts::directory::NAME,
            UserOrder::Changed => texts::directory::LAST_CHANGE,
        }
    }

    fn connections_max() -> String {
        texts::formats::group_digits(u64::from(user_list::SOURCES_MAX))
    }
}

/// A number of users, such as `2,000+`.
fn format_count(count: FilterCount) -> String {
    let more = if count.is_more { "+" } else { "" };
    format!("{}{more}", texts::formats::group_digits(u64::try_from(count.users).unwrap_or(u64::MAX)))
}

/// `GET /users`
pub(crate) async fn list_users(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let query: AllUsersQuery = page_request.query().unwrap_or_default();
    let scope: AccountScope = admin.context.scope;
    let requested =
        UserQuery { filter: query.filter(), order: query.order(), after: query.position(), limit: PER_PAGE };
    let read = move |at: &Snapshot<'_>| {
        let all = UserList::read(at, &scope, None)?;
        let selection = all.select(at, &requested.filter)?;
        let list = UserList::read(at, &scope, requested.after.as_ref())?;
        let page = list.read_page(at, &requested, Some(&selection))?;
        let names = SourceNames::read(at, &page.users)?;
        let lines = page.users.into_iter().map(|found| UserLine::new(found, &names)).collect::<Result<Vec<_>>>()?;
        Ok((lines, page.next, selection.counts, all.cut_after.is_some()))
    };
    let (lines, next, counts, is_cut) = page_request.read(read).await?;
    let has_more_matches = !query.text().is_empty() && counts.all.users >= user_list::MATCHES_MAX;
    let is_cut = is_cut && query.order() != UserOrder::Configuration;
    let build_url = |after: &str| query.url((query.state(), &query.sort, after));
    let links = PageLinks::new(build_url, &query.after, next.as_ref().map(encode_position).as_deref());
    let layout = PageLayout::new(texts::labels::USERS, Some(&admin.signed), NavigationEntry::Users);
    Ok(render_page(200, &AllUsersPage { layout, query, lines, counts, is_cut, has_more_matches, links }))
}

const CSV_FILE: &str = "users.csv";
const CSV_COLUMNS: [&str; 10] = [
    "customer",
    "account",
    "connection",
    "id",
    "userName",
    "displayName",
    "active",
    "externalId",
    "created",
    "lastModified",
];
/// Most users that one step of the export reads.
const PER_PART: usize = 500;
/// A part of the file is sent when it has this length.
const PART_MIN_BYTES: usize = 16 * 1024;

/// `GET /users/export.csv`: all users that match the filters.
pub(crate) async fn export_users(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let query: AllUsersQuery = page_request.query().unwrap_or_default();
    let (context, is_filtered) = (admin.context.clone(), !query.is_empty());
    let record = move |tx: &Tx<'_>| accounts::record_user_export(tx, &context, CSV_FILE, is_filtered);
    page_request.write(record).await?;
    let next = Some(UserPosition::Configuration(0, None));
    let (scope, filter) = (admin.context.scope, query.filter());
    let export = UserExport { page_request, scope, filter, next, is_first: true };
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
    filter: UserFilter,
    /// Where the next part starts; `None` after the last one.
    next: Option<UserPosition>,
    is_first: bool,
}

impl UserExport {
    async fn next_part(mut self) -> Result<Option<(Bytes, Self)>> {
        let mut part = if self.is_first { csv::build_header(&CSV_COLUMNS) } else { String::new() };
        self.is_first = false;
        // An empty part would end the response.
        while part.is_empty() || part.len() < PART_MIN_BYTES {
            let Some(after) = self.next.take() else { break };
            let (scope, filter) = (self.scope.clone(), self.filter.clone());
            let read = move |at: &Snapshot<'_>| {
                let list = UserList::read(at, &scope, Some(&after))?;
                let query = UserQuery { filter, order: UserOrder::Configuration, after: Some(after), limit: PER_PART };
                let page = list.read_page(at, &query, None)?;
                let names = SourceNames::read(at, &page.users)?;
                let rows = page.users.iter().map(|found| build_row(found, &names)).collect::<Result<Vec<_>>>()?;
                Ok((rows.concat(), page.next))
            };
            let (rows, next) = self.page_request.read(read).await?;
            part.push_str(&rows);
            self.next = next;
        }
        Ok((!part.is_empty()).then(|| (Bytes::from(part), self)))
    }
}

fn build_row(found: &DirectoryResource, names: &SourceNames) -> Result<String> {
    let DirectoryResource { source, stored } = found;
    let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(csv::build_row(&[
        names.accounts.find(&source.account).to_owned(),
        source.account.id.clone(),
        names.connection(source.configuration).to_owned(),
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
        let query = |sort: &str, after: &str| AllUsersQuery {
            q: "a&b".to_owned(),
            sort: sort.to_owned(),
            after: after.to_owned(),
            ..AllUsersQuery::default()
        };
        let name = "ada.l@example.com".to_owned();
        for (sort, position, text) in [
            ("", UserPosition::Configuration(7, Some(name.clone())), "7.ada.l@example.com"),
            ("", UserPosition::Configuration(7, None), "7."),
            ("name", UserPosition::Name(name, 9), "9.ada.l@example.com"),
            ("changed", UserPosition::Changed(Reverse(12), Reverse(9)), "9.12"),
        ] {
            assert_eq!(encode_position(&position), text);
            assert_eq!(query(sort, text).position(), Some(position));
        }
        for invalid in ["", "7", "x.y", "."] {
            assert_eq!(query("", invalid).position(), None, "{invalid}");
        }
        assert_eq!(query("changed", "9.ada").position(), None);
        assert_eq!(query("name", "").url(("on", "name", "9.a")), "/users?q=a%26b&active=on&sort=name&after=9.a");
    }

    #[test]
    fn a_count_that_is_a_lower_bound_has_a_plus_sign() {
        assert_eq!(format_count(FilterCount { users: 999, is_more: false }), "999");
        assert_eq!(format_count(FilterCount { users: 2_000, is_more: true }), "2,000+");
    }
}
