//! Export and erasure of the personal data of one user.

use std::collections::BTreeMap;
use std::path::Path;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Directory, ErasePersonalData, ExportPersonalData};
use super::cursor::{CursorPage, PageQuery};
use crate::clock;
use crate::management::personal_data::{self, BackupCopy, NewPersonalDataRequest, PersonalDataRequest};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::personal_data::{PersonalDataKind, PersonalDataSection, PersonalDataState, SubjectSelector};
use crate::store::{Snapshot, Tx};
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response, rendered_response};

/// Name of the member of the counts that is not a section.
const EXPORTS_COUNT: &str = "exports";

/// What was found: in an erasure, what was deleted or changed
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PersonalDataCounts)]
pub(super) struct PersonalDataCountsResponse {
    /// Users
    #[schema(minimum = 0)]
    users: u64,
    /// Deleted users that could be restored, and references to the user in other ones
    #[schema(minimum = 0)]
    deleted_users: u64,
    /// States that were published before a pause
    #[schema(minimum = 0)]
    held_changes: u64,
    /// Events
    #[schema(minimum = 0)]
    events: u64,
    /// Calls in the request logs
    #[schema(minimum = 0)]
    requests: u64,
    /// Entries of the audit log
    #[schema(minimum = 0)]
    audit_entries: u64,
    /// Attempts of webhooks whose response named the user
    #[schema(minimum = 0)]
    webhook_attempts: u64,
    /// Exports that an erasure removed
    #[schema(minimum = 0)]
    exports: u64,
}

impl From<&BTreeMap<String, u64>> for PersonalDataCountsResponse {
    fn from(counts: &BTreeMap<String, u64>) -> Self {
        let count = |section: PersonalDataSection| counts.get(section.as_str()).copied().unwrap_or_default();
        Self {
            users: count(PersonalDataSection::Users),
            deleted_users: count(PersonalDataSection::DeletedUsers),
            held_changes: count(PersonalDataSection::HeldChanges),
            events: count(PersonalDataSection::Events),
            requests: count(PersonalDataSection::Requests),
            audit_entries: count(PersonalDataSection::AuditEntries),
            webhook_attempts: count(PersonalDataSection::WebhookAttempts),
            exports: counts.get(EXPORTS_COUNT).copied().unwrap_or_default(),
        }
    }
}

/// A backup that still contains the data
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RemainingBackup)]
pub(super) struct RemainingBackupResponse {
    /// The file: its path for the operator, its name for other callers
    file: String,
    /// When it was written; null if it was being written at the end of the erasure
    #[schema(format = DateTime, required)]
    created_at: Option<String>,
}

/// What an erasure could not change
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasureReceipt)]
pub(super) struct ErasureReceiptResponse {
    /// Backups that the server knows of: they still contain the data until they are deleted. Copies elsewhere are not listed
    backups: Vec<RemainingBackupResponse>,
}

/// A request to export or to erase personal data
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PersonalDataRequest)]
pub(super) struct PersonalDataResponse {
    id: String,
    kind: PersonalDataKind,
    account_id: String,
    state: PersonalDataState,
    /// What is being worked on, such as `events`
    stage: &'static str,
    /// The user that was requested
    #[schema(required)]
    user_id: Option<String>,
    /// The address that was requested; null after an erasure
    #[schema(required)]
    email: Option<String>,
    /// Ids of the users that were found
    user_ids: Vec<String>,
    counts: PersonalDataCountsResponse,
    /// Items that the file of an export does not contain, because it would be larger than 32 MiB
    #[schema(minimum = 0)]
    omitted: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime, required)]
    completed_at: Option<String>,
    /// Until when the file of an export can be downloaded. The request is removed then
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    /// The receipt of an erasure that is done
    #[schema(required)]
    receipt: Option<ErasureReceiptResponse>,
}

impl PersonalDataResponse {
    fn from_request(request: PersonalDataRequest, scope: &AccountScope) -> Self {
        let expires_at = request.expires_at().map(clock::format_rfc3339);
        let is_operator = scope.account().is_none();
        let describe = |copy: BackupCopy| RemainingBackupResponse {
            file: if is_operator { copy.file } else { shorten_path(&copy.file) },
            created_at: copy.created_at,
        };
        Self {
            counts: (&request.counts).into(),
            id: request.id,
            kind: request.kind,
            account_id: request.account.id,
            state: request.state,
            stage: request.stage.as_str(),
            user_id: request.user_id,
            email: request.email,
            user_ids: request.user_ids,
            omitted: request.omitted,
            created_at: clock::format_rfc3339(request.created_at),
            completed_at: request.completed_at.map(clock::format_rfc3339),
            expires_at,
            receipt: request
                .backups
                .map(|backups| ErasureReceiptResponse { backups: backups.into_iter().map(describe).collect() }),
        }
    }
}

/// The folders of the server are the operator's.
fn shorten_path(file: &str) -> String {
    Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The user whose data is exported or erased: either `userId` or `email`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PersonalDataSubject)]
