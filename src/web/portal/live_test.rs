//! What has worked so far between an identity provider and its configuration, and what nearly did: a checklist made from
//! counts and from the end of the request log.

use super::connection::Connection;
use super::page::Refusal;
use crate::clock::Millis;
use crate::directory::delivery::{self, Delivery};
use crate::model::ids;
use crate::model::provider::Provider;
use crate::model::request::{LoggedCall, Refusal as Because};
use crate::model::standing::ago;
use crate::scim::percent;
use crate::store::requests::{self, Wanted};
use crate::web::state::State;

/// Calls that are looked at, from the newest on.
const CALLS: u32 = 200;
/// What went wrong longer ago is not spoken of any more.
const MISSES_KEPT: Millis = 24 * 60 * 60 * 1000;

/// What has worked so far, and what nearly did.
pub(super) struct LiveTest {
    pub(super) steps: Vec<Step>,
    pub(super) misses: Vec<Miss>,
    /// What the operator's application has read.
    pub(super) application: String,
}

/// One line of the checklist.
pub(super) struct Step {
    pub(super) is_done: bool,
    pub(super) title: &'static str,
    /// What was seen, or what to do.
    pub(super) sentence: String,
}

/// A kind of call that did not get through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Miss {
    kind: Kind,
    /// How often it was seen.
    pub(super) count: usize,
    /// How long ago it was last seen.
    pub(super) when: String,
    /// The end of the token that was sent, where it was one of ours.
    pub(super) hint: Option<String>,
    /// Whether a later call worked.
    pub(super) is_over: bool,
}

/// What is wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Token(Because),
    /// `/Users` or `/Groups` stands in the base URL.
    EndpointInBase,
    /// The base URL stands in the path twice.
    DoubledPath,
    /// SCIM 1.1 was chosen.
    OldVersion,
}

impl LiveTest {
    /// Looks at the end of the log of a connection.
    pub(super) async fn read(state: &State, connection: &Connection) -> Result<Self, Refusal> {
        let key = connection.one.configuration.key;
        let (wanted, configuration) = (Wanted::default(), connection.one.configuration.clone());
        let (page, delivery) = super::read_aside(state, move |at| {
            Ok((requests::page(at, key, &wanted, CALLS)?, delivery::of(at, &configuration)?))
        })
        .await?;
        Ok(Self::of(&page.calls, delivery, connection))
    }

    fn of(calls: &[LoggedCall], delivery: Delivery, connection: &Connection) -> Self {
        let (one, now) = (&connection.one, connection.now);
        let seen = Seen {
            reached: one.configuration.last_seen.or_else(|| calls.first().map(|call| call.at)),
            token: one.configuration.last_seen,
            users: one.users,
            groups: one.groups,
        };
        let mut steps = steps(&seen, calls, one.provider, now);
        let is_done = matches!(delivery, Delivery::Read { has_begun: true, .. });
        let application = told(delivery, one.configuration.sync, now);
        steps.push(Step { is_done, title: DELIVERY, sentence: application.clone() });
        Self { steps, application, misses: misses(calls, connection.id(), now) }
    }

    /// Whether nothing is left to be tested and nothing goes wrong.
    pub(super) fn is_over(&self) -> bool {
        // Groups are not everybody's, and an application may be built later.
        self.steps.iter().filter(|step| ![FIRST_GROUP, DELIVERY].contains(&step.title)).all(|step| step.is_done)
            && self.misses.iter().all(|miss| miss.is_over)
    }
}

const FIRST_GROUP: &str = "The first group";
const DELIVERY: &str = "The application has read it";

/// What has become of the events, in words.
fn told(delivery: Delivery, sync: bool, now: Millis) -> String {
    match delivery {
        Delivery::Nothing if !sync => "Paused: nothing goes on to the application.".to_owned(),
        Delivery::Nothing => "There is nothing to hand on yet.".to_owned(),
        Delivery::Unread => "No application has read the event feed yet; the API reference tells how.".to_owned(),
        Delivery::Read { at, has_begun: false, .. } => {
            format!("It reads the event feed, last {}, and has not come to the first event yet.", ago(now - at))
        }
        Delivery::Read { at, waiting: 0, is_more: false, .. } => {
            format!("Everything was read. It last asked {}.", ago(now - at))
        }
        Delivery::Read { at, waiting: 0, .. } => {
            format!("It is far behind, with events of other connections before these. It last asked {}.", ago(now - at))
        }
        Delivery::Read { at, waiting, is_more, .. } => {
            let at_least = if is_more { "At least " } else { "" };
            let events = if waiting == 1 { "event is" } else { "events are" };
            format!("{at_least}{waiting} {events} not read yet. It last asked {}.", ago(now - at))
        }
    }
}

/// What is known without the log.
struct Seen {
    reached: Option<Millis>,
    token: Option<Millis>,
    users: i64,
    groups: i64,
}

