//! The request log of a connection: the calls of its identity provider in plain language, and how to fix failures.

use askama::Template;
use serde::Deserialize;

use crate::clock::Millis;
use crate::diagnosis::Explanation;
use crate::management::request_log::{self, RequestLogQuery};
use crate::model::ids;
use crate::model::request::LoggedBody;
use crate::web::portal::connections::events::{CallEvent, list_events_of_call};
use crate::web::portal::connections::log_view::{CallLine, CallView, LogReader};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
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

#[derive(Template)]
#[template(path = "portal/requests.html")]
struct RequestsPage {
    layout: PageLayout,
    connection: ConnectionView,
    query: RequestsQuery,
    lines: Vec<CallLine>,
    next: Option<String>,
    shows_values: bool,
    /// Name of the zone of the times in the form.
    zone: String,
    /// Whether a script may set the zone to that of the device.
    is_any_zone: bool,
    problems: Vec<FormError>,
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct RequestsQuery {
    only: String,
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
    fn is_empty(&self) -> bool {
        [&self.only, &self.method, &self.resource, &self.text, &self.from, &self.to].iter().all(|text| text.is_empty())
    }

    /// The query string of the page with the calls before this one.
    fn url_before(&self, before: &str) -> String {
        let encoded = crate::web::portal::forms::encode_query;
        format!(
            "?only={}&method={}&resource={}&text={}&from={}&to={}&zone={}&before={before}",
            encoded(&self.only),
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
        let sentence = |text: &str| format!("“{text}” is not a valid time. Write it like 2026-07-14T09:30.");
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
        [("from", "From", &self.query.from), ("to", "To", &self.query.to)]
    }

    /// Whether the search stopped before the page was full, with older calls left.
    fn is_partial(&self) -> bool {
        self.next.is_some() && self.lines.len() < PER_PAGE as usize
    }

    /// The oldest timestamp that was searched.
    fn oldest_searched(&self) -> Option<PageTime> {
        self.next.as_deref().and_then(ids::parse_created_at).map(PageTime::from_millis)
    }

    fn methods() -> [&'static str; 5] {
        METHODS
    }
}

/// `GET /connections/{id}/requests`
pub(crate) async fn list_calls(admin: PermittedAdmin<Requests>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "requests")?;
    let query: RequestsQuery = page_request.query().unwrap_or_default();
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let zone = query.zone(&admin.signed);
    let problems = query.problems(&zone);
    let (scope, id, filter) =
        (admin.context.scope, connection.id().to_owned(), query.to_query(reader.sees_values, &zone));
    let key = connection.overview.configuration.key;
    let (lines, next) = page_request
        .read(move |at| {
            let found = request_log::list_calls_with_bodies(at, &scope, &id, &filter, PER_PAGE)?;
            let lines = found.calls.into_iter().map(|call| Ok(CallView::read(at, reader, key, &id, call)?.line()));
            Ok((lines.collect::<crate::error::Result<Vec<CallLine>>>()?, found.next))
        })
        .await?;
    let layout = connection.layout(&admin.signed, "Requests");
    let (is_any_zone, zone) = (admin.signed.zone.is_none(), zone.name().to_owned());
    let status = if problems.is_empty() { 200 } else { 422 };
    let is_open = reader.sees_values;
    Ok(render_page(
        status,
        &RequestsPage { layout, connection, query, lines, next, shows_values: is_open, zone, is_any_zone, problems },
    ))
}

#[derive(Template)]
#[template(path = "portal/request.html")]
struct RequestDetailPage {
    layout: PageLayout,
    connection: ConnectionView,
    line: CallLine,
    explanations: Vec<Explanation>,
    call_view: CallView,
    sent: LoggedBodyView,
    answered: LoggedBodyView,
    curl: String,
    shows_values: bool,
    events: Vec<CallEvent>,
}

/// A request or response body.
struct LoggedBodyView {
    /// The body, JSON indented; `None` if it was not stored.
    text: Option<String>,
    /// Remark about the body, such as its size.
    remark: String,
}

impl LoggedBodyView {
    fn from_logged(body: &LoggedBody) -> Self {
        let Some(text) = &body.text else {
            let remark = match body.bytes {
                None | Some(0) => "There was none.".to_owned(),
                Some(bytes) => format!("Its {bytes} bytes were not stored."),
            };
            return Self { text: None, remark };
        };
        let stored = text.len() as u64;
        let is_cut = body.bytes.is_some_and(|bytes| bytes > stored.saturating_add(64))
            && stored.saturating_add(64) > crate::model::request::LOGGED_BODY_MAX_BYTES as u64;
        let remark = match body.bytes {
            Some(bytes) if is_cut => format!("The beginning of {bytes} bytes."),
            _ => String::new(),
        };
        let read = serde_json::from_str::<serde_json::Value>(text).ok();
        let laid_out = read.and_then(|value| serde_json::to_string_pretty(&value).ok());
        Self { text: Some(laid_out.unwrap_or_else(|| text.clone())), remark }
    }
}

/// `GET /connections/{id}/requests/{rid}`
pub(crate) async fn show_call(admin: PermittedAdmin<Requests>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "requests")?;
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let (scope, id, request) = (admin.context.scope, connection.id().to_owned(), page_request.path_parameter("rid"));
    let key = connection.overview.configuration.key;
    let (view, events) = page_request
        .read(move |at| {
            let call = request_log::find_call(at, &scope, &id, &request)?;
            let events = if reader.sees_values { list_events_of_call(at, (key, &id), &call)? } else { Vec::new() };
            Ok((CallView::read(at, reader, key, &id, call)?, events))
        })
        .await
        .map_err(PageError::from)?;
    let provider = connection.overview.provider;
    let mut layout = connection.layout(&admin.signed, "");
    let line = view.line();
    line.sentence.clone_into(&mut layout.title);
    let (sent, answered) =
        (LoggedBodyView::from_logged(&view.call.request), LoggedBodyView::from_logged(&view.call.response));
    let curl = curl_command(&page_request.state.server.public_url(), &view);
    let explanations = view.explanations(provider);
    let is_open = reader.sees_values;
    Ok(render_page(
        200,
        &RequestDetailPage {
            layout,
            connection,
            line,
            explanations,
            call_view: view,
            sent,
            answered,
            curl,
            shows_values: is_open,
            events,
        },
    ))
}

