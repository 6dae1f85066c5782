//! The problems of a connection: the rejected requests of the last day, grouped by their cause, with the fix.

use crate::clock::Millis;
use crate::error::Result;
use crate::management::request_log::{self, RequestLogQuery};
use crate::messages::capitalize;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::model::ids;
use crate::model::request::{FailureCause, LoggedCall};
use crate::providers::IdentityProvider;
use crate::store::Snapshot;
use crate::web::portal::connections::log_view::{CallView, LogReader};
use crate::web::portal::timestamps::PageTime;

const DAY: Millis = 24 * 60 * 60 * 1000;
/// Newest rejected requests that are counted.
const COUNTED_MAX: u32 = 1_000;
/// Most problems on the page.
const PROBLEMS_MAX: usize = 6;

/// Rejected requests with one cause.
pub(crate) struct ProblemGroup {
    pub(crate) title: String,
    /// How to fix it; empty if no rule explains it.
    pub(crate) advice: &'static str,
    pub(crate) count: usize,
    /// Time of the newest of them.
    pub(crate) last: PageTime,
    /// Query of the request log that lists them.
    pub(crate) query: String,
    /// Id of the newest of them.
    pub(crate) request: String,
}

/// The text with a capital letter at its start, unless it begins with the name of an attribute, such as `userName`.
fn begin_sentence(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    if first.contains(|letter: char| letter.is_uppercase()) { text.to_owned() } else { capitalize(text) }
}

/// What the requests of a group have in common.
#[derive(PartialEq, Eq)]
struct ProblemKey {
    status: u16,
    scim_type: Option<String>,
    cause: Option<&'static str>,
    field: Option<String>,
}

impl ProblemKey {
    fn new(call: &LoggedCall) -> Self {
        Self {
            status: call.status,
            scim_type: call.scim_type.clone(),
            cause: call.failure_cause().map(FailureCause::code),
            field: call.reason_field.clone(),
        }
    }
}

/// Returns the problems of the last day, the most frequent first.
pub(crate) fn list_problems(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    reader: LogReader,
    (configuration, provider): (&Configuration, &IdentityProvider),
    now: Millis,
) -> Result<Vec<ProblemGroup>> {
    let id = &configuration.id;
    let query =
        RequestLogQuery { failed: Some(true), from: Some(ids::first_id_at(now - DAY)), ..RequestLogQuery::default() };
    let page = request_log::list_calls(at, scope, id, &query, COUNTED_MAX)?;
    let mut groups: Vec<(ProblemKey, LoggedCall, usize)> = Vec::new();
    for call in page.calls {
        let key = ProblemKey::new(&call);
        match groups.iter_mut().find(|(found, ..)| *found == key) {
            Some((_, _, count)) => *count += 1,
            None => groups.push((key, call, 1)),
        }
    }
    groups.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    let build = |(key, newest, count): (ProblemKey, LoggedCall, usize)| {
        let newest = request_log::find_call(at, scope, id, &newest.id).unwrap_or(newest);
        let view = CallView::read(at, reader, configuration.key, id, newest)?;
        let line = view.line();
        let title = line.sentence.split_once(": ").map_or(line.sentence.as_str(), |(_, cause)| cause);
        Ok(ProblemGroup {
            title: begin_sentence(title),
            advice: view.explanations(provider).first().map_or("", |one| one.advice),
            count,
            last: line.at,
            query: key.cause.map_or_else(|| "only=failed".to_owned(), |cause| format!("only=failed&cause={cause}")),
            request: line.id,
        })
    };
    groups.into_iter().take(PROBLEMS_MAX).map(build).collect()
}
