//! Tests of the request log.

use super::*;
use crate::clock;
use crate::management::configuration_lifecycle::{
    NewConfiguration, create_configuration, delete_and_purge_configuration, delete_configuration,
};
use crate::store::Store;

struct Fixture {
    store: Store,
    id: String,
    key: i64,
    _folder: tempfile::TempDir,
}

fn build_configuration(account: &str) -> NewConfiguration {
    NewConfiguration::sample(account)
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let new = build_configuration("acme");
        let created = store.write_blocking(move |tx| create_configuration(tx, &AuditContext::server(), &new)).unwrap();
        Self { store, id: created.id, key: created.key, _folder: folder }
    }

    fn write<T: Send + 'static>(&self, job: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static) -> T {
        self.store.write_blocking(job).unwrap()
    }

    /// Logs calls with these timestamps.
    fn log(&self, target: &CallTarget, verdict: CallOutcome, times: impl IntoIterator<Item = Millis>) {
        let entry = |(number, at)| {
            // The time is in the first two groups.
            let id = format!("{}{number:04}-0000-000000000000", &ids::first_id_at(at)[..14]);
            RequestLogEntry { target: target.clone(), verdict, call: LoggedCall { id, at, ..LoggedCall::default() } }
        };
        let entries: Vec<RequestLogEntry> = times.into_iter().enumerate().map(entry).collect();
        self.write(move |tx| store_calls(tx, &entries));
    }

    fn page(&self, query: &RequestLogQuery, limit: u32) -> RequestLogPage {
        self.store.read_inline(|at| list_calls(at, &AccountScope::AllAccounts, &self.id, query, limit)).unwrap()
    }

    fn health(&self) -> Option<CallHealth> {
        self.store.read_inline(|at| rows::load_health(at, self.key)).unwrap()
    }
}

#[test]
fn calls_are_listed_newest_first_and_update_the_health() {
    let fixture = Fixture::new();
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, [1_000, 3_000]);
    fixture.log(&CallTarget::Id(fixture.id.clone()), CallOutcome::TokenRefused, [2_000]);
    let first = fixture.page(&RequestLogQuery::default(), 2);
    assert_eq!(first.calls.iter().map(|call| call.at).collect::<Vec<_>>(), [3_000, 2_000]);
    let second = fixture.page(&RequestLogQuery { before: first.next, ..RequestLogQuery::default() }, 2);
    assert_eq!(second.calls.iter().map(|call| call.at).collect::<Vec<_>>(), [1_000]);
    assert_eq!(second.next, None);
    let health = fixture.health().unwrap();
    assert_eq!((health.auth_failures, health.recent_failures(), health.last_failure), (1, 1, Some(2_000)));
}

#[test]
fn one_batch_with_right_and_wrong_tokens_has_one_health() {
    let fixture = Fixture::new();
    let entry = |target: CallTarget, verdict, at| RequestLogEntry {
        target,
        verdict,
        call: LoggedCall { id: ids::first_id_at(at), at, ..LoggedCall::default() },
    };
    let refused = |at| entry(CallTarget::Id(fixture.id.clone()), CallOutcome::TokenRefused, at);
    let accepted = |at| entry(CallTarget::Key(fixture.key), CallOutcome::Succeeded, at);
    let store = |entries: Vec<RequestLogEntry>| fixture.write(move |tx| store_calls(tx, &entries));
    store(vec![accepted(1_000), refused(2_000), refused(3_000), refused(4_000), accepted(5_000)]);
    let health = fixture.health().unwrap();
    assert_eq!((health.auth_failures, health.recent_failures(), health.last_failure), (0, 3, Some(4_000)));
    store(vec![refused(6_000), accepted(7_000), refused(8_000)]);
    let health = fixture.health().unwrap();
    assert_eq!((health.auth_failures, health.recent_failures(), health.last_failure), (1, 5, Some(8_000)));
}

#[test]
fn calls_of_an_unknown_or_deleted_configuration_are_skipped() {
    let fixture = Fixture::new();
    fixture.log(&CallTarget::Id(clock::new_id()), CallOutcome::TokenRefused, [1]);
    fixture.log(&CallTarget::Key(fixture.key + 1), CallOutcome::Succeeded, [1]);
    let id = fixture.id.clone();
    fixture.write(move |tx| delete_configuration(tx, &AuditContext::server(), &id));
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, [1]);
    let left = fixture.store.read_inline(rows::list_logged_configurations).unwrap();
    assert_eq!(left, [0_i64; 0]);
}

