//! The audit log as a file: CSV for a spreadsheet, JSON for a program.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use serde_json::{Value, json};

use crate::clock;
use crate::management::accounts::account_names::AccountNames;
use crate::management::audit::{self, AuditEntry, AuditPage};
use crate::store::Snapshot;
use crate::web::portal::accounts::audit::AuditForm;
use crate::web::portal::csv;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageResult};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::required_permission::Audit;

/// Most entries in one file, which also has the size limit of every answer. The dates of the filter select the others.
const ROWS_MAX: u32 = 10_000;

const COLUMNS: [&str; 14] = [
    "number",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "request_id",
    "customer",
    "account",
    "connection_id",
    "action",
    "subject",
    "before",
    "after",
];

/// `GET /audit/export.csv`
pub(crate) async fn export_csv(admin: PermittedAdmin<Audit>, page_request: PageRequest) -> PageResult {
    let (page, names) = read_entries(&admin, &page_request).await?;
    let mut text = csv::build_header(&COLUMNS);
    for record in &page.entries {
        text.push_str(&csv::build_row(&csv_cells(record, &names)));
    }
    Ok(download_response("csv", "text/csv; charset=utf-8", &page).body(text))
}

/// `GET /audit/export.json`
pub(crate) async fn export_json(admin: PermittedAdmin<Audit>, page_request: PageRequest) -> PageResult {
    let (page, _) = read_entries(&admin, &page_request).await?;
    let items: Vec<Value> = page.entries.iter().map(json_object).collect();
    Ok(download_response("json", "application/json", &page).body(Value::from(items).to_string()))
}

/// The entries that match the query, and the names of their accounts.
async fn read_entries(
    admin: &PermittedAdmin<Audit>,
    page_request: &PageRequest,
) -> Result<(AuditPage, AccountNames), PageError> {
    let query: AuditForm = page_request.query().unwrap_or_default();
    let zone = admin.signed.zone();
    if let Some(problem) = query.problems(&zone).pop() {
        return Err(PageError::Failed { status: 422, detail: problem.sentence });
    }
    let Some(filter) = query.to_query(&admin.context.scope, &zone) else {
        return Ok((AuditPage::default(), AccountNames::default()));
    };
    let read = move |at: &Snapshot<'_>| {
        let page = audit::list_audit_entries(at, &filter, ROWS_MAX)?;
        let names = AccountNames::read(at, page.entries.iter().filter_map(|entry| entry.account.as_ref()))?;
        Ok((page, names))
    };
    Ok(page_request.read(read).await?)
}

/// The name of a file that lacks older entries says that it has the newest ones only.
fn download_response(ending: &str, kind: &'static str, page: &AuditPage) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    let part = if page.has_more { "-newest" } else { "" };
    let name = format!("attachment; filename=\"audit{part}.{ending}\"");
    response.content_type(kind).insert_header((CONTENT_DISPOSITION, name));
    response
}

fn csv_cells(record: &AuditEntry, names: &AccountNames) -> [String; 14] {
    let [kind, id, name] = record.actor.clone();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let document = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    [
        record.number.to_string(),
        clock::format_rfc3339(record.at),
        kind,
        id,
        name,
        text(&record.address),
        text(&record.request_id),
        record.account.as_ref().map(|account| names.find(account).to_owned()).unwrap_or_default(),
        record.account.as_ref().map(|account| account.id.clone()).unwrap_or_default(),
        text(&record.configuration_id),
        record.action.clone(),
        text(&record.subject_id),
        document(&record.before),
        document(&record.after),
    ]
}

fn json_object(record: &AuditEntry) -> Value {
    let [kind, id, name] = &record.actor;
    json!({
        "number": record.number,
        "at": clock::format_rfc3339(record.at),
        "actor": {"kind": kind, "id": id, "name": name},
        "address": record.address,
        "requestId": record.request_id,
        "accountId": record.account,
        "configurationId": record.configuration_id,
        "action": record.action,
        "subjectId": record.subject_id,
        "before": record.before,
        "after": record.after,
    })
}
