//! OAuth clients of a configuration: how its identity provider gets access tokens.

use actix_web::http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, MintTokens, Read, Tokens};
use super::configurations::{find_configuration, map_random_error};
use crate::auth::secret::{self, BearerToken};
use crate::clock;
use crate::error::Reason;
use crate::management::oauth::{self, ClientWithSecrets, NewOauthClient, OauthClientChange, SecretDraft};
use crate::model::configuration::provisioning_url;
use crate::model::field_change::FieldChange;
use crate::model::oauth::scope::OauthScope;
use crate::model::oauth::{
    AssertionSource, ClientAuthentication, ClientSecret, OauthClientState, TOKEN_LIFETIME_DEFAULT,
};
use crate::store::Tx;
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, DisplayName};
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};
use crate::web::oauth::TOKEN_PATH;

/// An OAuth client, without its secrets
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OAuthClient)]
pub(super) struct OauthClientResponse {
    /// The public id
    client_id: String,
    label: String,
    authentication: ClientAuthentication,
    /// The most that its access tokens may do: names of scopes with spaces between them
    scope: String,
    /// Lifetime of its access tokens in seconds
    access_token_lifetime: u32,
    state: OauthClientState,
    /// The keys of the client, if they are stored here: a JWK set (RFC 7517)
    #[schema(required, value_type = Option<Object>)]
    jwks: Option<Value>,
    /// URL of the keys that verify its assertions
    #[schema(required)]
    jwks_url: Option<String>,
    /// Required `iss` of the assertions of a federated client
    #[schema(required)]
    issuer: Option<String>,
    /// Required `sub` of the assertions of a federated client
    #[schema(required)]
    subject: Option<String>,
    /// Required `aud` of the assertions of a federated client
    #[schema(required)]
    audience: Option<String>,
    /// Its secrets, newest first, without their text. Expired ones are listed for 30 days
    secrets: Vec<ClientSecretResponse>,
    /// The token endpoint
    token_url: String,
    /// The provisioning URL
    scim_url: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last got an access token
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
}

/// A secret of an OAuth client, without its text
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OAuthClientSecret)]
pub(super) struct ClientSecretResponse {
    id: String,
    label: String,
    /// The last four characters of the secret
    hint: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<&ClientSecret> for ClientSecretResponse {
    fn from(secret: &ClientSecret) -> Self {
        Self {
            id: secret.id.clone(),
            label: secret.label.clone(),
            hint: secret.hint.clone(),
            created_at: clock::format_rfc3339(secret.created_at),
            last_used_at: secret.last_used_at.map(clock::format_rfc3339),
            expires_at: clock::format_rfc3339(secret.expires_at),
        }
    }
}

impl OauthClientResponse {
    fn new(found: &ClientWithSecrets, public_url: &str, configuration_id: &str) -> Self {
        let ClientWithSecrets { client, secrets } = found;
        let assertions = &client.assertions;
        Self {
            client_id: client.client_id.clone(),
            label: client.label.clone(),
            authentication: client.authentication,
            scope: client.scope.as_str().to_owned(),
            access_token_lifetime: client.token_lifetime,
            state: client.state,
            jwks: assertions.jwks.as_deref().and_then(|keys| serde_json::from_str(keys).ok()),
            jwks_url: assertions.jwks_url.clone(),
            issuer: assertions.issuer.clone(),
            subject: assertions.subject.clone(),
            audience: assertions.audience.clone(),
            secrets: secrets.iter().map(ClientSecretResponse::from).collect(),
            token_url: format!("{public_url}{TOKEN_PATH}"),
            scim_url: provisioning_url(public_url, configuration_id),
            created_at: clock::format_rfc3339(client.created_at),
            last_used_at: client.last_used_at.map(clock::format_rfc3339),
        }
    }
}

/// A new OAuth client with its first secret, which cannot be read again
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreatedOAuthClient)]
pub(super) struct CreatedOauthClient {
    #[serde(flatten)]
    #[schema(inline)]
    client: OauthClientResponse,
    /// The secret; null for a client that authenticates with assertions
    #[schema(required)]
    client_secret: Option<String>,
    /// When the secret ends
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

/// The OAuth clients of a configuration
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OAuthClientList)]
pub(super) struct OauthClientList {
    /// Oldest first, at most 5
    items: Vec<OauthClientResponse>,
}

