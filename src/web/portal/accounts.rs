//! Accounts: the customers of the operator, with their connections.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use super::first_run::{Problem, problem_of};
use super::moments;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{Person, Visit};
use crate::clock;
use crate::directory::accounts;
use crate::directory::configurations::Content;
use crate::directory::overview::{self, Overview, Wanted};
use crate::error::Error;
use crate::model::account::{self, Account};
use crate::model::{names, standing};
use crate::store::Undo;
use crate::web::access::{Operator, Read, System};

/// Accounts on a page.
const PER_PAGE: u32 = 50;

/// Stands before ids that could be taken for something else.
const MARK: &str = "~";

#[derive(Template)]
#[template(path = "portal/accounts.html")]
struct ListPage {
    layout: Layout,
    found: Vec<Account>,
    /// Whether these are not the first ones.
    is_later: bool,
    /// Address of the next page.
    next: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    after: Option<String>,
}

/// `GET /accounts`
pub(super) async fn list(person: Person<Read>, visit: Visit) -> Shown {
    let (query, reach) = (visit.query::<Query>(), person.by.reach.clone());
    let is_later = query.after.is_some();
    let mut found =
        super::read_aside(&visit.state, move |at| accounts::list(at, &reach, query.after.as_deref(), PER_PAGE + 1))
            .await?;
    let has_more = found.len() > PER_PAGE as usize;
    found.truncate(PER_PAGE as usize);
    let last = found.last().filter(|_| has_more);
    let next = last.map(|last| format!("/accounts?after={}", super::form::encoded(&last.id)));
    let layout = Layout::new("Accounts", Some(&person.signed), Place::Accounts);
    Ok(page(200, &ListPage { layout, found, is_later, next }))
}

impl ListPage {
    fn address(id: &str) -> String {
        address(id)
    }
}

/// The page of an account. Its id is any text, so it is encoded, slashes too. Three ids mean something else in an address,
/// also when they are encoded: those stand behind a mark, and so does what begins with it.
fn address(id: &str) -> String {
    let mark = if matches!(id, "new" | "." | "..") || id.starts_with(MARK) { MARK } else { "" };
    format!("/accounts/{mark}{}", super::form::encoded(id).replace('/', "%2F"))
}

/// The id in the address of an account's page.
fn id_in(visit: &Visit) -> String {
    let part = visit.part("id");
    part.strip_prefix(MARK).map(str::to_owned).unwrap_or(part)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    id: String,
    name: String,
}

#[derive(Template)]
#[template(path = "portal/new_account.html")]
struct NewPage {
    layout: Layout,
    fields: Fields,
    problems: Vec<Problem>,
}

impl NewPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }
}

fn new_page(person: &Person<Operator<System>>, status: u16, fields: Fields, problems: Vec<Problem>) -> HttpResponse {
    let layout = Layout::new("Add an account", Some(&person.signed), Place::Accounts);
    page(status, &NewPage { layout, fields, problems })
}

/// `GET /accounts/new`
pub(super) async fn show_new(person: Person<Operator<System>>) -> Shown {
    Ok(new_page(&person, 200, Fields::default(), Vec::new()))
}

/// `POST /accounts/new`
pub(super) async fn create(person: Person<Operator<System>>, visit: Visit) -> Shown {
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let (id, name) = (fields.id.trim().to_owned(), fields.name.trim().to_owned());
    let mut problems = Vec::new();
    if let Err(sentence) = account::check_id(&id) {
        problems.push(Problem { field: "id", sentence });
    }
    if !name.is_empty() && names::check("The name", &name).is_err() {
        problems.push(name_problem());
    }
    if !problems.is_empty() {
        return Ok(new_page(&person, 422, fields, problems));
    }
    let (by, wanted) = (person.by.clone(), id.clone());
    let name = (!name.is_empty()).then_some(name);
    let made = state.store.write(Undo::Savepoint, move |tx| accounts::create(tx, &by, &wanted, name.as_deref())).await;
    match made {
        Ok(_) => Ok(on_to(&format!("{}?done=account", address(&id))).finish()),
        Err(Error::Conflict(_)) => {
            let sentence = "There is an account with this id already.".to_owned();
            Ok(new_page(&person, 422, fields, vec![Problem { field: "id", sentence }]))
        }
        Err(error) => Err(error.into()),
    }
}

fn name_problem() -> Problem {
    let sentence = format!("The name must have 1 to {} characters.", names::MAX_CHARS);
    Problem { field: "name", sentence }
}

