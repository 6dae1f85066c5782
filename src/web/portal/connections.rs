//! Configurations, which people call connections: the list, and the making of a new one.

use std::borrow::Cow;

use askama::Template;
use serde::Deserialize;

use super::doctor::running;
use super::first_run::{Problem, problem_of};
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{Person, Visit};
use super::shown_once;
use crate::clock;
use crate::directory::configurations::{self, NewConfiguration};
use crate::directory::overview::{self, Overview, Wanted};
use crate::directory::tokens::TokenDraft;
use crate::doctor::{self, Finding};
use crate::error::Error;
use crate::model::account;
use crate::model::configuration::check_name;
use crate::model::provider::{self, PROVIDERS, Provider};
use crate::model::standing::{Standing, ago};
use crate::secret::Token;
use crate::store::{Snapshot, Undo, accounts};
use crate::web::access::{Create, Read};
use crate::web::state::State;

/// Connections on a page.
const PER_PAGE: usize = 50;

#[derive(Template)]
#[template(path = "portal/connections.html")]
struct ListPage {
    layout: Layout,
    query: Query,
    found: Vec<Overview>,
    total: usize,
    page: usize,
    pages: usize,
    now: i64,
    /// What those who run the server should know, whatever they came for.
    urgent: Vec<Finding>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    text: String,
    state: String,
    provider: String,
    page: usize,
}

impl Query {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.state.is_empty() && self.provider.is_empty()
    }

    /// The address of another page of the same list.
    fn at(&self, page: usize) -> String {
        let encoded = super::form::encoded;
        format!("/connections?text={}&state={}&provider={}&page={page}", encoded(&self.text), self.state, self.provider)
    }
}

impl ListPage {
    fn standings() -> [Standing; 6] {
        Standing::ALL
    }

    fn providers() -> &'static [Provider] {
        &PROVIDERS
    }

    fn last_call(&self, one: &Overview) -> Cow<'static, str> {
        one.configuration.last_seen.map_or(Cow::Borrowed("never"), |at| Cow::Owned(ago(self.now - at)))
    }
}

/// `GET /connections`
pub(super) async fn list(person: Person<Read>, visit: Visit) -> Shown {
    let query: Query = visit.query();
    let wanted = Wanted { text: query.text.clone(), standing: query.state.clone(), provider: query.provider.clone() };
    let (reach, now) = (person.by.reach.clone(), clock::now());
    let (state, runs_it) = (visit.state.clone(), person.signed.runs_the_server());
    let look = move |at: &Snapshot<'_>| {
        let urgent = || doctor::urgent(&state.settings, &state.store, &running(&state), now);
        Ok((overview::list(at, &reach, &wanted, now)?, if runs_it { urgent() } else { Vec::new() }))
    };
    let (mut found, urgent) = super::read_aside(&visit.state, look).await?;
    let total = found.len();
    let pages = total.div_ceil(PER_PAGE).max(1);
    let at = query.page.clamp(1, pages);
    found = found.into_iter().skip((at - 1) * PER_PAGE).take(PER_PAGE).collect();
    let layout = Layout::new("Connections", Some(&person.signed), Place::Connections);
    Ok(page(200, &ListPage { layout, query, found, total, page: at, pages, now, urgent }))
}

#[derive(Template)]
#[template(path = "portal/new_connection.html")]
struct NewPage {
    layout: Layout,
    fields: Fields,
    accounts: Vec<account::Account>,
    problems: Vec<Problem>,
}

impl NewPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn providers() -> &'static [Provider] {
        &PROVIDERS
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    provider: String,
    name: String,
    account: String,
    sync: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Prefill {
    account: String,
}

fn new_page(person: &Person<Create>, state: &State, status: u16, fields: Fields, problems: Vec<Problem>) -> Shown {
    let own = person.by.reach.account().map(str::to_owned);
    // Suggestions only: an account may also be made by its first use.
    let accounts = state.store.read_inline(|at| accounts::list(at, own.as_deref(), None, 200))?;
    let layout = Layout::new("Add a connection", Some(&person.signed), Place::Connections);
    Ok(page(status, &NewPage { layout, fields, accounts, problems }))
}

/// `GET /connections/new`
pub(super) async fn show_new(person: Person<Create>, visit: Visit) -> Shown {
    let prefill: Prefill = visit.query();
    let account = person.by.reach.account().map_or(prefill.account, str::to_owned);
    let fields = Fields { account, sync: "on".to_owned(), ..Fields::default() };
    new_page(&person, &visit.state, 200, fields, Vec::new())
}

/// `POST /connections/new`
pub(super) async fn create(person: Person<Create>, visit: Visit) -> Shown {
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let account = person.by.reach.account().map_or_else(|| fields.account.trim().to_owned(), str::to_owned);
    let problems = problems(&fields, &account);
    let Some(provider) = provider::by_key(&fields.provider).filter(|_| problems.is_empty()) else {
        return new_page(&person, &state, 422, fields, problems);
    };
    let token = Token::generate().map_err(|_| Error::Busy)?;
    let name = fields.name.trim();
    let new = NewConfiguration {
        id: clock::new_id(),
        account,
        connection_name: (!name.is_empty()).then(|| name.to_owned()),
        source: provider.source,
        provider: provider.provider.map(str::to_owned),
        preset: None,
        sync: fields.sync == "on",
        token: TokenDraft::new(clock::new_id(), &token, "first token"),
    };
    let by = person.by.clone();
    let made = state.store.write(Undo::Savepoint, move |tx| configurations::create(tx, &by, &new)).await;
    match made {
        Ok(made) => {
            let cookie = shown_once::keep(&state, &person.signed, &made.id, token.reveal()).await?;
            Ok(on_to(&format!("/connections/{}/token", made.id)).cookie(cookie).finish())
        }
        Err(Error::Conflict(_)) => {
            let sentence = "This account has a connection of that name already. Choose another.".to_owned();
            new_page(&person, &state, 422, fields, vec![Problem { field: "name", sentence }])
        }
        Err(error) => Err(Refusal::from(error)),
    }
}

fn problems(fields: &Fields, account: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut note = |field, sentence: String| problems.push(Problem { field, sentence });
    if provider::by_key(&fields.provider).is_none() {
        note("provider", "Choose the identity provider.".to_owned());
    }
    if account.is_empty() {
        note("account", "Say which account it is for: your own id of the customer.".to_owned());
    } else if let Err(refused) = account::check_id(account) {
        note("account", refused);
    }
    if !fields.name.trim().is_empty()
        && let Err(refused) = check_name(&fields.name)
    {
        note("name", refused.replace("connectionName", "The name"));
    }
    problems
}
