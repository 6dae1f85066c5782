//! "Where is my user?": one answer in a sentence, the record, and the last calls about the person.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::page::{Layout, Place, Refusal, Shown, page};
use super::session::{Person, Visit};
use super::told::{Line, Reader, Told};
use crate::clock;
use crate::directory::people::Found;
use crate::directory::{configurations, records, requests};
use crate::error::Result;
use crate::model::actor::Reach;
use crate::model::permission::Permission;
use crate::model::standing::ago;
use crate::store::Snapshot;
use crate::store::requests::Wanted;
use crate::web::access::Directory;

/// Calls that are shown about somebody.
const CALLS: usize = 10;
/// People whose calls are shown, where several fit.
const WITH_CALLS: usize = 3;
/// Longest text that is looked for.
const TEXT_MAX_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "portal/find.html")]
struct FindPage {
    layout: Layout,
    q: String,
    answer: String,
    people: Vec<Somebody>,
    lines: Vec<Line>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    q: String,
}

/// A user who fits.
struct Somebody {
    name: String,
    address: String,
    connection: String,
    configuration: String,
    account: String,
    is_on: bool,
    groups: usize,
    changed: String,
}

impl Somebody {
    fn of(at: &Snapshot<'_>, reach: &Reach, found: &Found, now: i64) -> Result<Self> {
        let body: Value = serde_json::from_str(&found.stored.body).unwrap_or_default();
        let configuration = configurations::within(at, reach, &found.source.id)?;
        let record = records::record(at, found.source.configuration, "User", &found.stored.id, None)?;
        Ok(Self {
            name: records::name_in(&body).unwrap_or_else(|| found.stored.id.clone()),
            address: format!("/connections/{}/users/{}", found.source.id, found.stored.id),
            connection: configuration.connection_name,
            configuration: found.source.id.clone(),
            account: found.source.account.clone(),
            is_on: body.get("active") == Some(&Value::Bool(true)),
            groups: record.groups.len(),
            changed: ago(now - found.stored.last_modified),
        })
    }

    fn sentence(&self) -> String {
        let state = if self.is_on { "switched on" } else { "switched off" };
        let groups = match self.groups {
            0 => "in no group".to_owned(),
            1 => "in 1 group".to_owned(),
            count => format!("in {count} groups"),
        };
        format!("{} is in {}: {state}, {groups}, last changed {}.", self.name, self.connection, self.changed)
    }
}

/// `GET /find`
pub(super) async fn show(person: Person<Directory>, visit: Visit) -> Shown {
    if !person.signed.permissions.allow(Permission::RequestsRead) {
        return Err(Refusal::Lacks(Permission::RequestsRead));
    }
    let query: Query = visit.query();
    let q: String = query.q.trim().chars().take(TEXT_MAX_CHARS).collect();
    let layout = Layout::new("Where is my user?", Some(&person.signed), Place::Find);
    if q.is_empty() {
        return Ok(page(200, &FindPage { layout, q, answer: String::new(), people: Vec::new(), lines: Vec::new() }));
    }
    let reader = Reader::new(&person.signed, &visit.state.public_url);
    let (reach, wanted, now) = (person.by.reach, q.clone(), clock::now());
    let (people, lines) = super::read_aside(&visit.state, move |at| look(at, &reach, &reader, &wanted, now)).await?;
    let answer = answer(&q, &people, &lines);
    Ok(page(200, &FindPage { layout, q, answer, people, lines }))
}

fn look(at: &Snapshot<'_>, reach: &Reach, reader: &Reader, text: &str, now: i64) -> Result<(Vec<Somebody>, Vec<Line>)> {
    let found = records::find(at, reach, text)?;
    let people = found.iter().map(|one| Somebody::of(at, reach, one, now)).collect::<Result<Vec<_>>>()?;
    let mut lines = Vec::new();
    for Found { source, stored } in found.iter().take(WITH_CALLS) {
        let wanted = Wanted { resource: Some(stored.id.clone()), ..Wanted::default() };
        for call in requests::whole_page(at, reach, &source.id, &wanted, 10)?.calls {
            lines.push(Told::read(at, reader, source.configuration, &source.id, call)?.line());
        }
    }
    if found.is_empty() {
        for (source, call) in records::mentioning(at, reach, [text, &super::form::encoded(text)], CALLS)? {
            lines.push(Told::read(at, reader, source.configuration, &source.id, call)?.line());
        }
    }
    lines.sort_by(|one, other| other.id.cmp(&one.id));
    lines.truncate(CALLS);
    Ok((people, lines))
}

/// The answer in one sentence.
fn answer(q: &str, people: &[Somebody], lines: &[Line]) -> String {
    match (people, lines) {
        ([one], _) => one.sentence(),
        ([], []) => format!(
            "Nobody called {q} is here, and no recent call mentions them: the identity provider has not sent them. \
             Most often they are not assigned to the application there."
        ),
        ([], [last, ..]) if last.failed => {
            format!(
                "Nobody called {q} is here, but they were mentioned: the last call about them failed. {}.",
                last.sentence
            )
        }
        ([], [last, ..]) => {
            format!("Nobody called {q} is here, but calls mention them. The last one: {}.", last.sentence)
        }
        (several, _) => format!("{} users fit {q}.", several.len()),
    }
}
