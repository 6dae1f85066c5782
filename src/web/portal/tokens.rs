//! Tokens of one connection: which there are, how one takes the place of another, and how one ends.

use std::borrow::Cow;

use askama::Template;
use serde::Deserialize;

use super::connection::Connection;
use super::first_run::{Problem, problem_of};
use super::page::{Layout, Refusal, Shown, on_to, page};
use super::session::{Person, Signed, Visit};
use super::shown_once;
use crate::clock::{self, Millis};
use crate::directory::tokens::{self, TokenChange, TokenDraft};
use crate::error::Error;
use crate::model::actor::Reach;
use crate::model::change::Change;
use crate::model::names;
use crate::model::rights::{Rights, TokenState};
use crate::model::standing::ago;
use crate::secret::Token;
use crate::store::Undo;
use crate::store::tokens::KeptToken;
use crate::web::access::{Read, Tokens};
use crate::web::state::State;

const DAY: Millis = 24 * 60 * 60 * 1000;
/// Tokens on the page; no connection has had more for long.
const SHOWN: u32 = 100;
/// A token that ends sooner is spoken of.
const ENDS_SOON: Millis = 14 * DAY;
/// How long the old token stays, where the new one is to end it.
const OVERLAP: Millis = DAY;

/// Lives to choose from: the word of the form, in days.
const LIVES: [(&str, &str); 5] = [
    ("", "Never"),
    ("30", "After 30 days"),
    ("90", "After 90 days"),
    ("180", "After 180 days"),
    ("365", "After a year"),
];

#[derive(Template)]
#[template(path = "portal/tokens.html")]
struct ListPage {
    layout: Layout,
    connection: Connection,
    tokens: Vec<KeptToken>,
    problems: Vec<Problem>,
}

/// A new token beside the old one.
struct Rotation<'t> {
    new: &'t KeptToken,
    old: &'t KeptToken,
}

impl ListPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn is_live(&self, token: &KeptToken) -> bool {
        token.state(self.connection.now) == TokenState::Live
    }

    fn state(&self, token: &KeptToken) -> &'static str {
        match token.state(self.connection.now) {
            TokenState::Live => "Live",
            TokenState::Expired => "Expired",
            TokenState::Revoked => "Revoked",
        }
    }

    /// The two that live, while one takes the place of the other.
    fn rotation(&self) -> Option<Rotation<'_>> {
        let mut live = self.tokens.iter().filter(|token| self.is_live(token));
        Some(Rotation { new: live.next()?, old: live.next()? })
    }

    fn made(&self, token: &KeptToken) -> String {
        ago(self.connection.now - token.created_at)
    }

    fn has_live(&self) -> bool {
        self.tokens.iter().any(|token| self.is_live(token))
    }

    /// The newest one that lives, where it ends soon by itself.
    fn ending(&self) -> Option<&KeptToken> {
        let newest = self.tokens.iter().find(|token| self.is_live(token))?;
        newest.expires_at.is_some_and(|end| end - self.connection.now < ENDS_SOON).then_some(newest)
    }

    fn end(&self, token: &KeptToken) -> Cow<'static, str> {
        end(token, self.connection.now)
    }
}

/// When a token ends by itself.
fn end(token: &KeptToken, now: Millis) -> Cow<'static, str> {
    token.expires_at.map_or(Cow::Borrowed("never"), |at| Cow::Owned(until(at, now)))
}

/// When something ends, as people say it.
pub(super) fn until(at: Millis, now: Millis) -> String {
    let left = at - now;
    if left <= 0 {
        return ago(-left);
    }
    // Rounded: what was made for seven days ends in seven days, not in six.
    let unit = [DAY, 60 * 60 * 1000, 60 * 1000].into_iter().find(|unit| left >= *unit).unwrap_or(0);
    ago(left + unit / 2).strip_suffix(" ago").map_or_else(|| "at once".to_owned(), |span| format!("in {span}"))
}

/// `GET /connections/{id}/tokens`
pub(super) async fn list(person: Person<Read>, visit: Visit) -> Shown {
    list_page(&visit.state, &person.by.reach, &person.signed, &visit.part("id"), Vec::new()).await
}

