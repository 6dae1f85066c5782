//! The live test of a connection: a checklist of the steps that worked, and the calls that failed. It is built from
//! counts and from the newest calls of the request log.

use crate::clock::Millis;
use crate::management::overview::ConfigurationOverview;
use crate::management::request_log::{self, RequestLogQuery};
use crate::model::audit_context::AccountScope;
use crate::model::connection_status::format_ago;
use crate::model::ids;
use crate::model::request::{LoggedCall, TokenRefusal as Because};
use crate::providers::{self, IdentityProvider};
use crate::provisioning::delivery::{self, DeliveryState};
use crate::web::portal::layout::PageError;
use crate::web::state::AppState;

/// Number of newest calls that are examined.
const CALLS: u32 = 200;
/// Failures older than this are not listed, in milliseconds.
const FAILURE_AGE_MAX: Millis = 24 * 60 * 60 * 1000;

/// The checklist and the failed calls of a connection.
pub(crate) struct LiveTest {
    pub(crate) steps: Vec<LiveTestStep>,
    pub(crate) failures: Vec<CallFailureGroup>,
    /// What the operator's application has read of the events.
    pub(crate) application: String,
}

/// One line of the checklist.
pub(crate) struct LiveTestStep {
    pub(crate) is_done: bool,
    pub(crate) title: &'static str,
    /// The result, or what to do.
    pub(crate) sentence: String,
}

/// Failed calls of the same kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallFailureGroup {
    kind: CallFailureCause,
    /// Number of calls.
    pub(crate) count: usize,
    /// Time since the last of them.
    pub(crate) when: String,
    /// Last characters of the token that was sent, if this server created it.
    pub(crate) hint: Option<String>,
    /// Whether a later call succeeded.
    pub(crate) is_resolved: bool,
}

/// The cause of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallFailureCause {
    Token(Because),
    /// The base URL contains `/Users` or `/Groups`.
    EndpointInBase,
    /// The path contains the base URL twice.
    DoubledPath,
    /// The client uses SCIM 1.1.
    OldVersion,
}

impl LiveTest {
    /// Builds the live test from the newest calls of a connection.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) async fn read(state: &AppState, one: &ConfigurationOverview, now: Millis) -> Result<Self, PageError> {
        let (filter, configuration) = (RequestLogQuery::default(), one.configuration.clone());
        let (page, delivery) = crate::web::portal::read_blocking(state, move |at| {
            let scope = AccountScope::Account(configuration.account.clone());
            let page = request_log::list_calls(at, &scope, &configuration.id, &filter, CALLS)?;
            Ok((page, delivery::find_delivery(at, &configuration)?))
        })
        .await?;
        Ok(Self::from_calls(&page.calls, delivery, one, now))
    }

    fn from_calls(calls: &[LoggedCall], delivery: DeliveryState, one: &ConfigurationOverview, now: Millis) -> Self {
        let seen = ConnectionFacts {
            reached: one.configuration.last_seen.or_else(|| calls.first().map(|call| call.at)),
            token: one.configuration.last_seen,
            users: one.users,
            groups: one.groups,
        };
        let mut steps = build_checklist(&seen, calls, one.provider, now);
        let is_done = matches!(delivery, DeliveryState::Read { has_begun: true, .. });
        let application = describe_delivery(delivery, one.configuration.sync, now);
        steps.push(LiveTestStep { is_done, title: DELIVERY, sentence: application.clone() });
        Self { steps, application, failures: group_failures(calls, &one.configuration.id, now) }
    }

    /// Whether all steps are done and no failure is unresolved.
    pub(crate) fn is_complete(&self) -> bool {
        // Not every provider sends groups, and the application may be built later.
        self.steps.iter().filter(|step| ![FIRST_GROUP, DELIVERY].contains(&step.title)).all(|step| step.is_done)
            && self.failures.iter().all(|miss| miss.is_resolved)
    }
}

const FIRST_GROUP: &str = "The first group";
const DELIVERY: &str = "The application has read it";

