//! Set-up links of a configuration: a customer's IT admin opens one and sets up the identity provider.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answered, ReadRefusals, WriteRefusals, created, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Tokens};
use super::configurations::{known, random};
use super::cursor::{Page, PageQuery};
use crate::clock;
use crate::directory::links::{self, LIFE_DEFAULT_SECONDS, NewLink};
use crate::secret::Token;
use crate::store::links::Link;

/// Path below the public URL under which a link is opened.
const OPENED_AT: &str = "/s/";

/// A link to be made. Unknown members are passed over
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewLink)]
pub(super) struct CreateBody {
    /// Seconds for which it works; a day without it
    #[schema(minimum = 300, maximum = 2_592_000)]
    expires_in: Option<i64>,
    /// Whom it is for, or why
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    note: Option<String>,
    /// The identity provider that it is meant for
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    provider: Option<String>,
}

/// A link as it was made. The URL is shown this once
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedLink {
    id: String,
    url: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A set-up link without its URL
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Link)]
pub(super) struct Shown {
    id: String,
    note: String,
    provider: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// When somebody last opened it
    #[schema(format = DateTime)]
    last_opened_at: Option<String>,
    /// How often it was opened
    #[schema(minimum = 0)]
    opened: u32,
    /// When it was revoked, or had done its work
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Whether it works now
    live: bool,
}

impl From<Link> for Shown {
    fn from(link: Link) -> Self {
        Self {
            live: link.is_live(clock::now()),
            id: link.id,
            note: link.note,
            provider: link.provider,
            created_at: clock::rfc3339(link.created_at),
            expires_at: clock::rfc3339(link.expires_at),
            last_opened_at: link.last_opened_at.map(clock::rfc3339),
            opened: link.opened,
            ended_at: link.ended_at.map(clock::rfc3339),
        }
    }
}

/// Make a set-up link
///
/// Who opens the URL sees the steps for this one configuration and may make its first token; nothing else.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/links",
    tag = "Set-up links",
    operation_id = "createLink",
    params(("id" = String, Path), ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    request_body = Option<CreateBody>,
    responses((status = 201, description = "The link, with its URL", body = CreatedLink), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn create(allowed: Allowed<Tokens>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let (body, state) = call.body_if_any::<CreateBody>().await?;
    let secret = random(Token::generate_link())?;
    let new = NewLink {
        id: clock::new_id(),
        digest: secret.digest(),
        life_seconds: body.expires_in.unwrap_or(LIFE_DEFAULT_SECONDS),
        note: body.note.unwrap_or_default(),
        provider: body.provider,
    };
    let link = write(&state, move |tx| links::create(tx, &by, &id, &new)).await?;
    let url = format!("{}{OPENED_AT}{}", state.public_url(), secret.reveal());
    Ok(created(&CreatedLink { id: link.id, url, expires_at: clock::rfc3339(link.expires_at) }))
}

/// The set-up links of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/links",
    tag = "Set-up links",
    operation_id = "listLinks",
    params(
        ("id" = String, Path),
        PageQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 200, description = "Links, newest first, the ended ones too", body = Page<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Tokens>, call: Call) -> Answered {
    let (id, reach, page) = (call.part("id"), allowed.reach(), call.query::<PageQuery>()?);
    let (limit, before) = (page.limit()?, page.place::<String>()?);
    let rows = read_aside(&call.state, move |at| links::page(at, &reach, &id, before.as_deref(), limit + 1)).await?;
    Ok(document(&Page::of(rows, limit, |row| row.id.clone(), Shown::from)))
}

/// Revoke a set-up link
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/links/{linkId}",
    tag = "Set-up links",
    operation_id = "revokeLink",
    params(
        ("id" = String, Path),
        ("linkId" = String, Path),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 204, description = "It is dead"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn revoke(allowed: Allowed<Tokens>, call: Call) -> Answered {
    let (by, id, link) = (allowed.by, call.part("id"), call.part("linkId"));
    write(&call.state, move |tx| links::revoke(tx, &by, &id, &link)).await?;
    Ok(done())
}