pub(super) struct PersonalDataBody {
    /// Id of the account. The operator must name it, here or in the header `frontegg-tenant-id`
    #[schema(max_length = 128)]
    account_id: Option<String>,
    /// Id of a user. Users of other configurations with the same address are included: `userName` or the primary e-mail address
    #[schema(pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
    user_id: Option<String>,
    /// An e-mail address. It selects the users with it as `userName` or in `emails`
    #[schema(max_length = 254, pattern = r"^[^\s@\x00-\x1f\x7f-\x9f]+@[^\s@\x00-\x1f\x7f-\x9f]+$")]
    email: Option<String>,
}

/// Starts a request and returns it.
async fn start_request(call: &ApiRequest, context: AuditContext, kind: PersonalDataKind) -> ApiResult {
    let body = call.body::<PersonalDataBody>().await?;
    let selector = SubjectSelector::parse(body.user_id.as_deref(), body.email.as_deref())?;
    let new = NewPersonalDataRequest { id: clock::new_id(), account: body.account_id, kind, selector };
    let scope = context.scope.clone();
    let start = move |tx: &Tx<'_>| personal_data::start_request(tx, &context, &new);
    write_and_respond(call, StatusCode::ACCEPTED, start, move |started| {
        PersonalDataResponse::from_request(started, &scope)
    })
    .await
}

/// Export the personal data of a user
///
/// Everything that is stored about the user in all configurations of the account, also deleted ones, as one JSON file: users, deleted
/// users, held changes, events, logged requests, audit entries, and answers of webhooks. The work runs in the background; the file can
/// be downloaded for 7 days. Without a match the request ends with counts of 0. At most 5 requests of an account run at the same time.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/personal-data/export",
    tag = "Personal data",
    request_body = PersonalDataBody,
    responses((status = 202, description = "The export runs", body = PersonalDataResponse), WriteErrors)
)]
pub(super) async fn export_personal_data(allowed: AllowedCaller<ExportPersonalData>, call: ApiRequest) -> ApiResult {
    start_request(&call, allowed.context, PersonalDataKind::Export).await
}

/// Erase the personal data of a user
///
/// The user is deleted from all configurations of the account: the events are `user.deleted` and `group.member_removed`. Then its data
/// is removed from tombstones, events, held changes, request logs, the audit log and exports. Ids, counts and the order of events stay.
/// This cannot be undone. The request is `done` when the files of the database do not contain the data any more; the receipt names the
/// backups that do. Remove the user from the identity provider first: otherwise it is created again.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/personal-data/erase",
    tag = "Personal data",
    request_body = PersonalDataBody,
    responses((status = 202, description = "The erasure runs", body = PersonalDataResponse), WriteErrors)
)]
pub(super) async fn erase_personal_data(allowed: AllowedCaller<ErasePersonalData>, call: ApiRequest) -> ApiResult {
    start_request(&call, allowed.context, PersonalDataKind::Erasure).await
}

/// Filters of the list
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListPersonalDataQuery {
    /// Id of the account
    account: Option<String>,
}

/// List exports and erasures
///
/// Newest first. The operator gets those of all accounts or of one account, other callers those of their own account. Receipts of
/// erasures stay; an export is removed 7 days after its end.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/personal-data",
    tag = "Personal data",
    params(PageQuery, ListPersonalDataQuery),
    responses((status = 200, description = "Requests", body = CursorPage<PersonalDataResponse>), ReadErrors)
)]
pub(super) async fn list_personal_data(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (scope, page) = (allowed.account_scope(), call.query::<PageQuery>()?);
    let (limit, before) = (page.limit()?, page.position::<i64>()?);
    let account = call.query::<ListPersonalDataQuery>()?.account;
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let of_caller = scope.clone();
    let read = move |at: &Snapshot<'_>| personal_data::list_requests(at, &of_caller, account, before, most);
    let found = call.read(read).await?;
    let convert = |request| PersonalDataResponse::from_request(request, &scope);
    Ok(json_response(&CursorPage::from_rows(found, limit, |request| request.key, convert)))
}

/// Get an export or erasure
#[utoipa::path(
    get,
    path = "/directory/resources/v1/personal-data/{id}",
    tag = "Personal data",
    params(("id" = String, Path, description = "Id of the request")),
    responses((status = 200, description = "State, counts and receipt", body = PersonalDataResponse), ReadErrors)
)]
pub(super) async fn get_personal_data(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let found = call.read_inline(|at| personal_data::find_request(at, &scope, &id))?;
    Ok(json_response(&PersonalDataResponse::from_request(found, &scope)))
}

/// Download the file of an export
///
/// One JSON document. The audit log records each download. 409 while the export runs.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/personal-data/{id}/file",
    tag = "Personal data",
    params(("id" = String, Path, description = "Id of the request")),
    responses(
        (status = 200, description = "The file", body = Object, content_type = "application/json"),
        WriteErrors
    )
)]
pub(super) async fn get_personal_data_file(allowed: AllowedCaller<ExportPersonalData>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let (scope, name) = (context.scope.clone(), id.clone());
    let text = call.read(move |at| personal_data::read_file(at, &scope, &name)).await?;
    let file_name = format!("attachment; filename=\"personal-data-{id}.json\"");
    call.write(move |tx| personal_data::record_download(tx, &context, &id)).await?;
    let mut response = rendered_response(text);
    if let Ok(value) = file_name.parse() {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
