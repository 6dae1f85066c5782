//! The request log of a connection: what its identity provider asked, in plain words, and what to do where it went wrong.

use askama::Template;
use serde::Deserialize;

use super::connection::Connection;
use super::page::{Layout, Refusal, Shown, page};
use super::session::{Person, Visit};
use super::told::{Line, Reader, Told};
use crate::directory::requests;
use crate::model::explanation::Explanation;
use crate::model::ids;
use crate::model::request::LoggedBody;
use crate::store::requests::Wanted;
use crate::web::access::Requests;

/// Calls on a page.
const PER_PAGE: u32 = 50;
/// Longest text that is looked for.
const TEXT_MAX_CHARS: usize = 200;
/// What may be chosen as method.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

#[derive(Template)]
#[template(path = "portal/requests.html")]
struct ListPage {
    layout: Layout,
    connection: Connection,
    query: Query,
    lines: Vec<Line>,
    next: Option<String>,
    is_open: bool,
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct Query {
    only: String,
    method: String,
    resource: String,
    text: String,
    before: String,
}

impl Query {
    fn is_empty(&self) -> bool {
        self.only.is_empty() && self.method.is_empty() && self.resource.is_empty() && self.text.is_empty()
    }

    /// The query of the page that begins before a call.
    fn at(&self, before: &str) -> String {
        let encoded = super::form::encoded;
        format!(
            "?only={}&method={}&resource={}&text={}&before={before}",
            encoded(&self.only),
            encoded(&self.method),
            encoded(&self.resource),
            encoded(&self.text)
        )
    }

    fn wanted(&self, is_open: bool) -> Wanted {
        let text = |text: &str| {
            Some(text.trim().chars().take(TEXT_MAX_CHARS).collect()).filter(|text: &String| !text.is_empty())
        };
        Wanted {
            before: Some(self.before.clone()).filter(|id| ids::is_id(id)),
            failed: (self.only == "failed").then_some(true),
            method: METHODS.contains(&&*self.method).then(|| self.method.clone()),
            resource: text(&self.resource),
            text: text(&self.text),
            text_everywhere: is_open,
            ..Wanted::default()
        }
    }
}

impl ListPage {
    fn methods() -> [&'static str; 5] {
        METHODS
    }
}

/// `GET /connections/{id}/requests`
pub(super) async fn list(person: Person<Requests>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "requests")?;
    let query: Query = visit.query();
    let reader = Reader::new(&person.signed, &visit.state.public_url());
    let (reach, id, wanted) = (person.by.reach, connection.id().to_owned(), query.wanted(reader.is_open));
    let key = connection.one.configuration.key;
    let (lines, next) = super::read_aside(&visit.state, move |at| {
        let found = requests::whole_page(at, &reach, &id, &wanted, PER_PAGE)?;
        let told = found.calls.into_iter().map(|call| Ok(Told::read(at, reader, key, &id, call)?.line()));
        Ok((told.collect::<crate::error::Result<Vec<Line>>>()?, found.next))
    })
    .await?;
    let layout = connection.layout(&person.signed, "Requests");
    Ok(page(200, &ListPage { layout, connection, query, lines, next, is_open: reader.is_open }))
}

#[derive(Template)]
#[template(path = "portal/request.html")]
struct OnePage {
    layout: Layout,
    connection: Connection,
    line: Line,
    explanations: Vec<Explanation>,
    told: Told,
    sent: Body,
    answered: Body,
    curl: String,
    is_open: bool,
}

/// A body as it is shown.
struct Body {
    /// Laid out, if it was kept.
    text: Option<String>,
    /// What is to be known about it.
    remark: String,
}

impl Body {
    fn of(body: &LoggedBody) -> Self {
        let Some(text) = &body.text else {
            let remark = match body.bytes {
                None | Some(0) => "There was none.".to_owned(),
                Some(bytes) => format!("Its {bytes} bytes were not kept."),
            };
            return Self { text: None, remark };
        };
        let kept = text.len() as u64;
        let is_cut = body.bytes.is_some_and(|bytes| bytes > kept.saturating_add(64))
            && kept.saturating_add(64) > crate::model::request::BODY_KEPT_MAX_BYTES as u64;
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
pub(super) async fn show(person: Person<Requests>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "requests")?;
    let reader = Reader::new(&person.signed, &visit.state.public_url());
    let (reach, id, request) = (person.by.reach, connection.id().to_owned(), visit.part("rid"));
    let key = connection.one.configuration.key;
    let told = super::read_aside(&visit.state, move |at| {
        let call = requests::by_id(at, &reach, &id, &request)?;
        Told::read(at, reader, key, &id, call)
    })
    .await
    .map_err(Refusal::from)?;
    let provider = connection.one.provider;
    let mut layout = connection.layout(&person.signed, "");
    let line = told.line();
    line.sentence.clone_into(&mut layout.title);
    let (sent, answered) = (Body::of(&told.call.request), Body::of(&told.call.response));
    let curl = curl(&visit.state.public_url(), &told);
    let explanations = told.explained(provider);
    let is_open = reader.is_open;
    Ok(page(200, &OnePage { layout, connection, line, explanations, told, sent, answered, curl, is_open }))
}

/// The call as a command; the token is for the reader to put in.
fn curl(public_url: &str, told: &Told) -> String {
    let url = format!("{}{}", public_url.trim_end_matches('/'), told.call.path);
    let mut command =
        format!("curl -X {} {} \\\n  -H \"Authorization: Bearer $TOKEN\"", told.call.method, quoted(&url));
    if let Some(body) = &told.call.request.text {
        command.push_str(" \\\n  -H 'Content-Type: application/scim+json' \\\n  --data-raw ");
        command.push_str(&quoted(body));
    }
    command
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_command_gets_out_of_its_quotes() {
        assert_eq!(quoted("a'; rm -rf $HOME; '"), r"'a'\''; rm -rf $HOME; '\'''");
    }

    #[test]
    fn a_body_is_laid_out_and_one_that_is_not_kept_is_named() {
        let body = |text: Option<&str>, bytes| Body::of(&LoggedBody { text: text.map(str::to_owned), bytes });
        assert_eq!(body(Some("{\"a\":1}"), Some(7)).text.as_deref(), Some("{\n  \"a\": 1\n}"));
        assert_eq!(body(Some("{\"a"), Some(3)).text.as_deref(), Some("{\"a"));
        assert_eq!(body(None, Some(9)).remark, "Its 9 bytes were not kept.");
        assert_eq!(body(None, None).remark, "There was none.");
        let long = "x".repeat(crate::model::request::BODY_KEPT_MAX_BYTES);
        assert_eq!(body(Some(&long), Some(99_999)).remark, "The beginning of 99999 bytes.");
    }
}