fn steps(seen: &Seen, calls: &[LoggedCall], provider: &Provider, now: Millis) -> Vec<Step> {
    let name = provider.name;
    let probe = calls.iter().find_map(probe);
    let looked_up = calls.iter().any(is_answered_look_up) || seen.users > 0;
    let step = |is_done, title, done: String, todo: String| Step {
        is_done,
        title,
        sentence: if is_done { done } else { todo },
    };
    let last = |at: Option<Millis>| at.map_or_else(String::new, |at| format!("Last call {}.", ago(now - at)));
    let answered = probe.map_or_else(
        || "A look-up was answered.".to_owned(),
        |who| format!("{who} tested the connection, and all was well."),
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
            count(seen.users, "user"),
            format!("Assign somebody at {name}. Most often nobody is assigned yet."),
        ),
        step(
            seen.groups > 0,
            FIRST_GROUP,
            count(seen.groups, "group"),
            "Only if you send groups: push or assign one.".to_owned(),
        ),
    ]
}

fn count(number: i64, what: &str) -> String {
    if number == 1 { format!("1 {what} is here.") } else { format!("{number} {what}s are here.") }
}

/// Whether the call looked for resources, with a right token, and was answered.
fn is_answered_look_up(call: &LoggedCall) -> bool {
    call.method == "GET" && call.refusal.is_none() && call.token_id.is_some() && call.status < 400
}

/// Who tests like this.
fn probe(call: &LoggedCall) -> Option<&'static str> {
    if !is_answered_look_up(call) {
        return None;
    }
    let (path, query) = call.path.split_once('?')?;
    if !path.trim_end_matches('/').ends_with("/Users") {
        return None;
    }
    let pairs = percent::pairs(query);
    let value =
        |name: &str| pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    if let Some(filter) = value("filter") {
        // Entra looks for a user whose name is a random id.
        return filter.split('"').nth(1).filter(|compared| is_uuid(compared)).map(|_| "Microsoft Entra ID");
    }
    (value("startIndex") == Some("1") && matches!(value("count"), Some("1" | "2"))).then_some("Okta")
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The kinds of calls that did not get through lately, the newest first.
fn misses(calls: &[LoggedCall], id: &str, now: Millis) -> Vec<Miss> {
    let worked = calls.iter().find(|call| kind(call, id).is_none() && call.token_id.is_some() && !call.failed);
    let worked = worked.map(|call| call.at);
    let mut misses: Vec<Miss> = Vec::new();
    for call in calls.iter().filter(|call| now - call.at < MISSES_KEPT) {
        let Some(kind) = kind(call, id) else { continue };
        match misses.iter_mut().find(|miss| miss.kind == kind) {
            Some(miss) => miss.count += 1,
            None => misses.push(Miss {
                kind,
                count: 1,
                when: ago(now - call.at),
                hint: call.token_hint.clone(),
                is_over: worked.is_some_and(|at| at > call.at),
            }),
        }
    }
    misses
}

fn kind(call: &LoggedCall, id: &str) -> Option<Kind> {
    // What is wrong with the address comes first: the token is looked at only after it.
    by_path(&call.path, id).or_else(|| {
        let word = call.refusal.as_deref()?;
        Because::ALL.into_iter().find(|because| because.as_str() == word && call.status == 401).map(Kind::Token)
    })
}

fn by_path(path: &str, id: &str) -> Option<Kind> {
    let path = path.split('?').next().unwrap_or_default();
    let below = match path.split_once(id) {
        Some((_, below)) => below,
        None => path.split_once("/v2").map(|(_, below)| below)?,
    };
    let segments: Vec<&str> = below.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.contains(&"scim") {
        return Some(Kind::DoubledPath);
    }
    match segments[..] {
        ["v1" | "v1.0" | "v1.1", ..] => Some(Kind::OldVersion),
        ["Users" | "Groups", second, ..] if !ids::is_id(second) && is_endpoint(second) => Some(Kind::EndpointInBase),
        _ => None,
    }
}

fn is_endpoint(segment: &str) -> bool {
    matches!(segment, "Users" | "Groups" | "ServiceProviderConfig" | "Schemas" | "ResourceTypes" | "Bulk" | "Me")
}

