//! The page of a set-up link: whoever holds the link sees one connection being set up, and nothing else. There is no
//! session; the secret in the address is all there is.

use actix_web::cookie::Cookie;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::connection::Connection;
use super::form;
use super::live_test::LiveTest;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::{self, Visit};
use crate::clock;
use crate::directory::open_links::{self, Holder, OpenLink};
use crate::directory::tokens::TokenDraft;
use crate::error::Error;
use crate::model::actor::Reach;
use crate::model::provider::{self, PROVIDERS, Provider};
use crate::secret::sealed::Sealer;
use crate::secret::{self, Token, TokenDigest};
use crate::store::Undo;
use crate::web::frame;
use crate::web::state::State;

/// Whoever opened a link is not counted again for so long, because the page asks for itself all the time.
const OPEN_SECONDS: i64 = 12 * 60 * 60;
/// How long a token that was made here may be seen, in seconds.
const TOKEN_SECONDS: i64 = 5 * 60;

const OPENED_COOKIE: &str = "rc_opened";
const TOKEN_COOKIE: &str = "rc_made";

#[derive(Template)]
#[template(path = "portal/customer.html")]
struct CustomerPage {
    layout: Layout,
    connection: Connection,
    /// The secret in the address.
    secret: String,
    form_token: String,
    live: LiveTest,
    /// Whether the steps are for one provider only.
    is_locked: bool,
    may_make_token: bool,
    /// The token, while it may be seen.
    token: Option<String>,
}

impl CustomerPage {
    fn providers() -> &'static [Provider] {
        &PROVIDERS
    }
}

#[derive(Template)]
#[template(path = "portal/customer_done.html")]
struct DonePage {
    layout: Layout,
    has_arrived: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    provider: String,
}

/// `GET /s/{secret}`
pub(super) async fn show(visit: Visit) -> Shown {
    let (secret, digest) = secret_in(&visit);
    let found = visit.state.store.read_inline(|at| open_links::find(at, &digest, clock::now()))?;
    let mark = opening_mark(&visit.state, &found);
    let is_known = visit.request.cookie(OPENED_COOKIE).is_some_and(|cookie| cookie.value() == mark);
    if !is_known || found.is_done {
        let holder = holder(&visit.request);
        visit.state.store.write(Undo::Savepoint, move |tx| open_links::open(tx, &holder, &digest)).await?;
    }
    if found.is_done {
        return Ok(done_page(true));
    }
    let mut response = link_page(&visit, secret, &found).await?;
    let cookie = own(session::cookie(&visit.state, OPENED_COOKIE, mark, OPEN_SECONDS));
    response.add_cookie(&cookie).map_err(|_| Error::Busy)?;
    Ok(private(response))
}