/// The delivery state of the events, in a sentence.
fn describe_delivery(delivery: DeliveryState, sync: bool, now: Millis) -> String {
    match delivery {
        DeliveryState::NoEvents if !sync => "Paused: nothing goes on to the application.".to_owned(),
        DeliveryState::NoEvents => "There is nothing to hand on yet.".to_owned(),
        DeliveryState::Unread => "No application has read the event feed yet; see the API reference.".to_owned(),
        DeliveryState::Read { at, has_begun: false, .. } => {
            format!("It reads the event feed, last {}, and has not come to the first event yet.", format_ago(now - at))
        }
        DeliveryState::Read { at, waiting: 0, is_more: false, .. } => {
            format!("Everything was read. It last asked {}.", format_ago(now - at))
        }
        DeliveryState::Read { at, waiting: 0, .. } => {
            format!(
                "It is far behind, with events of other connections before these. It last asked {}.",
                format_ago(now - at)
            )
        }
        DeliveryState::Read { at, waiting, is_more, .. } => {
            let at_least = if is_more { "At least " } else { "" };
            let events = if waiting == 1 { "event is" } else { "events are" };
            format!("{at_least}{waiting} {events} not read yet. It last asked {}.", format_ago(now - at))
        }
    }
}

/// Facts that do not come from the log.
struct ConnectionFacts {
    reached: Option<Millis>,
    token: Option<Millis>,
    users: i64,
    groups: i64,
}

fn build_checklist(
    seen: &ConnectionFacts,
    calls: &[LoggedCall],
    provider: &IdentityProvider,
    now: Millis,
) -> Vec<LiveTestStep> {
    let name = provider.name;
    let answered = |call: &&LoggedCall| is_answered_look_up(call);
    let tested_by = calls.iter().filter(answered).find_map(|call| providers::recognize_connection_test(&call.path));
    let looked_up = calls.iter().any(is_answered_look_up) || seen.users > 0;
    let step = |is_done, title, done: String, todo: String| LiveTestStep {
        is_done,
        title,
        sentence: if is_done { done } else { todo },
    };
    let last = |at: Option<Millis>| at.map_or_else(String::new, |at| format!("Last call {}.", format_ago(now - at)));
    let answered = tested_by.map_or_else(
        || "A look-up was answered.".to_owned(),
        |provider| format!("{} tested the connection, and all was well.", provider.name),
    );
    vec![
        step(
            seen.reached.is_some(),
            "Something reached us",
            last(seen.reached),
            format!("Put the provisioning URL in at {name}. Nothing has arrived at it yet."),
        ),
        step(
            seen.token.is_some(),
            "The token is right",
            "A call came with a token of this connection.".to_owned(),
            format!("Put the token in at {name}, without the word “Bearer” unless its help asks for it."),
        ),
        step(looked_up, "A look-up was answered", answered, format!("Press the test button at {name}.")),
        step(
            seen.users > 0,
            "The first user",
            format_count(seen.users, "user"),
            format!("Assign a user at {name}. Most often no user is assigned yet."),
        ),
        step(
            seen.groups > 0,
            FIRST_GROUP,
            format_count(seen.groups, "group"),
            "Only if you send groups: push or assign one.".to_owned(),
        ),
    ]
}

fn format_count(number: i64, what: &str) -> String {
    if number == 1 { format!("1 {what} is here.") } else { format!("{number} {what}s are here.") }
}

/// Whether the call was a successful look-up with a valid token.
fn is_answered_look_up(call: &LoggedCall) -> bool {
    call.method == "GET" && call.refusal.is_none() && call.token_id.is_some() && call.status < 400
}

/// Recent failures grouped by cause, newest first.
fn group_failures(calls: &[LoggedCall], id: &str, now: Millis) -> Vec<CallFailureGroup> {
    let worked = calls.iter().find(|call| failure_cause(call, id).is_none() && call.token_id.is_some() && !call.failed);
    let worked = worked.map(|call| call.at);
    let mut misses: Vec<CallFailureGroup> = Vec::new();
    for call in calls.iter().filter(|call| now - call.at < FAILURE_AGE_MAX) {
        let Some(kind) = failure_cause(call, id) else { continue };
        match misses.iter_mut().find(|miss| miss.kind == kind) {
            Some(miss) => miss.count += 1,
            None => misses.push(CallFailureGroup {
                kind,
                count: 1,
                when: format_ago(now - call.at),
                hint: call.token_hint.clone(),
                is_resolved: worked.is_some_and(|at| at > call.at),
            }),
        }
    }
    misses
}

