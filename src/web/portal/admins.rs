//! The people of the portal: who there is, what each may do, and who may sign in.

use askama::Template;
use serde::Deserialize;

use super::first_run::{Problem, problem_of};
use super::moments;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{self, Visit};
use crate::clock;
use crate::directory::{admins, roles, sso};
use crate::error::Error;
use crate::model::account::Account;
use crate::model::admin::{Admin, Role, check_name, check_password, email_key};
use crate::scim::password;
use crate::store::{Undo, accounts, admins as rows, sso as identities};
use crate::web::access::{Operator, System};
use crate::web::state::State;

/// Whoever may run the server.
pub(super) type Runner = session::Person<Operator<System>>;

/// Refuses to give, or take from, anybody what the person may not do: nobody rises above themselves.
pub(super) fn within_own(person: &Runner, role: &Role) -> Result<(), Refusal> {
    if role.permissions.both(person.signed.permissions) == role.permissions {
        return Ok(());
    }
    let detail = format!("“{}” may do more than you, so you cannot give it, take it or change it.", role.name);
    Err(Refusal::Because { status: 403, detail })
}

#[derive(Template)]
#[template(path = "portal/admins.html")]
struct PeoplePage {
    layout: Layout,
    tab: &'static str,
    found: Vec<Admin>,
    roles: Vec<Role>,
}

impl PeoplePage {
    fn role(&self, of: &Admin) -> &str {
        self.roles.iter().find(|role| role.id == of.role).map_or("none", |role| &role.name)
    }

    fn last_sign_in(one: &Admin) -> Option<(String, String)> {
        one.last_sign_in_at.map(|at| (clock::rfc3339(at), moments::shown(at)))
    }
}

/// `GET /settings/people`
pub(super) async fn list(person: Runner, visit: Visit) -> Shown {
    let (found, roles) = super::read_aside(&visit.state, |at| Ok((rows::list(at)?, rows::roles(at)?))).await?;
    let layout = Layout::new("People", Some(&person.signed), Place::Settings);
    Ok(page(200, &PeoplePage { layout, tab: "people", found, roles }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    email: String,
    name: String,
    role: String,
    account: String,
    password: String,
}

impl Fields {
    /// The account the role is limited to; empty for all.
    fn account(&self) -> Option<String> {
        Some(self.account.trim()).filter(|account| !account.is_empty()).map(str::to_owned)
    }
}

/// What the forms about one person show.
#[derive(Template)]
#[template(path = "portal/person.html")]
struct PersonPage {
    layout: Layout,
    tab: &'static str,
    /// Who it is about; nobody yet where somebody is added.
    one: Option<Admin>,
    fields: Fields,
    roles: Vec<Role>,
    accounts: Vec<Account>,
    /// Who the person is at providers of single sign-on: issuer and id there.
    identities: Vec<(String, String)>,
    problems: Vec<Problem>,
}

impl PersonPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn read(
        person: &Runner,
        state: &State,
        one: Option<Admin>,
        fields: Fields,
        problems: Vec<Problem>,
    ) -> Result<Self, Refusal> {
        let (roles, accounts, identities) = state.store.read_inline(|at| {
            let identities = one.as_ref().map_or(Ok(Vec::new()), |one| identities::identities(at, &one.id))?;
            Ok((rows::roles(at)?, accounts::list(at, None, None, 200)?, identities))
        })?;
        let roles = roles.into_iter().filter(|role| within_own(person, role).is_ok()).collect();
        let title = one.as_ref().map_or("Add a person", |one| &one.name);
        let layout = Layout::new(title, Some(&person.signed), Place::Settings);
        Ok(Self { layout, tab: "people", one, fields, roles, accounts, identities, problems })
    }
}

/// `GET /settings/people/new`
pub(super) async fn show_new(person: Runner, visit: Visit) -> Shown {
    let fields = Fields { role: "viewer".to_owned(), ..Fields::default() };
    Ok(page(200, &PersonPage::read(&person, &visit.state, None, fields, Vec::new())?))
}

/// `POST /settings/people/new`
pub(super) async fn create(person: Runner, visit: Visit) -> Shown {
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let mut problems = problems(&fields);
    problems.extend(email_key(&fields.email).err().map(|sentence| Problem { field: "email", sentence }));
    if !problems.is_empty() {
        return Ok(page(422, &PersonPage::read(&person, &state, None, fields, problems)?));
    }
    let role = fields.role.clone();
    if let Ok(role) = state.store.read_inline(|at| roles::by_id(at, &role)) {
        within_own(&person, &role)?;
    }
    let password_digest = match fields.password.as_str() {
        "" => None,
        text => Some(state.hashing.hash_in_turn(password::read(text)?).await?.0),
    };
    let new = admins::Person {
        id: clock::new_id(),
        email: fields.email.clone(),
        name: fields.name.clone(),
        role,
        account: fields.account(),
        password_digest,
    };
    let by = person.by.clone();
    match state.store.write(Undo::Savepoint, move |tx| admins::create(tx, &by, &new)).await {
        Ok(_) => Ok(on_to("/settings/people?done=person").finish()),
        Err(error) => {
            let problem = problem(error)?;
            Ok(page(422, &PersonPage::read(&person, &state, None, fields, vec![problem])?))
        }
    }
}

/// What the form can mend.
fn problem(error: Error) -> Result<Problem, Refusal> {
    match error {
        Error::Conflict(sentence) => Ok(Problem { field: "email", sentence }),
        Error::Refused(sentence) if sentence.contains("account") => Ok(Problem { field: "account", sentence }),
        Error::Refused(sentence) => Ok(Problem { field: "role", sentence }),
        error => Err(error.into()),
    }
}

fn problems(fields: &Fields) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Err(sentence) = check_name(&fields.name) {
        problems.push(Problem { field: "name", sentence });
    }
    if !fields.password.is_empty()
        && let Err(sentence) = check_password(&fields.password, &fields.email)
    {
        problems.push(Problem { field: "password", sentence });
    }
    problems
}

