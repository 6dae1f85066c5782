//! Tests of the calls that are logged, and of those that are only counted.

use actix_web::http::{Method, Uri};

use super::*;
use crate::auth::secret::BearerToken;
use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
use crate::management::request_log::RequestLogQuery;
use crate::management::tokens::TokenDraft;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::configuration::{Configuration, ConfigurationSource, InitialSync};
use crate::model::request::TokenRefusal;
use crate::scim::dialect::DialectNotes;
use crate::web::request_log::RecordedBody;

fn call(method: Method, caller: CallerIdentity, at: Millis) -> RecordedCall {
    RecordedCall {
        replay: None,
        caller,
        request_id: String::new(),
        address: None,
        at,
        duration: Duration::ZERO,
        method,
        uri: Uri::from_static("/Users"),
        status: 200,
        scim_type: "",
        error: None,
        resource_type: None,
        resource: None,
        notes: DialectNotes::default(),
        is_successful_write: false,
        request_body: RecordedBody::default(),
        response_body: RecordedBody::from_response(&[b'x'; 10_000]),
    }
}

fn caller() -> CallerIdentity {
    caller_of(1, 1)
}

fn caller_of(account: i64, key: i64) -> CallerIdentity {
    CallerIdentity::Caller { configuration: ConfigurationKey { account, key }, token: "t".to_owned() }
}

fn unauthenticated(id: usize) -> CallerIdentity {
    let target = CallTarget::Id(id.to_string());
    CallerIdentity::Unauthenticated {
        configuration: target,
        token: None,
        hint: None,
        refusal: Some(TokenRefusal::UnknownToken),
    }
}

#[test]
fn reads_above_the_budget_are_counted_and_writes_are_logged() {
    let activity = CallActivity::default();
    for number in 0..5_000 {
        activity.record(call(Method::GET, caller(), number / 100));
    }
    for number in 0..500 {
        activity.record(call(Method::POST, caller(), number));
    }
    activity.record(RecordedCall { status: 400, ..call(Method::POST, caller(), 499) });
    let (pending, missed) = activity.drain();
    assert_eq!(pending.calls.len(), READS_PER_INTERVAL + 501);
    assert_eq!(missed[&CallTarget::Key(1)].calls, 5_000 - u32::try_from(READS_PER_INTERVAL).unwrap());
    // Failed calls keep their bodies during a flood.
    assert_eq!(pending.body_bytes, (BODIES_PER_INTERVAL + 1) * 10_000);
    activity.record(call(Method::GET, caller(), 1_000));
    assert_eq!(activity.drain().0.calls.len(), 1);
}

#[test]
fn small_requests_of_a_fast_synchronization_keep_their_bodies() {
    let activity = CallActivity::default();
    let body = |length: usize| RecordedBody::from_redacted("x".repeat(length));
    let patch = |length| RecordedCall { request_body: body(length), ..call(Method::PATCH, caller(), 7) };
    for _ in 0..BODIES_PER_INTERVAL {
        activity.record(patch(10));
    }
    activity.record(patch(SMALL_BODY_MAX_BYTES));
    activity.record(patch(SMALL_BODY_MAX_BYTES + 1));
    let (pending, _) = activity.drain();
    let [.., small, large] = &pending.calls[..] else { unreachable!("{}", pending.calls.len()) };
    assert_eq!((small.body_bytes(), large.body_bytes()), (SMALL_BODY_MAX_BYTES, 0));
}

#[test]
fn an_account_with_many_configurations_leaves_room_in_the_log() {
    let activity = CallActivity::default();
    for number in 0..10_000 {
        activity.record(call(Method::GET, caller_of(1, 1 + number % 48), 0));
    }
    let reads = activity.drain().0;
    assert_eq!(reads.calls.len(), READS_PER_INTERVAL * ACCOUNT_FACTOR);
    for number in 0..10_000 {
        activity.record(RecordedCall { status: 400, ..call(Method::POST, caller_of(1, 1 + number % 48), 0) });
    }
    for number in 0..100 {
        activity.record(call(Method::POST, caller_of(2, 100), number));
    }
    let (pending, missed) = activity.drain();
    let of_quiet = pending.calls.iter().filter(|call| find_account(call) == 2).collect::<Vec<_>>();
    let with_body = of_quiet.iter().filter(|call| call.body_bytes() > 0).count();
    assert_eq!((of_quiet.len(), with_body), (100, BODIES_MAX_BYTES / LIGHT_DIVISOR / 10_000));
    assert!(!missed.contains_key(&CallTarget::Key(100)));
    assert!(pending.calls.len() <= CALLS_MAX && pending.body_bytes <= BODIES_MAX_BYTES);
}

