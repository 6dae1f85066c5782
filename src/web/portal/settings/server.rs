//! Settings of the server: its public URL, and whether accounts may manage their own connections and webhooks.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};
use askama::Template;
use serde::Deserialize;

use crate::error::Result;
use crate::management::instance;
use crate::settings;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::sign_in::session;
use crate::web::portal::texts;
use crate::web::public_url::{is_https, parse_origin};
use crate::web::state::AppState;
use crate::web::state::ServerContext;

#[derive(Template)]
#[template(path = "portal/server.html")]
struct ServerPage {
    layout: PageLayout,
    tab: &'static str,
    public_url: String,
    /// Whether the public URL is set at startup.
    is_fixed: bool,
    self_service: bool,
    account_webhooks: bool,
    problems: Vec<FormError>,
}

impl ServerPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

fn server_page(
    admin: &SystemAdmin,
    state: &AppState,
    status: u16,
    public_url: String,
    problems: Vec<FormError>,
) -> PageResult {
    let (self_service, account_webhooks) = state
        .store
        .read_inline(|at| Ok((instance::is_self_service_enabled(at)?, instance::are_account_webhooks_enabled(at)?)))?;
    let layout = PageLayout::new(texts::settings::GENERAL, Some(&admin.signed), NavigationEntry::Settings);
    let is_fixed = state.server.public.is_fixed();
    let page = ServerPage { layout, tab: "server", public_url, is_fixed, self_service, account_webhooks, problems };
    Ok(render_page(status, &page))
}

/// `GET /settings/server`
pub(crate) async fn show_server(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let public_url = page_request.state.server.public_url().to_string();
    server_page(&admin, &page_request.state, 200, public_url, Vec::new())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UrlForm {
    public_url: String,
}

/// `POST /settings/server/url`
pub(crate) async fn save_url(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let request = &page_request.request;
    let form = page_request.form::<UrlForm>(&admin.signed).await?;
    let url = match check_public_url(request, &page_request.state.server, &form.public_url) {
        Ok(url) => url,
        Err(problem) => return server_page(&admin, &page_request.state, 422, form.public_url, vec![problem]),
    };
    let carried = session::session_cookie_value(request).unwrap_or_default();
    let (context, new_url) = (admin.context, url);
    page_request.write(move |tx| instance::set_public_url(tx, &context, &new_url)).await?;
    apply_public_url(&page_request.state)?;
    // The name of the cookie depends on whether the public URL is HTTPS.
    Ok(redirect_to("/settings/server?done=saved")
        .cookie(session::renew_session_cookie(&page_request.state.server, &carried))
        .finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SelfServiceForm {
    self_service: String,
}

/// `POST /settings/server/self-service`
pub(crate) async fn save_self_service(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<SelfServiceForm>(&admin.signed).await?;
    let (context, on) = (admin.context, form.self_service == "on");
    page_request.write(move |tx| instance::set_self_service(tx, &context, on)).await?;
    Ok(redirect_to("/settings/server?done=saved").finish())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccountWebhooksForm {
    account_webhooks: String,
}

/// `POST /settings/server/account-webhooks`
pub(crate) async fn save_account_webhooks(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<AccountWebhooksForm>(&admin.signed).await?;
    let (context, on) = (admin.context, form.account_webhooks == "on");
    page_request.write(move |tx| instance::set_account_webhooks(tx, &context, on)).await?;
    Ok(redirect_to("/settings/server?done=saved").finish())
}

/// Applies the stored public URL to the running server.
///
/// # Errors
/// The errors of the database.
pub(crate) fn apply_public_url(state: &AppState) -> Result<()> {
    state.server.public.set(&state.store.read_inline(instance::get_public_url)?);
    Ok(())
}

/// Checks a public URL from a form and returns it as it is stored.
///
/// # Errors
/// The text is not a public URL, the URL is set at startup, or the change would lock out the admin: a browser does not
/// send a cookie for HTTPS to a page over plain HTTP.
pub(crate) fn check_public_url(
    request: &HttpRequest,
    server: &ServerContext,
    text: &str,
) -> std::result::Result<String, FormError> {
    let problem = |sentence| FormError { field: "public_url", sentence };
    let present = server.public_url();
    let url = settings::parse_public_url(text).map_err(|why| problem(texts::settings::say_url_invalid(&why)))?;
    if *url == *present {
        return Ok(url);
    }
    if server.public.is_fixed() {
        let given = texts::settings::say_url_is_fixed(&present);
        return Err(problem(given));
    }
    let from = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    if is_https(&url) && from.starts_with("http://") {
        let address = format!("{}{}", parse_origin(&url), request.path().trim_end_matches("/url"));
        return Err(problem(texts::settings::ask_for_https(&address)));
    }
    Ok(url)
}

/// The initial value of the form: the current public URL, or the address of the browser if none is set.
pub(crate) fn suggest_public_url(request: &HttpRequest, state: &AppState) -> String {
    let present = state.server.public_url();
    let saved = state.store.read_inline(instance::get_configured_public_url).ok().flatten();
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if saved.is_some() || present.ends_with(host) {
        return present.to_string();
    }
    guess_public_url(host, is_https(&present)).unwrap_or_else(|| present.to_string())
}

/// Guesses the public URL from a `Host` header. A name without a port is assumed to belong to a proxy with HTTPS in
/// front of the server.
fn guess_public_url(host: &str, speaks_https: bool) -> Option<String> {
    let is_name = host.contains('.') && !host.contains(':') && host.parse::<std::net::IpAddr>().is_err();
    let scheme = if is_name || speaks_https { "https" } else { "http" };
    settings::parse_public_url(&format!("{scheme}://{host}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_is_guessed_from_the_host() {
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
            assert_eq!(guess_public_url(host, false).as_deref(), url, "{host}");
        }
        assert_eq!(guess_public_url("192.0.2.7:8443", true).as_deref(), Some("https://192.0.2.7:8443"));
    }
}
