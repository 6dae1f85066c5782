//! The audit log: who changed what, from where, and what was true before; also as a file.

mod export;

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

pub(super) use self::export::{csv, json};
use super::form::encoded;
use super::moments;
use super::page::{Layout, Place, Shown, page};
use super::session::{Person, Visit};
use super::zone::Zone;
use crate::clock;
use crate::model::actor::Reach;
use crate::store::audit::{self as rows, Kept, Wanted};
use crate::web::access::Audit;

/// Changes on a page.
const PER_PAGE: u32 = 50;

/// Which changes are wanted, as the form says it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    account: String,
    connection: String,
    actor: String,
    action: String,
    since: String,
    until: String,
    before: String,
}

impl Query {
    /// Nothing where another account than the person's is asked for.
    fn wanted(&self, reach: &Reach, zone: &Zone) -> Option<Wanted> {
        let given = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        let account = given(&self.account);
        if account.as_deref().is_some_and(|account| !reach.covers(account)) {
            return None;
        }
        Some(Wanted {
            before: self.before.parse().ok(),
            account: account.or_else(|| reach.account().map(str::to_owned)),
            configuration_id: given(&self.connection),
            actor: given(&self.actor),
            action: given(&self.action),
            since: zone.begin_of_day(&self.since),
            until: zone.end_of_day(&self.until),
        })
    }

    fn is_empty(&self) -> bool {
        [&self.account, &self.connection, &self.actor, &self.action, &self.since, &self.until]
            .iter()
            .all(|text| text.is_empty())
    }

    /// The same conditions in another address.
    fn at(&self, path: &str) -> String {
        format!(
            "{path}?account={}&connection={}&actor={}&action={}&since={}&until={}",
            encoded(&self.account),
            encoded(&self.connection),
            encoded(&self.actor),
            encoded(&self.action),
            encoded(&self.since),
            encoded(&self.until)
        )
    }
}

/// A change as it is shown.
struct Row {
    at: (String, String),
    who: String,
    kind: &'static str,
    address: Option<String>,
    account: Option<String>,
    configuration_id: Option<String>,
    action: String,
    subject_id: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl From<Kept> for Row {
    fn from(kept: Kept) -> Self {
        let [kind, id, name] = kept.actor;
        let kind = match kind.as_str() {
            "api_key" => "API key",
            "user" => "user token",
            "admin" => "person",
            "setup_link" => "set-up link",
            "command_line" => "command line",
            _ => "the server",
        };
        let text = |value: Option<Value>| value.and_then(|value| serde_json::to_string_pretty(&value).ok());
        Self {
            at: (clock::rfc3339(kept.at), moments::shown(kept.at)),
            who: if name.is_empty() { id } else { name },
            kind,
            address: kept.address,
            account: kept.account,
            configuration_id: kept.configuration_id,
            action: kept.action,
            subject_id: kept.subject_id,
            before: text(kept.before),
            after: text(kept.after),
        }
    }
}

#[derive(Template)]
#[template(path = "portal/audit.html")]
struct AuditPage {
    layout: Layout,
    query: Query,
    found: Vec<Row>,
    /// Address of the next page.
    next: Option<String>,
    /// Name of the zone in which days are meant.
    zone: String,
}

impl AuditPage {
    fn actions() -> [&'static str; 10] {
        ["account", "admin", "api_key", "configuration", "link", "role", "schema", "session", "settings", "token"]
    }
}

/// `GET /audit`
pub(super) async fn show(person: Person<Audit>, visit: Visit) -> Shown {
    let query: Query = visit.query();
    let mut found = match query.wanted(&person.by.reach, &person.signed.zone()) {
        Some(wanted) => super::read_aside(&visit.state, move |at| rows::page(at, &wanted, PER_PAGE + 1)).await?,
        None => Vec::new(),
    };
    let has_more = found.len() > PER_PAGE as usize;
    found.truncate(PER_PAGE as usize);
    let next = found.last().filter(|_| has_more).map(|last| format!("{}&before={}", query.at("/audit"), last.number));
    let layout = Layout::new("Audit log", Some(&person.signed), Place::Audit);
    let (found, zone) = (found.into_iter().map(Row::from).collect(), person.signed.zone().name().to_owned());
    Ok(page(200, &AuditPage { layout, query, found, next, zone }))
}
