//! The audit log: who changed what, from where, and the values before and after; also as a file.

mod export;
mod sentence;

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::management::audit::{self, AuditEntry, AuditNames, AuditPage, AuditQuery};
use crate::model::audit_context::AccountScope;
use crate::web::portal::account_label::AccountLabel;
pub(crate) use crate::web::portal::accounts::audit::export::{export_csv, export_json};
use crate::web::portal::accounts::audit::sentence::AuditSentence;
use crate::web::portal::connections::log_view::shorten_name;
use crate::web::portal::forms::{FormError, PageRequest, encode_query, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::time_zone::TimeZoneChoice;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::Audit;

/// Changes on a page.
const PER_PAGE: u32 = 50;
/// Most connections to choose from. With more, the form has a field for the id.
const CONNECTIONS_MAX: usize = 100;

/// The filter of the form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AuditForm {
    account: String,
    connection: String,
    actor: String,
    action: String,
    since: String,
    until: String,
    before: String,
}

impl AuditForm {
    /// Converts the form to a query; `None` if it names an account outside the scope of the admin.
    fn to_query(&self, scope: &AccountScope, zone: &TimeZoneChoice) -> Option<AuditQuery> {
        let given = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        let account = given(&self.account);
        if account.as_deref().is_some_and(|account| !scope.covers_id(account)) {
            return None;
        }
        Some(AuditQuery {
            before: self.before.parse().ok(),
            account: scope.filter(account),
            configuration_id: given(&self.connection),
            actor: given(&self.actor),
            action: given(&self.action),
            since: zone.start_of_day(&self.since),
            until: zone.end_of_day(&self.until),
        })
    }

    /// Validation errors of the days.
    fn problems(&self, zone: &TimeZoneChoice) -> Vec<FormError> {
        let is_wrong = |text: &str| !text.is_empty() && zone.start_of_day(text).is_none();
        let fields = [("since", &self.since), ("until", &self.until)].into_iter().filter(|(_, text)| is_wrong(text));
        let sentence = texts::audit::say_day_invalid;
        fields.map(|(field, text)| FormError { field, sentence: sentence(text) }).collect()
    }

    fn is_empty(&self) -> bool {
        [&self.account, &self.connection, &self.actor, &self.action, &self.since, &self.until]
            .iter()
            .all(|text| text.is_empty())
    }

    /// URL of another path with the same filter.
    fn url(&self, path: &str) -> String {
        format!(
            "{path}?account={}&connection={}&actor={}&action={}&since={}&until={}",
            encode_query(&self.account),
            encode_query(&self.connection),
            encode_query(&self.actor),
            encode_query(&self.action),
            encode_query(&self.since),
            encode_query(&self.until)
        )
    }
}

/// An entry as a row of the page.
struct AuditRow {
    at: PageTime,
    actor: String,
    kind: &'static str,
    address: Option<String>,
    account: Option<AccountLabel>,
    sentence: AuditSentence,
    /// Id and name of the connection, and whether it exists.
    connection: Option<(String, String, bool)>,
    action: String,
    subject_id: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl AuditRow {
    fn new(record: AuditEntry, names: &AuditNames) -> Self {
        let sentence = AuditSentence::from_entry(&record, names);
        let [kind, id, name] = record.actor;
        let label = if name.is_empty() { id.clone() } else { name };
        let (kind, actor) = match kind.as_str() {
            "api_key" => (texts::audit::ACTOR_API_KEY, label),
            "user" => (texts::audit::ACTOR_USER_TOKEN, label),
            "admin" => ("", names.admins.get(&id).cloned().unwrap_or(label)),
            "setup_link" => (texts::audit::ACTOR_SETUP_LINK, label),
            "command_line" if label == "unknown" => ("", texts::audit::ACTOR_COMMAND_LINE.to_owned()),
            "command_line" => (texts::audit::ACTOR_COMMAND_LINE, label),
            _ => ("", texts::labels::ROLLCALL.to_owned()),
        };
        let text = |value: Option<Value>| value.and_then(|value| serde_json::to_string_pretty(&value).ok());
        let connection = record.configuration_id.map(|id| match names.connections.get(&id) {
            Some((name, exists)) => (id, name.clone(), *exists),
            None => (id.clone(), id, false),
        });
        Self {
            at: PageTime::from_millis(record.at),
            actor,
            kind,
            address: record.address,
            account: record.account.map(|account| AccountLabel::find(&names.accounts, &account)),
            sentence,
            connection,
            action: record.action,
            subject_id: record.subject_id,
            before: text(record.before),
            after: text(record.after),
        }
    }
}

/// The entries of one day.
struct AuditDay {
    day: String,
    rows: Vec<AuditRow>,
}

/// Splits the entries by the days of a zone.
fn split_by_day(entries: Vec<AuditEntry>, names: &AuditNames, zone: &TimeZoneChoice) -> Vec<AuditDay> {
    let mut days: Vec<AuditDay> = Vec::new();
    for entry in entries {
        let day = zone.format_day(entry.at);
        let row = AuditRow::new(entry, names);
        match days.last_mut() {
            Some(last) if last.day == day => last.rows.push(row),
            _ => days.push(AuditDay { day, rows: vec![row] }),
        }
    }
    days
}

#[derive(Template)]
#[template(path = "portal/audit.html")]
struct AuditLogPage {
    layout: PageLayout,
    query: AuditForm,
    days: Vec<AuditDay>,
    /// The connections to choose from: id and name. Empty if there are too many.
    connections: Vec<(String, String)>,
    /// Address of the next page.
    next: Option<String>,
    /// Name of the zone of the days in the form.
    zone: String,
    problems: Vec<FormError>,
}

impl AuditLogPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    /// Whether the chosen connection is not one of the list, such as a deleted one.
    fn is_other_connection(&self) -> bool {
        !self.query.connection.is_empty() && self.connections.iter().all(|(id, _)| *id != self.query.connection)
    }

