//! The request log of a connection: what its identity provider asked, in plain words, and what to do where it went wrong.

use askama::Template;
use serde::Deserialize;

use super::connection::Connection;
use super::first_run::{Problem, problem_of};
use super::moments::Moment;
use super::page::{Layout, Refusal, Shown, page};
use super::session::{Person, Signed, Visit};
use super::told::{Line, Reader, Told};
use super::zone::Zone;
use crate::clock::Millis;
use crate::directory::requests;
use crate::model::explanation::Explanation;
use crate::model::ids;
use crate::model::request::LoggedBody;
use crate::store::requests::Wanted;
use crate::web::access::Requests;

/// Calls on a page.
const PER_PAGE: u32 = 50;
const MINUTE: Millis = 60_000;
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
    /// Name of the zone in which times are meant.
    zone: String,
    /// Whether a script may put the zone of the device in.
    is_any_zone: bool,
    problems: Vec<Problem>,
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct Query {
    only: String,
    method: String,
    resource: String,
    text: String,
    /// Times as a field for date and time sends them, in `zone`.
    from: String,
    to: String,
    /// The zone that a script put in; else that of the profile counts.
    zone: String,
    before: String,
}

impl Query {
    fn is_empty(&self) -> bool {
        [&self.only, &self.method, &self.resource, &self.text, &self.from, &self.to].iter().all(|text| text.is_empty())
    }

    /// The query of the page that begins before a call.
    fn at(&self, before: &str) -> String {
        let encoded = super::form::encoded;
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

    /// The zone in which the times are meant.
    fn zone(&self, signed: &Signed) -> Zone {
        Zone::named(&self.zone).unwrap_or_else(|| signed.zone())
    }

    /// What is wrong with the times.
    fn problems(&self, zone: &Zone) -> Vec<Problem> {
        let is_wrong = |text: &str| !text.is_empty() && zone.moment(text).is_none();
        let fields = [("from", &self.from), ("to", &self.to)].into_iter().filter(|(_, text)| is_wrong(text));
        let sentence = |text: &str| format!("“{text}” is no time. Write it like 2026-07-14T09:30.");
        fields.map(|(field, text)| Problem { field, sentence: sentence(text) }).collect()
    }

    /// The call before which the page begins.
    fn before(&self) -> Option<&str> {
        Some(self.before.as_str()).filter(|id| ids::is_id(id))
    }

    /// The least id behind the last minute that is wanted.
    fn end(&self, zone: &Zone) -> Option<String> {
        zone.moment(&self.to).map(|at| ids::first_at(at + MINUTE))
    }

    fn wanted(&self, is_open: bool, zone: &Zone) -> Wanted {
        let text = |text: &str| {
            Some(text.trim().chars().take(TEXT_MAX_CHARS).collect()).filter(|text: &String| !text.is_empty())
        };
        Wanted {
            before: [self.before().map(str::to_owned), self.end(zone)].into_iter().flatten().min(),
            from: zone.moment(&self.from).map(ids::first_at),
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
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    /// The fields for times: name, label and value.
    fn times(&self) -> [(&'static str, &'static str, &str); 2] {
        [("from", "From", &self.query.from), ("to", "To", &self.query.to)]
    }

    /// Whether the look ended before the page was full, with more behind it.
    fn is_partial(&self) -> bool {
        self.next.is_some() && self.lines.len() < PER_PAGE as usize
    }

    /// How far back the look went.
    fn looked_back_to(&self) -> Option<Moment> {
        self.next.as_deref().and_then(ids::made_at).map(Moment::of)
    }

    fn methods() -> [&'static str; 5] {
        METHODS
    }
}

/// `GET /connections/{id}/requests`
pub(super) async fn list(person: Person<Requests>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "requests")?;
    let query: Query = visit.query();
    let reader = Reader::new(&person.signed, &visit.state.public_url());
    let zone = query.zone(&person.signed);
    let problems = query.problems(&zone);
    let (reach, id, wanted) = (person.by.reach, connection.id().to_owned(), query.wanted(reader.is_open, &zone));
    let key = connection.one.configuration.key;
    let (lines, next) = super::read_aside(&visit.state, move |at| {
        let found = requests::whole_page(at, &reach, &id, &wanted, PER_PAGE)?;
        let told = found.calls.into_iter().map(|call| Ok(Told::read(at, reader, key, &id, call)?.line()));
        Ok((told.collect::<crate::error::Result<Vec<Line>>>()?, found.next))
    })
    .await?;
    let layout = connection.layout(&person.signed, "Requests");
    let (is_any_zone, zone) = (person.signed.zone.is_none(), zone.name().to_owned());
    let status = if problems.is_empty() { 200 } else { 422 };
    let is_open = reader.is_open;
    Ok(page(status, &ListPage { layout, connection, query, lines, next, is_open, zone, is_any_zone, problems }))
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