/// The call as a curl command, with the token as a shell variable.
fn curl_command(public_url: &str, view: &CallView) -> String {
    build_curl(public_url, &view.call.method, &view.call.path, view.call.request.text.as_deref())
}

/// Everything that a client sent is quoted: a method may contain `$`, `&`, `|` and backticks too (RFC 9110 section 9.1).
fn build_curl(public_url: &str, method: &str, path: &str, body: Option<&str>) -> String {
    let url = format!("{}{path}", public_url.trim_end_matches('/'));
    let is_plain = method.bytes().all(|byte| byte.is_ascii_uppercase());
    let method = if is_plain { method.to_owned() } else { quote_for_shell(method) };
    let mut command = format!("curl -X {method} {} \\\n  -H \"Authorization: Bearer $TOKEN\"", quote_for_shell(&url));
    if let Some(body) = body {
        command.push_str(" \\\n  -H 'Content-Type: application/scim+json' \\\n  --data-raw ");
        command.push_str(&quote_for_shell(body));
    }
    command
}

/// Quotes a text as one argument of a shell command.
fn quote_for_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_command_as_the_call_that_was_made() {
        let hostile = "a'b\"c\n$(echo x)`echo y` $HOME \\ ;|&<>*!";
        let expected =
            |method: &str| format!("-X\n{method}\nhttps://x.example/$(id)/{hostile}\n-H\nAuthorization: Bearer t\n");
        for method in ["GET", "`id`", "$x&|'*!#"] {
            let command = build_curl("https://x.example/$(id)/", method, &format!("/{hostile}"), Some(hostile));
            let script = format!("TOKEN=t; curl() {{ printf '%s\\n' \"$@\"; }}; {command}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let read = String::from_utf8(output.stdout).unwrap();
            let rest = format!("-H\nContent-Type: application/scim+json\n--data-raw\n{hostile}\n");
            assert_eq!(read, expected(method) + &rest, "{command}");
        }
    }

    #[test]
    fn a_quoted_text_stays_one_argument() {
        assert_eq!(quote_for_shell("a'; rm -rf $HOME; '"), r"'a'\''; rm -rf $HOME; '\'''");
    }

    #[test]
    fn a_body_is_indented_and_one_that_is_not_stored_has_a_remark() {
        let body = |text: Option<&str>, bytes| {
            LoggedBodyView::from_logged(&LoggedBody { text: text.map(str::to_owned), bytes })
        };
        assert_eq!(body(Some("{\"a\":1}"), Some(7)).text.as_deref(), Some("{\n  \"a\": 1\n}"));
        assert_eq!(body(Some("{\"a"), Some(3)).text.as_deref(), Some("{\"a"));
        assert_eq!(body(None, Some(9)).remark, "Its 9 bytes were not stored.");
        assert_eq!(body(None, None).remark, "There was none.");
        let long = "x".repeat(crate::model::request::LOGGED_BODY_MAX_BYTES);
        assert_eq!(body(Some(&long), Some(99_999)).remark, "The beginning of 99999 bytes.");
    }
}
