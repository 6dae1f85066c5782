//! Removes data with a limited retention: old calls of the request log, responses stored for idempotency keys, expired
//! sessions of the portal, expired access tokens, old attempts of webhooks, tombstones of deleted users and groups,
//! and removals that were counted for a hold.

use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::management::oauth::access_tokens;
use crate::management::{idempotency, request_log, sessions};
use crate::provisioning::safety_net::mass_removals;
use crate::provisioning::tombstones;
use crate::provisioning::webhook_delivery::retention as delivery;
use crate::settings::SessionLifetime;
use crate::store::{Store, Tx, WorkOwner};

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_mins(10);
/// Delay of the first check after the start.
const FIRST_DELAY: Duration = Duration::from_mins(1);
/// Maximum number of rows that one transaction removes. The limit bounds the delay of other writes.
const ROWS_PER_STEP: u32 = 500;
/// The same for tombstones, which can be larger.
const TOMBSTONE_ROWS_PER_STEP: usize = 100;
/// The same for removals that were counted for a hold.
const REMOVALS_PER_STEP: usize = 500;
/// Pause between two transactions, so that other writes can run.
const PAUSE: Duration = Duration::from_millis(20);

/// Interval of the check of the bytes of all request logs.
const LOG_SIZE_INTERVAL: Duration = Duration::from_secs(10);

/// Shortens the largest request log while all logs together have more than `most` bytes; 0 for no limit. Never returns.
pub async fn limit_request_logs(store: Store, most: u64) {
    loop {
        tokio::time::sleep(LOG_SIZE_INTERVAL).await;
        if let Err(problem) = shorten_logs(&store, most).await {
            tracing::warn!(%problem, "the request logs could not be shortened; it will be retried");
        }
    }
}

async fn shorten_logs(store: &Store, most: u64) -> Result<()> {
    let reader = store.clone();
    let is_large = spawn_blocking(move || reader.read_pooled(|at| request_log::are_logs_too_large(at, most))).await;
    if !is_large.map_err(|_| Error::new(Reason::ServerBusy))?? {
        return Ok(());
    }
    while store
        .write_as(WorkOwner::Background, move |tx| request_log::prune_largest_log(tx, most, ROWS_PER_STEP))
        .await?
        > 0
    {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Removes overdue data at the interval. Never returns.
pub async fn run_retention(store: Store, sessions: SessionLifetime) {
    tokio::time::sleep(FIRST_DELAY).await;
    loop {
        if clock::find_start_doubt().is_none()
            && let Err(problem) = remove_overdue(&store, sessions).await
        {
            tracing::warn!(%problem, "removal of old data failed and will be retried");
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

async fn remove_overdue(store: &Store, lifetime: SessionLifetime) -> Result<()> {
    store.write_as(WorkOwner::Background, move |tx| sessions::remove_expired_sessions(tx, lifetime)).await?;
    let (reader, now) = (store.clone(), clock::current_millis());
    let overdue = spawn_blocking(move || reader.read_pooled(|at| request_log::list_overdue_logs(at, now)));
    for configuration in overdue.await.map_err(|_| Error::new(Reason::ServerBusy))?? {
        while store
            .write_as(WorkOwner::Background, move |tx| request_log::prune_log(tx, configuration, ROWS_PER_STEP))
            .await?
            > 0
        {
            tokio::time::sleep(PAUSE).await;
        }
    }
    while store.write_as(WorkOwner::Background, |tx| idempotency::remove_expired_calls(tx, ROWS_PER_STEP)).await? > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    while store.write_as(WorkOwner::Background, |tx| access_tokens::remove_expired(tx, ROWS_PER_STEP)).await? > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    while store.write_as(WorkOwner::Background, |tx| delivery::remove_old_attempts(tx, ROWS_PER_STEP)).await? > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    remove_expired_tombstones(store).await?;
    remove_old_removals(store).await
}

async fn remove_old_removals(store: &Store) -> Result<()> {
    let mut after = (0, "");
    loop {
        let step = move |tx: &Tx<'_>| mass_removals::remove_old_removals(tx, after, REMOVALS_PER_STEP);
        let Some(next) = store.write_as(WorkOwner::Background, step).await? else { return Ok(()) };
        after = next;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn remove_expired_tombstones(store: &Store) -> Result<()> {
    let mut after = 0;
    loop {
        let step = move |tx: &Tx<'_>| tombstones::remove_expired_tombstones(tx, after, TOMBSTONE_ROWS_PER_STEP);
        let Some(next) = store.write_as(WorkOwner::Background, step).await? else { return Ok(()) };
        after = next;
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
    use crate::management::request_log::{CallTarget, RequestLogEntry, store_calls};
    use crate::model::audit_context::AuditContext;
    use crate::model::ids;
    use crate::model::request::{CallOutcome, LoggedCall};
    use crate::store::tables::{idempotency as idempotency_rows, request_log as rows};

    #[test]
    fn all_old_rows_are_removed_and_recent_rows_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let new = NewConfiguration::sample("acme");
        let old = (0..1_200).map(|at| ids::first_id_at(at * 1_000));
        let ids: Vec<String> = old.chain([clock::new_id()]).collect();
        let key = store.write_blocking(move |tx| {
            let key = create_configuration(tx, &AuditContext::server(), &new)?.key;
            let call = |id| LoggedCall { id, ..LoggedCall::default() };
            let entry =
                |id| RequestLogEntry { target: CallTarget::Key(key), verdict: CallOutcome::Succeeded, call: call(id) };
            store_calls(tx, &ids.iter().cloned().map(entry).collect::<Vec<_>>())?;
            idempotency_rows::insert_call(tx, &[1; 32], &[2; 32], b"sealed")?;
            Ok(key)
        });
        let key = key.unwrap();
        actix_web::rt::System::new()
            .block_on(remove_overdue(&store, SessionLifetime { idle: 60_000, total: 60_000 }))
            .unwrap();
        assert_eq!(store.read_inline(|at| rows::count_requests(at, key)).unwrap(), 1);
        assert!(store.read_inline(|at| idempotency_rows::find_call(at, &[1; 32])).unwrap().is_some());
    }
}
