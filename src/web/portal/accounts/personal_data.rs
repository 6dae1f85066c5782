//! Export and erasure of the personal data of one user: the list, the forms, and the page of one request with its receipt.

use std::path::Path;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::error::{Error, ErrorKind, Reason};
use crate::management::accounts::account_names::AccountNames;
use crate::management::personal_data::{self, BackupCopy, NewPersonalDataRequest, PersonalDataRequest};
use crate::messages::render_message;
use crate::model::personal_data::{PersonalDataKind, PersonalDataState, SubjectSelector};
use crate::store::{Snapshot, Tx};
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::list_pages::PER_PAGE;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::{Directory, ErasePersonalData, ExportPersonalData};

/// Interval in seconds at which the page of a running request reloads.
const REFRESH_SECONDS: u32 = 3;

/// A request in the list.
struct RequestLine {
    id: String,
    kind: &'static str,
    account: AccountLabel,
    user: String,
    is_running: bool,
    created: PageTime,
}

impl RequestLine {
    fn new(request: PersonalDataRequest, names: &AccountNames) -> Self {
        Self {
            kind: name_kind(request.kind),
            user: name_user(&request),
            is_running: request.state == PersonalDataState::Running,
            created: PageTime::from_millis(request.created_at),
            account: AccountLabel::find(names, &request.account),
            id: request.id,
        }
    }
}

fn name_kind(kind: PersonalDataKind) -> &'static str {
    match kind {
        PersonalDataKind::Export => texts::accounts::EXPORT,
        PersonalDataKind::Erasure => texts::accounts::ERASURE,
    }
}

/// The user of a request: its id or address, or, of an erasure by address, the ids that were found.
fn name_user(request: &PersonalDataRequest) -> String {
    let named = request.user_id.as_ref().or(request.email.as_ref()).cloned();
    named.or_else(|| request.user_ids.first().cloned()).unwrap_or_else(|| texts::accounts::ERASED_ADDRESS.to_owned())
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct SubjectForm {
    account: String,
    user: String,
    confirmation: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PersonalDataQuery {
    account: String,
    before: String,
}

#[derive(Template)]
#[template(path = "portal/personal_data.html")]
struct PersonalDataPage {
    layout: PageLayout,
    fields: SubjectForm,
    problems: Vec<FormError>,
    lines: Vec<RequestLine>,
    /// Position of the next page.
    next: Option<i64>,
    is_later: bool,
}

impl PersonalDataPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

/// `GET /personal-data`
pub(crate) async fn list_requests(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    show_list(&admin, &page_request, SubjectForm::default(), Vec::new()).await
}

async fn show_list<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    mut fields: SubjectForm,
    problems: Vec<FormError>,
) -> PageResult {
    let query: PersonalDataQuery = page_request.query().unwrap_or_default();
    let (scope, before) = (admin.context.scope.clone(), query.before.parse().ok());
    if fields.account.is_empty() {
        fields.account = query.account;
    }
    let read = move |at: &Snapshot<'_>| {
        let found = personal_data::list_requests(at, &scope, None, before, PER_PAGE + 1)?;
        let names = AccountNames::read(at, found.iter().map(|request| &request.account))?;
        Ok((found, names))
    };
    let (mut found, names) = page_request.read(read).await?;
    let has_more = found.len() > PER_PAGE;
    found.truncate(PER_PAGE);
    let next = found.last().map(|last| last.key).filter(|_| has_more);
    let layout = PageLayout::new(texts::accounts::PERSONAL_DATA, Some(&admin.signed), NavigationEntry::Accounts);
    let status = if problems.is_empty() { 200 } else { 422 };
    let lines = found.into_iter().map(|request| RequestLine::new(request, &names)).collect();
    Ok(render_page(status, &PersonalDataPage { layout, fields, problems, lines, next, is_later: before.is_some() }))
}

/// Reads the user of a form. The account is that of the admin, if the admin is limited to one.
fn read_subject<N>(
    admin: &PermittedAdmin<N>,
    fields: &SubjectForm,
    kind: PersonalDataKind,
) -> Result<NewPersonalDataRequest, Error> {
    let selector = SubjectSelector::parse_text(&fields.user)?;
    let account = Some(fields.account.trim().to_owned()).filter(|account| !account.is_empty());
    let account = account.filter(|_| admin.context.scope.account().is_none());
    Ok(NewPersonalDataRequest { id: clock::new_id(), account, kind, selector })
}