/// An OAuth client to create. Unknown members are ignored
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewOAuthClient)]
pub(super) struct CreateOauthClientBody {
    label: DisplayName,
    authentication: ClientAuthentication,
    /// The most that its access tokens may do; default `scim`, which is everything
    #[schema(min_length = 1, max_length = 1000)]
    scope: Option<String>,
    /// Lifetime of its access tokens in seconds; default 3600
    #[schema(minimum = 3600, maximum = 21600)]
    access_token_lifetime: Option<u32>,
    /// Lifetime of its first secret in seconds; default a year. Only for `secret`
    #[schema(minimum = 86400, maximum = 94_608_000)]
    secret_expires_in: Option<u32>,
    /// The keys of the client: a JWK set. For `private_key_jwt`, either this or `jwksUrl`
    jwks: Option<Map<String, Value>>,
    /// URL of the keys. For `federated`, it can be found from the issuer
    #[schema(min_length = 1, max_length = 2000)]
    jwks_url: Option<String>,
    /// For `federated`: `iss` of the assertions
    #[schema(min_length = 1, max_length = 2000)]
    issuer: Option<String>,
    /// For `federated`: `sub` of the assertions
    #[schema(min_length = 1, max_length = 2000)]
    subject: Option<String>,
    /// For `federated`: `aud` of the assertions
    #[schema(min_length = 1, max_length = 2000)]
    audience: Option<String>,
}

impl CreateOauthClientBody {
    /// Returns the request to create a client, with the text of its secret if it has one.
    fn build_request(self) -> Result<(NewOauthClient, Option<BearerToken>), ApiError> {
        let scope = self.scope.as_deref().map(OauthScope::parse).transpose()?;
        let has_secret = self.authentication == ClientAuthentication::Secret;
        let text = has_secret.then(BearerToken::generate_client_secret).map(map_random_error).transpose()?;
        if !has_secret && self.secret_expires_in.is_some() {
            let error = Reason::OauthFieldUnexpected.on_field("secretExpiresIn");
            return Err(error.with("authentication", self.authentication).into());
        }
        let new = NewOauthClient {
            client_id: map_random_error(secret::generate_client_id())?,
            secret: text.as_ref().map(|text| SecretDraft::new(text, &self.label.0, self.secret_expires_in)),
            label: self.label.0,
            authentication: self.authentication,
            scope: scope.unwrap_or_else(OauthScope::full),
            token_lifetime: self.access_token_lifetime.unwrap_or(TOKEN_LIFETIME_DEFAULT),
            assertions: AssertionSource {
                jwks: self.jwks.map(|keys| Value::Object(keys).to_string()),
                jwks_url: self.jwks_url,
                issuer: self.issuer,
                subject: self.subject,
                audience: self.audience,
            },
        };
        Ok((new, text))
    }
}

/// List the OAuth clients of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/oauth-clients",
    tag = "OAuth clients",
    params(("id" = String, Path, description = "The configuration")),
    responses((status = 200, description = "The clients, at most 5", body = OauthClientList), ReadErrors)
)]
pub(super) async fn list_oauth_clients(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let found = call.read_inline(|at| oauth::list_clients(at, &scope, &id))?;
    let public_url = call.state.server.public_url();
    let items = found.iter().map(|client| OauthClientResponse::new(client, &public_url, &id)).collect();
    Ok(json_response(&OauthClientList { items }))
}