    /// The name of that connection, if the page has an entry of it.
    fn other_connection_name(&self) -> &str {
        let mut rows = self.days.iter().flat_map(|day| &day.rows).filter_map(|row| row.connection.as_ref());
        rows.find(|(id, ..)| *id == self.query.connection).map_or(&self.query.connection, |(_, name, _)| name)
    }

    /// The filters in words; empty if there are none.
    fn given_filters(&self) -> String {
        let AuditForm { account, actor, action, since, until, .. } = &self.query;
        let name = self.connections.iter().find(|(id, _)| *id == self.query.connection);
        let connection = name.map_or_else(|| self.other_connection_name(), |(_, name)| name);
        let filters = [
            (texts::directory::ACCOUNT, account.as_str()),
            (texts::directory::CONNECTION, connection),
            (texts::audit::ACTOR, actor),
            (texts::audit::ACTION, action),
            (texts::requests::FROM, since),
            (texts::requests::TO, until),
        ];
        let given = filters.iter().filter(|(_, text)| !text.is_empty());
        given.map(|(name, text)| texts::labels::name_value(name, &shorten_name(text))).collect::<Vec<_>>().join(", ")
    }

    fn actions() -> [&'static str; 11] {
        [
            "account",
            "admin",
            "api_key",
            "configuration",
            "link",
            "personal_data",
            "role",
            "schema",
            "session",
            "settings",
            "token",
        ]
    }
}

/// `GET /audit`
pub(crate) async fn show_audit(admin: PermittedAdmin<Audit>, page_request: PageRequest) -> PageResult {
    let query: AuditForm = page_request.query().unwrap_or_default();
    let (scope, zone) = (admin.context.scope.clone(), admin.signed.zone());
    let problems = query.problems(&zone);
    let filter = query.to_query(&scope, &zone).filter(|_| problems.is_empty());
    let look = move |at: &crate::store::Snapshot<'_>| {
        let page = match &filter {
            Some(filter) => audit::list_audit_entries(at, filter, PER_PAGE)?,
            None => AuditPage::default(),
        };
        let names = audit::read_names(at, &page.entries)?;
        Ok((page, names, audit::list_connection_names(at, &scope, CONNECTIONS_MAX + 1)?))
    };
    let (AuditPage { entries, has_more }, names, mut connections) = page_request.read(look).await?;
    if connections.len() > CONNECTIONS_MAX {
        connections.clear();
    }
    let next =
        entries.last().filter(|_| has_more).map(|last| format!("{}&before={}", query.url("/audit"), last.number));
    let layout = PageLayout::new(texts::audit::AUDIT_LOG, Some(&admin.signed), NavigationEntry::Audit);
    let days = split_by_day(entries, &names, &zone);
    let status = if problems.is_empty() { 200 } else { 422 };
    let page = AuditLogPage { layout, query, days, connections, next, zone: zone.name().to_owned(), problems };
    Ok(render_page(status, &page))
}
