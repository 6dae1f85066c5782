//! Checking the password of a user, for the operator's own sign-in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answered, Refusal, WriteRefusals, document};
use super::call::Call;
use super::caller::{Allowed, Directory, Operator};
use crate::directory::{Scope, configurations, passwords};
use crate::error::Error;
use crate::scim::password;

/// A password to be checked
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordCheck)]
pub(super) struct CheckBody {
    #[schema(min_length = 1, max_length = 1024)]
    password: String,
}

/// Whether it is the user's
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Verdict {
    valid: bool,
}

/// Check a user's password
///
/// Works where the configuration keeps passwords (`passwords` is `verify` in its settings). A user without a password
/// has no valid one. Each user may be asked about ten times a minute; beyond that the answer is 429.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/users/{user}/password/verify",
    tag = "Directory",
    operation_id = "verifyPassword",
    params(
        ("id" = String, Path),
        ("user" = String, Path, description = "Id of the user"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    request_body = CheckBody,
    responses((status = 200, description = "The verdict", body = Verdict), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn verify(allowed: Allowed<Operator<Directory>>, call: Call) -> Answered {
    let (id, user) = (call.part("id"), call.part("user"));
    let digest = call.state.store.read_inline(|at| {
        let scope = Scope::of(at, configurations::within(at, &allowed.by.reach, &id)?)?;
        passwords::digest(at, &scope, &user)
    })?;
    let (body, state) = call.body::<CheckBody>().await?;
    let given = password::read(&body.password).map_err(Error::from)?;
    if let Some(wait) = state.guard.note_password_guess(&user) {
        let refused = Refusal::new(429, "this user's password was asked about too often; wait a moment");
        return Err(Refusal { retry_after: Some(wait.as_secs() + 1), ..refused });
    }
    let valid = state.hashing.is_right(given, digest).await?;
    Ok(document(&Verdict { valid }))
}
