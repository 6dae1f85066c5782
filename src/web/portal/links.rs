//! Set-up links of one connection: made for the customer's IT admin, shown once, revoked.

use askama::Template;
use serde::Deserialize;

use super::connection::Connection;
use super::first_run::{Problem, problem_of};
use super::page::{Layout, Shown, on_to, page};
use super::session::{Person, Visit};
use super::{shown_once, tokens};
use crate::clock;
use crate::directory::links::{self, NOTE_MAX_CHARS, NewLink};
use crate::error::Error;
use crate::model::provider::{self, PROVIDERS, Provider};
use crate::model::standing::ago;
use crate::secret::Token;
use crate::store::Undo;
use crate::store::links::Link;
use crate::web::access::Tokens;
use crate::web::state::State;

/// Links on the page.
const SHOWN: u32 = 100;

/// Lives to choose from: the word of the form, in seconds.
const LIVES: [(&str, &str); 4] = [("3600", "1 hour"), ("86400", "1 day"), ("604800", "7 days"), ("2592000", "30 days")];

#[derive(Template)]
#[template(path = "portal/links.html")]
struct ListPage {
    layout: Layout,
    connection: Connection,
    links: Vec<Link>,
    form: Fields,
    problems: Vec<Problem>,
}

impl ListPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn lives() -> [(&'static str, &'static str); 4] {
        LIVES
    }

    fn providers() -> &'static [Provider] {
        &PROVIDERS
    }

    fn is_live(&self, link: &Link) -> bool {
        link.is_live(self.connection.now)
    }

    fn state(&self, link: &Link) -> &'static str {
        match link.ended_at {
            Some(_) => "Ended",
            None if self.is_live(link) => "Live",
            None => "Expired",
        }
    }

    fn made(&self, link: &Link) -> String {
        ago(self.connection.now - link.created_at)
    }

    fn end(&self, link: &Link) -> String {
        tokens::until(link.ended_at.unwrap_or(link.expires_at), self.connection.now)
    }

    /// What people call the provider that a link is meant for.
    fn provider_of(link: &Link) -> &str {
        let Some(key) = link.provider.as_deref() else { return "any" };
        provider::by_key(key).map_or(key, |provider| provider.name)
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    life: String,
    note: String,
    provider: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self { life: "604800".to_owned(), note: String::new(), provider: String::new() }
    }
}

impl Fields {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut note = |field, sentence: String| problems.push(Problem { field, sentence });
        if !LIVES.iter().any(|(word, _)| *word == self.life) {
            note("life", "Choose how long it works.".to_owned());
        }
        if self.note.trim().chars().count() > NOTE_MAX_CHARS || self.note.trim().chars().any(char::is_control) {
            note("note", format!("The note must have at most {NOTE_MAX_CHARS} characters, on one line."));
        }
        if !self.provider.is_empty() && provider::by_key(&self.provider).is_none() {
            note("provider", "Choose one of the providers, or none.".to_owned());
        }
        problems
    }
}

async fn list_page(person: &Person<Tokens>, state: &State, id: String, form: Fields, problems: Vec<Problem>) -> Shown {
    let connection = Connection::find(state, &person.by.reach, &id, "links")?;
    let reach = person.by.reach.clone();
    let links = super::read_aside(state, move |at| links::page(at, &reach, &id, None, SHOWN)).await?;
    let layout = connection.layout(&person.signed, "Set-up links");
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(page(status, &ListPage { layout, connection, links, form, problems }))
}

/// `GET /connections/{id}/links`
pub(super) async fn list(person: Person<Tokens>, visit: Visit) -> Shown {
    list_page(&person, &visit.state, visit.part("id"), Fields::default(), Vec::new()).await
}

/// `POST /connections/{id}/links`
pub(super) async fn create(person: Person<Tokens>, visit: Visit) -> Shown {
    let id = visit.part("id");
    let (form, state) = visit.form::<Fields>(&person.signed).await?;
    let problems = form.problems();
    if !problems.is_empty() {
        return list_page(&person, &state, id, form, problems).await;
    }
    let secret = Token::generate_link().map_err(|_| Error::Busy)?;
    let new = NewLink {
        id: clock::new_id(),
        digest: secret.digest(),
        life_seconds: form.life.parse().unwrap_or(links::LIFE_DEFAULT_SECONDS),
        note: form.note,
        provider: (!form.provider.is_empty()).then_some(form.provider),
    };
    let (by, of) = (person.by, id.clone());
    state.store.write(Undo::Savepoint, move |tx| links::create(tx, &by, &of, &new)).await?;
    let url = format!("{}/s/{}", state.public_url(), secret.reveal());
    let cookie = shown_once::keep(&state, &person.signed, &context(&id), &url).await?;
    Ok(on_to(&format!("/connections/{id}/links/made")).cookie(cookie).finish())
}

/// What tells the address of a link from a token that is shown once.
fn context(id: &str) -> String {
    format!("link of {id}")
}

#[derive(Template)]
#[template(path = "portal/link_made.html")]
struct MadePage {
    layout: Layout,
    connection: Connection,
    /// The address, while it may be seen.
    address: Option<String>,
}

/// `GET /connections/{id}/links/made`: the address, right after it was made.
pub(super) async fn show_made(person: Person<Tokens>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "links")?;
    let address = shown_once::reveal(&visit, &person.signed, &context(connection.id()))?;
    let layout = connection.layout(&person.signed, "Send this link");
    Ok(page(200, &MadePage { layout, connection, address }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

/// `POST /connections/{id}/links/{link}/revoke`
pub(super) async fn revoke(person: Person<Tokens>, visit: Visit) -> Shown {
    let (id, link) = (visit.part("id"), visit.part("link"));
    let (Nothing {}, state) = visit.form(&person.signed).await?;
    let (by, of) = (person.by, id.clone());
    state.store.write(Undo::Savepoint, move |tx| links::revoke(tx, &by, &of, &link)).await?;
    Ok(on_to(&format!("/connections/{id}/links?done=revoked")).finish())
}