impl Miss {
    /// What happened, in a few words.
    pub(super) fn title(&self) -> &'static str {
        match self.kind {
            Kind::Token(because) => match because {
                Because::NoToken => "A call came without a token",
                Because::Malformed => "A call came with something that is no bearer token",
                Because::DoubleBearer => "The word “Bearer” was sent twice",
                Because::NoScheme => "The token came without the word “Bearer”",
                Because::ForeignToken => "A token came that was not made here",
                Because::UnknownToken => "A token came that nobody knows",
                Because::RevokedToken => "A token came that is revoked",
                Because::ExpiredToken => "A token came whose time is over",
                Because::OtherConfiguration => "The token of another connection came",
            },
            Kind::EndpointInBase => "“/Users” or “/Groups” stands in the address",
            Kind::DoubledPath => "The address was put in twice",
            Kind::OldVersion => "They speak version 1 of SCIM",
        }
    }

    /// What to do about it.
    pub(super) fn advice(&self) -> &'static str {
        match self.kind {
            Kind::Token(because) => match because {
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
            Kind::EndpointInBase => "Put in the provisioning URL as it is shown: the rest is added by itself.",
            Kind::DoubledPath => "Put the provisioning URL into one field only, exactly as it is shown.",
            Kind::OldVersion => "Choose SCIM 2.0.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::provider::by_key;

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
    fn the_probes_of_providers_are_known() {
        for (path, who) in [
            ("/Users?startIndex=1&count=2", Some("Okta")),
            ("/Users?count=1&startIndex=1", Some("Okta")),
            ("/Users?filter=userName+eq+%22b7a4b2c6-5c1f-4d2e-9a44-2b6f8f6f2f10%22", Some("Microsoft Entra ID")),
            ("/Users?filter=userName%20eq%20%22alice@example.com%22&startIndex=1&count=1", None),
            ("/Users?startIndex=1&count=100", None),
            ("/Groups?startIndex=1&count=2", None),
            ("/Users", None),
        ] {
            assert_eq!(probe(&call(path, None, 0)), who, "{path}");
        }
        assert_eq!(probe(&call("/Users?startIndex=1&count=2", Some(Because::UnknownToken), 0)), None);
    }

    #[test]
    fn it_is_told_how_far_the_application_is() {
        let read = |has_begun, waiting, is_more| Delivery::Read { at: 0, has_begun, waiting, is_more };
        for (delivery, sync, words) in [
            (Delivery::Nothing, true, "nothing to hand on"),
            (Delivery::Nothing, false, "Paused"),
            (Delivery::Unread, true, "No application"),
            (read(false, 3, false), true, "not come to the first"),
            (read(true, 0, false), true, "Everything was read"),
            (read(true, 1, false), true, "1 event is not"),
            (read(true, 5_000, true), true, "At least 5000 events"),
            (read(true, 0, true), true, "far behind"),
        ] {
            let said = told(delivery, sync, 60_000);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn slips_in_the_address_are_told_from_what_is_right() {
        for (path, kind) in [
            ("/Users/Users?count=1".to_owned(), Some(Kind::EndpointInBase)),
            ("/Groups/Users".to_owned(), Some(Kind::EndpointInBase)),
            ("/Users/ServiceProviderConfig".to_owned(), Some(Kind::EndpointInBase)),
            (format!("/directory/resources/scim/v2.0/{ID}/Users"), Some(Kind::DoubledPath)),
            (format!("/scim/v2/{ID}/Users"), Some(Kind::DoubledPath)),
            ("/v1/Users".to_owned(), Some(Kind::OldVersion)),
            ("/v2/Users".to_owned(), None),
            ("//Users/".to_owned(), None),
            (format!("/Users/{ID}"), None),
            ("/Users?filter=userName+eq+%22/Users/Users%22".to_owned(), None),
        ] {
            assert_eq!(by_path(&call(&path, None, 0).path, ID), kind, "{path}");
        }
        assert_eq!(by_path("/scim/v2/Users/Users", ID), Some(Kind::EndpointInBase));
        assert_eq!(by_path("/scim/v2/Users", ID), None);
    }

    #[test]
    fn each_kind_of_miss_is_told_once_and_is_over_when_a_later_call_worked() {
        let now = 100 * 60 * 60 * 1000;
        let calls = [
            call("/Users", Some(Because::RevokedToken), now - 1),
            call("/Users", None, now - 2),
            call("/Users", Some(Because::DoubleBearer), now - 3),
            call("/Users", Some(Because::DoubleBearer), now - 4),
            call("/Users", Some(Because::UnknownToken), now - MISSES_KEPT),
        ];
        let found = misses(&calls, ID, now);
        let told: Vec<_> = found.iter().map(|miss| (miss.kind, miss.count, miss.is_over)).collect();
        let token = Kind::Token;
        assert_eq!(told, [(token(Because::RevokedToken), 1, false), (token(Because::DoubleBearer), 2, true)]);
    }

    #[test]
    fn the_checklist_fills_from_above() {
        let done = |seen: &Seen, calls: &[LoggedCall]| -> Vec<bool> {
            steps(seen, calls, by_key("okta").unwrap(), 10).iter().map(|step| step.is_done).collect()
        };
        let mut seen = Seen { reached: None, token: None, users: 0, groups: 0 };
        assert_eq!(done(&seen, &[]), [false; 5]);
        seen.reached = Some(1);
        assert_eq!(done(&seen, &[call("/Users", Some(Because::UnknownToken), 1)]), [true, false, false, false, false]);
        seen.token = Some(2);
        assert_eq!(done(&seen, &[call("/Users", None, 2)]), [true, true, true, false, false]);
        seen.users = 1;
        assert_eq!(done(&seen, &[]), [true, true, true, true, false]);
    }
}