async fn list_page(state: &State, reach: &Reach, signed: &Signed, id: &str, problems: Vec<Problem>) -> Shown {
    let connection = Connection::find(state, reach, id, "tokens")?;
    let (reach, id) = (reach.clone(), connection.id().to_owned());
    let tokens = super::read_aside(state, move |at| tokens::list(at, &reach, &id, None, SHOWN)).await?;
    let layout = connection.layout(signed, "Tokens");
    let status = if problems.is_empty() { 200 } else { 422 };
    let mut page_of = ListPage { layout, connection, tokens, problems };
    let is_watched = page_of.rotation().is_some() && status == 200;
    page_of.layout.refresh = is_watched.then_some(10);
    Ok(page(status, &page_of))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EmergencyForm {
    name: String,
}

/// `POST /connections/{id}/tokens/revoke-all`: for a token that has leaked.
pub(super) async fn revoke_all(person: Person<Tokens>, visit: Visit) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, "tokens")?;
    let (form, state) = visit.form::<EmergencyForm>(&person.signed).await?;
    let id = connection.id().to_owned();
    if form.name.trim() != connection.name() {
        let problem = Problem { field: "name", sentence: format!("Type the name exactly: {}", connection.name()) };
        return list_page(&state, &person.by.reach, &person.signed, &id, vec![problem]).await;
    }
    let (by, of) = (person.by, id.clone());
    state.store.write(Undo::Savepoint, move |tx| tokens::revoke_every(tx, &by, &of)).await?;
    Ok(on_to(&format!("/connections/{id}/tokens?done=all-revoked")).finish())
}

#[derive(Template)]
#[template(path = "portal/new_token.html")]
struct NewPage {
    layout: Layout,
    connection: Connection,
    form: Fields,
    problems: Vec<Problem>,
    has_live: bool,
}

impl NewPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn lives() -> [(&'static str, &'static str); 5] {
        LIVES
    }

    fn rights() -> [(&'static str, &'static str); 4] {
        Rights::ALL.map(|rights| (rights.as_str(), rights.words()))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    label: String,
    life: String,
    rights: String,
    end_old: String,
}

impl Fields {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(refused) = names::check("The name", &self.label) {
            problems.push(Problem { field: "label", sentence: refused });
        }
        if life(&self.life, 0).is_none() {
            problems.push(Problem { field: "life", sentence: "Choose when it ends.".to_owned() });
        }
        if self.rights.parse::<Rights>().is_err() {
            problems.push(Problem { field: "rights", sentence: "Choose what it may do.".to_owned() });
        }
        problems
    }

    fn draft(&self, token: &Token) -> TokenDraft {
        let end = match life(&self.life, clock::now()) {
            Some(Change::Set(end)) => Some(end),
            _ => None,
        };
        let rights = self.rights.parse().unwrap_or(Rights::All);
        TokenDraft { rights, expires_at: end, ..TokenDraft::new(clock::new_id(), token, self.label.trim()) }
    }
}

/// The end from now on that a word of [`LIVES`] stands for; nothing where it is none of them.
fn life(word: &str, now: Millis) -> Option<Change<Millis>> {
    LIVES.iter().find(|(known, _)| *known == word)?;
    Some(word.parse::<Millis>().map_or(Change::Clear, |days| Change::Set(now + days * DAY)))
}

async fn new_page(person: &Person<Tokens>, state: &State, id: String, form: Fields, problems: Vec<Problem>) -> Shown {
    let connection = Connection::find(state, &person.by.reach, &id, "tokens")?;
    let (reach, now) = (person.by.reach.clone(), connection.now);
    let kept = super::read_aside(state, move |at| tokens::list(at, &reach, &id, None, SHOWN)).await?;
    let status = if problems.is_empty() { 200 } else { 422 };
    let has_live = kept.iter().any(|token| token.state(now) == TokenState::Live);
    let layout = connection.layout(&person.signed, "New token");
    Ok(page(status, &NewPage { layout, connection, form, problems, has_live }))
}

/// `GET /connections/{id}/tokens/new`
pub(super) async fn show_new(person: Person<Tokens>, visit: Visit) -> Shown {
    let label = format!("Made on {}", clock::rfc3339(clock::now()).split('T').next().unwrap_or_default());
    let form = Fields { label, rights: Rights::All.as_str().to_owned(), ..Fields::default() };
    new_page(&person, &visit.state, visit.part("id"), form, Vec::new()).await
}

/// `POST /connections/{id}/tokens/new`
pub(super) async fn rotate(person: Person<Tokens>, visit: Visit) -> Shown {
    let id = visit.part("id");
    let (form, state) = visit.form::<Fields>(&person.signed).await?;
    let problems = form.problems();
    if !problems.is_empty() {
        return new_page(&person, &state, id, form, problems).await;
    }
    let token = Token::generate().map_err(|_| Error::Busy)?;
    let draft = form.draft(&token);
    let overlap = (form.end_old == "on").then_some(OVERLAP);
    let (by, of) = (person.by, id.clone());
    state.store.write(Undo::Savepoint, move |tx| tokens::rotate(tx, &by, &of, &draft, overlap)).await?;
    let cookie = shown_once::keep(&state, &person.signed, &id, token.reveal()).await?;
    Ok(on_to(&format!("/connections/{id}/token")).cookie(cookie).finish())
}

