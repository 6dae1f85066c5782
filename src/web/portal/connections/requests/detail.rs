//! One request of the request log: the explanation, what it changed, both bodies, and a curl command that repeats it.

use askama::Template;

use crate::diagnosis::Explanation;
use crate::management::request_log;
use crate::model::request::LoggedBody;
use crate::web::find_replay_obstacle;
use crate::web::portal::connections::events::{CallEvent, list_events_of_call};
use crate::web::portal::connections::log_view::{CallLine, CallView, LogReader};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::required_permission::Requests;

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
    /// Ids of the request before it and of the one after it.
    adjacent: (Option<String>, Option<String>),
    /// Ids of the newest requests that repeat it.
    replays: Vec<String>,
    /// Why the server cannot send it again.
    obstacle: Option<String>,
}

impl RequestDetailPage {
    fn bodies(&self) -> [(&'static str, &LoggedBodyView); 2] {
        [(texts::requests::REQUEST_BODY, &self.sent), (texts::requests::RESPONSE_BODY, &self.answered)]
    }
}

/// A request or response body.
struct LoggedBodyView {
    /// The body, JSON indented; `None` if it was not stored.
    text: Option<String>,
    /// The body as it was sent, if that differs.
    raw: Option<String>,
    /// Remark about the body, such as its size.
    remark: String,
}

impl LoggedBodyView {
    fn from_logged(body: &LoggedBody) -> Self {
        let Some(text) = &body.text else {
            let remark = match body.bytes {
                None | Some(0) => texts::requests::NO_BODY.to_owned(),
                Some(bytes) => texts::requests::say_body_not_stored(bytes),
            };
            return Self { text: None, raw: None, remark };
        };
        let stored = text.len() as u64;
        let is_cut = body.bytes.is_some_and(|bytes| bytes > stored.saturating_add(64))
            && stored.saturating_add(64) > crate::model::request::LOGGED_BODY_MAX_BYTES as u64;
        let remark = match body.bytes {
            Some(bytes) if is_cut => texts::labels::say_beginning_of(bytes),
            _ => String::new(),
        };
        let read = serde_json::from_str::<serde_json::Value>(text).ok();
        let laid_out = read.and_then(|value| serde_json::to_string_pretty(&value).ok());
        let raw = laid_out.is_some().then(|| text.clone());
        Self { text: Some(laid_out.unwrap_or_else(|| text.clone())), raw, remark }
    }
}

/// `GET /connections/{id}/requests/{rid}`
pub(crate) async fn show_call(admin: PermittedAdmin<Requests>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "requests")?;
    let reader = LogReader::new(&admin.signed, &page_request.state.server.public_url());
    let (scope, id, request) = (admin.context.scope, connection.id().to_owned(), page_request.path_parameter("rid"));
    let key = connection.overview.configuration.key;
    let (view, events, adjacent, obstacle, replays) = page_request
        .read(move |at| {
            let call = request_log::find_call(at, &scope, &id, &request)?;
            let events = if reader.sees_values { list_events_of_call(at, (key, &id), &call)? } else { Vec::new() };
            let adjacent = request_log::find_adjacent_ids(at, key, &call.id)?;
            let replays = request_log::list_replays(at, key, &call.id)?;
            let obstacle = find_replay_obstacle(&call).map(|reason| render_sentence(&reason.into()));
            Ok((CallView::read(at, reader, key, &id, call)?, events, adjacent, obstacle, replays))
        })
        .await
        .map_err(PageError::from)?;
    let provider = connection.overview.provider;
    let line = view.line();
    let layout = connection.record_layout(&admin.signed, line.sentence.clone());
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
            adjacent,
            replays,
            obstacle,
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