/// The field of the form that an error is about, and its sentence. Other errors are not about a field.
fn find_problem(error: &Error) -> Option<FormError> {
    let field = match error.reason() {
        Reason::AccountNotFound | Reason::PersonalDataAccountMissing => "account",
        Reason::PersonalDataSubjectInvalid | Reason::EmailInvalid => "user",
        _ if error.kind() == ErrorKind::Conflict => "user",
        _ => return None,
    };
    let sentence = match error.reason() {
        Reason::PersonalDataSubjectInvalid | Reason::EmailInvalid => texts::accounts::ENTER_USER.to_owned(),
        Reason::PersonalDataAccountMissing => texts::accounts::ENTER_ACCOUNT.to_owned(),
        _ => render_message(error),
    };
    Some(FormError { field, sentence })
}

async fn start_request<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    (fields, kind): (&SubjectForm, PersonalDataKind),
) -> Result<String, Error> {
    let (new, context) = (read_subject(admin, fields, kind)?, admin.context.clone());
    let started = page_request.write(move |tx: &Tx<'_>| personal_data::start_request(tx, &context, &new)).await?;
    Ok(started.id)
}

/// `POST /personal-data/export`
pub(crate) async fn start_export(admin: PermittedAdmin<ExportPersonalData>, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<SubjectForm>(&admin.signed).await?;
    match start_request(&admin, &page_request, (&fields, PersonalDataKind::Export)).await {
        Ok(id) => Ok(redirect_to(&format!("/personal-data/{id}")).finish()),
        Err(error) => match find_problem(&error) {
            Some(problem) => show_list(&admin, &page_request, fields, vec![problem]).await,
            None => Err(error.into()),
        },
    }
}

#[derive(Template)]
#[template(path = "portal/erase_personal_data.html")]
struct ErasePersonalDataPage {
    layout: PageLayout,
    fields: SubjectForm,
    problems: Vec<FormError>,
}

impl ErasePersonalDataPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }
}

fn render_erase_form(
    admin: &PermittedAdmin<ErasePersonalData>,
    fields: SubjectForm,
    problems: Vec<FormError>,
) -> HttpResponse {
    let layout = PageLayout::new(texts::accounts::ERASE_PERSONAL_DATA, Some(&admin.signed), NavigationEntry::Accounts);
    let status = if problems.is_empty() { 200 } else { 422 };
    render_page(status, &ErasePersonalDataPage { layout, fields, problems })
}

/// `GET /personal-data/erase`
pub(crate) async fn show_erase_form(admin: PermittedAdmin<ErasePersonalData>, page_request: PageRequest) -> PageResult {
    let query: PersonalDataQuery = page_request.query().unwrap_or_default();
    let fields = SubjectForm { account: query.account, ..SubjectForm::default() };
    Ok(render_erase_form(&admin, fields, Vec::new()))
}

/// `POST /personal-data/erase`
pub(crate) async fn start_erasure(admin: PermittedAdmin<ErasePersonalData>, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<SubjectForm>(&admin.signed).await?;
    if !fields.user.trim().is_empty() && fields.confirmation.trim() != fields.user.trim() {
        let sentence = texts::accounts::TYPE_USER_AGAIN.to_owned();
        return Ok(render_erase_form(&admin, fields, vec![FormError { field: "confirmation", sentence }]));
    }
    match start_request(&admin, &page_request, (&fields, PersonalDataKind::Erasure)).await {
        Ok(id) => Ok(redirect_to(&format!("/personal-data/{id}")).finish()),
        Err(error) => match find_problem(&error) {
            Some(problem) => Ok(render_erase_form(&admin, fields, vec![problem])),
            None => Err(error.into()),
        },
    }
}

/// A backup in the receipt.
struct BackupLine {
    file: String,
    created: Option<PageTime>,
}

