//! Verification of user passwords, for the sign-in of the operator's application.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, Directory, OperatorOnly};
use crate::error::Reason;
use crate::management::configurations;
use crate::provisioning::{Scope, passwords};
use crate::scim::password;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, WriteErrors, json_response};
use crate::web::password_hashing::HashingLane;

/// A password to verify
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordCheck)]
pub(super) struct CheckPasswordBody {
    #[schema(min_length = 1, max_length = 1024)]
    password: String,
}

/// The result of a password check
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verdict)]
pub(super) struct CheckPasswordResponse {
    /// Whether it is the password of the user
    valid: bool,
}

/// Check a user's password
///
/// Requires a configuration that stores passwords (`passwords` is `verify` in its settings). If the user has no password,
/// `valid` is false. The limit is ten checks per minute and user; after that the response is 429.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/users/{user}/password/verify",
    tag = "Directory",
    request_body = CheckPasswordBody,
    responses((status = 200, description = "The result of the check", body = CheckPasswordResponse), WriteErrors)
)]
pub(super) async fn verify_password(allowed: AllowedCaller<OperatorOnly<Directory>>, call: ApiRequest) -> ApiResult {
    let (id, user) = (call.path_parameter("id"), call.path_parameter("user"));
    let digest = call.read_inline(|at| {
        let scope = Scope::load(at, configurations::find_configuration(at, &allowed.context.scope, &id)?)?;
        passwords::find_password_digest(at, &scope, &user)
    })?;
    let body = call.body::<CheckPasswordBody>().await?;
    let password = password::parse_password(&body.password)?;
    if let Some(wait) = call.state.limits.login_throttle.record_password_check(&user) {
        return Err(ApiError::from(Reason::PasswordChecksLimited).with_retry_after(wait.as_secs() + 1));
    }
    let valid = call.state.limits.hashing.verify(HashingLane::Users, password, digest).await?;
    Ok(json_response(&CheckPasswordResponse { valid }))
}
