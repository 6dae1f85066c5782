//! OAuth clients of identity providers: access tokens by every method, their limits, and what they may do.

mod assertions;
mod clients;
mod tokens;

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, Request};
use crate::caller::{CONFIGURATIONS, Caller};

/// The endpoint.
const TOKEN: &str = "/oauth2/token";

/// Path of the clients of a configuration.
fn clients_of(configuration: &Client) -> String {
    format!("{CONFIGURATIONS}/{}/oauth-clients", configuration.id)
}

/// A new client of a configuration with these members.
#[track_caller]
fn create_client(operator: &Caller, configuration: &Client, members: &Value) -> Reply {
    operator.post(&clients_of(configuration), members).answered(201)
}

/// A new client with a secret: its id and the secret.
#[track_caller]
fn create_secret_client(operator: &Caller, configuration: &Client) -> (String, String) {
    let made = create_client(operator, configuration, &json!({"label": "Entra", "authentication": "secret"}));
    (made.text("clientId"), made.text("clientSecret"))
}

/// A request with a form.
pub(crate) fn form_request(app: &App, path: &str, pairs: &[(&str, &str)]) -> Request {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs);
    app.anonymous()
        .request("POST", path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(text.finish().as_bytes())
}

/// Requests an access token with a secret in the form.
#[track_caller]
fn request_token(app: &App, (id, secret): (&str, &str), other: &[(&str, &str)]) -> Reply {
    let mut pairs = vec![("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    pairs.extend(other);
    form_request(app, TOKEN, &pairs).send()
}

/// The SCIM client of the configuration with another token.
fn with_token(configuration: &Client, token: &str) -> Client {
    Client { token: token.to_owned(), ..configuration.clone() }
}

/// Checks that a request is refused with this code of RFC 6749, and that nothing may store the answer.
#[track_caller]
fn assert_refused(reply: Reply, status: u16, code: &str) -> Reply {
    let reply = reply.answered(status);
    assert_eq!(reply.json["error"], code, "{}", reply.json);
    assert!(reply.json["error_description"].as_str().is_some_and(|text| text.len() > 10), "{}", reply.json);
    assert_eq!(reply.header("cache-control"), "no-store");
    reply
}
