//! What deleted connections have left: users and groups that were kept, and their removal.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use super::first_run::{Problem, problem_of};
use super::moments;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{Person, Visit};
use crate::clock;
use crate::directory::leftovers::{self, Left};
use crate::store::{Snapshot, Undo};
use crate::web::access::Delete;

/// Deleted connections on the page; as they are purged, others come up.
const SHOWN_MAX: u32 = 200;

/// A deleted connection as it is shown.
struct Row {
    id: String,
    name: String,
    account: String,
    deleted: Option<(String, String)>,
    users: i64,
    groups: i64,
}

impl From<Left> for Row {
    fn from((left, counts): Left) -> Self {
        let count = |of: &str| counts.iter().find(|(name, _)| name == of).map_or(0, |(_, total)| *total);
        Self {
            id: left.source.id,
            name: left.connection_name,
            account: left.source.account,
            deleted: left.source.deleted_at.map(|at| (clock::rfc3339(at), moments::shown(at))),
            users: count("User"),
            groups: count("Group"),
        }
    }
}

#[derive(Template)]
#[template(path = "portal/leftovers.html")]
struct ListPage {
    layout: Layout,
    found: Vec<Row>,
}

/// `GET /connections/deleted`
pub(super) async fn list(person: Person<Delete>, visit: Visit) -> Shown {
    let account = person.by.reach.account().map(str::to_owned);
    let found =
        super::read_aside(&visit.state, move |at| leftovers::list(at, account.as_deref(), 0, SHOWN_MAX)).await?;
    let layout = Layout::new("Deleted connections", Some(&person.signed), Place::Connections);
    Ok(page(200, &ListPage { layout, found: found.into_iter().map(Row::from).collect() }))
}

#[derive(Template)]
#[template(path = "portal/purge.html")]
struct PurgePage {
    layout: Layout,
    one: Row,
    problems: Vec<Problem>,
}

impl PurgePage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }
}

/// The deleted connection in the path, if it is within the person's reach and something is left.
async fn read(person: &Person<Delete>, visit: &Visit) -> Result<Row, Refusal> {
    let (id, account) = (visit.part("id"), person.by.reach.account().map(str::to_owned));
    let found = super::read_aside(&visit.state, move |at| find(at, account.as_deref(), &id)).await?;
    found.map(Row::from).ok_or(Refusal::NotFound)
}

fn find(at: &Snapshot<'_>, account: Option<&str>, id: &str) -> crate::error::Result<Option<Left>> {
    let mut after = 0;
    loop {
        let found = leftovers::list(at, account, after, SHOWN_MAX)?;
        let Some((last, _)) = found.last() else { return Ok(None) };
        after = last.source.configuration;
        if let Some(wanted) = found.into_iter().find(|(left, _)| left.source.id == id) {
            return Ok(Some(wanted));
        }
    }
}

fn purge_page(person: &Person<Delete>, status: u16, one: Row, problems: Vec<Problem>) -> HttpResponse {
    let layout = Layout::new(format!("Purge · {}", one.name), Some(&person.signed), Place::Connections);
    page(status, &PurgePage { layout, one, problems })
}

/// `GET /connections/deleted/{id}`
pub(super) async fn show(person: Person<Delete>, visit: Visit) -> Shown {
    let one = read(&person, &visit).await?;
    Ok(purge_page(&person, 200, one, Vec::new()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    name: String,
}

/// `POST /connections/deleted/{id}`
pub(super) async fn purge(person: Person<Delete>, visit: Visit) -> Shown {
    let one = read(&person, &visit).await?;
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    if fields.name.trim() != one.name {
        let sentence = format!("Type the name exactly: {}", one.name);
        return Ok(purge_page(&person, 422, one, vec![Problem { field: "name", sentence }]));
    }
    let by = person.by;
    state.store.write(Undo::Savepoint, move |tx| leftovers::purge(tx, &by, &one.id)).await?;
    Ok(on_to("/connections/deleted?done=purged").finish())
}
