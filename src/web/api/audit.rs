//! The audit log: who changed what in the management of this server.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answered, ReadRefusals, Refusal, document};
use super::call::{Call, read_aside};
use super::caller::{Allowed, Audit};
use super::cursor::{Page, PageQuery};
use super::moments::moment;
use crate::clock;
use crate::model::actor::Reach;
use crate::store::audit::{self, Kept, Wanted};

/// Who made a change
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub(super) struct ShownActor {
    /// `api_key`, `user`, `admin`, `setup_link`, `command_line` or `server`
    kind: String,
    /// Id of the key, subject of the token, or name of the system's user
    id: String,
    name: String,
}

/// One change
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(super) struct Shown {
    /// Its place in the order of changes
    number: i64,
    #[schema(format = DateTime)]
    at: String,
    actor: ShownActor,
    /// Network address it came from
    address: Option<String>,
    /// `X-Request-Id` of the call
    request_id: Option<String>,
    account_id: Option<String>,
    configuration_id: Option<String>,
    /// `subject.what`, such as `configuration.created`
    action: String,
    /// Id of what was changed, where that is not the configuration itself
    subject_id: Option<String>,
    /// What was true before
    #[schema(nullable, value_type = Object)]
    before: Option<Value>,
    /// What was true after it
    #[schema(nullable, value_type = Object)]
    after: Option<Value>,
}

impl From<Kept> for Shown {
    fn from(entry: Kept) -> Self {
        let [kind, id, name] = entry.actor;
        Self {
            number: entry.number,
            at: clock::rfc3339(entry.at),
            actor: ShownActor { kind, id, name },
            address: entry.address,
            request_id: entry.request_id,
            account_id: entry.account,
            configuration_id: entry.configuration_id,
            action: entry.action,
            subject_id: entry.subject_id,
            before: entry.before,
            after: entry.after,
        }
    }
}

/// Which changes are wanted; conditions are combined by "and"
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Id of the account
    account: Option<String>,
    /// Id of the configuration, which may be deleted
    configuration: Option<String>,
    /// Id or name of the actor
    actor: Option<String>,
    /// The action, such as `token.created`, or its subject, such as `token`
    action: Option<String>,
    /// Only changes at that moment or later
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only changes before that moment
    #[param(format = DateTime)]
    until: Option<String>,
}

impl Filter {
    /// Nothing where another account than the caller's is asked for.
    fn wanted(self, before: Option<i64>, reach: &Reach) -> Result<Option<Wanted>, Refusal> {
        let is_within = self.account.as_deref().is_none_or(|account| reach.covers(account));
        let wanted = Wanted {
            before,
            account: self.account.or_else(|| reach.account().map(str::to_owned)),
            configuration_id: self.configuration,
            actor: self.actor,
            action: self.action,
            since: moment("since", self.since.as_deref())?,
            until: moment("until", self.until.as_deref())?,
        };
        Ok(is_within.then_some(wanted))
    }
}

/// The audit log
///
/// Every change in the management of this server, whatever door it came through, newest first. The operator sees all, or
/// one account; everybody else their own account.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/audit",
    tag = "Audit",
    operation_id = "listAudit",
    params(PageQuery, Filter, ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Changes, newest first", body = Page<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Audit>, call: Call) -> Answered {
    let page = call.query::<PageQuery>()?;
    let limit = page.limit()?;
    let wanted = call.query::<Filter>()?.wanted(page.place()?, &allowed.by.reach)?;
    let rows = match wanted {
        Some(wanted) => read_aside(&call.state, move |at| audit::page(at, &wanted, limit + 1)).await?,
        None => Vec::new(),
    };
    Ok(document(&Page::of(rows, limit, |row| row.number, Shown::from)))
}
