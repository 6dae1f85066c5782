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
use crate::store::people::Source;
use crate::store::requests::Wanted;
use crate::web::access::Directory;

/// Calls that are shown about somebody.
const CALLS: usize = 10;
const CALLS_OF_ONE: u32 = 10;
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
    gone: Option<Gone>,
    lines: Vec<Line>,
}

/// Somebody who was here and was deleted.
struct Gone {
    address: String,
    when: String,
}

/// What was found.
#[derive(Default)]
struct Results {
    people: Vec<Somebody>,
    gone: Option<Gone>,
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
        let Results { people, gone, lines } = Results::default();
        return Ok(page(200, &FindPage { layout, q, answer: String::new(), people, gone, lines }));
    }
    let reader = Reader::new(&person.signed, &visit.state.public_url());
    let (reach, wanted, now) = (person.by.reach, q.clone(), clock::now());
    let found = super::read_aside(&visit.state, move |at| look(at, &reach, reader, &wanted, now)).await?;
    let answer = answer(&q, &found);
    let Results { people, gone, lines } = found;
    Ok(page(200, &FindPage { layout, q, answer, people, gone, lines }))
}

fn look(at: &Snapshot<'_>, reach: &Reach, reader: Reader, text: &str, now: i64) -> Result<Results> {
    let found = records::find(at, reach, text)?;
    if found.is_empty() {
        return look_back(at, reach, reader, text, now);
    }
    let people = found.iter().map(|one| Somebody::of(at, reach, one, now)).collect::<Result<Vec<_>>>()?;
    let mut lines = Vec::new();
    for Found { source, stored } in found.iter().take(WITH_CALLS) {
        lines.extend(about(at, reach, reader, source, &stored.id)?);
    }
    lines.sort_by(|one, other| other.id.cmp(&one.id));
    lines.truncate(CALLS);
    Ok(Results { people, gone: None, lines })
}

/// The last calls about a user.
fn about(at: &Snapshot<'_>, reach: &Reach, reader: Reader, source: &Source, id: &str) -> Result<Vec<Line>> {
    let wanted = Wanted { resource: Some(id.to_owned()), ..Wanted::default() };
    let found = requests::whole_page(at, reach, &source.id, &wanted, CALLS_OF_ONE)?;
    let line = |call| Ok(Told::read(at, reader, source.configuration, &source.id, call)?.line());
    found.calls.into_iter().map(line).collect()
}

/// What is known of somebody who is nowhere: calls that mention them, and whether they were here.
fn look_back(at: &Snapshot<'_>, reach: &Reach, reader: Reader, text: &str, now: i64) -> Result<Results> {
    let mut results = Results::default();
    for (source, call) in records::mentioning(at, reach, [text, &super::form::encoded(text)], CALLS)? {
        if results.gone.is_none()
            && call.resource_type.as_deref() == Some("User")
            && let Some(id) = call.resource_id.clone()
            && let Some(deleted_at) = records::deleted_at(at, source.configuration, &id, text)?
        {
            let address = format!("/connections/{}/users/{id}", source.id);
            results.gone = Some(Gone { address, when: ago(now - deleted_at) });
            results.lines = about(at, reach, reader, &source, &id)?;
            return Ok(results);
        }
        results.lines.push(Told::read(at, reader, source.configuration, &source.id, call)?.line());
    }
    Ok(results)
}

/// The answer in one sentence.
fn answer(q: &str, found: &Results) -> String {
    if let Some(gone) = &found.gone {
        return format!("{q} was here and was deleted {}.", gone.when);
    }
    match (&found.people[..], &found.lines[..]) {
        ([one], _) => one.sentence(),
        ([], []) => format!(
            "Nobody called {q} is here, and no recent call mentions them: the identity provider has not sent them. \
             Most often they are not assigned to the application there."
        ),
        ([], [last, ..]) if last.failed => {
            format!("Nobody called {q} is here. The last call that mentions them failed. {}.", last.sentence)
        }
        ([], [last, ..]) => {
            format!("Nobody called {q} is here. The last call that mentions them: {}.", last.sentence)
        }
        (several, _) => format!("{} users fit {q}.", several.len()),
    }
}
