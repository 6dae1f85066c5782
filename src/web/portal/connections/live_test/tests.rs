//! Tests of the live check.

use super::*;
use crate::model::request::TokenRefusal;
use crate::providers::find_provider;

const ID: &str = "01a201fc-7572-7712-9120-066eed75d9a3";

fn call(path: &str, refusal: Option<TokenRefusal>, at: Millis) -> LoggedCall {
    LoggedCall {
        at,
        method: "GET".to_owned(),
        path: format!("/directory/resources/scim/v2.0/{ID}{path}"),
        status: if refusal.is_some() { 401 } else { 200 },
        failed: refusal.is_some(),
        refusal: refusal.map(|refusal| refusal.to_string()),
        token_id: refusal.is_none().then(|| "t".to_owned()),
        ..LoggedCall::default()
    }
}

#[test]
fn only_an_answered_connection_test_counts() {
    let describe = |refusal, provider| {
        let calls = [call("/Users?startIndex=1&count=2", refusal, 1)];
        let facts = ConnectionFacts { reached: Some(1), token: Some(1), users: 0, groups: 0 };
        build_checklist(&facts, &calls, find_provider(provider).unwrap(), 10).swap_remove(2).sentence
    };
    assert!(describe(None, "okta").starts_with("Okta tested the connection"));
    assert!(describe(None, "custom").starts_with("The connection was tested"));
    assert!(!describe(Some(TokenRefusal::UnknownToken), "okta").contains("tested"));
}

#[test]
fn rejected_users_are_named_in_the_step_of_the_first_user() {
    use crate::error::Reason;
    let create = |status: u16| LoggedCall {
        method: "POST".to_owned(),
        status,
        failed: status >= 400,
        reason: (status >= 400).then_some(Reason::UserNameTaken),
        ..call("/Users", None, 1)
    };
    let describe = |calls: &[LoggedCall]| describe_waiting_for_user(calls, "Okta");
    assert!(describe(&[call("/Users", None, 1)]).starts_with("Assign a user"));
    assert!(describe(&[create(409), create(201)]).starts_with("A user was rejected: userName is taken."));
    assert!(
        describe(&[create(409), create(409)]).starts_with("2 requests to create a user were rejected, the last one: ")
    );
    let seen = ConnectionFacts { reached: Some(1), token: Some(1), users: 1, groups: 0 };
    let checklist = |calls: &[LoggedCall]| build_checklist(&seen, calls, find_provider("okta").unwrap(), 10);
    assert_eq!(checklist(&[create(201)])[2].sentence, "A user arrived, so the connection works.");
    assert_eq!(checklist(&[call("/Users", None, 1)])[2].sentence, "A read request was answered.");
}

