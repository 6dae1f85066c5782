//! Simulated identity providers: their conversations with a SCIM server, and the check of each answer.
//!
//! A conversation is a file in `conversations/`: requests that a provider documents or that were recorded, each with
//! what the provider needs in the answer. [`play_conversation`] sends one to any SCIM server. The tests of this program
//! send the same files.

mod assertion;
mod conversation;
mod exchange;
mod judge;
mod player;
mod pointer;
mod preflight;
mod report;
mod scope;
mod workforce;

pub use conversation::{CheckLevel, Conversation, Library, SourceLink};
pub use exchange::{CertificateTrust, ConnectOptions, TargetServer};
pub use player::{CheckOutcome, CheckResult, ConversationReport, PlayOptions, play_conversation};
pub use preflight::check_target;
pub use report::SimulationReport;
pub use workforce::{ProviderStyle, SimulatedCompany};

/// Returns an access token by client credentials (RFC 6749 section 4.4), with the credentials in the body as Entra sends
/// them.
///
/// # Errors
/// A sentence, if the server issues no token.
pub fn request_access_token(
    token_url: &str,
    client_id: &str,
    secret: &str,
    options: &ConnectOptions,
) -> Result<String, String> {
    let server = TargetServer::new(token_url, String::new(), options)?;
    let pairs = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", secret)];
    let body = serde_urlencoded::to_string(pairs).map_err(|problem| problem.to_string())?;
    let request = exchange::SimulatedRequest {
        method: "POST".to_owned(),
        path: String::new(),
        headers: vec![
            ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("Accept".to_owned(), "application/json".to_owned()),
        ],
        body: Some(body.into_bytes()),
    };
    let answer =
        server.send(&request).map_err(|problem| format!("no answer from the token URL {token_url}: {problem}"))?;
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match document["access_token"].as_str().filter(|token| !token.is_empty()) {
        Some(token) if answer.status == 200 => Ok(token.to_owned()),
        _ => {
            let reason = ["error_description", "error", "detail"].into_iter().find_map(|key| document[key].as_str());
            let mut problem =
                format!("the token URL {token_url} answers {}: {}", answer.status, reason.unwrap_or("no access token"));
            if !secret.is_empty() {
                problem = problem.replace(secret, "…");
            }
            Err(problem)
        }
    }
}
