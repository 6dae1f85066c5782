//! Quotas of configurations and accounts: what is used, and the limits that the operator sets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, OperatorOnly, Read, System};
use crate::clock;
use crate::management::accounts;
use crate::management::quotas::{self, QuotaChanges};
use crate::model::field_change::FieldChange;
use crate::model::quota::{ActiveUserLimit, OwnerQuotas, QuotaKind, QuotaStatus};
use crate::web::api::configurations::find_configuration;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response};

/// One quota
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Quota)]
pub(super) struct QuotaResponse {
    /// What is counted: `configurations`, `users`, `activeUsers`, `groups`, `members`, `bytes` or `requestLogBytes`
    quota: &'static str,
    #[schema(minimum = 0)]
    used: u64,
    /// The limit; null for no limit
    #[schema(required, minimum = 1)]
    limit: Option<u64>,
    /// Used percentage of the limit; null without a limit
    #[schema(required, minimum = 0)]
    percent: Option<u64>,
    /// Whether the limit was set for this configuration or account, instead of the default of the server
    is_override: bool,
    /// Only with `activeUsers`: the operator's own sentence, with which calls above the limit are answered. Absent without one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<String>,
    /// Only with `activeUsers`: calls that were refused because of a limit of active users. Counted within a second
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    refused: Option<u64>,
    /// Only with `activeUsers`: time of the last refused call. Absent without one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    last_refused_at: Option<String>,
}

impl QuotaResponse {
    fn new(status: QuotaStatus, active_users: &ActiveUserLimit) -> Self {
        let QuotaStatus { kind, used, limit, is_override } = status;
        let own = Some(active_users).filter(|_| kind == QuotaKind::ActiveUsers);
        Self {
            quota: kind.as_str(),
            used,
            limit,
            percent: status.percent(),
            is_override,
            message: own.and_then(|own| own.message.clone()),
            refused: own.map(|own| own.refused),
            last_refused_at: own.and_then(|own| own.last_refused_at).map(clock::format_rfc3339),
        }
    }
}

/// The quotas of a configuration or an account
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuotaList)]
pub(super) struct QuotasResponse {
    quotas: Vec<QuotaResponse>,
}

impl From<OwnerQuotas> for QuotasResponse {
    fn from(found: OwnerQuotas) -> Self {
        let response = |status| QuotaResponse::new(status, &found.active_users);
        Self { quotas: found.quotas.iter().copied().map(response).collect() }
    }
}

/// Limits of a configuration. 0 means no limit, null the default of the server; absent members keep their value
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConfigurationQuotaUpdate)]
pub(super) struct ConfigurationQuotasBody {
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    users: FieldChange<u64>,
    /// Users whose `active` is true: seats. The server has no default
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    active_users: FieldChange<u64>,
    /// Sentence with which calls above the limit of active users are answered, in plain text. null or empty for that of
    /// the account
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    message: FieldChange<String>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    groups: FieldChange<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    members: FieldChange<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    bytes: FieldChange<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    request_log_bytes: FieldChange<u64>,
}

/// Limits of an account, for all its configurations together. 0 means no limit, null the default of the server; absent
/// members keep their value
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountQuotaUpdate)]
pub(super) struct AccountQuotasBody {
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    configurations: FieldChange<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    users: FieldChange<u64>,
    /// Users whose `active` is true: seats. The server has no default
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    active_users: FieldChange<u64>,
    /// Sentence with which calls above the limit of active users are answered, in plain text. null or empty for that of
    /// the server
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    message: FieldChange<String>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    groups: FieldChange<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    members: FieldChange<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 1_125_899_906_842_624_u64)]
    bytes: FieldChange<u64>,
}

fn list_changes(given: impl IntoIterator<Item = (QuotaKind, FieldChange<u64>)>) -> Vec<(QuotaKind, Option<u64>)> {
    let changed = given.into_iter().filter_map(|(kind, change)| match change {
        FieldChange::Keep => None,
        FieldChange::Clear => Some((kind, None)),
        FieldChange::Set(limit) => Some((kind, Some(limit))),
    });
    changed.collect()
}

