//! Leftovers: users and groups of deleted configurations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::clock;
use crate::management::configuration_lifecycle;
use crate::model::audit_context::AccountScope;
use crate::provisioning::directory::DirectoryScope;
use crate::provisioning::purge::{self, LeftoverCounts};
use crate::web::api::caller::{AllowedCaller, Delete, OperatorOnly};
use crate::web::api::cursor::{CursorPage, PageQuery};
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};

/// The users and groups that remain of a deleted configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Leftover)]
pub(super) struct LeftoverResponse {
    configuration_id: String,
    connection_name: String,
    account_id: String,
    #[schema(format = DateTime, required)]
    deleted_at: Option<String>,
    /// Number of users
    #[schema(minimum = 0)]
    users: i64,
    /// Number of groups
    #[schema(minimum = 0)]
    groups: i64,
}

impl From<LeftoverCounts> for LeftoverResponse {
    fn from((configuration, counts): LeftoverCounts) -> Self {
        let counts: BTreeMap<String, i64> = counts.into_iter().collect();
        let count = |resource_type: &str| counts.get(resource_type).copied().unwrap_or(0);
        Self {
            configuration_id: configuration.source.id,
            connection_name: configuration.connection_name,
            account_id: configuration.source.account.id,
            deleted_at: configuration.source.deleted_at.map(clock::format_rfc3339),
            users: count("User"),
            groups: count("Group"),
        }
    }
}

/// Filters
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListLeftoversQuery {
    /// Only leftovers of this account
    account: Option<String>,
}

impl ListLeftoversQuery {
    /// Returns the accounts to list, or `None` if the requested account is not in the account scope of the call.
    fn into_selection(self, scope: &AccountScope) -> Option<DirectoryScope> {
        let is_in_scope = self.account.as_deref().is_none_or(|account| scope.covers_id(account));
        let account = scope.filter(self.account);
        is_in_scope.then_some(DirectoryScope { account, configuration: None })
    }
}

/// List retained data
///
/// Deleted configurations whose users and groups still exist.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/leftovers",
    tag = "Retained data",
    params(PageQuery, ListLeftoversQuery),
    responses((status = 200, description = "Leftovers, oldest configuration first", body = CursorPage<LeftoverResponse>), ReadErrors)
)]
pub(super) async fn list_leftovers(allowed: AllowedCaller<OperatorOnly<Delete>>, call: ApiRequest) -> ApiResult {
    let query = call.query::<PageQuery>()?;
    let (after, limit) = (query.position::<i64>()?.unwrap_or(0), query.limit()?);
    let found = match call.query::<ListLeftoversQuery>()?.into_selection(&allowed.context.scope) {
        None => Vec::new(),
        Some(selection) => {
            call.read(move |at| purge::list_leftovers(at, selection.account.as_ref(), after, limit + 1)).await?
        }
    };
    Ok(json_response(&CursorPage::from_rows(
        found,
        limit,
        |(configuration, _)| configuration.source.configuration,
        LeftoverResponse::from,
    )))
}

/// Purge retained data
///
/// Permanently removes the users and groups of a deleted configuration. They disappear from all lists when their `deleted`
/// events are published: immediately, or within seconds if there are many.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/leftovers/{configurationId}",
    tag = "Retained data",
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn purge_leftovers(allowed: AllowedCaller<Delete>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("configurationId"));
    call.write(move |tx| configuration_lifecycle::purge_configuration(tx, &context, &id)).await?;
    Ok(no_content_response())
}