fn failure_cause(call: &LoggedCall, id: &str) -> Option<CallFailureCause> {
    // A wrong path is reported first: the token is checked only after the path.
    path_failure_cause(&call.path, id).or_else(|| {
        let code = call.refusal.as_deref()?;
        Because::ALL
            .into_iter()
            .find(|because| because.as_str() == code && call.status == 401)
            .map(CallFailureCause::Token)
    })
}

fn path_failure_cause(path: &str, id: &str) -> Option<CallFailureCause> {
    let path = path.split('?').next().unwrap_or_default();
    let below = match path.split_once(id) {
        Some((_, below)) => below,
        None => path.split_once("/v2").map(|(_, below)| below)?,
    };
    let segments: Vec<&str> = below.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.contains(&"scim") {
        return Some(CallFailureCause::DoubledPath);
    }
    match segments[..] {
        ["v1" | "v1.0" | "v1.1", ..] => Some(CallFailureCause::OldVersion),
        ["Users" | "Groups", second, ..] if !ids::is_id(second) && is_endpoint(second) => {
            Some(CallFailureCause::EndpointInBase)
        }
        _ => None,
    }
}

fn is_endpoint(segment: &str) -> bool {
    matches!(segment, "Users" | "Groups" | "ServiceProviderConfig" | "Schemas" | "ResourceTypes" | "Bulk" | "Me")
}

