//! Tokens of a configuration: listed by their hints, rotated, given an end, revoked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answered, ReadRefusals, Refusal, WriteRefusals, created, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Read, Tokens};
use super::configurations::{known, new_token};
use super::cursor::{Page, PageQuery};
use super::words::{Moment, Name};
use crate::clock::{self, Millis};
use crate::directory::tokens::{self, TokenChange, TokenDraft};
use crate::model::change::Change;
use crate::model::rights::{Rights, TokenState};
use crate::store::tokens::KeptToken;

/// Longest life that `expiresIn` gives: ten years of seconds.
const EXPIRES_IN_MAX: u32 = 315_360_000;
/// Longest overlap that `revokeOldAfter` gives: thirty days of seconds.
const OVERLAP_MAX: u32 = 2_592_000;

/// A token, without its text
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub(super) struct Shown {
    id: String,
    label: String,
    /// The last four characters of the token
    hint: String,
    rights: Rights,
    state: TokenState,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime, required)]
    first_used_at: Option<String>,
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
    /// When it stops working by itself; null for never
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    #[schema(format = DateTime, required)]
    revoked_at: Option<String>,
}

impl Shown {
    fn of(token: KeptToken, now: Millis) -> Self {
        Self {
            state: token.state(now),
            id: token.id,
            label: token.label,
            hint: token.hint,
            rights: token.rights,
            created_at: clock::rfc3339(token.created_at),
            first_used_at: token.first_used_at.map(clock::rfc3339),
            last_used_at: token.last_used_at.map(clock::rfc3339),
            expires_at: token.expires_at.map(clock::rfc3339),
            revoked_at: token.revoked_at.map(clock::rfc3339),
        }
    }
}

/// The tokens of a configuration
///
/// Newest first, also those that have expired or were revoked; never a token itself.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens",
    tag = "Tokens",
    operation_id = "listTokens",
    params(
        ("id" = String, Path, description = "The configuration"),
        PageQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 200, description = "One page", body = Page<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Read>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let query = call.query::<PageQuery>()?;
    let (limit, place) = (query.limit()?, query.place::<(Millis, String)>()?);
    let found = read_aside(&call.state, move |at| {
        let before = place.as_ref().map(|(time, id)| (*time, id.as_str()));
        tokens::list(at, &by.reach, &id, before, limit + 1)
    });
    let now = clock::now();
    let place = |token: &KeptToken| (token.created_at, token.id.clone());
    Ok(document(&Page::of(found.await?, limit, place, |token| Shown::of(token, now))))
}

/// A token to be made; everything may be left out
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewToken)]
pub(super) struct NewBody {
    label: Option<Name>,
    /// When it stops working by itself; without it and `expiresIn`, never
    expires_at: Option<Moment>,
    /// The same in seconds from now; where both are given, the earlier one counts
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<u32>,
    /// What it may do; `all` without it
    rights: Option<Rights>,
    /// Seconds after which the token that stays beside the new one stops working; without it, it stays until the next
    /// rotation
    #[schema(minimum = 0, maximum = 2_592_000)]
    revoke_old_after: Option<u32>,
}

impl NewBody {
    fn check(&self) -> Result<(), Refusal> {
        if self.expires_in.is_some_and(|seconds| !(1..=EXPIRES_IN_MAX).contains(&seconds)) {
            return Err(Refusal::bad(format!("expiresIn must be a number of seconds from 1 to {EXPIRES_IN_MAX}")));
        }
        if self.revoke_old_after.is_some_and(|seconds| seconds > OVERLAP_MAX) {
            return Err(Refusal::bad(format!("revokeOldAfter must be a number of seconds from 0 to {OVERLAP_MAX}")));
        }
        Ok(())
    }

    fn expires_at(&self) -> Option<Millis> {
        let after = self.expires_in.map(|seconds| clock::now() + millis(seconds));
        self.expires_at.map(|moment| moment.0).into_iter().chain(after).min()
    }
}

fn millis(seconds: u32) -> Millis {
    Millis::from(seconds) * 1_000
}

/// A token as it was made. Its text is shown this once
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedToken {
    id: String,
    token: String,
    label: String,
    /// The last four characters of the token
    hint: String,
    rights: Rights,
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

/// Make a token
///
/// The identity provider's token is replaced without an outage: at most two are live, so the one before keeps working until
/// the next rotation, its end, or `revokeOldAfter`.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens",
    tag = "Tokens",
    operation_id = "createToken",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    request_body = Option<NewBody>,
    responses((status = 201, description = "The token", body = CreatedToken), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn create(allowed: Allowed<Tokens>, call: Call) -> Answered {
    make(allowed, call).await
}

/// Make a token, by another address
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/token",
    tag = "Tokens",
    operation_id = "rotateToken",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    request_body = Option<NewBody>,
    responses((status = 201, description = "The token", body = CreatedToken), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn rotate(allowed: Allowed<Tokens>, call: Call) -> Answered {
    make(allowed, call).await
}

async fn make(allowed: Allowed<Tokens>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let (body, state) = call.body_if_any::<NewBody>().await?;
    body.check()?;
    let token = new_token()?;
    let (expires_at, overlap) = (body.expires_at(), body.revoke_old_after.map(millis));
    let label = body.label.map_or_else(|| "rotated token".to_owned(), |label| label.0);
    let rights = body.rights.unwrap_or(Rights::All);
    let draft = TokenDraft { rights, expires_at, ..TokenDraft::new(clock::new_id(), &token, label) };
    let answer = CreatedToken {
        id: draft.id.clone(),
        token: token.reveal().to_owned(),
        label: draft.label.clone(),
        hint: draft.hint.clone(),
        rights,
        expires_at: expires_at.map(clock::rfc3339),
    };
    write(&state, move |tx| tokens::rotate(tx, &by, &id, &draft, overlap)).await?;
    Ok(created(&answer))
}

/// What is to be different with a token; what is left out stays
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TokenUpdate)]
pub(super) struct UpdateBody {
    label: Option<Name>,
    /// When it stops working by itself; null for never
    #[serde(default)]
    #[schema(value_type = Option<Moment>)]
    expires_at: Change<Moment>,
}

/// Change the name or the end of a token
///
/// A token that has expired or was revoked is dead for good: 409.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens/{token}",
    tag = "Tokens",
    operation_id = "updateToken",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("token" = String, Path, description = "Id of the token"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    request_body = UpdateBody,
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn update(allowed: Allowed<Tokens>, call: Call) -> Answered {
    let (by, id, token) = (allowed.by, call.part("id"), call.part("token"));
    known(&call.state, &by, &id)?;
    call.state.store.read_inline(|at| tokens::within(at, &by.reach, &id, &token))?;
    let (body, state) = call.body::<UpdateBody>().await?;
    let expires_at = body.expires_at.map(|moment| moment.0);
    let change = TokenChange { label: body.label.map(|label| label.0), expires_at };
    write(&state, move |tx| tokens::change(tx, &by, &id, &token, &change)).await?;
    Ok(done())
}

/// Revoke a token
///
/// It is dead at once.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens/{token}",
    tag = "Tokens",
    operation_id = "revokeToken",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("token" = String, Path, description = "Id of the token"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn revoke(allowed: Allowed<Tokens>, call: Call) -> Answered {
    let (by, id, token) = (allowed.by, call.part("id"), call.part("token"));
    write(&call.state, move |tx| tokens::revoke(tx, &by, &id, &token)).await?;
    Ok(done())
}