#[test]
fn old_calls_are_removed_in_batches_and_recent_calls_stay() {
    let fixture = Fixture::new();
    let now = clock::current_millis();
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, [1, 2, 3, now]);
    let overdue = |at: Millis| fixture.store.read_inline(|snapshot| list_overdue_logs(snapshot, at)).unwrap();
    assert_eq!(overdue(now), [fixture.key]);
    let key = fixture.key;
    assert_eq!(fixture.write(move |tx| prune_log(tx, key, 2)), 2);
    assert_eq!(fixture.write(move |tx| prune_log(tx, key, 2)), 1);
    assert_eq!(fixture.write(move |tx| prune_log(tx, key, 2)), 0);
    assert_eq!(overdue(now), [0_i64; 0]);
    assert_eq!(fixture.page(&RequestLogQuery::default(), 10).calls.len(), 1);
}

#[test]
fn calls_without_a_known_token_have_a_limit_of_their_own() {
    let fixture = Fixture::new();
    let (key, now, most) = (fixture.key, clock::current_millis(), i64::from(STORED_REFUSED_CALLS_MAX));
    let log = |token: Option<&str>, times: std::ops::Range<i64>| {
        let entry = |number: i64| {
            let (at, token_id) = (now - 20_000 + number, token.map(str::to_owned));
            let call = LoggedCall { id: ids::first_id_at(at), at, token_id, ..LoggedCall::default() };
            RequestLogEntry { target: CallTarget::Key(key), verdict: CallOutcome::NotCounted, call }
        };
        let entries: Vec<RequestLogEntry> = times.map(entry).collect();
        fixture.write(move |tx| store_calls(tx, &entries));
    };
    let overdue = || fixture.store.read_inline(|at| list_overdue_logs(at, now)).unwrap();
    let prune = || fixture.write(move |tx| prune_log(tx, key, 100));
    log(Some("t"), 0..50);
    log(None, 50..50 + most);
    assert_eq!((overdue(), prune()), (Vec::new(), 0));
    log(None, 10_000..10_250);
    assert_eq!(overdue(), [key]);
    assert_eq!([prune(), prune(), prune(), prune()], [100, 100, 50, 0]);
    assert_eq!(overdue(), [0_i64; 0]);
    let page = fixture.page(&RequestLogQuery::default(), 2_000);
    let with_token = page.calls.iter().filter(|call| call.token_id.is_some()).count();
    // The calls with a token stay, although they are the oldest.
    assert_eq!((page.calls.len(), with_token), (STORED_REFUSED_CALLS_MAX as usize + 50, 50));
    let used = fixture.store.read_inline(|at| usage::load_usage(at, key)).unwrap().configuration.used;
    assert_eq!(used.get(QuotaKind::RequestLogBytes), (most + 50) * 402);
}

#[test]
fn a_log_above_its_quota_of_bytes_loses_its_oldest_calls_in_bounded_steps() {
    let fixture = Fixture::new();
    let key = fixture.key;
    // Each row has 402 bytes: 400 and the empty list of notes.
    let now = clock::current_millis();
    fixture.log(&CallTarget::Key(key), CallOutcome::Succeeded, (0..1_200).map(|n| now - 2_000 + n));
    let bytes = |fixture: &Fixture| {
        fixture
            .store
            .read_inline(|at| usage::load_usage(at, key))
            .unwrap()
            .configuration
            .used
            .get(QuotaKind::RequestLogBytes)
    };
    assert_eq!(bytes(&fixture), 1_200 * 402);
    let limited = |most: u64| QuotaDefaults {
        configuration: crate::model::quota::QuotaLimits::default().with(QuotaKind::RequestLogBytes, most),
        ..QuotaDefaults::default()
    };
    fixture.store.set_quota_defaults(limited(100 * 402));
    // A batch removes at most 500 rows, and only as many as needed.
    fixture.log(&CallTarget::Key(key), CallOutcome::Succeeded, [now + 1]);
    assert_eq!(bytes(&fixture), 701 * 402);
    assert_eq!(fixture.write(move |tx| prune_log(tx, key, 250)), 250);
    while fixture.write(move |tx| prune_log(tx, key, 250)) > 0 {}
    assert_eq!(bytes(&fixture), 100 * 402);
    let newest = fixture.page(&RequestLogQuery::default(), 1).calls[0].at;
    assert_eq!(newest, now + 1);
    // The total of all logs removes from the largest one.
    assert!(fixture.store.read_inline(|at| are_logs_too_large(at, 10 * 402)).unwrap());
    assert_eq!(fixture.write(move |tx| prune_largest_log(tx, 10 * 402, 20)), 20);
    assert_eq!(fixture.write(move |tx| prune_largest_log(tx, 10 * 402, 60)), 21, "a quarter");
    while fixture.write(move |tx| prune_largest_log(tx, 10 * 402, 60)) > 0 {}
    assert_eq!(fixture.write(move |tx| prune_largest_log(tx, 0, 60)), 0);
    assert_eq!(bytes(&fixture), 10 * 402);
}

