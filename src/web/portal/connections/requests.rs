//! The request log of a connection: the requests of its identity provider in plain language.

mod all_connections;
mod detail;
mod replay;

pub(crate) use self::all_connections::{export_all_requests, list_all_requests};
pub(crate) use self::detail::show_call;
pub(crate) use self::replay::{show_replay, submit_replay};

use askama::Template;
use serde::Deserialize;

use crate::clock::Millis;
use crate::management::request_log::{self, RequestLogQuery};
use crate::model::ids;
use crate::web::portal::connections::log_view::{
    CallLine, CallView, LogReader, group_repeated, read_call_lines, shorten_name,
};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::csv;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::time_zone::TimeZoneChoice;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::Requests;

/// Calls on a page.
const PER_PAGE: u32 = 50;
const MINUTE: Millis = 60_000;
/// Longest search text, in characters.
const TEXT_MAX_CHARS: usize = 200;
/// Methods of the filter.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Chips above the list: value of `only`, and label.
const CHIPS: [(&str, &str); 4] = [
    ("", texts::labels::ALL),
    ("changes", texts::requests::CHANGES),
    ("failed", texts::labels::REJECTED),
    ("reads", texts::requests::SEARCHES),
];

/// The key of a chip; that of all calls if there is no such chip.
fn normalize_chip(only: &str) -> String {
    let found = CHIPS.iter().find(|(key, _)| *key == only);
    found.map_or("", |(key, _)| key).to_owned()
}

/// Whether a chip selects the calls that read, or those that can change something; `None` for both.
fn reads_of_chip(only: &str) -> Option<bool> {
    match only {
        "changes" => Some(false),
        "reads" => Some(true),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "portal/requests.html")]
struct RequestsPage {
    layout: PageLayout,
    connection: ConnectionView,
    query: RequestsQuery,
    /// Requests; repeated ones are one line.
    lines: Vec<CallLine>,
    /// Number of requests that were read.
    count: usize,
    next: Option<String>,
    shows_values: bool,
    /// Name of the zone of the times in the form.
    zone: String,
    /// Whether a script may set the zone to that of the device.
    is_any_zone: bool,
    problems: Vec<FormError>,
}

/// Requests in an export.
const EXPORTED_MAX: u32 = 1_000;
const CSV_COLUMNS: [&str; 8] = ["time", "summary", "method", "path", "status", "detail", "ip_address", "request_id"];

/// `GET /connections/{id}/requests/export.csv`: the newest requests that match the query.
pub(crate) async fn export_calls(admin: PermittedAdmin<Requests>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "requests")?;
    let query = RequestsQuery::from_request(&page_request);
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let filter = query.to_query(reader.sees_values, &query.zone(&admin.signed));
    let (scope, id, key) = (admin.context.scope, connection.id().to_owned(), connection.overview.configuration.key);
    let rows = page_request.read(move |at| {
        let found = request_log::list_calls_with_bodies(at, &scope, &id, &filter, EXPORTED_MAX)?;
        let mut text = csv::build_header(&CSV_COLUMNS);
        for call in found.calls {
            let view = CallView::read(at, reader, key, &id, call)?;
            let line = view.line();
            text.push_str(&csv::build_row(&[
                line.at.exact.clone(),
                line.sentence,
                line.method,
                view.call.path.clone(),
                line.status.to_string(),
                view.call.detail.clone().unwrap_or_default(),
                view.call.address.clone().unwrap_or_default(),
                line.id,
            ]));
        }
        Ok(text)
    });
    Ok(csv::attach("requests.csv", rows.await?))
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct RequestsQuery {
    only: String,
    /// Code of a cause of failures.
    cause: String,
    method: String,
    resource: String,
    text: String,
    /// Times in `zone`, as `datetime-local` fields send them.
    from: String,
    to: String,
    /// The zone set by a script; if empty, the zone of the profile is used.
    zone: String,
    before: String,
}

impl RequestsQuery {
    /// The query of a request. An unknown chip is that of all calls.
    fn from_request(page_request: &PageRequest) -> Self {
        let query: Self = page_request.query().unwrap_or_default();
        Self { only: normalize_chip(&query.only), ..query }
    }

    fn is_empty(&self) -> bool {
        self.only.is_empty() && self.describe().is_empty()
    }

    /// The filters in words; empty if there are none.
    fn describe(&self) -> String {
        let filters = [
            (texts::requests::CAUSE, &self.cause),
            (texts::requests::METHOD, &self.method),
            (texts::requests::USER_OR_GROUP, &self.resource),
            (texts::requests::TEXT, &self.text),
            (texts::requests::FROM, &self.from),
            (texts::requests::TO, &self.to),
        ];
        let given = filters.iter().filter(|(_, text)| !text.is_empty());
        given.map(|(name, text)| texts::labels::name_value(name, &shorten_name(text))).collect::<Vec<_>>().join(", ")
    }

