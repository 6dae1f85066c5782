//! Setup links of a configuration: with such a link, the IT admin of a customer connects the identity provider.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, MintTokens, Tokens};
use super::configurations::{find_configuration, map_random_error};
use super::cursor::{CursorPage, PageQuery};
use crate::auth::secret::BearerToken;
use crate::clock;
use crate::management::setup_links::{self, NewSetupLink, SetupLink};
use crate::model::setup_link::LinkPurpose;
use crate::store::Tx;
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, DisplayName};
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};

/// Path of links, below the public URL.
const LINK_PATH: &str = "/s/";

/// A setup link to create. Unknown members are ignored
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewLink)]
pub(super) struct CreateLinkBody {
    /// Lifetime in seconds; default one day, or the rest of the lifetime of the caller's API key
    #[schema(minimum = 300, maximum = 2_592_000)]
    expires_in: Option<i64>,
    // The pattern has the characters of `names::has_hidden_characters`, as that of `DisplayName`.
    /// Recipient or purpose of the link, without control characters and hidden characters
    #[schema(
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\u{e0000}-\u{e0fff}]*$"
    )]
    note: Option<String>,
    /// The identity provider for which the link is intended
    #[schema(value_type = Option<DisplayName>)]
    provider: Option<String>,
    /// What the link is for; default `setup`
    purpose: Option<LinkPurpose>,
    /// Only with the purpose `replace-token`: the OAuth client whose secret the link replaces. Without it, the link replaces the token;
    /// but if no token is in use and one client authenticates with secrets, the secret of that client
    #[schema(value_type = Option<DisplayName>)]
    client_id: Option<String>,
}

/// A new setup link with its URL, which cannot be read again
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedLink {
    id: String,
    url: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A setup link, without its URL
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Link)]
pub(super) struct LinkResponse {
    id: String,
    note: String,
    provider: Option<String>,
    purpose: LinkPurpose,
    /// The OAuth client whose secret it replaces
    client_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// When it was last opened
    #[schema(format = DateTime)]
    last_opened_at: Option<String>,
    /// How many times it was opened
    #[schema(minimum = 0)]
    opened: u32,
    /// When it was revoked or completed
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Whether the link works now
    live: bool,
}

impl From<SetupLink> for LinkResponse {
    fn from(link: SetupLink) -> Self {
        Self {
            live: link.is_live(clock::current_millis()),
            client_id: link.replaced_client().map(str::to_owned),
            id: link.id,
            note: link.note,
            provider: link.provider,
            purpose: link.purpose,
            created_at: clock::format_rfc3339(link.created_at),
            expires_at: clock::format_rfc3339(link.expires_at),
            last_opened_at: link.last_opened_at.map(clock::format_rfc3339),
            opened: link.opened,
            ended_at: link.ended_at.map(clock::format_rfc3339),
        }
    }
}

/// Create a setup link
///
/// The page at the URL shows the setup steps of this configuration and can create tokens and OAuth clients, at most ten. With the
/// purpose `replace-token` it only creates tokens, or secrets of one OAuth client: a new one is valid in addition to the one in use. It
/// gives no other access.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/links",
    tag = "Setup links",
    request_body = Option<CreateLinkBody>,
    responses((status = 201, description = "The link, with its URL", body = CreatedLink), WriteErrors)
)]
pub(super) async fn create_link(allowed: AllowedCaller<MintTokens>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.optional_body::<CreateLinkBody>().await?;
    let secret = map_random_error(BearerToken::generate_link())?;
    let new = NewSetupLink {
        id: clock::new_id(),
        digest: secret.digest(),
        lifetime_seconds: body
            .expires_in
            .unwrap_or_else(|| setup_links::default_lifetime(&context.authority, clock::current_millis())),
        note: body.note.unwrap_or_default(),
        provider: body.provider,
        purpose: body.purpose.unwrap_or_default(),
        client: body.client_id,
    };
    let url = format!("{}{LINK_PATH}{}", call.state.server.public_url(), secret.reveal());
    let create = move |tx: &Tx<'_>| setup_links::create_link(tx, &context, &id, &new);
    let render = move |link: SetupLink| CreatedLink {
        id: link.id,
        url: url.clone(),
        expires_at: clock::format_rfc3339(link.expires_at),
    };
    write_and_respond(&call, StatusCode::CREATED, create, render).await
}

/// List the setup links of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/links",
    tag = "Setup links",
    params(PageQuery),
    responses((status = 200, description = "All links, including ended ones, newest first", body = CursorPage<LinkResponse>), ReadErrors)
)]
pub(super) async fn list_links(allowed: AllowedCaller<Tokens>, call: ApiRequest) -> ApiResult {
    let (id, scope, page) = (call.path_parameter("id"), allowed.account_scope(), call.query::<PageQuery>()?);
    let (limit, before) = (page.limit()?, page.position::<String>()?);
    let rows = call.read(move |at| setup_links::list_links(at, &scope, &id, before.as_deref(), limit + 1)).await?;
    Ok(json_response(&CursorPage::from_rows(rows, limit, |row| row.id.clone(), LinkResponse::from)))
}

/// Revoke a setup link
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/links/{linkId}",
    tag = "Setup links",
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn revoke_link(allowed: AllowedCaller<Tokens>, call: ApiRequest) -> ApiResult {
    let (context, id, link) = (allowed.context, call.path_parameter("id"), call.path_parameter("linkId"));
    call.write(move |tx| setup_links::revoke_link(tx, &context, &id, &link)).await?;
    Ok(no_content_response())
}
