//! Tests of lanes: events of rare kinds cost little, and the position of a lane is always right.

use std::sync::Arc;

use super::retention::remove_delivered_events;
use super::*;
use crate::clock;
use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
use crate::management::webhooks::deliveries::load_summary;
use crate::management::webhooks::{NewWebhook, WebhookChange, WebhookStart, create_webhook, update_webhook};
use crate::model::configuration::Configuration;
use crate::model::event::{EventAction, EventKind};
use crate::model::webhook::{SignatureKind, WebhookKey};
use crate::store::Store;
use crate::store::tables::events::{self, NewEvent};
use crate::store::tables::webhook_lanes;

/// A configuration, and a webhook for its users.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) configuration: Configuration,
    pub(super) webhook: Webhook,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let new = NewConfiguration::sample("acme");
        let context = AuditContext::server();
        let webhook = NewWebhook {
            id: clock::new_id(),
            account: None,
            settings: WebhookSettings {
                kinds: Some(vec!["user.*".to_owned()]),
                ..WebhookSettings::new("https://hook.example.com/".to_owned())
            },
            headers: Vec::new(),
            signature: SignatureKind::Hmac,
            key: WebhookKey { id: clock::new_id(), sealed: Vec::new(), public: None, created_at: 0, expires_at: None },
            start: WebhookStart::After(0),
            has_backfill: false,
        };
        let (configuration, webhook) = store
            .write_blocking(move |tx| {
                Ok((create_configuration(tx, &context, &new)?, create_webhook(tx, &context, &webhook)?))
            })
            .unwrap();
        Self { store, configuration, webhook, _folder: folder }
    }

    fn key(&self) -> LaneKey {
        LaneKey { webhook: self.webhook.key, configuration: self.configuration.key }
    }

    pub(super) fn append(&self, kind: EventKind<'static>) -> i64 {
        let configuration = self.configuration.key;
        let job = move |tx: &Tx<'_>| {
            let event = NewEvent {
                account: "acme",
                configuration,
                kind,
                resource_id: Some("x"),
                payload: "{}",
                is_published: true,
            };
            events::append_event(tx, &event)
        };
        self.store.write_blocking(job).unwrap()
    }

    /// Appends many events of groups.
    fn append_groups(&self, count: i64) {
        // A write that takes seconds is refused on a busy machine.
        const PER_WRITE: i64 = 5_000;
        let configuration = self.configuration.key;
        let job = move |tx: &Tx<'_>| {
            let resource_id = Some("g");
            let event = NewEvent {
                account: "acme",
                configuration,
                kind: GROUP,
                resource_id,
                payload: "{}",
                is_published: true,
            };
            (0..PER_WRITE).try_for_each(|_| events::append_event(tx, &event).map(drop))
        };
        assert_eq!(count % PER_WRITE, 0);
        (0..count / PER_WRITE).for_each(|_| self.store.write_blocking(job).unwrap());
    }

    /// Removes what is older than a time in the future.
    pub(super) fn remove_after(&self, later: Millis) -> usize {
        self.store.write_blocking(move |tx| remove_delivered_events(tx, tx.now + later, 100)).unwrap()
    }

    pub(super) fn deliver(&self, seq: i64) {
        let LaneKey { webhook, configuration } = self.key();
        let lane = LaneRow { webhook, configuration, position: seq, ..LaneRow::default() };
        self.store.write_blocking(move |tx| webhook_lanes::save_lane(tx, &lane)).unwrap();
    }

    fn lane(&self) -> LaneRow {
        self.store.read_inline(|at| load_lane(at, &self.stored(), self.configuration.key)).unwrap()
    }

    fn stored(&self) -> Webhook {
        self.store.read_inline(|at| webhooks::find_webhook_by_key(at, self.webhook.key)).unwrap().unwrap()
    }

    pub(super) fn state(&self) -> WebhookState {
        self.stored().state
    }

    fn set_kinds(&self, kinds: Option<&[&str]>) {
        let kinds = kinds.map(|kinds| kinds.iter().map(|kind| (*kind).to_owned()).collect());
        let settings = WebhookSettings { kinds, ..self.webhook.settings.clone() };
        let change = WebhookChange { settings: Some(settings), headers: None };
        let id = self.webhook.id.clone();
        let update = move |tx: &Tx<'_>| update_webhook(tx, &AuditContext::server(), &id, &change);
        self.store.write_blocking(update).unwrap();
    }

    fn work(&self, scan: Option<LaneScan>) -> LaneWork {
        self.store.read_inline(|at| load_lane_work(at, &self.stored(), self.configuration.key, scan)).unwrap()
    }

    /// The next request. Searches until there is one.
    #[track_caller]
    fn request(&self) -> LaneRequest {
        let mut scan = None;
        loop {
            match self.work(scan) {
                LaneWork::Request(request) => return *request,
                LaneWork::Nothing { scan: found, has_more: true } => scan = Some(found),
                other => panic!("{other:?}"),
            }
        }
    }

    fn begin(&self, request: LaneRequest) -> (bool, Arc<LaneRequest>) {
        let request = Arc::new(request);
        let begun = Arc::clone(&request);
        let is_begun = self.store.write_blocking(move |tx| begin_request(tx, &begun)).unwrap();
        (is_begun, request)
    }

    fn record_scan(&self, scan: LaneScan) {
        let key = self.key();
        self.store.write_blocking(move |tx| record_scans(tx, &[(key, scan)])).unwrap();
    }

    /// A read, and the number of instructions of SQLite in thousands that it takes.
    fn measure<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> (T, u64) {
        self.store.read_inline(|at| at.count_instructions(read)).unwrap()
    }
}

