//! What is set for the whole server: where it is reached, and whether accounts may manage their own connections.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};
use askama::Template;
use serde::Deserialize;

use super::admins::Runner;
use super::first_run::{Problem, problem_of};
use super::page::{Layout, Place, Shown, on_to, page};
use super::session::{self, Visit};
use crate::directory::instance;
use crate::error::Result;
use crate::settings;
use crate::store::{Undo, instance as rows};
use crate::web::public_url::{is_https, origin_of};
use crate::web::state::State;

#[derive(Template)]
#[template(path = "portal/server.html")]
struct ServerPage {
    layout: Layout,
    tab: &'static str,
    public_url: String,
    /// Whether the public URL was given at start.
    is_fixed: bool,
    self_service: bool,
    problems: Vec<Problem>,
}

impl ServerPage {
    fn problem(&self, field: &str) -> Option<&str> {
        problem_of(&self.problems, field)
    }
}

fn server_page(person: &Runner, state: &State, status: u16, public_url: String, problems: Vec<Problem>) -> Shown {
    let self_service = state.store.read_inline(rows::self_service)?;
    let layout = Layout::new("This server", Some(&person.signed), Place::Settings);
    let is_fixed = state.public.is_fixed();
    Ok(page(status, &ServerPage { layout, tab: "server", public_url, is_fixed, self_service, problems }))
}

/// `GET /settings/server`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let public_url = visit.state.public_url().to_string();
    server_page(&person, &visit.state, 200, public_url, Vec::new())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UrlForm {
    public_url: String,
}

/// `POST /settings/server/url`
pub(super) async fn save_url(person: Runner, visit: Visit) -> Shown {
    let request = visit.request.clone();
    let (form, state) = visit.form::<UrlForm>(&person.signed).await?;
    let url = match checked(&request, &state, &form.public_url) {
        Ok(url) => url,
        Err(problem) => return server_page(&person, &state, 422, form.public_url, vec![problem]),
    };
    let carried = session::carried(&request, &state).unwrap_or_default();
    let (by, wanted) = (person.by, url);
    state.store.write(Undo::Savepoint, move |tx| instance::set_public_url(tx, &by, &wanted)).await?;
    follow(&state)?;
    // The name of the cookie says whether the server is reached by HTTPS.
    Ok(on_to("/settings/server?done=saved").cookie(session::renamed(&state, &carried)).finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SelfServiceForm {
    self_service: String,
}

/// `POST /settings/server/self-service`
pub(super) async fn save_self_service(person: Runner, visit: Visit) -> Shown {
    let (form, state) = visit.form::<SelfServiceForm>(&person.signed).await?;
    let (by, on) = (person.by, form.self_service == "on");
    state.store.write(Undo::Savepoint, move |tx| instance::set_self_service(tx, &by, on)).await?;
    Ok(on_to("/settings/server?done=saved").finish())
}

/// Lets the running server use the public URL that was written.
pub(super) fn follow(state: &State) -> Result<()> {
    state.public.set(&state.store.read_inline(rows::public_url)?);
    Ok(())
}

/// The public URL that somebody wrote into a form, as it is kept.
///
/// # Errors
/// It was given at start, is none, or would shut out whoever sent the form: a cookie for HTTPS does not come back to a
/// page that was reached without.
pub(super) fn checked(request: &HttpRequest, state: &State, text: &str) -> std::result::Result<String, Problem> {
    let problem = |sentence| Problem { field: "public_url", sentence };
    let present = state.public_url();
    let url = settings::public_url(text)
        .map_err(|why| problem(format!("Write the public URL as https://scim.example.com: {why}.")))?;
    if *url == *present {
        return Ok(url);
    }
    if state.public.is_fixed() {
        let given = format!("The public URL was given when the server was started, so it stays {present}.");
        return Err(problem(given));
    }
    let from = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    if is_https(&url) && from.starts_with("http://") {
        return Err(problem(format!(
            "With that URL people sign in over HTTPS only, and you opened this page without. Open {}{} and save it there: \
             then it is sure that the address works.",
            origin_of(&url),
            request.path().trim_end_matches("/url"),
        )));
    }
    Ok(url)
}

/// The public URL that a form begins with: the one of now, or, where nobody gave any, the address that the browser used.
pub(super) fn suggested(request: &HttpRequest, state: &State) -> String {
    let present = state.public_url();
    let said = state.store.read_inline(rows::said_public_url).ok().flatten();
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if said.is_some() || present.ends_with(host) {
        return present.to_string();
    }
    guessed(host, is_https(&present)).unwrap_or_else(|| present.to_string())
}

/// The URL of a host as a browser names it. A name without a port is taken for one behind a proxy that speaks HTTPS, where
/// the server does not speak it itself.
fn guessed(host: &str, speaks_https: bool) -> Option<String> {
    let is_name = host.contains('.') && !host.contains(':') && host.parse::<std::net::IpAddr>().is_err();
    let scheme = if is_name || speaks_https { "https" } else { "http" };
    settings::public_url(&format!("{scheme}://{host}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_a_browser_used_is_a_good_guess() {
        for (host, url) in [
            ("scim.example.com", Some("https://scim.example.com")),
            ("scim.example.com:8080", Some("http://scim.example.com:8080")),
            ("192.0.2.7", Some("http://192.0.2.7")),
            ("192.0.2.7:8080", Some("http://192.0.2.7:8080")),
            ("[2001:db8::1]:8080", Some("http://[2001:db8::1]:8080")),
            ("localhost", Some("http://localhost")),
            ("a b", None),
            ("\"><script>", None),
            ("", None),
        ] {
            assert_eq!(guessed(host, false).as_deref(), url, "{host}");
        }
        assert_eq!(guessed("192.0.2.7:8443", true).as_deref(), Some("https://192.0.2.7:8443"));
    }
}
