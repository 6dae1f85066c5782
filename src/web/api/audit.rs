//! The audit log: administrative changes and their actors.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Audit};
use super::cursor::{CursorPage, PageQuery};
use crate::clock;
use crate::management::audit::{self, AuditEntry, AuditPage, AuditQuery};
use crate::model::audit_context::AccountScope;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, json_response};
use crate::web::api::timestamps::parse_timestamp;

/// The actor of a change
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub(super) struct ActorResponse {
    /// `api_key`, `user`, `admin`, `setup_link`, `command_line` or `server`
    kind: String,
    /// Id of the API key, subject of the user token, or name of the operating system user
    id: String,
    name: String,
}

/// A change in the audit log
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(super) struct AuditEntryResponse {
    /// Position in the order of changes
    number: i64,
    #[schema(format = DateTime)]
    at: String,
    actor: ActorResponse,
    /// Network address of the actor
    address: Option<String>,
    /// `X-Request-Id` of the request
    request_id: Option<String>,
    account_id: Option<String>,
    configuration_id: Option<String>,
    /// `subject.verb`, such as `configuration.created`
    action: String,
    /// Id of the changed object, if it is not the configuration itself
    subject_id: Option<String>,
    /// Values before the change
    #[schema(nullable, value_type = Object)]
    before: Option<Value>,
    /// Values after the change
    #[schema(nullable, value_type = Object)]
    after: Option<Value>,
}

impl From<AuditEntry> for AuditEntryResponse {
    fn from(entry: AuditEntry) -> Self {
        let [kind, id, name] = entry.actor;
        Self {
            number: entry.number,
            at: clock::format_rfc3339(entry.at),
            actor: ActorResponse { kind, id, name },
            address: entry.address,
            request_id: entry.request_id,
            account_id: entry.account.map(|account| account.id),
            configuration_id: entry.configuration_id,
            action: entry.action,
            subject_id: entry.subject_id,
            before: entry.before,
            after: entry.after,
        }
    }
}

/// Filters; all of them must match
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAuditQuery {
    /// Id of the account
    account: Option<String>,
    /// Id of the configuration, which may be deleted
    configuration: Option<String>,
    /// Id or name of the actor
    actor: Option<String>,
    /// The action, such as `token.created`, or its subject, such as `token`
    action: Option<String>,
    /// Only changes at this time or later
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only changes before this time
    #[param(format = DateTime)]
    until: Option<String>,
}

impl ListAuditQuery {
    /// Returns the query, or `None` if the requested account is not in the account scope of the call.
    fn into_query(self, before: Option<i64>, scope: &AccountScope) -> Result<Option<AuditQuery>, ApiError> {
        let is_in_scope = self.account.as_deref().is_none_or(|account| scope.covers_id(account));
        let query = AuditQuery {
            before,
            account: scope.filter(self.account),
            configuration_id: self.configuration,
            actor: self.actor,
            action: self.action,
            since: parse_timestamp("since", self.since.as_deref())?,
            until: parse_timestamp("until", self.until.as_deref())?,
        };
        Ok(is_in_scope.then_some(query))
    }
}

/// List the audit log
///
/// All administrative changes, made through the API, the portal or the command line, newest first. The operator gets the
/// changes of all accounts or of one account. Other callers get those of their own account.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/audit",
    tag = "Audit",
    operation_id = "listAudit",
    params(PageQuery, ListAuditQuery),
    responses((status = 200, description = "Changes, newest first", body = CursorPage<AuditEntryResponse>), ReadErrors)
)]
pub(super) async fn list_audit_entries(allowed: AllowedCaller<Audit>, call: ApiRequest) -> ApiResult {
    let page = call.query::<PageQuery>()?;
    let limit = page.limit()?;
    let query = call.query::<ListAuditQuery>()?.into_query(page.position()?, &allowed.context.scope)?;
    let AuditPage { entries, has_more } = match query {
        Some(query) => call.read(move |at| audit::list_audit_entries(at, &query, limit)).await?,
        None => AuditPage::default(),
    };
    Ok(json_response(&CursorPage::from_page(entries, has_more, |row| row.number, AuditEntryResponse::from)))
}