/// Create an OAuth client
///
/// A client gets access tokens at the token URL, by client credentials (RFC 6749 section 4.4) with a secret or a signed
/// assertion (RFC 7523), or as workload identity federation with a token of the identity provider itself.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/oauth-clients",
    tag = "OAuth clients",
    params(("id" = String, Path, description = "The configuration")),
    request_body = CreateOauthClientBody,
    responses((status = 201, description = "The client, with its secret", body = CreatedOauthClient), WriteErrors)
)]
pub(super) async fn create_oauth_client(allowed: AllowedCaller<MintTokens>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let (new, text) = call.body::<CreateOauthClientBody>().await?.build_request()?;
    oauth::check_urls(&call.state.server.outgoing, &new.assertions)?;
    let public_url = call.state.server.public_url();
    let client_secret = text.map(|text| text.reveal().to_owned());
    let configuration_id = id.clone();
    let create = move |tx: &Tx<'_>| oauth::create_client(tx, &context, &id, &new);
    let render = move |created: ClientWithSecrets| CreatedOauthClient {
        client: OauthClientResponse::new(&created, &public_url, &configuration_id),
        client_secret: client_secret.clone(),
        expires_at: created.secrets.first().map(|secret| clock::format_rfc3339(secret.expires_at)),
    };
    write_and_respond(&call, StatusCode::CREATED, create, render).await
}

/// Get an OAuth client
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/oauth-clients/{client}",
    tag = "OAuth clients",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("client" = String, Path, description = "The clientId of the client"),
    ),
    responses((status = 200, description = "The client", body = OauthClientResponse), ReadErrors)
)]
pub(super) async fn get_oauth_client(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (scope, id, client) = (allowed.account_scope(), call.path_parameter("id"), call.path_parameter("client"));
    let found = call.read_inline(|at| oauth::find_client(at, &scope, &id, &client))?;
    Ok(json_response(&OauthClientResponse::new(&found, &call.state.server.public_url(), &id)))
}

/// Changes to an OAuth client; absent members keep their value
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OAuthClientUpdate)]
pub(super) struct UpdateOauthClientBody {
    /// Cannot be changed
    #[schema(ignore)]
    authentication: Option<IgnoredAny>,
    label: Option<DisplayName>,
    #[schema(min_length = 1, max_length = 1000)]
    scope: Option<String>,
    #[schema(minimum = 3600, maximum = 21600)]
    access_token_lifetime: Option<u32>,
    state: Option<OauthClientState>,
    /// Null if the keys are at a URL
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    jwks: FieldChange<Map<String, Value>>,
    /// Null if the keys are found from the issuer, or stored here
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    jwks_url: FieldChange<String>,
    #[schema(min_length = 1, max_length = 2000)]
    issuer: Option<String>,
    #[schema(min_length = 1, max_length = 2000)]
    subject: Option<String>,
    #[schema(min_length = 1, max_length = 2000)]
    audience: Option<String>,
}

impl UpdateOauthClientBody {
    fn apply(&self, before: &AssertionSource) -> AssertionSource {
        let choose = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
        AssertionSource {
            jwks: match &self.jwks {
                FieldChange::Keep => before.jwks.clone(),
                FieldChange::Clear => None,
                FieldChange::Set(keys) => Some(Value::Object(keys.clone()).to_string()),
            },
            jwks_url: match &self.jwks_url {
                FieldChange::Keep => before.jwks_url.clone(),
                FieldChange::Clear => None,
                FieldChange::Set(url) => Some(url.clone()),
            },
            issuer: choose(&self.issuer, &before.issuer),
            subject: choose(&self.subject, &before.subject),
            audience: choose(&self.audience, &before.audience),
        }
    }
}

/// Change an OAuth client
///
/// A smaller scope, another description of its assertions, and the state `disabled` end the access tokens that it has.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}/oauth-clients/{client}",
    tag = "OAuth clients",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("client" = String, Path, description = "The clientId of the client"),
    ),
    request_body = UpdateOauthClientBody,
    responses((status = 200, description = "The client after the change", body = OauthClientResponse), WriteErrors)
)]
pub(super) async fn update_oauth_client(allowed: AllowedCaller<Tokens>, call: ApiRequest) -> ApiResult {
    let context = allowed.context;
    let (id, client) = (call.path_parameter("id"), call.path_parameter("client"));
    let before = call.read_inline(|at| oauth::find_client(at, &context.scope, &id, &client))?;
    let body = call.body::<UpdateOauthClientBody>().await?;
    if body.authentication.is_some() {
        let fixed = Reason::BodyFieldFixed.on_field("authentication").with("name", "authentication");
        return Err(fixed.with("fix", "create another client").into());
    }
    let scope = body.scope.as_deref().map(OauthScope::parse).transpose()?;
    let after = body.apply(&before.client.assertions);
    if after != before.client.assertions {
        oauth::check_urls(&call.state.server.outgoing, &after)?;
    }
    let configuration_id = id.clone();
    let changed = call.write(move |tx| {
        // Another change can have been faster.
        let current = oauth::find_client(tx, &context.scope, &id, &client)?;
        let change = OauthClientChange {
            label: body.label.as_ref().map(|label| label.0.clone()),
            scope: scope.clone(),
            token_lifetime: body.access_token_lifetime,
            state: body.state,
            assertions: Some(body.apply(&current.client.assertions)),
        };
        oauth::update_client(tx, &context, (&id, &client), &change)
    });
    let changed = changed.await?;
    Ok(json_response(&OauthClientResponse::new(&changed, &call.state.server.public_url(), &configuration_id)))
}

