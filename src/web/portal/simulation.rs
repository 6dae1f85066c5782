//! A simulated identity provider for a connection that waits for its first request. It provisions invented users into a
//! temporary connection of the same customer, so that no invented user is ever in the real one. The temporary connection
//! is staged: the application gets none of its changes.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::oneshot;
use url::Url;

use crate::auth::secret::BearerToken;
use crate::clock::{self, Millis};
use crate::error::{Error, ErrorKind, Reason};
use crate::management::configuration_lifecycle::{self, NewConfiguration};
use crate::management::instance;
use crate::management::tokens::{self, TokenDraft};
use crate::model::configuration::{InitialSync, SIMULATED_PROVIDER, provisioning_url};
use crate::model::switches::Preset;
use crate::simulate::{CertificateTrust, ConnectOptions, Library, ProviderStyle, SimulatedCompany, TargetServer};
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageResult, redirect_to};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::required_permission::{Create, Delete};

/// Domain of the invented user names. It never exists (RFC 6761).
const DOMAIN: &str = "simulated.invalid";
const USERS: usize = 5;
const GROUPS: [&str; 1] = [texts::home::SIMULATED_TEAM];
/// Validity of the token of a temporary connection.
const TOKEN_LIFETIME: Millis = 60 * 60 * 1000;
/// Time limit of one simulated request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The page waits so long for the whole run.
const RUN_TIMEOUT: Duration = Duration::from_secs(15);
/// Characters of the name of the connection in the name of the temporary one.
const NAME_CHARS: usize = 50;

/// A form with nothing but its token.
#[derive(Default, Deserialize)]
pub(crate) struct SimulationForm {}

/// `POST /connections/{id}/simulation`: creates the temporary connection and provisions it.
pub(crate) async fn start_simulation(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    page_request.form::<SimulationForm>(&admin.signed).await?;
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "")?;
    if !connection.may_be_simulated() {
        return Ok(redirect_to(&format!("{}?done=simulation-late", connection.path())).finish());
    }
    let provider = connection.overview.provider;
    let token = BearerToken::generate().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let mut draft = TokenDraft::new(clock::new_id(), &token, texts::home::SIMULATED_PROVIDER_TOKEN);
    draft.expires_at = Some(clock::current_millis() + TOKEN_LIFETIME);
    let name: String = connection.name().chars().take(NAME_CHARS).collect();
    let new = NewConfiguration {
        id: clock::new_id(),
        account: connection.account().to_owned(),
        connection_name: Some(texts::home::name_simulated_connection(&name)),
        source: connection.overview.configuration.source,
        provider: Some(SIMULATED_PROVIDER.to_owned()),
        preset: Some(provider.preset),
        sync: InitialSync::Staged,
        token: draft,
    };
    let (context, id, token_id) = (admin.context.clone(), new.id.clone(), new.token.id.clone());
    let created = page_request.write(move |tx| configuration_lifecycle::create_configuration(tx, &context, &new)).await;
    match created {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            return Ok(redirect_to("/connections?done=simulation-exists").finish());
        }
        created => created?,
    };
    let style = if provider.preset == Preset::Entra { ProviderStyle::Entra } else { ProviderStyle::Okta };
    let listens = page_request.state.store.read_inline(instance::find_listen_url)?.unwrap_or_default();
    let done = match open_company(&listens, &id, &token, style) {
        Ok(company) => wait_for_sync(company).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &done {
        tracing::warn!(problem, "the simulated provider has stopped");
    }
    // It is not needed any more: no request with it is expected.
    let (context, configuration) = (admin.context, id.clone());
    page_request.write(move |tx| tokens::revoke_token(tx, &context, &configuration, &token_id)).await?;
    let notice = if done.is_ok() { "simulated" } else { "simulation-stopped" };
    Ok(redirect_to(&format!("/connections/{id}?done={notice}")).finish())
}

/// `POST /connections/{id}/simulation/remove`: deletes the temporary connection with its users and groups.
pub(crate) async fn remove_simulation(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    page_request.form::<SimulationForm>(&admin.signed).await?;
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "")?;
    if !connection.is_simulated() {
        return Err(PageError::NotFound);
    }
    let (context, id) = (admin.context, connection.id().to_owned());
    page_request.write(move |tx| configuration_lifecycle::delete_and_purge_configuration(tx, &context, &id)).await?;
    Ok(redirect_to("/connections?done=simulation-removed").finish())
}

/// A company whose provider sends its requests to this server, at the address on which it listens.
fn open_company(
    listens: &str,
    id: &str,
    token: &BearerToken,
    style: ProviderStyle,
) -> Result<SimulatedCompany, String> {
    let local = reachable_url(listens).ok_or(texts::home::ADDRESS_NOT_STORED)?;
    // The certificate is issued for a name and not for this address.
    let options = ConnectOptions { timeout: REQUEST_TIMEOUT, trust: CertificateTrust::Any };
    let server = TargetServer::new(&provisioning_url(&local, id), token.reveal().to_owned(), &options)?;
    Ok(SimulatedCompany::new(&Library::load()?, style, server, DOMAIN))
}

/// The URL of the own listener. An unspecified address is reached as the loopback address.
fn reachable_url(listens: &str) -> Option<String> {
    let mut url: Url = listens.parse().ok()?;
    let is_unspecified = matches!(url.host_str(), Some("0.0.0.0" | "[::]"));
    if is_unspecified {
        url.set_ip_host(Ipv4Addr::LOCALHOST.into()).ok()?;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

/// Runs the first sync in a thread, because its requests wait for this server.
async fn wait_for_sync(mut company: SimulatedCompany) -> Result<(), String> {
    let (done, waiting) = oneshot::channel();
    let run = move || {
        let result = company.run_first_sync(USERS, &GROUPS).and_then(|()| company.send_mistake());
        // The page has stopped waiting.
        let _ = done.send(result);
    };
    thread::Builder::new().name("simulation".to_owned()).spawn(run).map_err(|problem| problem.to_string())?;
    match tokio::time::timeout(RUN_TIMEOUT, waiting).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(texts::home::THREAD_HAS_ENDED.to_owned()),
        Err(_) => Err(texts::home::TAKES_TOO_LONG.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_reached_at_an_address_of_this_machine() {
        for (listens, expected) in [
            ("http://0.0.0.0:8080", Some("http://127.0.0.1:8080")),
            ("https://[::]:443", Some("https://127.0.0.1")),
            ("http://127.0.0.1:9", Some("http://127.0.0.1:9")),
            ("", None),
        ] {
            assert_eq!(reachable_url(listens).as_deref(), expected, "{listens}");
        }
    }
}