#[derive(Template)]
#[template(path = "portal/one_token.html")]
struct OnePage {
    layout: Layout,
    connection: Connection,
    token: KeptToken,
    /// The name as it stands in the form.
    typed: String,
    problems: Vec<Problem>,
}

impl OnePage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }

    fn lives() -> [(&'static str, &'static str); 5] {
        LIVES
    }

    fn end(&self) -> Cow<'static, str> {
        end(&self.token, self.connection.now)
    }

    fn made(&self) -> String {
        ago(self.connection.now - self.token.created_at)
    }

    fn is_live(&self) -> bool {
        self.token.state(self.connection.now) == TokenState::Live
    }
}

/// The page about one token of a connection; both by id.
fn one_page(
    state: &State,
    reach: &Reach,
    signed: &Signed,
    title: &str,
    of: &(String, String),
) -> Result<OnePage, Refusal> {
    let connection = Connection::find(state, reach, &of.0, "tokens")?;
    let token = state.store.read_inline(|at| tokens::within(at, reach, connection.id(), &of.1))?;
    let layout = connection.layout(signed, title);
    Ok(OnePage { layout, connection, typed: token.label.clone(), token, problems: Vec::new() })
}

/// The connection and the token in the path.
fn named(visit: &Visit) -> (String, String) {
    (visit.part("id"), visit.part("token"))
}

/// `GET /connections/{id}/tokens/{token}`
pub(super) async fn show(person: Person<Tokens>, visit: Visit) -> Shown {
    Ok(page(200, &one_page(&visit.state, &person.by.reach, &person.signed, "Token", &named(&visit))?))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ChangeForm {
    label: String,
    life: String,
}

/// `POST /connections/{id}/tokens/{token}`: another name, another end.
pub(super) async fn change(person: Person<Tokens>, visit: Visit) -> Shown {
    let of = named(&visit);
    let (form, state) = visit.form::<ChangeForm>(&person.signed).await?;
    let mut found = one_page(&state, &person.by.reach, &person.signed, "Token", &of)?;
    if let Err(sentence) = names::check("The name", &form.label) {
        found.problems = vec![Problem { field: "label", sentence }];
        found.typed = form.label;
        return Ok(page(422, &found));
    }
    // “As it is” is the one word of the form that is no life.
    let expires_at = life(&form.life, clock::now()).unwrap_or(Change::Keep);
    let changed = TokenChange { label: Some(form.label), expires_at };
    let (by, id) = (person.by, of.0.clone());
    state.store.write(Undo::Savepoint, move |tx| tokens::change(tx, &by, &of.0, &of.1, &changed)).await?;
    Ok(on_to(&format!("/connections/{id}/tokens?done=saved")).finish())
}

#[derive(Template)]
#[template(path = "portal/revoke_token.html")]
struct RevokePage {
    layout: Layout,
    connection: Connection,
    token: KeptToken,
}

impl RevokePage {
    /// Whether the identity provider works with it.
    fn is_in_use(&self) -> bool {
        self.token.last_used_at.is_some_and(|used| self.connection.now - used < DAY)
    }
}

/// `GET /connections/{id}/tokens/{token}/revoke`
pub(super) async fn show_revoke(person: Person<Tokens>, visit: Visit) -> Shown {
    let OnePage { layout, connection, token, .. } =
        one_page(&visit.state, &person.by.reach, &person.signed, "Revoke a token", &named(&visit))?;
    Ok(page(200, &RevokePage { layout, connection, token }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

/// `POST /connections/{id}/tokens/{token}/revoke`
pub(super) async fn revoke(person: Person<Tokens>, visit: Visit) -> Shown {
    let of = named(&visit);
    let (Nothing {}, state) = visit.form(&person.signed).await?;
    let (by, id) = (person.by, of.0.clone());
    state.store.write(Undo::Savepoint, move |tx| tokens::revoke(tx, &by, &of.0, &of.1)).await?;
    Ok(on_to(&format!("/connections/{id}/tokens?done=revoked")).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lives_of_the_form_are_taken() {
        assert!(matches!(life("", 7), Some(Change::Clear)));
        assert!(matches!(life("90", 7), Some(Change::Set(end)) if end == 7 + 90 * DAY));
        for other in ["keep", "-1", "31", "1e9", "90 "] {
            assert!(life(other, 7).is_none(), "{other}");
        }
    }

    #[test]
    fn the_end_of_a_token_is_said_from_today() {
        assert_eq!(until(12 * DAY, 0), "in 12 days");
        assert_eq!(until(7 * DAY - 1, 0), "in 7 days");
        assert_eq!(until(500, 0), "at once");
        assert_eq!(until(0, 2 * DAY), "2 days ago");
    }
}