/// The time of a receipt, which is stored in RFC 3339 format.
fn format_time(exact: &str) -> PageTime {
    let display = texts::formats::add_utc(&exact.get(..19).unwrap_or(exact).replace('T', " "));
    PageTime { exact: exact.to_owned(), display }
}

#[derive(Template)]
#[template(path = "portal/personal_data_request.html")]
struct PersonalDataRequestPage {
    layout: PageLayout,
    request: PersonalDataRequest,
    account: AccountLabel,
    user: String,
    /// What is being worked on.
    stage: String,
    counts: Vec<(&'static str, u64)>,
    backups: Option<Vec<BackupLine>>,
    created: PageTime,
    completed: Option<PageTime>,
    expires: Option<PageTime>,
}

impl PersonalDataRequestPage {
    fn is_running(&self) -> bool {
        self.request.state == PersonalDataState::Running
    }

    fn is_export(&self) -> bool {
        self.request.kind == PersonalDataKind::Export
    }
}

/// The labels of the counts, in the order of the page.
const COUNT_LABELS: [(&str, &str); 8] = [
    ("users", texts::labels::USERS),
    ("deletedUsers", texts::accounts::DELETED_USERS),
    ("heldChanges", texts::accounts::HELD_STATES),
    ("events", texts::accounts::EVENTS),
    ("requests", texts::accounts::PROVIDER_REQUESTS),
    ("auditEntries", texts::accounts::AUDIT_ENTRIES),
    ("webhookAttempts", texts::accounts::WEBHOOK_ANSWERS),
    ("exports", texts::accounts::EXPORTS),
];

/// `GET /personal-data/{id}`
pub(crate) async fn show_request(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let (id, scope) = (page_request.path_parameter("id"), admin.context.scope.clone());
    let (request, account) = page_request.read_inline(|at| {
        let request = personal_data::find_request(at, &scope, &id)?;
        let names = AccountNames::read(at, [&request.account])?;
        let account = AccountLabel::find(&names, &request.account);
        Ok((request, account))
    })?;
    let kind = name_kind(request.kind);
    let mut layout =
        PageLayout::new(texts::accounts::title_request(kind), Some(&admin.signed), NavigationEntry::Accounts);
    layout.refresh = (request.state == PersonalDataState::Running).then_some(REFRESH_SECONDS);
    let is_operator = scope.account().is_none();
    let describe = |copy: &BackupCopy| BackupLine {
        // The folders of the server are the operator's.
        file: if is_operator {
            copy.file.clone()
        } else {
            Path::new(&copy.file).file_name().unwrap_or_default().to_string_lossy().into_owned()
        },
        created: copy.created_at.as_deref().map(format_time),
    };
    let counts =
        COUNT_LABELS.into_iter().filter_map(|(name, label)| Some((label, *request.counts.get(name)?))).collect();
    let content = PersonalDataRequestPage {
        layout,
        account,
        user: name_user(&request),
        stage: request.stage.as_str().replace('_', " "),
        counts,
        backups: request.backups.as_ref().map(|backups| backups.iter().map(describe).collect()),
        created: PageTime::from_millis(request.created_at),
        completed: request.completed_at.map(PageTime::from_millis),
        expires: request.expires_at().map(PageTime::from_millis),
        request,
    };
    Ok(render_page(200, &content))
}

/// `GET /personal-data/{id}/file`
pub(crate) async fn download_file(admin: PermittedAdmin<ExportPersonalData>, page_request: PageRequest) -> PageResult {
    let (id, context) = (page_request.path_parameter("id"), admin.context.clone());
    let (name, scope) = (id.clone(), context.scope.clone());
    let text = match page_request.read(move |at| personal_data::read_file(at, &scope, &name)).await {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::Conflict => {
            return Err(PageError::Failed { status: 409, detail: texts::accounts::EXPORT_INCOMPLETE.to_owned() });
        }
        Err(error) => return Err(error.into()),
    };
    let file_name = format!("attachment; filename=\"personal-data-{id}.json\"");
    page_request.write(move |tx: &Tx<'_>| personal_data::record_download(tx, &context, &id)).await?;
    Ok(HttpResponse::Ok().content_type("application/json").insert_header((CONTENT_DISPOSITION, file_name)).body(text))
}