#[test]
fn the_progress_of_the_application_is_described() {
    let read = |has_begun, waiting, is_more| DeliveryState::Read { at: 0, has_begun, waiting, is_more };
    for (delivery, sync, expected) in [
        (DeliveryState::NoEvents, true, "No events yet"),
        (DeliveryState::NoEvents, false, "Paused"),
        (DeliveryState::Unread, true, "isn’t reading"),
        (read(false, 3, false), true, "catching up"),
        (read(true, 0, false), true, "Up to date"),
        (read(true, 1, false), true, "1 event is not"),
        (read(true, 5_000, true), true, "At least 5000 events"),
        (read(true, 0, true), true, "far behind"),
    ] {
        let sentence = describe_delivery(delivery, sync, 60_000);
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn the_first_delivery_of_a_webhook_is_described() {
    let progress = |feed| ApplicationProgress { feed, first_delivery: Some(DeliveredEvent { seq: 4, at: 0 }) };
    let sentence = progress(DeliveryState::Unread).describe(true, 120_000);
    assert_eq!(sentence, "A webhook delivered the first event 2 minutes ago.");
    let read = DeliveryState::Read { at: 0, has_begun: true, waiting: 0, is_more: false };
    let sentence = progress(read).describe(true, 120_000);
    assert!(sentence.contains("A webhook") && sentence.contains("Up to date"), "{sentence}");
}

fn examine(calls: &[LoggedCall]) -> ExaminedCalls<'_> {
    ExaminedCalls { calls, configuration_id: ID, is_secure: true }
}

#[test]
fn mistakes_in_the_path_are_detected() {
    for (path, rule) in [
        ("/Users/Users?count=1".to_owned(), Some("users-in-base")),
        ("/Groups/Users".to_owned(), Some("users-in-base")),
        ("/Users/ServiceProviderConfig".to_owned(), Some("users-in-base")),
        (format!("/directory/resources/scim/v2.0/{ID}/Users"), Some("doubled-path")),
        (format!("/scim/v2/{ID}/Users"), Some("doubled-path")),
        ("/v1/Users".to_owned(), Some("old-version")),
        ("/v2/Users".to_owned(), None),
        ("//Users/".to_owned(), None),
        (format!("/Users/{ID}"), None),
        ("/Users?filter=userName+eq+%22/Users/Users%22".to_owned(), None),
    ] {
        let call = LoggedCall { status: 404, failed: true, ..call(&path, None, 0) };
        assert_eq!(examine(&[]).find_mistake(&call).map(|rule| rule.id), rule, "{path}");
    }
}

#[test]
fn each_cause_is_listed_once_and_is_resolved_when_a_later_call_succeeded() {
    let now = 100 * 60 * 60 * 1000;
    let calls = [
        call("/Users", Some(TokenRefusal::RevokedToken), now - 1),
        call("/Users", None, now - 2),
        call("/Users", Some(TokenRefusal::DoubleBearer), now - 3),
        call("/Users", Some(TokenRefusal::DoubleBearer), now - 4),
        call("/Users", Some(TokenRefusal::UnknownToken), now - FAILURE_AGE_MAX),
    ];
    let found = examine(&calls).group_failures(now);
    let listed: Vec<_> = found.iter().map(|group| (group.rule.id, group.count, group.is_resolved)).collect();
    assert_eq!(listed, [("revoked-token", 1, false), ("double-bearer", 2, true)]);
}

#[test]
fn the_step_of_the_access_token_explains_the_newest_request() {
    let okta = find_provider("okta").unwrap();
    let request = |status, at| LoggedCall {
        at,
        method: "POST".to_owned(),
        path: "/oauth2/token".to_owned(),
        status,
        failed: status >= 400,
        detail: (status >= 400).then(|| "the scope is not known".to_owned()),
        ..LoggedCall::default()
    };
    let check = |last_used, calls: &[LoggedCall]| {
        let step = examine(calls).check_token_requests(OauthUse { has_client: true, last_used }, okta, 120_000);
        (step.is_done, step.sentence)
    };
    let (is_done, sentence) = check(None, &[]);
    assert!(!is_done && sentence.contains("No access token was requested"), "{sentence}");
    let (is_done, sentence) = check(None, &[request(400, 5)]);
    assert!(!is_done && sentence.contains("the scope is not known."), "{sentence}");
    let (is_done, sentence) = check(Some(0), &[request(400, 5)]);
    assert!(is_done && sentence.contains("failed"), "{sentence}");
    assert_eq!(check(None, &[request(200, 0), request(401, 0)]), (true, "Last token 2 minutes ago.".to_owned()));
    assert!(check(Some(60_000), &[]).1.contains("1 minute ago"));
}

#[test]
fn the_checklist_fills_from_the_top() {
    let done = |seen: &ConnectionFacts, calls: &[LoggedCall]| -> Vec<bool> {
        build_checklist(seen, calls, find_provider("okta").unwrap(), 10).iter().map(|step| step.is_done).collect()
    };
    let mut seen = ConnectionFacts { reached: None, token: None, users: 0, groups: 0 };
    assert_eq!(done(&seen, &[]), [false; 5]);
    seen.reached = Some(1);
    assert_eq!(done(&seen, &[call("/Users", Some(TokenRefusal::UnknownToken), 1)]), [true, false, false, false, false]);
    seen.token = Some(2);
    assert_eq!(done(&seen, &[call("/Users", None, 2)]), [true, true, true, false, false]);
    seen.users = 1;
    assert_eq!(done(&seen, &[]), [true, true, true, true, false]);
}