#[test]
fn rate_limited_calls_do_not_fill_the_log() {
    let activity = CallActivity::default();
    for _ in 0..5_000 {
        activity.record(RecordedCall { status: 429, ..call(Method::POST, caller(), 1) });
    }
    let (pending, missed) = activity.drain();
    assert_eq!(pending.calls.len(), RATE_LIMITED_PER_INTERVAL);
    assert_eq!(missed[&CallTarget::Key(1)].calls, 5_000 - u32::try_from(RATE_LIMITED_PER_INTERVAL).unwrap());
}

#[test]
fn reads_are_counted_instead_of_stored_while_writes_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_for_server(folder.path()).unwrap();
    let made = create_test_configuration(&store);
    let slow = store.clone();
    let slow_write = std::thread::spawn(move || {
        slow.write_blocking(|_| {
            std::thread::sleep(Duration::from_millis(1_500));
            Ok(())
        })
    });
    while !store.is_under_pressure() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let activity = CallActivity::default();
    let record = |method: &Method, count: usize| {
        for _ in 0..count {
            let caller = caller_of(made.account.key, made.key);
            activity.record(RecordedCall { request_id: clock::new_id(), ..call(method.clone(), caller, 1_000) });
        }
    };
    // One batch of other calls goes on, so that the log of a fast first synchronization has its changes.
    record(&Method::GET, 5);
    record(&Method::POST, CALLS_UNDER_LOAD + 3);
    actix_web::rt::System::new().block_on(activity.flush(&store)).unwrap();
    slow_write.join().unwrap().unwrap();
    let query = RequestLogQuery::default();
    let page = store
        .read_inline(|at| request_log::list_calls(at, &AccountScope::AllAccounts, &made.id, &query, 2_000))
        .unwrap();
    assert_eq!((page.calls.len(), page.calls[0].missed, activity.figures()[2]), (CALLS_UNDER_LOAD + 1, 8, 8));
}

fn create_test_configuration(store: &Store) -> Configuration {
    let made = store.write_blocking(|tx| {
        let (token, id) = (BearerToken::generate().unwrap(), clock::new_id());
        let new = NewConfiguration {
            token: TokenDraft::new(clock::new_id(), &token, "first"),
            account: "acme".to_owned(),
            source: ConfigurationSource::Okta,
            connection_name: None,
            provider: None,
            preset: None,
            sync: InitialSync::On,
            id,
        };
        create_configuration(tx, &AuditContext::server(), &new)
    });
    made.unwrap()
}

#[test]
fn the_log_reports_the_number_and_time_of_missed_calls() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_for_server(folder.path()).unwrap();
    let made = create_test_configuration(&store);
    let activity = CallActivity::default();
    for _ in 0..READS_PER_INTERVAL + 7 {
        let caller = caller_of(made.account.key, made.key);
        activity.record(RecordedCall { request_id: clock::new_id(), ..call(Method::GET, caller, 1_000) });
    }
    actix_web::rt::System::new().block_on(activity.flush(&store)).unwrap();
    let query = RequestLogQuery::default();
    let page = store
        .read_inline(|at| request_log::list_calls(at, &AccountScope::AllAccounts, &made.id, &query, 2_000))
        .unwrap();
    assert_eq!((page.calls.len(), page.calls[0].missed), (READS_PER_INTERVAL + 1, 7));
    let detail = page.calls[0].detail.as_deref().unwrap();
    assert!(detail.starts_with("7 calls between 1970-01-01T00:00:01.000Z and"), "{detail}");
}

#[test]
fn unauthenticated_calls_cannot_fill_the_log() {
    let activity = CallActivity::default();
    for number in 0..5_000 {
        activity.record(call(Method::GET, unauthenticated(number % 2), 1));
        activity.record(call(Method::GET, unauthenticated(number), 1));
    }
    let (pending, missed) = activity.drain();
    assert!(missed.is_empty() && pending.calls.len() < 1_100, "{}", pending.calls.len());
    activity.record(call(Method::GET, unauthenticated(0), MINUTE_MS + 1));
    assert_eq!(activity.drain().0.calls.len(), 1);
}

#[test]
fn batches_are_bounded_by_rows_and_by_bytes() {
    let mut batches = LogBatches::default();
    for number in 0..500 {
        batches.add(build_entry(call(Method::POST, caller(), number)));
    }
    assert!(batches.0.iter().all(|batch| batch.bytes <= BYTES_PER_BATCH && batch.entries.len() <= CALLS_PER_BATCH));
    assert_eq!(batches.0.iter().map(|batch| batch.entries.len()).sum::<usize>(), 500);
}