/// Delete an OAuth client
///
/// Its secrets and its access tokens stop working immediately.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/oauth-clients/{client}",
    tag = "OAuth clients",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("client" = String, Path, description = "The clientId of the client"),
    ),
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn delete_oauth_client(allowed: AllowedCaller<Tokens>, call: ApiRequest) -> ApiResult {
    let (context, id, client) = (allowed.context, call.path_parameter("id"), call.path_parameter("client"));
    call.write(move |tx| oauth::delete_client(tx, &context, (&id, &client))).await?;
    Ok(no_content_response())
}

/// A secret to add; all members are optional
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewOAuthClientSecret)]
pub(super) struct CreateSecretBody {
    /// Default: `rotated secret`
    label: Option<DisplayName>,
    /// Lifetime in seconds; default a year
    #[schema(minimum = 86400, maximum = 94_608_000)]
    secret_expires_in: Option<u32>,
}

/// A new secret, which cannot be read again
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreatedOAuthClientSecret)]
pub(super) struct CreatedClientSecret {
    #[serde(flatten)]
    #[schema(inline)]
    secret: ClientSecretResponse,
    client_secret: String,
}

/// Add a secret to an OAuth client
///
/// A client has at most two valid secrets, so that one can be replaced without an outage: add the new one, enter it in the
/// identity provider, and delete the previous one.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/oauth-clients/{client}/secrets",
    tag = "OAuth clients",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("client" = String, Path, description = "The clientId of the client"),
    ),
    request_body = Option<CreateSecretBody>,
    responses((status = 201, description = "The secret", body = CreatedClientSecret), WriteErrors)
)]
pub(super) async fn add_client_secret(allowed: AllowedCaller<MintTokens>, call: ApiRequest) -> ApiResult {
    let (context, id, client) = (allowed.context, call.path_parameter("id"), call.path_parameter("client"));
    call.read_inline(|at| oauth::find_client(at, &context.scope, &id, &client))?;
    let body = call.optional_body::<CreateSecretBody>().await?;
    let text = map_random_error(BearerToken::generate_client_secret())?;
    let label = body.label.map_or_else(|| "rotated secret".to_owned(), |label| label.0);
    let draft = SecretDraft::new(&text, &label, body.secret_expires_in);
    let add = move |tx: &Tx<'_>| oauth::add_secret(tx, &context, (&id, &client), &draft);
    let render = move |added: ClientSecret| CreatedClientSecret {
        secret: ClientSecretResponse::from(&added),
        client_secret: text.reveal().to_owned(),
    };
    write_and_respond(&call, StatusCode::CREATED, add, render).await
}

/// Delete a secret of an OAuth client
///
/// The access tokens that the client got with it stop working immediately.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/oauth-clients/{client}/secrets/{secret}",
    tag = "OAuth clients",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("client" = String, Path, description = "The clientId of the client"),
        ("secret" = String, Path, description = "The id of the secret"),
    ),
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn delete_client_secret(allowed: AllowedCaller<Tokens>, call: ApiRequest) -> ApiResult {
    let (context, id, client) = (allowed.context, call.path_parameter("id"), call.path_parameter("client"));
    let secret = call.path_parameter("secret");
    call.write(move |tx| oauth::delete_secret(tx, &context, (&id, &client), &secret)).await?;
    Ok(no_content_response())
}
