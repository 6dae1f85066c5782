//! One connection: how it stands, its credentials while they may be seen, the steps at its provider, and its end.

use std::borrow::{Borrow, Cow};

use askama::Template;
use serde::Deserialize;

use super::first_run::{Problem, problem_of};
use super::live_test::LiveTest;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{Person, Signed, Visit};
use super::shown_once;
use super::traffic::Traffic;
use crate::clock;
use crate::directory::configurations::{self, Content};
use crate::directory::overview::Overview;
use crate::model::actor::Reach;
use crate::model::configuration::provisioning_url;
use crate::model::standing::{Standing, ago};
use crate::store::Undo;
use crate::web::access::{Create, Delete, Read};
use crate::web::state::State;

/// Calls that are younger than this make a deletion worth a warning.
const STILL_SENDING: i64 = 24 * 60 * 60 * 1000;

/// The connection that a page is about, with its sub-pages.
pub(super) struct Connection {
    pub(super) one: Overview,
    pub(super) url: String,
    pub(super) now: i64,
    /// Which sub-page it is.
    pub(super) tab: &'static str,
}

impl Connection {
    /// Reads the connection in the path, if it is within the person's reach.
    pub(super) fn read(visit: &Visit, reach: &Reach, tab: &'static str) -> Result<Self, Refusal> {
        Self::find(&visit.state, reach, &visit.part("id"), tab)
    }

    pub(super) fn find(state: &State, reach: &Reach, id: &str, tab: &'static str) -> Result<Self, Refusal> {
        let now = clock::now();
        let one = state.store.read_inline(|at| Overview::of(at, configurations::within(at, reach, id)?, now))?;
        let url = provisioning_url(&state.public_url(), id);
        Ok(Self { one, url, now, tab })
    }

    pub(super) fn id(&self) -> &str {
        &self.one.configuration.id
    }

    pub(super) fn name(&self) -> &str {
        &self.one.configuration.connection_name
    }

    /// The frame of one of its pages.
    pub(super) fn layout(&self, signed: &Signed, title: &str) -> Layout {
        let title = if title.is_empty() { self.name().to_owned() } else { format!("{title} · {}", self.name()) };
        Layout::new(title, Some(signed), Place::Connections)
    }

    pub(super) fn sentence(&self) -> String {
        self.one.standing.sentence(&self.one.configuration, &self.one.health, self.one.provider, self.now)
    }

    /// How long ago the identity provider called.
    pub(super) fn last_call(&self) -> Cow<'static, str> {
        self.when(self.one.configuration.last_seen)
    }

    /// How long ago it changed something.
    pub(super) fn last_change(&self) -> Cow<'static, str> {
        self.when(self.one.configuration.last_sync)
    }

    /// How long ago something was. Templates hand over references.
    pub(super) fn when(&self, at: impl Borrow<Option<i64>>) -> Cow<'static, str> {
        at.borrow().map_or(Cow::Borrowed("never"), |at| Cow::Owned(ago(self.now - at)))
    }

    pub(super) fn is_paused(&self) -> bool {
        self.one.standing == Standing::Paused
    }

    /// Whether the identity provider has been heard of a short while ago.
    pub(super) fn still_sends(&self) -> bool {
        self.one.configuration.last_seen.is_some_and(|seen| self.now - seen < STILL_SENDING)
    }
}

#[derive(Template)]
#[template(path = "portal/connection.html")]
struct OverviewPage {
    layout: Layout,
    connection: Connection,
    created_at: String,
    live: LiveTest,
    traffic: Traffic,
}

/// `GET /connections/{id}`
pub(super) async fn show(person: Person<Read>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "overview")?;
    let mut layout = connection.layout(&person.signed, "");
    layout.refresh = Some(10);
    let created_at = clock::rfc3339(connection.one.configuration.created_at);
    let live = LiveTest::read(&visit.state, &connection).await?;
    let traffic = Traffic::read(&visit.state, connection.one.configuration.key, connection.now)?;
    Ok(page(200, &OverviewPage { layout, connection, created_at, live, traffic }))
}

