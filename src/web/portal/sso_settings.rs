//! What is agreed with the OpenID provider, as a page. Whoever changes it decides who can be anybody, so it is for those
//! who may do everything.

use std::collections::BTreeMap;

use askama::Template;

use super::admins::{Runner, within_own};
use super::first_run::{Problem, problem_of};
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::Visit;
use super::sso::redirect_uri;
use crate::directory::sso::{self as agreed, ClientSecret};
use crate::error::Error;
use crate::model::admin::{OWNER, Role};
use crate::model::sso::Agreement;
use crate::secret;
use crate::settings::trusted_url;
use crate::store::sso::Kept;
use crate::store::{Undo, admins};
use crate::web::sso;
use crate::web::state::State;

/// What the form sends, by name of the field.
type Fields = BTreeMap<String, String>;

/// Longest secret that is taken, in bytes.
const SECRET_MAX_BYTES: usize = 1024;

#[derive(Template)]
#[template(path = "portal/sso_settings.html")]
struct SsoPage {
    layout: Layout,
    tab: &'static str,
    redirect_uri: String,
    /// Whether there is a provider, and whether its client has a secret.
    is_kept: bool,
    has_secret: bool,
    /// Whether the settings of the server name the provider, and not this page.
    is_given: bool,
    fields: Fields,
    /// Those that may be given by signing in.
    roles: Vec<Role>,
    problems: Vec<Problem>,
}

impl SsoPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    fn is(&self, field: &str, value: &str) -> bool {
        self.value(field) == value
    }

    fn read(person: &Runner, state: &State, fields: Fields, problems: Vec<Problem>) -> Result<Self, Refusal> {
        let kept = sso::kept(state)?;
        let mut roles = state.store.read_inline(admins::roles)?;
        roles.retain(|role| role.id != OWNER);
        let layout = Layout::new("Single sign-on", Some(&person.signed), Place::Settings);
        Ok(Self {
            layout,
            tab: "sso",
            redirect_uri: redirect_uri(state),
            is_kept: kept.is_some(),
            is_given: state.callers.provider.is_some(),
            has_secret: kept.is_some_and(|kept| kept.client_secret.is_some()),
            fields,
            roles,
            problems,
        })
    }
}

/// Refuses those who could rise above themselves: who names the provider can make it vouch for an owner.
pub(super) fn check_may(person: &Runner) -> Result<(), Refusal> {
    crate::model::admin::built_in().iter().try_for_each(|role| within_own(person, role))
}

/// `GET /settings/sso`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let agreement = sso::kept(&visit.state)?.map_or_else(Agreement::suggested, |kept| kept.agreement);
    Ok(page(200, &SsoPage::read(&person, &visit.state, fields_of(&agreement), Vec::new())?))
}

