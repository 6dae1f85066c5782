//! Steps are bounded, can be repeated, and lead to the same result in any order of crashes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
use crate::management::personal_data::steps::{PlannedStep, apply_step, plan_step_of};
use crate::management::request_log::{CallTarget, RequestLogEntry, store_calls};
use crate::model::event::{EventAction, EventKind, EventSubject};
use crate::model::request::{CallOutcome, LoggedBody, LoggedCall};
use crate::store::Store;
use crate::store::tables::events::{self, NewEvent};

const ACCOUNT: &str = "acme";
const ADDRESS: &str = "ann@x.example";
/// Longest time of the writing part of a step, with a factor for slow machines.
const WRITE_MAX: Duration = Duration::from_millis(250);

struct Fixture {
    store: Store,
    key: i64,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let new = NewConfiguration::sample(ACCOUNT);
        let key =
            store.write_blocking(move |tx| Ok(create_configuration(tx, &AuditContext::server(), &new)?.key)).unwrap();
        Self { store, key, _folder: folder }
    }

    /// Appends an event about a user without a row.
    fn append_event(&self, id: &str, payload: &Value, count: usize) {
        let (id, key, members) = (id.to_owned(), self.key, payload.to_string());
        self.store
            .write_blocking(move |tx| {
                for version in 1..=count {
                    let version = i64::try_from(version).unwrap();
                    let subject = EventSubject { resource_type: "User", id: &id, version, last_modified: version };
                    let event = NewEvent {
                        account: ACCOUNT,
                        configuration: key,
                        kind: EventKind::Resource("User", EventAction::Created),
                        resource_id: Some(&id),
                        payload: &subject.build_payload(&format!("\"after\":{members}")),
                        is_published: true,
                    };
                    events::append_event(tx, &event)?;
                }
                Ok(())
            })
            .unwrap();
    }

    fn log_calls(&self, body: &Value, count: usize) {
        let (key, text) = (self.key, body.to_string());
        let entries: Vec<RequestLogEntry> = (0..count)
            .map(|_| RequestLogEntry {
                target: CallTarget::Key(key),
                verdict: CallOutcome::Succeeded,
                call: LoggedCall {
                    id: clock::new_id(),
                    method: "POST".to_owned(),
                    path: "/Users".to_owned(),
                    request: LoggedBody { bytes: Some(1), text: Some(text.clone()) },
                    ..LoggedCall::default()
                },
            })
            .collect();
        self.store.write_blocking(move |tx| store_calls(tx, &entries)).unwrap();
    }

    fn start(&self, kind: PersonalDataKind) -> crate::error::Result<String> {
        let new = NewPersonalDataRequest {
            id: clock::new_id(),
            account: Some(ACCOUNT.to_owned()),
            kind,
            selector: SubjectSelector::Email(ADDRESS.to_owned()),
        };
        self.store.write_blocking(move |tx| Ok(start_request(tx, &AuditContext::server(), &new)?.id))
    }

    fn plan(&self, id: &str) -> Option<PlannedStep> {
        self.store.read_pooled(|at| plan_step_of(at, id, clock::current_millis() + 60_000)).unwrap()
    }

    /// Applies a step, which may be an old one. Returns how long it took.
    fn apply(&self, planned: &std::sync::Arc<PlannedStep>) -> Duration {
        let planned = std::sync::Arc::clone(planned);
        let begun = Instant::now();
        self.store.write_blocking(move |tx| apply_step(tx, &planned, &[])).unwrap();
        begun.elapsed()
    }

    fn find(&self, id: &str) -> PersonalDataRequest {
        self.store.read_inline(|at| find_request(at, &AccountScope::AllAccounts, id)).unwrap()
    }
}

fn ann() -> Value {
    json!({"userName": ADDRESS, "displayName": "Ann Example"})
}

#[test]
fn steps_are_short_and_an_old_one_has_no_effect() {
    let fixture = Fixture::new();
    let id = clock::new_id();
    fixture.append_event(&id, &ann(), 1_200);
    fixture.append_event(&clock::new_id(), &json!({"userName": "joann@x.example"}), 3_000);
    fixture.log_calls(&ann(), 450);
    fixture.log_calls(&json!({"userName": "joann@x.example", "displayName": "Ann Example"}), 300);
    let request = fixture.start(PersonalDataKind::Erasure).unwrap();
    let (mut steps, mut last) = (0, None);
    while let Some(planned) = fixture.plan(&request) {
        let planned = std::sync::Arc::new(planned);
        if planned.clears_files() {
            assert!(fixture.store.truncate_log().unwrap());
        }
        let elapsed = fixture.apply(&planned);
        assert!(elapsed < WRITE_MAX, "step {steps} took {elapsed:?}");
        // The same step, and the one in front of it, run again by another process.
        fixture.apply(&planned);
        if let Some(earlier) = last.replace(planned) {
            fixture.apply(&earlier);
        }
        steps += 1;
    }
    let done = fixture.find(&request);
    assert_eq!((done.counts["events"], done.counts["requests"]), (1_200, 450));
    assert!((20..80).contains(&steps), "{steps}");
    assert_eq!(done.user_ids, [id]);
    let (payloads, texts): (i64, i64) = fixture
        .store
        .read_inline(|at| {
            let all = events::list_events_after(at, 0, 10_000)?;
            let of =
                |text: &str| i64::try_from(all.iter().filter(|event| event.payload.contains(text)).count()).unwrap();
            Ok((of("Ann Example"), of("joann@x.example")))
        })
        .unwrap();
    assert_eq!((payloads, texts), (0, 3_000));
}

#[test]
fn an_export_that_is_full_counts_what_it_leaves_out_and_is_removed_in_time() {
    let fixture = Fixture::new();
    let large = json!({"userName": ADDRESS, "note": "x".repeat(60_000)});
    fixture.append_event(&clock::new_id(), &large, 600);
    let request = fixture.start(PersonalDataKind::Export).unwrap();
    while let Some(planned) = fixture.plan(&request) {
        fixture.apply(&std::sync::Arc::new(planned));
    }
    let done = fixture.find(&request);
    assert_eq!(done.counts["events"], 600);
    assert!(done.omitted > 20 && done.omitted < 200, "{}", done.omitted);
    let file = fixture.store.read_pooled(|at| read_file(at, &AccountScope::AllAccounts, &request)).unwrap();
    let document: Value = serde_json::from_slice(&file).unwrap();
    let stored = document["events"].as_array().unwrap().len();
    assert_eq!(u64::try_from(stored).unwrap() + done.omitted, 600);
    assert!(!fixture.store.write_blocking(remove_expired_exports).unwrap());
    let end = done.completed_at.unwrap();
    assert_eq!(done.expires_at(), Some(end + EXPORT_RETENTION_MS));
}

#[test]
fn too_many_requests_of_an_account_are_refused() {
    let fixture = Fixture::new();
    for _ in 0..OPEN_REQUESTS_MAX {
        fixture.start(PersonalDataKind::Export).unwrap();
    }
    assert_eq!(fixture.start(PersonalDataKind::Erasure).unwrap_err().reason(), Reason::PersonalDataLimit);
}