impl CallFailureGroup {
    /// Short description of the failure.
    pub(crate) fn title(&self) -> &'static str {
        match self.kind {
            CallFailureCause::Token(because) => match because {
                Because::NoToken => "A call came without a token",
                Because::Malformed => "A call came with something that is not a bearer token",
                Because::DoubleBearer => "The word “Bearer” was sent twice",
                Because::NoScheme => "The token came without the word “Bearer”",
                Because::ForeignToken => "A token came that was not made here",
                Because::UnknownToken => "An unknown token came",
                Because::RevokedToken => "A token came that is revoked",
                Because::ExpiredToken => "A token came whose time is over",
                Because::OtherConfiguration => "The token of another connection came",
            },
            CallFailureCause::EndpointInBase => "“/Users” or “/Groups” is in the address",
            CallFailureCause::DoubledPath => "The address was put in twice",
            CallFailureCause::OldVersion => "They speak version 1 of SCIM",
        }
    }

    /// How to fix it.
    pub(crate) fn advice(&self) -> &'static str {
        match self.kind {
            CallFailureCause::Token(because) => match because {
                Because::NoToken => "Put the token in, and choose bearer token or HTTP header as authentication.",
                Because::Malformed => "Choose bearer token as authentication, and put in the token alone.",
                Because::DoubleBearer => "Put in the token alone: the word is added by itself.",
                Because::NoScheme => "Choose bearer token as authentication, or put “Bearer ” before the token.",
                Because::ForeignToken => "Tokens of ours begin with “rct_”. Put in the one that was shown here.",
                Because::UnknownToken => {
                    "It was cut off, mistyped, or made by another server. Copy it again in one piece."
                }
                Because::RevokedToken => "Put the present token in, or make a new one.",
                Because::ExpiredToken => "Make a new token and put it in.",
                Because::OtherConfiguration => {
                    "Each connection has its own address and token. Take both from this one."
                }
            },
            CallFailureCause::EndpointInBase => {
                "Put in the provisioning URL as it is shown: the rest is added by itself."
            }
            CallFailureCause::DoubledPath => "Put the provisioning URL into one field only, exactly as it is shown.",
            CallFailureCause::OldVersion => "Choose SCIM 2.0.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::find_provider;

    const ID: &str = "01a201fc-7572-7712-9120-066eed75d9a3";

    fn call(path: &str, refusal: Option<Because>, at: Millis) -> LoggedCall {
        LoggedCall {
            at,
            method: "GET".to_owned(),
            path: format!("/directory/resources/scim/v2.0/{ID}{path}"),
            status: if refusal.is_some() { 401 } else { 200 },
            failed: refusal.is_some(),
            refusal: refusal.map(|because| because.as_str().to_owned()),
            token_id: refusal.is_none().then(|| "t".to_owned()),
            ..LoggedCall::default()
        }
    }

    #[test]
    fn only_an_answered_connection_test_counts() {
        let tested = |refusal| {
            let calls = [call("/Users?startIndex=1&count=2", refusal, 1)];
            let facts = ConnectionFacts { reached: Some(1), token: Some(1), users: 0, groups: 0 };
            let steps = build_checklist(&facts, &calls, find_provider("custom").unwrap(), 10);
            steps[2].sentence.contains("Okta tested the connection")
        };
        assert!(tested(None) && !tested(Some(Because::UnknownToken)));
    }

    #[test]
    fn the_progress_of_the_application_is_described() {
        let read = |has_begun, waiting, is_more| DeliveryState::Read { at: 0, has_begun, waiting, is_more };
        for (delivery, sync, expected) in [
            (DeliveryState::NoEvents, true, "nothing to hand on"),
            (DeliveryState::NoEvents, false, "Paused"),
            (DeliveryState::Unread, true, "No application"),
            (read(false, 3, false), true, "not come to the first"),
            (read(true, 0, false), true, "Everything was read"),
            (read(true, 1, false), true, "1 event is not"),
            (read(true, 5_000, true), true, "At least 5000 events"),
            (read(true, 0, true), true, "far behind"),
        ] {
            let sentence = describe_delivery(delivery, sync, 60_000);
            assert!(sentence.contains(expected), "{sentence}");
        }
    }

    #[test]
    fn mistakes_in_the_path_are_detected() {
        for (path, kind) in [
            ("/Users/Users?count=1".to_owned(), Some(CallFailureCause::EndpointInBase)),
            ("/Groups/Users".to_owned(), Some(CallFailureCause::EndpointInBase)),
            ("/Users/ServiceProviderConfig".to_owned(), Some(CallFailureCause::EndpointInBase)),
            (format!("/directory/resources/scim/v2.0/{ID}/Users"), Some(CallFailureCause::DoubledPath)),
            (format!("/scim/v2/{ID}/Users"), Some(CallFailureCause::DoubledPath)),
            ("/v1/Users".to_owned(), Some(CallFailureCause::OldVersion)),
            ("/v2/Users".to_owned(), None),
            ("//Users/".to_owned(), None),
            (format!("/Users/{ID}"), None),
            ("/Users?filter=userName+eq+%22/Users/Users%22".to_owned(), None),
        ] {
            assert_eq!(path_failure_cause(&call(&path, None, 0).path, ID), kind, "{path}");
        }
        assert_eq!(path_failure_cause("/scim/v2/Users/Users", ID), Some(CallFailureCause::EndpointInBase));
        assert_eq!(path_failure_cause("/scim/v2/Users", ID), None);
    }

    #[test]
    fn each_cause_is_listed_once_and_is_resolved_when_a_later_call_succeeded() {
        let now = 100 * 60 * 60 * 1000;
        let calls = [
            call("/Users", Some(Because::RevokedToken), now - 1),
            call("/Users", None, now - 2),
            call("/Users", Some(Because::DoubleBearer), now - 3),
            call("/Users", Some(Because::DoubleBearer), now - 4),
            call("/Users", Some(Because::UnknownToken), now - FAILURE_AGE_MAX),
        ];
        let found = group_failures(&calls, ID, now);
        let listed: Vec<_> = found.iter().map(|miss| (miss.kind, miss.count, miss.is_resolved)).collect();
        let token = CallFailureCause::Token;
        assert_eq!(listed, [(token(Because::RevokedToken), 1, false), (token(Because::DoubleBearer), 2, true)]);
    }

    #[test]
    fn the_checklist_fills_from_the_top() {
        let done = |seen: &ConnectionFacts, calls: &[LoggedCall]| -> Vec<bool> {
            build_checklist(seen, calls, find_provider("okta").unwrap(), 10).iter().map(|step| step.is_done).collect()
        };
        let mut seen = ConnectionFacts { reached: None, token: None, users: 0, groups: 0 };
        assert_eq!(done(&seen, &[]), [false; 5]);
        seen.reached = Some(1);
        assert_eq!(done(&seen, &[call("/Users", Some(Because::UnknownToken), 1)]), [true, false, false, false, false]);
        seen.token = Some(2);
        assert_eq!(done(&seen, &[call("/Users", None, 2)]), [true, true, true, false, false]);
        seen.users = 1;
        assert_eq!(done(&seen, &[]), [true, true, true, true, false]);
    }
}