async fn link_page(visit: &Visit, secret: String, found: &OpenLink) -> Shown {
    let reach = Reach::Account(found.configuration.account.clone());
    let mut connection = Connection::find(&visit.state, &reach, &found.configuration.id, "")?;
    let locked = found.link.provider.as_deref().and_then(provider::by_key);
    let query: Query = visit.query();
    if let Some(provider) = locked.or_else(|| provider::by_key(&query.provider)) {
        connection.one.provider = provider;
    }
    let live = LiveTest::read(&visit.state, &connection).await?;
    let mut layout = Layout::new("Set up user provisioning", None, Place::Elsewhere);
    layout.refresh = Some(10);
    let customer = CustomerPage {
        layout,
        form_token: form_token(&secret),
        token: made_token(visit, &secret),
        secret,
        live,
        is_locked: locked.is_some(),
        may_make_token: found.may_make_token,
        connection,
    };
    Ok(page(200, &customer))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MakeForm {
    provider: String,
}

/// `POST /s/{secret}/token`: the first token, shown to this browser for a few minutes.
pub(super) async fn make_token(visit: Visit) -> Shown {
    let (secret, digest, request) = (visit.part("secret"), secret_in(&visit).1, visit.request.clone());
    let (form, state) = read::<MakeForm>(visit, &secret).await?;
    let token = Token::generate().map_err(|_| Error::Busy)?;
    let cookie = token_cookie(&state, &secret, &token)?;
    let draft = TokenDraft::new(clock::new_id(), &token, "from a set-up link");
    let holder = holder(&request);
    state.store.write(Undo::Savepoint, move |tx| open_links::make_token(tx, &holder, &digest, &draft)).await?;
    let provider = provider::by_key(&form.provider).map_or(String::new(), |one| format!("?provider={}", one.key));
    Ok(private(on_to(&format!("/s/{}{provider}", form::encoded(&secret))).cookie(cookie).finish()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

/// `POST /s/{secret}/done`: ends the link.
pub(super) async fn finish(visit: Visit) -> Shown {
    let (secret, digest, request) = (visit.part("secret"), secret_in(&visit).1, visit.request.clone());
    let (Nothing {}, state) = read(visit, &secret).await?;
    let holder = holder(&request);
    state.store.write(Undo::Savepoint, move |tx| open_links::finish(tx, &holder, &digest)).await?;
    Ok(done_page(false))
}

/// Reads a form that the page of that link has sent.
async fn read<T: serde::de::DeserializeOwned>(
    visit: Visit,
    secret: &str,
) -> Result<(T, actix_web::web::Data<State>), Refusal> {
    form::check_origin(&visit.request, &visit.state.public_url())?;
    let fields = form::read(&visit.request, visit.payload, &form_token(secret)).await?;
    Ok((fields, visit.state))
}

fn secret_in(visit: &Visit) -> (String, TokenDigest) {
    let secret = visit.part("secret");
    let digest = secret::digest(&secret);
    (secret, digest)
}

fn holder(request: &HttpRequest) -> Holder {
    Holder { address: frame::address_text(request), request_id: frame::request_id(request) }
}

fn done_page(has_arrived: bool) -> HttpResponse {
    let title = if has_arrived { "Provisioning works" } else { "All done" };
    let layout = Layout::new(title, None, Place::Elsewhere);
    private(page(200, &DonePage { layout, has_arrived }))
}

/// What the forms of the page carry: known to whoever has the link, and to nobody else.
fn form_token(secret: &str) -> String {
    hex(&secret::digest(&format!("form of a set-up link {secret}")))
}

/// What a browser that has opened the link keeps, so that it is counted once. Only this server can make it.
fn opening_mark(state: &State, found: &OpenLink) -> String {
    hex(&secret::digest(&format!("{:?} opened {}", state.cursor_secret, found.link.id)))
}

/// The token under lock, for the cookie; the key is the secret of the link, which is in the address only.
fn token_cookie(state: &State, secret: &str, token: &Token) -> Result<Cookie<'static>, Refusal> {
    let chance = secret::random_bytes().map_err(|_| Error::Busy)?;
    let text = format!("{} {}", clock::now() + TOKEN_SECONDS * 1000, token.reveal());
    let sealed = sealer(secret).seal(&chance, text.into_bytes()).ok_or(Error::Busy)?;
    Ok(own(session::cookie(state, TOKEN_COOKIE, hex(&sealed), TOKEN_SECONDS)))
}

/// The token that this browser made here a short while ago.
fn made_token(visit: &Visit, secret: &str) -> Option<String> {
    let cookie = visit.request.cookie(TOKEN_COOKIE)?;
    let opened = sealer(secret).open(&bytes(cookie.value())?)?;
    let text = String::from_utf8(opened).ok()?;
    let (until, token) = text.split_once(' ')?;
    (clock::now() < until.parse().ok()?).then(|| token.to_owned())
}

fn sealer(secret: &str) -> Sealer {
    Sealer::new(secret, &secret::digest("token made with a set-up link"))
}

/// A cookie that goes to these pages only.
fn own(mut cookie: Cookie<'static>) -> Cookie<'static> {
    cookie.set_path("/s/");
    cookie
}

/// Keeps the page out of search engines, even where nobody reads it.
fn private(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    response
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_hexadecimal_read_back() {
        assert_eq!(bytes(&hex(&[0, 7, 255])), Some(vec![0, 7, 255]));
        assert_eq!(bytes("0g"), None);
        assert_eq!(bytes("é0"), None);
    }

    #[test]
    fn the_form_token_of_one_link_is_not_that_of_another() {
        assert_ne!(form_token("rcl_a"), form_token("rcl_b"));
    }
}
