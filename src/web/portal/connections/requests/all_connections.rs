//! The request log of all connections together, and its export.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use askama::Template;
use serde::Deserialize;

use super::{CHIPS, EXPORTED_MAX, PER_PAGE, normalize_chip, reads_of_chip};
use crate::clock;
use crate::error::Result;
use crate::management::accounts;
use crate::management::configurations;
use crate::management::request_log::{self, AllCallsPage, AllCallsQuery};
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::store::Snapshot;
use crate::web::portal::connections::log_view::{CallLine, CallView, LogReader, group_repeated};
use crate::web::portal::csv;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::required_permission::Requests;

#[derive(Template)]
#[template(path = "portal/all_requests.html")]
struct AllRequestsPage {
    layout: PageLayout,
    query: AllRequestsQuery,
    lines: Vec<AllRequestsLine>,
    next: Option<i64>,
    /// Requests of the last day that were rejected.
    rejected: i64,
}

/// A request with its connection.
struct AllRequestsLine {
    line: CallLine,
    connection: String,
    account: String,
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct AllRequestsQuery {
    only: String,
    before: Option<i64>,
}

impl AllRequestsQuery {
    /// The query of a request. An unknown chip is that of all calls.
    fn from_request(page_request: &PageRequest) -> Self {
        let query: Self = page_request.query().unwrap_or_default();
        Self { only: normalize_chip(&query.only), ..query }
    }

    fn to_query(&self) -> AllCallsQuery {
        AllCallsQuery { before: self.before, failed: self.only == "failed", reads: reads_of_chip(&self.only) }
    }
}

impl AllRequestsPage {
    fn chips() -> [(&'static str, &'static str); 4] {
        CHIPS
    }

    /// The number of a chip; 0 for none.
    fn count(&self, key: &str) -> i64 {
        if key == "failed" { self.rejected } else { 0 }
    }

    /// The customer and the connection of a line.
    fn origin(one: &AllRequestsLine) -> String {
        format!("{} · {}", one.account, one.connection)
    }
}

fn read_lines(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    reader: LogReader,
    query: &AllCallsQuery,
    limit: u32,
) -> Result<ReadLines> {
    let AllCallsPage { calls, next } = request_log::list_all_calls(at, scope, query, limit)?;
    let mut by_key: HashMap<i64, (Configuration, String)> = HashMap::new();
    let mut lines = Vec::new();
    for (key, call) in calls {
        let found = match by_key.entry(key) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(vacant) => {
                let Some(found) = configurations::find_configuration_by_key(at, key)? else { continue };
                let account = accounts::find_name(at, &found.account)?;
                vacant.insert((found, account))
            }
        };
        lines.push(CallView::read(at, reader, key, &found.0.id, call)?.line());
    }
    let found = by_key.into_values().map(|found| (found.0.id.clone(), found)).collect();
    Ok(ReadLines { lines, found, next })
}

/// Requests with their connections by id, and where the next page starts.
struct ReadLines {
    lines: Vec<CallLine>,
    /// Connections and the names of their accounts.
    found: HashMap<String, (Configuration, String)>,
    next: Option<i64>,
}

/// `GET /requests`
pub(crate) async fn list_all_requests(admin: PermittedAdmin<Requests>, page_request: PageRequest) -> PageResult {
    let query = AllRequestsQuery::from_request(&page_request);
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let (scope, filter) = (admin.context.scope, query.to_query());
    let read = move |at: &Snapshot<'_>| {
        let hours = request_log::sum_calls_by_hour(at, &scope, clock::current_millis(), 24)?;
        let rejected: i64 = hours.iter().map(|hour| hour.refused).sum();
        Ok((read_lines(at, &scope, reader, &filter, PER_PAGE)?, rejected))
    };
    let (ReadLines { lines, found, next }, rejected) = page_request.read(read).await?;
    let with_connection = |line: CallLine| {
        let of = found.get(&line.configuration);
        AllRequestsLine {
            connection: of.map(|(of, _)| of.connection_name.clone()).unwrap_or_default(),
            account: of.map(|(_, account)| account.clone()).unwrap_or_default(),
            line,
        }
    };
    let lines = group_repeated(lines, &admin.signed.zone()).into_iter().map(with_connection).collect();
    let mut layout = PageLayout::new(texts::labels::REQUESTS, Some(&admin.signed), NavigationEntry::Requests);
    layout.refresh = query.before.is_none().then_some(2);
    Ok(render_page(200, &AllRequestsPage { layout, query, lines, next, rejected }))
}

const CSV_COLUMNS: [&str; 9] =
    ["time", "customer", "account", "connection", "summary", "method", "path", "status", "request_id"];

/// `GET /requests/export.csv`: the newest requests that match the query.
pub(crate) async fn export_all_requests(admin: PermittedAdmin<Requests>, page_request: PageRequest) -> PageResult {
    let query = AllRequestsQuery::from_request(&page_request);
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let (scope, filter) = (admin.context.scope, query.to_query());
    let ReadLines { lines, found, .. } =
        page_request.read(move |at| read_lines(at, &scope, reader, &filter, EXPORTED_MAX)).await?;
    let mut text = csv::build_header(&CSV_COLUMNS);
    for line in &lines {
        let of = found.get(&line.configuration);
        text.push_str(&csv::build_row(&[
            line.at.exact.clone(),
            of.map(|(_, account)| account.clone()).unwrap_or_default(),
            of.map(|(of, _)| of.account.id.clone()).unwrap_or_default(),
            of.map(|(of, _)| of.connection_name.clone()).unwrap_or_default(),
            line.sentence.clone(),
            line.method.clone(),
            line.path.clone(),
            line.status.to_string(),
            line.id.clone(),
        ]));
    }
    Ok(csv::attach("requests.csv", text))
}
