//! The audit log: who changed what, from where, and the values before and after; also as a file.

mod export;

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::management::audit::{self, AuditEntry, AuditPage, AuditQuery};
use crate::model::audit_context::AccountScope;
pub(crate) use crate::web::portal::accounts::audit::export::{export_csv, export_json};
use crate::web::portal::forms::PageRequest;
use crate::web::portal::forms::encode_query;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::time_zone::TimeZoneChoice;
use crate::web::portal::timestamps;
use crate::web::required_permission::Audit;

/// Changes on a page.
const PER_PAGE: u32 = 50;

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
    at: (String, String),
    actor: String,
    kind: &'static str,
    address: Option<String>,
    account: Option<String>,
    configuration_id: Option<String>,
    action: String,
    subject_id: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl From<AuditEntry> for AuditRow {
    fn from(record: AuditEntry) -> Self {
        let [kind, id, name] = record.actor;
        let kind = match kind.as_str() {
            "api_key" => "API key",
            "user" => "user token",
            "admin" => "admin",
            "setup_link" => "set-up link",
            "command_line" => "command line",
            _ => "the server",
        };
        let text = |value: Option<Value>| value.and_then(|value| serde_json::to_string_pretty(&value).ok());
        Self {
            at: (clock::format_rfc3339(record.at), timestamps::format_minute(record.at)),
            actor: if name.is_empty() { id } else { name },
            kind,
            address: record.address,
            account: record.account,
            configuration_id: record.configuration_id,
            action: record.action,
            subject_id: record.subject_id,
            before: text(record.before),
            after: text(record.after),
        }
    }
}

#[derive(Template)]
#[template(path = "portal/audit.html")]
struct AuditLogPage {
    layout: PageLayout,
    query: AuditForm,
    found: Vec<AuditRow>,
    /// Address of the next page.
    next: Option<String>,
    /// Name of the zone of the days in the form.
    zone: String,
}

impl AuditLogPage {
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
    let AuditPage { entries, has_more } = match query.to_query(&admin.context.scope, &admin.signed.zone()) {
        Some(filter) => page_request.read(move |at| audit::list_audit_entries(at, &filter, PER_PAGE)).await?,
        None => AuditPage::default(),
    };
    let next =
        entries.last().filter(|_| has_more).map(|last| format!("{}&before={}", query.url("/audit"), last.number));
    let layout = PageLayout::new("Audit log", Some(&admin.signed), NavigationEntry::Audit);
    let (found, zone) = (entries.into_iter().map(AuditRow::from).collect(), admin.signed.zone().name().to_owned());
    Ok(render_page(200, &AuditLogPage { layout, query, found, next, zone }))
}
