//! API keys: the credentials of the operator's own programs.

use std::collections::BTreeMap;

use askama::Template;

use super::admins::Runner;
use super::first_run::{Problem, problem_of};
use super::moments;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::roles::{offered, ticked};
use super::session::Visit;
use super::shown_once;
use super::zone::Zone;
use crate::clock;
use crate::directory::api_keys::{self, NewApiKey, usual_permissions};
use crate::error::Error;
use crate::model::account::{self, Account};
use crate::model::permission::{Permission, Permissions};
use crate::secret::Token;
use crate::store::api_keys::{self as rows, ApiKey};
use crate::store::{Undo, accounts};
use crate::web::state::State;

/// Keys on a page.
const PER_PAGE: u32 = 100;

/// What the form sends, by name of the field; a permission that is ticked is sent under its word.
type Fields = BTreeMap<String, String>;

#[derive(Template)]
#[template(path = "portal/keys.html")]
struct KeysPage {
    layout: Layout,
    tab: &'static str,
    found: Vec<ApiKey>,
    next: Option<String>,
    now: i64,
}

impl KeysPage {
    fn made(key: &ApiKey) -> (String, String) {
        moment(key.created_at)
    }

    fn last_used(key: &ApiKey) -> Option<(String, String)> {
        key.last_used_at.map(moment)
    }

    fn expires(key: &ApiKey) -> Option<(String, String)> {
        key.expires_at.map(moment)
    }
}

fn moment(at: i64) -> (String, String) {
    (clock::rfc3339(at), moments::shown(at))
}

/// `GET /settings/keys`
pub(super) async fn list(person: Runner, visit: Visit) -> Shown {
    let after = visit.query::<Fields>().remove("after");
    let mut found =
        super::read_aside(&visit.state, move |at| rows::list(at, None, after.as_deref(), PER_PAGE + 1)).await?;
    let has_more = found.len() > PER_PAGE as usize;
    found.truncate(PER_PAGE as usize);
    let next = found.last().filter(|_| has_more).map(|last| format!("/settings/keys?after={}", last.id));
    let layout = Layout::new("API keys", Some(&person.signed), Place::Settings);
    Ok(page(200, &KeysPage { layout, tab: "keys", found, next, now: clock::now() }))
}

#[derive(Template)]
#[template(path = "portal/new_key.html")]
struct NewPage {
    layout: Layout,
    tab: &'static str,
    fields: Fields,
    permissions: Vec<(Permission, &'static str, bool)>,
    accounts: Vec<Account>,
    problems: Vec<Problem>,
}

impl NewPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

fn new_page(person: &Runner, state: &State, now: Permissions, fields: Fields, problems: Vec<Problem>) -> Shown {
    let accounts = state.store.read_inline(|at| accounts::list(at, None, None, 200))?;
    let layout = Layout::new("Make an API key", Some(&person.signed), Place::Settings);
    let permissions = offered(person.signed.permissions, now);
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(page(status, &NewPage { layout, tab: "keys", fields, permissions, accounts, problems }))
}

/// `GET /settings/keys/new`
pub(super) async fn show_new(person: Runner, visit: Visit) -> Shown {
    new_page(&person, &visit.state, person.signed.permissions, Fields::new(), Vec::new())
}

/// `POST /settings/keys/new`
pub(super) async fn create(person: Runner, visit: Visit) -> Shown {
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let asked = ticked(&fields).both(person.signed.permissions);
    let secret = Token::generate_key().map_err(|_| Error::Busy)?;
    let new = match read(&fields, asked, &secret) {
        Ok(new) => new,
        Err(problems) => return new_page(&person, &state, asked, fields, problems),
    };
    let by = person.by.clone();
    match state.store.write(Undo::Savepoint, move |tx| api_keys::create(tx, &by, &new)).await {
        Ok(made) => {
            let cookie = shown_once::keep(&state, &person.signed, &made.id, secret.reveal()).await?;
            Ok(on_to(&format!("/settings/keys/{}", made.id)).cookie(cookie).finish())
        }
        Err(Error::Refused(detail) | Error::Conflict(detail)) => {
            let field = if detail.starts_with("permissions") { "permissions" } else { "name" };
            let problems = vec![Problem { field, sentence: format!("Not made: {detail}.") }];
            new_page(&person, &state, asked, fields, problems)
        }
        Err(error) => Err(error.into()),
    }
}

fn read(fields: &Fields, asked: Permissions, secret: &Token) -> Result<NewApiKey, Vec<Problem>> {
    let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
    let mut problems = Vec::new();
    let account = Some(text("account")).filter(|account| !account.is_empty());
    if let Some(Err(sentence)) = account.as_deref().map(account::check_id) {
        problems.push(Problem { field: "account", sentence });
    }
    let last_day = Some(text("expires")).filter(|day| !day.is_empty());
    let expires_at = last_day.as_deref().and_then(|day| Zone::utc().end_of_day(day));
    if last_day.is_some() && expires_at.is_none_or(|end| end <= clock::now()) {
        let sentence = "Give a day that is not over, such as 2027-01-31, or none.".to_owned();
        problems.push(Problem { field: "expires", sentence });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    // The key of an account does not run the server.
    let permissions = usual_permissions(account.as_deref(), asked);
    Ok(NewApiKey { account, permissions, expires_at, ..NewApiKey::new(clock::new_id(), secret, text("name")) })
}

#[derive(Template)]
#[template(path = "portal/key.html")]
struct KeyPage {
    layout: Layout,
    tab: &'static str,
    key: ApiKey,
    /// The secret, while it may be seen.
    secret: Option<String>,
}

/// `GET /settings/keys/{id}`: a key; right after it was made, with its secret.
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let key = visit.state.store.read_inline(|at| api_keys::within(at, &person.by.reach, &visit.part("id")))?;
    let secret = shown_once::reveal(&visit, &person.signed, &key.id)?;
    let layout = Layout::new(format!("API key · {}", key.name), Some(&person.signed), Place::Settings);
    Ok(page(200, &KeyPage { layout, tab: "keys", key, secret }))
}

/// `POST /settings/keys/{id}/revoke`
pub(super) async fn revoke(person: Runner, visit: Visit) -> Shown {
    let id = visit.part("id");
    let (_, state) = visit.form::<Fields>(&person.signed).await?;
    let by = person.by;
    state.store.write(Undo::Savepoint, move |tx| api_keys::revoke(tx, &by, &id)).await.map_err(Refusal::from)?;
    Ok(on_to("/settings/keys?done=revoked").finish())
}