    /// The query string of the first page with another chip.
    fn chip_url(&self, only: &str) -> String {
        Self { only: only.to_owned(), cause: String::new(), ..self.clone() }.url_before("")
    }

    /// The query string of the page with the calls before this one.
    fn url_before(&self, before: &str) -> String {
        let encoded = crate::web::portal::forms::encode_query;
        format!(
            "?only={}&cause={}&method={}&resource={}&text={}&from={}&to={}&zone={}&before={before}",
            encoded(&self.only),
            encoded(&self.cause),
            encoded(&self.method),
            encoded(&self.resource),
            encoded(&self.text),
            encoded(&self.from),
            encoded(&self.to),
            encoded(&self.zone)
        )
    }

    /// The zone of the times.
    fn zone(&self, signed: &SignedIn) -> TimeZoneChoice {
        TimeZoneChoice::from_name(&self.zone).unwrap_or_else(|| signed.zone())
    }

    /// Validation errors of the times.
    fn problems(&self, zone: &TimeZoneChoice) -> Vec<FormError> {
        let is_wrong = |text: &str| !text.is_empty() && zone.parse_timestamp(text).is_none();
        let fields = [("from", &self.from), ("to", &self.to)].into_iter().filter(|(_, text)| is_wrong(text));
        let sentence = texts::requests::say_time_invalid;
        fields.map(|(field, text)| FormError { field, sentence: sentence(text) }).collect()
    }

    /// Id of the call before which the page starts.
    fn before(&self) -> Option<&str> {
        Some(self.before.as_str()).filter(|id| ids::is_id(id))
    }

    /// The lowest id after the last minute of the filter.
    fn end_id(&self, zone: &TimeZoneChoice) -> Option<String> {
        zone.parse_timestamp(&self.to).map(|at| ids::first_id_at(at + MINUTE))
    }

    fn to_query(&self, is_open: bool, zone: &TimeZoneChoice) -> RequestLogQuery {
        let text = |text: &str| {
            Some(text.trim().chars().take(TEXT_MAX_CHARS).collect()).filter(|text: &String| !text.is_empty())
        };
        RequestLogQuery {
            before: [self.before().map(str::to_owned), self.end_id(zone)].into_iter().flatten().min(),
            from: zone.parse_timestamp(&self.from).map(ids::first_id_at),
            failed: (self.only == "failed").then_some(true),
            cause: text(&self.cause),
            reads: reads_of_chip(&self.only),
            method: METHODS.contains(&&*self.method).then(|| self.method.clone()),
            resource: text(&self.resource),
            text: text(&self.text),
            search_content: is_open,
            ..RequestLogQuery::default()
        }
    }
}

impl RequestsPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    /// The time fields: name, label and value.
    fn times(&self) -> [(&'static str, &'static str, &str); 2] {
        [("from", texts::requests::LABEL_FROM, &self.query.from), ("to", texts::requests::LABEL_TO, &self.query.to)]
    }

    /// Whether the search stopped before the page was full, with older calls left.
    fn is_partial(&self) -> bool {
        self.next.is_some() && self.count < PER_PAGE as usize
    }

    /// The oldest timestamp that was searched.
    fn oldest_searched(&self) -> Option<PageTime> {
        self.next.as_deref().and_then(ids::parse_created_at).map(PageTime::from_millis)
    }

    fn methods() -> [&'static str; 5] {
        METHODS
    }

    fn chips() -> [(&'static str, &'static str); 4] {
        CHIPS
    }

    fn is_rejected(chip: &str) -> bool {
        chip == "failed"
    }
}

/// `GET /connections/{id}/requests`
pub(crate) async fn list_calls(admin: PermittedAdmin<Requests>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "requests")?;
    let query = RequestsQuery::from_request(&page_request);
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let zone = query.zone(&admin.signed);
    let problems = query.problems(&zone);
    let (scope, filter) = (admin.context.scope, query.to_query(reader.sees_values, &zone));
    let configuration = connection.overview.configuration.clone();
    let (lines, next) =
        page_request.read(move |at| read_call_lines(at, &scope, reader, &configuration, (&filter, PER_PAGE))).await?;
    let (count, lines) = (lines.len(), group_repeated(lines, &admin.signed.zone()));
    let mut layout = connection.layout(&admin.signed, texts::labels::REQUESTS);
    layout.refresh = (query.before.is_empty() && query.to.is_empty() && problems.is_empty()).then_some(2);
    let (is_any_zone, zone) = (admin.signed.zone.is_none(), zone.name().to_owned());
    let status = if problems.is_empty() { 200 } else { 422 };
    let is_open = reader.sees_values;
    Ok(render_page(
        status,
        &RequestsPage {
            layout,
            connection,
            query,
            lines,
            count,
            next,
            shows_values: is_open,
            zone,
            is_any_zone,
            problems,
        },
    ))
}