#[derive(Template)]
#[template(path = "portal/account.html")]
struct AccountPage {
    layout: Layout,
    account: Account,
    connections: Vec<Overview>,
    name: String,
    problems: Vec<Problem>,
    now: i64,
}

impl AccountPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn address(&self) -> String {
        address(&self.account.id)
    }

    fn add_connection(&self) -> String {
        format!("/connections/new?account={}", super::form::encoded(&self.account.id))
    }

    fn created(&self) -> (String, String) {
        (clock::rfc3339(self.account.created_at), moments::shown(self.account.created_at))
    }

    fn last_call(&self, one: &Overview) -> String {
        one.configuration.last_seen.map_or_else(|| "never".to_owned(), |at| standing::ago(self.now - at))
    }

    /// Whether the person may change and delete it.
    fn is_changeable(&self) -> bool {
        self.layout.may("system.admin") && self.layout.own_account().is_none()
    }
}

/// What its page shows.
async fn read<N>(person: &Person<N>, visit: &Visit) -> Result<AccountPage, Refusal> {
    let (id, reach, now) = (id_in(visit), person.by.reach.clone(), clock::now());
    let (account, connections) = super::read_aside(&visit.state, move |at| {
        let account = accounts::within(at, &reach, &id)?;
        let own = crate::model::actor::Reach::Account(account.id.clone());
        Ok((account, overview::list(at, &own, &Wanted::default(), now)?))
    })
    .await?;
    let layout = Layout::new(account.name.clone(), Some(&person.signed), Place::Accounts);
    let name = account.name.clone();
    Ok(AccountPage { layout, account, connections, name, problems: Vec::new(), now })
}

/// `GET /accounts/{id}`
pub(super) async fn show(person: Person<Read>, visit: Visit) -> Shown {
    Ok(page(200, &read(&person, &visit).await?))
}

/// `POST /accounts/{id}`: another name.
pub(super) async fn rename(person: Person<Operator<System>>, visit: Visit) -> Shown {
    let mut shown = read(&person, &visit).await?;
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    if names::check("The name", &fields.name).is_err() {
        shown.name = fields.name;
        shown.problems.push(name_problem());
        return Ok(page(422, &shown));
    }
    let (by, id) = (person.by, shown.account.id.clone());
    state.store.write(Undo::Savepoint, move |tx| accounts::rename(tx, &by, &id, &fields.name)).await?;
    Ok(on_to(&format!("{}?done=saved", shown.address())).finish())
}

#[derive(Template)]
#[template(path = "portal/delete_account.html")]
struct DeletePage {
    layout: Layout,
    account: Account,
    problems: Vec<Problem>,
    purge: bool,
}

impl DeletePage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn address(&self) -> String {
        address(&self.account.id)
    }

    fn of(person: &Person<Operator<System>>, account: Account, problems: Vec<Problem>, purge: bool) -> Self {
        let layout = Layout::new(format!("Delete · {}", account.name), Some(&person.signed), Place::Accounts);
        Self { layout, account, problems, purge }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteFields {
    id: String,
    purge: String,
}

/// `GET /accounts/{id}/delete`
pub(super) async fn show_delete(person: Person<Operator<System>>, visit: Visit) -> Shown {
    let account = visit.state.store.read_inline(|at| accounts::within(at, &person.by.reach, &id_in(&visit)))?;
    Ok(page(200, &DeletePage::of(&person, account, Vec::new(), false)))
}

/// `POST /accounts/{id}/delete`
pub(super) async fn delete(person: Person<Operator<System>>, visit: Visit) -> Shown {
    let account = visit.state.store.read_inline(|at| accounts::within(at, &person.by.reach, &id_in(&visit)))?;
    let (fields, state) = visit.form::<DeleteFields>(&person.signed).await?;
    let purge = fields.purge == "on";
    if fields.id.trim() != account.id {
        let sentence = format!("Type the id exactly: {}", account.id);
        let problems = vec![Problem { field: "id", sentence }];
        return Ok(page(422, &DeletePage::of(&person, account, problems, purge)));
    }
    let (by, id) = (person.by.clone(), account.id.clone());
    let content = if purge { Content::Purge } else { Content::Keep };
    match state.store.write(Undo::Savepoint, move |tx| accounts::delete(tx, &by, &id, content)).await {
        Ok(()) => Ok(on_to("/accounts?done=account-deleted").finish()),
        Err(Error::Conflict(detail)) => {
            let problems = vec![Problem { field: "purge", sentence: format!("Not deleted: {detail}.") }];
            Ok(page(422, &DeletePage::of(&person, account, problems, purge)))
        }
        Err(error) => Err(error.into()),
    }
}