/// The person in the path, whom this one may change.
fn read(person: &Runner, visit: &Visit) -> Result<Admin, Refusal> {
    let id = visit.part("id");
    let (found, role) = visit.state.store.read_inline(|at| {
        let found = admins::by_id(at, &id)?;
        let role = rows::role(at, &found.role)?;
        Ok((found, role))
    })?;
    role.map_or(Ok(()), |role| within_own(person, &role))?;
    Ok(found)
}

fn fields_of(one: &Admin) -> Fields {
    Fields {
        name: one.name.clone(),
        role: one.role.clone(),
        account: one.account.clone().unwrap_or_default(),
        ..Fields::default()
    }
}

/// `GET /settings/people/{id}`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let one = read(&person, &visit)?;
    let fields = fields_of(&one);
    Ok(page(200, &PersonPage::read(&person, &visit.state, Some(one), fields, Vec::new())?))
}

/// `POST /settings/people/{id}`: name, role and account.
pub(super) async fn change(person: Runner, visit: Visit) -> Shown {
    let one = read(&person, &visit)?;
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    if let Ok(role) = state.store.read_inline(|at| roles::by_id(at, &fields.role)) {
        within_own(&person, &role)?;
    }
    let changed =
        Admin { name: fields.name.clone(), role: fields.role.clone(), account: fields.account(), ..one.clone() };
    let problems = problems(&Fields { password: String::new(), name: fields.name.clone(), ..Fields::default() });
    let refused = if problems.is_empty() { save(&person, &state, changed).await? } else { problems };
    if refused.is_empty() {
        return Ok(on_to(&format!("/settings/people/{}?done=saved", one.id)).finish());
    }
    Ok(page(422, &PersonPage::read(&person, &state, Some(one), fields, refused)?))
}

/// Writes the change; what keeps it from being made is a problem of the form.
async fn save(person: &Runner, state: &State, changed: Admin) -> Result<Vec<Problem>, Refusal> {
    let by = person.by.clone();
    let saved = state.store.write(Undo::Savepoint, move |tx| admins::change(tx, &by, &changed)).await;
    match saved {
        Ok(()) => Ok(Vec::new()),
        Err(Error::Conflict(sentence)) => Ok(vec![Problem { field: "role", sentence: sentence_of(&sentence) }]),
        Err(error) => Ok(vec![problem(error)?]),
    }
}

fn sentence_of(detail: &str) -> String {
    format!("Nothing was changed: {detail}.")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Active {
    active: String,
}

/// `POST /settings/people/{id}/active`: whether the person may sign in.
pub(super) async fn set_active(person: Runner, visit: Visit) -> Shown {
    let one = read(&person, &visit)?;
    let (form, state) = visit.form::<Active>(&person.signed).await?;
    let is_active = form.active == "on";
    let changed = Admin { disabled_at: (!is_active).then(clock::now), ..one.clone() };
    let refused = save(&person, &state, changed).await?;
    if !refused.is_empty() {
        let fields = fields_of(&one);
        return Ok(page(422, &PersonPage::read(&person, &state, Some(one), fields, refused)?));
    }
    let done = if is_active { "enabled" } else { "disabled" };
    Ok(on_to(&format!("/settings/people/{}?done={done}", one.id)).finish())
}

/// `POST /settings/people/{id}/password`: a new one, for somebody who has lost it. One-time codes go off with the old one.
pub(super) async fn set_password(person: Runner, visit: Visit) -> Shown {
    let one = read(&person, &visit)?;
    let (form, state) = visit.form::<Fields>(&person.signed).await?;
    if let Err(sentence) = check_password(&form.password, &one.email) {
        let (fields, problems) = (fields_of(&one), vec![Problem { field: "password", sentence }]);
        return Ok(page(422, &PersonPage::read(&person, &state, Some(one), fields, problems)?));
    }
    let digest = state.hashing.hash_in_turn(password::read(&form.password)?).await?;
    let (by, id) = (person.by, one.id.clone());
    let written = state.store.write(Undo::Savepoint, move |tx| {
        rows::set_totp(tx, &id, None)?;
        admins::set_password(tx, &by, &id, &digest.0, None)
    });
    written.await?;
    Ok(on_to(&format!("/settings/people/{}?done=password", one.id)).finish())
}

#[derive(Deserialize)]
struct Nothing {}

/// `POST /settings/people/{id}/unlink`: forgets who the person is at providers of single sign-on.
pub(super) async fn unlink(person: Runner, visit: Visit) -> Shown {
    let one = read(&person, &visit)?;
    let (_, state) = visit.form::<Nothing>(&person.signed).await?;
    let (by, id) = (person.by, one.id.clone());
    state.store.write(Undo::Savepoint, move |tx| sso::unlink(tx, &by, &id)).await?;
    Ok(on_to(&format!("/settings/people/{}?done=unlinked", one.id)).finish())
}