const USER: EventKind<'static> = EventKind::Resource("User", EventAction::Updated);
const GROUP: EventKind<'static> = EventKind::Resource("Group", EventAction::Updated);

#[test]
fn the_search_for_rare_kinds_is_limited_and_its_end_is_stored() {
    let fixture = Fixture::new();
    fixture.append_groups(35_000);
    let (mut scan, mut looks) = (None, 0);
    loop {
        let (work, cost) = fixture.measure(|at| load_lane_work(at, &fixture.webhook, fixture.configuration.key, scan));
        let LaneWork::Nothing { scan: found, has_more } = work else { panic!("{work:?}") };
        assert!(cost < 1_500, "{cost} thousand instructions for {} events", found.events);
        (scan, looks) = (Some(found), looks + 1);
        if !has_more {
            break;
        }
    }
    assert_eq!((looks, scan.unwrap().events), (5, 35_001));
    // Without the stored position, everything is searched again. With it, nothing is.
    fixture.record_scan(scan.unwrap());
    let newest = fixture.store.read_inline(events::find_event_range).unwrap().1;
    assert_eq!(fixture.lane().position, newest);
    let (work, cost) = fixture.measure(|at| load_lane_work(at, &fixture.webhook, fixture.configuration.key, None));
    assert!(matches!(work, LaneWork::Nothing { has_more: false, .. }) && cost < 5, "{cost}");
    let user = fixture.append(USER);
    assert_eq!(fixture.request().event_range(), Some((user, user)));
}

#[test]
fn the_oldest_waiting_event_of_rare_kinds_is_searched_up_to_a_limit() {
    let fixture = Fixture::new();
    fixture.append_groups(80_000);
    fixture.append(USER);
    let summarize = |at: &Snapshot<'_>| load_summary(at, fixture.webhook.clone(), 0);
    let (summary, cost) = fixture.measure(summarize);
    assert!(summary.oldest_waiting.is_none() && cost < 2_000, "{cost}");
    let (counted, cost) = fixture.measure(|at| count_waiting(at, &fixture.webhook, fixture.configuration.key));
    assert!(counted.0 == 0 && cost < 1_500, "{cost}");
    let near = fixture.store.read_inline(events::find_event_range).unwrap().1 - 100;
    fixture.deliver(near);
    let (summary, cost) = fixture.measure(summarize);
    assert!(summary.oldest_waiting.is_some() && cost < 50, "{cost}");
}

#[test]
fn a_batch_after_a_long_search_is_found_again_by_a_retry() {
    let fixture = Fixture::new();
    fixture.append_groups(15_000);
    let user = fixture.append(USER);
    let (is_begun, request) = fixture.begin(fixture.request());
    assert!(is_begun);
    // The retry has no memory of the search.
    let LaneWork::Request(retry) = fixture.work(None) else { panic!() };
    assert_eq!((retry.event_range(), &retry.message_id), (Some((user, user)), &request.message_id));
    let attempt = WebhookAttempt { succeeded: true, ..WebhookAttempt::default() };
    fixture.store.write_blocking(move |tx| record_success(tx, &request, &attempt)).unwrap();
    assert_eq!((fixture.lane().position, fixture.lane().batch_end), (user, None));
}

#[test]
fn kinds_that_are_added_are_sent_from_the_change_on() {
    let fixture = Fixture::new();
    let first = fixture.append(USER);
    fixture.append(GROUP);
    fixture.set_kinds(Some(&["user.*", "group.*"]));
    let later = fixture.append(GROUP);
    // What waited is sent, and of groups only what came after the change.
    assert_eq!(fixture.request().event_range(), Some((first, later)));
    assert_eq!(fixture.request().texts().0.len(), 2);
    fixture.deliver(later);
    // Fewer kinds apply at once, and added again they begin again.
    fixture.append(GROUP);
    fixture.set_kinds(Some(&["user.*"]));
    assert!(matches!(fixture.work(None), LaneWork::Nothing { .. }));
    fixture.set_kinds(None);
    let last = fixture.append(GROUP);
    assert_eq!(fixture.request().event_range(), Some((last, last)));
}

#[test]
fn a_search_with_other_settings_or_from_another_position_is_not_stored() {
    let fixture = Fixture::new();
    fixture.append(GROUP);
    let LaneWork::Nothing { scan, .. } = fixture.work(None) else { panic!() };
    let request = {
        fixture.append(USER);
        fixture.request()
    };
    fixture.set_kinds(Some(&["group.*"]));
    fixture.record_scan(scan);
    assert_eq!(fixture.lane().position, 0);
    assert!(!fixture.begin(request).0);
    let LaneWork::Nothing { scan, .. } = fixture.work(None) else { panic!() };
    fixture.deliver(1);
    fixture.record_scan(scan);
    assert_eq!(fixture.lane().position, 1);
}

#[test]
fn a_lane_whose_batch_expired_continues_after_it() {
    let fixture = Fixture::new();
    let user = fixture.append(USER);
    let (_, request) = fixture.begin(fixture.request());
    let failure = FailedAttempt::default();
    let fail = move |tx: &Tx<'_>| record_failure(tx, &request, &WebhookAttempt::default(), failure);
    fixture.store.write_blocking(fail).unwrap();
    // The newest event stays.
    fixture.append(GROUP);
    fixture.store.write_blocking(|tx| events::delete_events_before(tx, tx.now + 1_000, 100)).unwrap();
    let LaneWork::Nothing { scan, .. } = fixture.work(None) else { panic!() };
    assert!(scan.is_urgent());
    fixture.record_scan(scan);
    let lane = fixture.lane();
    assert_eq!((lane.position, lane.batch_end, lane.failures, lane.failing_since), (user, None, 0, None));
}