#[test]
fn the_total_of_all_logs_removes_from_the_account_with_the_largest_logs() {
    let fixture = Fixture::new();
    let create = |account: &'static str| {
        let new = build_configuration(account);
        fixture.write(move |tx| create_configuration(tx, &AuditContext::server(), &new)).key
    };
    let now = clock::current_millis();
    let many: Vec<i64> = (0..4).map(|_| create("many")).collect();
    let log = |key: i64, calls: i64| {
        fixture.log(&CallTarget::Key(key), CallOutcome::Succeeded, (0..calls).map(|number| now - 1_000 + number));
    };
    for key in &many {
        log(*key, 60);
    }
    // The largest log of one configuration, of an account with less.
    log(fixture.key, 100);
    let count = |key: i64| fixture.store.read_inline(|at| rows::count_requests(at, key)).unwrap();
    while fixture.write(move |tx| prune_largest_log(tx, 200 * 402, 20)) > 0 {}
    assert_eq!(count(fixture.key), 100);
    let left: Vec<u64> = many.iter().map(|key| count(*key)).collect();
    assert!(left.iter().sum::<u64>() == 100 && left.iter().all(|left| *left >= 20), "{left:?}");
    // No log is emptied while others are long.
    while fixture.write(move |tx| prune_largest_log(tx, 50 * 402, 500)) > 0 {}
    let left: Vec<u64> = many.iter().chain([&fixture.key]).map(|key| count(*key)).collect();
    assert!(left.iter().sum::<u64>() == 50 && left.iter().all(|left| *left >= 5), "{left:?}");
}

#[test]
fn a_purge_also_removes_the_log() {
    let fixture = Fixture::new();
    let now = clock::current_millis();
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, [now - 1, now]);
    let (id, key) = (fixture.id.clone(), fixture.key);
    fixture.write(move |tx| delete_and_purge_configuration(tx, &AuditContext::server(), &id));
    assert_eq!(fixture.store.read_inline(|at| list_overdue_logs(at, now)).unwrap(), [key]);
    while fixture.write(move |tx| prune_log(tx, key, 1)) > 0 {}
    assert_eq!(fixture.store.read_inline(|at| rows::count_requests(at, key)).unwrap(), 0);
}

#[test]
fn a_page_of_large_calls_ends_early_and_the_next_one_continues() {
    let fixture = Fixture::new();
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, 1..=9);
    let (mut seen, mut query) = (Vec::new(), RequestLogQuery::default());
    loop {
        // Three calls fit, and a fourth one does not.
        let limit = RequestLogLimit { count: 100, bytes: 1_999 };
        let list = |at: &Snapshot<'_>| rows::list_requests(at, fixture.key, &query, limit);
        let page = fixture.store.read_inline(list).unwrap();
        assert!((1..=3).contains(&page.calls.len()), "{}", page.calls.len());
        seen.extend(page.calls.iter().map(|call| call.at));
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn a_search_without_matches_stops_and_returns_where_to_continue() {
    let fixture = Fixture::new();
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, 1..=4_500);
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, 5_001..=9_500);
    fixture.log(&CallTarget::Key(fixture.key), CallOutcome::Succeeded, 10_001..=14_500);
    let mut query = RequestLogQuery { method: Some("NONE".to_owned()), ..RequestLogQuery::default() };
    // A page scans some 4,000 calls, an export 10,000.
    for (limit, pages) in [(10, 4), (1_000, 2)] {
        query.before = None;
        let mut count = 0;
        loop {
            let page = fixture.page(&query, limit);
            assert!(page.calls.is_empty());
            count += 1;
            query.before = page.next;
            if query.before.is_none() {
                break;
            }
        }
        assert_eq!(count, pages, "{limit}");
    }
}