/// Get the quotas of a configuration
///
/// A write that would exceed a quota is answered with 403 and the code `quota_exceeded`. Above the limit of active users,
/// the code is `active_user_limit_reached`, and the detail is `message`. Deletions, and changes that do not increase the
/// usage, always succeed.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/quotas",
    tag = "Configurations",
    params(("id" = String, Path, description = "The configuration")),
    responses((status = 200, description = "The quotas", body = QuotasResponse), ReadErrors)
)]
pub(super) async fn get_configuration_quotas(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let found = call.read_inline(|at| quotas::list_configuration_quotas(at, &scope, &id))?;
    Ok(json_response(&QuotasResponse::from(found)))
}

/// Change the limits of a configuration
///
/// They apply to the next write. A limit below the usage deletes no users and groups; only the oldest calls of a request
/// log above its limit are removed.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}/quotas",
    tag = "Configurations",
    params(("id" = String, Path, description = "The configuration")),
    request_body = ConfigurationQuotasBody,
    responses((status = 200, description = "The quotas after the change", body = QuotasResponse), WriteErrors)
)]
pub(super) async fn update_configuration_quotas(
    allowed: AllowedCaller<OperatorOnly<System>>,
    call: ApiRequest,
) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.body::<ConfigurationQuotasBody>().await?;
    let limits = list_changes([
        (QuotaKind::Users, body.users),
        (QuotaKind::ActiveUsers, body.active_users),
        (QuotaKind::Groups, body.groups),
        (QuotaKind::Members, body.members),
        (QuotaKind::Bytes, body.bytes),
        (QuotaKind::RequestLogBytes, body.request_log_bytes),
    ]);
    let changes = QuotaChanges { limits, message: body.message };
    let changed = call.write(move |tx| {
        quotas::set_configuration_limits(tx, &context, &id, &changes)?;
        quotas::list_configuration_quotas(tx, &context.scope, &id)
    });
    Ok(json_response(&QuotasResponse::from(changed.await?)))
}

/// Get the quotas of an account
///
/// The usage of all configurations of the account together. Users and groups of deleted configurations count until they are
/// purged.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/accounts/{id}/quotas",
    tag = "Accounts",
    params(("id" = String, Path, description = "Id of the account, percent-encoded")),
    responses((status = 200, description = "The quotas", body = QuotasResponse), ReadErrors)
)]
pub(super) async fn get_account_quotas(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let found = call.read_inline(|at| quotas::list_account_quotas(at, &scope, &id))?;
    Ok(json_response(&QuotasResponse::from(found)))
}

/// Change the limits of an account
///
/// They apply to the next write. A limit below the usage deletes nothing.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/accounts/{id}/quotas",
    tag = "Accounts",
    params(("id" = String, Path, description = "Id of the account, percent-encoded")),
    request_body = AccountQuotasBody,
    responses((status = 200, description = "The quotas after the change", body = QuotasResponse), WriteErrors)
)]
pub(super) async fn update_account_quotas(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    call.read_inline(|at| accounts::find_account(at, &context.scope, &id))?;
    let body = call.body::<AccountQuotasBody>().await?;
    let limits = list_changes([
        (QuotaKind::Configurations, body.configurations),
        (QuotaKind::Users, body.users),
        (QuotaKind::ActiveUsers, body.active_users),
        (QuotaKind::Groups, body.groups),
        (QuotaKind::Members, body.members),
        (QuotaKind::Bytes, body.bytes),
    ]);
    let changes = QuotaChanges { limits, message: body.message };
    let changed = call.write(move |tx| {
        quotas::set_account_limits(tx, &context, &id, &changes)?;
        quotas::list_account_quotas(tx, &context.scope, &id)
    });
    Ok(json_response(&QuotasResponse::from(changed.await?)))
}