fn fields_of(agreement: &Agreement) -> Fields {
    let tick = |is: bool| if is { "on".to_owned() } else { String::new() };
    let lines: Vec<String> = agreement.roles.iter().map(|(value, role)| format!("{value} = {role}")).collect();
    let fields = [
        ("is_on", tick(agreement.is_on)),
        ("issuer", agreement.issuer.clone()),
        ("client_id", agreement.client_id.clone()),
        ("scopes", agreement.scopes.clone()),
        ("label", agreement.label.clone()),
        ("only", tick(agreement.only)),
        ("trusts_emails", tick(agreement.trusts_emails)),
        ("adds_people", tick(agreement.adds_people)),
        ("domains", agreement.domains.join(" ")),
        ("default_role", agreement.default_role.clone().unwrap_or_default()),
        ("role_claim", agreement.role_claim.clone()),
        ("roles", lines.join("\n")),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the form says; the second are lines of the table that cannot be read.
fn agreement_of(fields: &Fields) -> (Agreement, Vec<Problem>) {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let is = |name: &str| text(name) == "on";
    let separators = [',', ';', ' ', '\n', '\r', '\t'];
    let table = text("roles");
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut roles, mut problems) = (Vec::new(), Vec::new());
    for line in lines {
        match line.rsplit_once('=').map(|(value, role)| (value.trim(), role.trim())) {
            Some((value, role)) if !value.is_empty() && !role.is_empty() => {
                roles.push((value.to_owned(), role.to_owned()));
            }
            _ => {
                let sentence = format!("“{line}” is no line such as: admins = provisioning-manager");
                problems.push(Problem { field: "roles", sentence });
            }
        }
    }
    let domains = text("domains").to_lowercase();
    let agreement = Agreement {
        is_on: is("is_on"),
        issuer: text("issuer"),
        client_id: text("client_id"),
        scopes: text("scopes"),
        label: text("label"),
        only: is("only"),
        trusts_emails: is("trusts_emails"),
        adds_people: is("adds_people"),
        domains: domains.split(separators).filter(|domain| !domain.is_empty()).map(str::to_owned).collect(),
        default_role: Some(text("default_role")).filter(|role| !role.is_empty()),
        role_claim: text("role_claim"),
        roles,
    };
    (agreement, problems)
}

/// What becomes of the client's secret. It belongs to one client of one issuer: it is never sent to another.
fn secret_of(
    fields: &Fields,
    agreement: &Agreement,
    kept: Option<&Kept>,
    state: &State,
) -> Result<ClientSecret, Problem> {
    let refused = |sentence: &str| Problem { field: "client_secret", sentence: sentence.to_owned() };
    let typed = fields.get("client_secret").map_or("", |text| text.trim());
    if fields.get("no_secret").is_some_and(|value| value == "on") {
        return Ok(ClientSecret::None);
    }
    if typed.is_empty() {
        let known = kept.filter(|kept| kept.client_secret.is_some());
        let Some(known) = known else { return Err(refused("Give the client secret, or say that there is none.")) };
        let is_same = known.agreement.issuer == agreement.issuer && known.agreement.client_id == agreement.client_id;
        let sentence = "Give the client secret again: the one that is kept belongs to another issuer or client.";
        return if is_same { Ok(ClientSecret::Kept) } else { Err(refused(sentence)) };
    }
    if typed.len() > SECRET_MAX_BYTES || typed.chars().any(char::is_control) {
        return Err(refused("This is too long for a client secret."));
    }
    let random = secret::random_bytes().map_err(|_| refused("The server has no random numbers. Try again."))?;
    let sealed = sso::sealer(state, &agreement.issuer).seal(&random, typed.as_bytes().to_vec());
    sealed.map(ClientSecret::New).ok_or_else(|| refused("It cannot be kept. Try again."))
}

/// `POST /settings/sso`
pub(super) async fn save(person: Runner, visit: Visit) -> Shown {
    let (mut fields, state) = visit.form::<Fields>(&person.signed).await?;
    check_may(&person)?;
    let kept = sso::kept(&state)?;
    let (mut agreement, mut problems) = agreement_of(&fields);
    if let Some(given) = &state.callers.provider {
        agreement = sso::with_given(agreement, given);
        fields.insert("no_secret".to_owned(), "on".to_owned());
    }
    if let Err(sentence) = trusted_url(&agreement.issuer) {
        problems.push(Problem { field: "issuer", sentence: format!("The issuer cannot be used: {sentence}.") });
    }
    problems.extend(agreement.problems().into_iter().map(|(field, sentence)| Problem { field, sentence }));
    let client_secret = secret_of(&fields, &agreement, kept.as_ref(), &state);
    // It is not sent back to the browser.
    fields.remove("client_secret");
    let client_secret = client_secret.map_err(|problem| problems.push(problem));
    let (Ok(client_secret), true) = (client_secret, problems.is_empty()) else {
        return Ok(page(422, &SsoPage::read(&person, &state, fields, problems)?));
    };
    let by = person.by.clone();
    match state.store.write(Undo::Savepoint, move |tx| agreed::keep(tx, &by, &agreement, client_secret)).await {
        Ok(()) => Ok(on_to("/settings/sso?done=saved").finish()),
        Err(Error::Refused(why)) => Ok(page(422, &SsoPage::read(&person, &state, fields, vec![problem(&why)])?)),
        Err(error) => Err(error.into()),
    }
}

/// A refusal whose text begins with the field.
fn problem(why: &str) -> Problem {
    let (field, rest) = why.split_once(": ").unwrap_or(("issuer", why));
    let field = ["default_role", "roles", "only"].into_iter().find(|known| *known == field).unwrap_or("issuer");
    Problem { field, sentence: format!("Not saved: {rest}.") }
}

/// `POST /settings/sso/remove`
pub(super) async fn remove(person: Runner, visit: Visit) -> Shown {
    let (_, state) = visit.form::<Fields>(&person.signed).await?;
    check_may(&person)?;
    let by = person.by;
    state.store.write(Undo::Savepoint, move |tx| agreed::remove(tx, &by)).await?;
    Ok(on_to("/settings/sso?done=sso-removed").finish())
}