#[derive(Deserialize)]
struct Sync {
    sync: String,
}

/// `POST /connections/{id}/sync`: pause and resume.
pub(super) async fn set_sync(person: Person<Create>, visit: Visit) -> Shown {
    let id = visit.part("id");
    let (form, state) = visit.form::<Sync>(&person.signed).await?;
    let (by, sync, wanted) = (person.by, form.sync == "on", id.clone());
    state.store.write(Undo::Savepoint, move |tx| configurations::set_sync(tx, &by, &wanted, sync)).await?;
    let done = if sync { "resumed" } else { "paused" };
    Ok(on_to(&format!("/connections/{id}?done={done}")).finish())
}

#[derive(Template)]
#[template(path = "portal/token.html")]
struct TokenPage {
    layout: Layout,
    connection: Connection,
    /// The token, while it may be seen.
    token: Option<String>,
}

/// `GET /connections/{id}/token`: the credentials, right after they were made.
pub(super) async fn show_token(person: Person<Read>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "setup")?;
    let token = shown_once::reveal(&visit, &person.signed, connection.id())?;
    let layout = connection.layout(&person.signed, "Copy the address and the token");
    Ok(page(200, &TokenPage { layout, connection, token }))
}

#[derive(Template)]
#[template(path = "portal/delete.html")]
struct DeletePage {
    layout: Layout,
    connection: Connection,
    problems: Vec<Problem>,
    purge: bool,
}

impl DeletePage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteForm {
    name: String,
    purge: String,
}

/// `GET /connections/{id}/delete`
pub(super) async fn show_delete(person: Person<Delete>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "delete")?;
    let layout = connection.layout(&person.signed, "Delete");
    Ok(page(200, &DeletePage { layout, connection, problems: Vec::new(), purge: true }))
}

#[derive(Template)]
#[template(path = "portal/receipt.html")]
struct ReceiptPage {
    layout: Layout,
    name: String,
    users: i64,
    groups: i64,
    purged: bool,
}

/// `POST /connections/{id}/delete`
pub(super) async fn delete(person: Person<Delete>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "delete")?;
    let (form, state) = visit.form::<DeleteForm>(&person.signed).await?;
    let purge = form.purge == "on";
    if form.name.trim() != connection.name() {
        let sentence = format!("Type the name exactly: {}", connection.name());
        let layout = connection.layout(&person.signed, "Delete");
        let problems = vec![Problem { field: "name", sentence }];
        return Ok(page(422, &DeletePage { layout, connection, problems, purge }));
    }
    let (by, id) = (person.by, connection.id().to_owned());
    let content = if purge { Content::Purge } else { Content::Keep };
    state
        .store
        .write(Undo::Savepoint, move |tx| {
            configurations::within(tx, &by.reach, &id)?;
            configurations::delete(tx, &by, &id, content)
        })
        .await?;
    let (users, groups) = (connection.one.users, connection.one.groups);
    let receipt = format!("/connections/receipt?users={users}&groups={groups}&purged={purge}");
    Ok(on_to(&format!("{receipt}&name={}", super::form::encoded(connection.name()))).finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receipt {
    name: String,
    users: i64,
    groups: i64,
    purged: bool,
}

/// `GET /connections/receipt`
pub(super) async fn receipt(person: Person<Delete>, visit: Visit) -> Shown {
    let Receipt { name, users, groups, purged } = visit.query();
    let layout = Layout::new("The connection is deleted", Some(&person.signed), Place::Connections);
    Ok(page(200, &ReceiptPage { layout, name, users, groups, purged }))
}

#[derive(Template)]
#[template(path = "portal/steps.html")]
struct StepsPage {
    layout: Layout,
    connection: Connection,
    token: Option<String>,
}

/// `GET /connections/{id}/setup`: the steps at the provider, with the real values.
pub(super) async fn steps(person: Person<Read>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "setup")?;
    let token = shown_once::reveal(&visit, &person.signed, connection.id())?;
    let layout = connection.layout(&person.signed, "Set up");
    Ok(page(200, &StepsPage { layout, connection, token }))
}
