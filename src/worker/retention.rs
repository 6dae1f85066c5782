//! Removes what is kept for a time only: old calls of the request log, and answers to calls that might have come twice.

use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::clock;
use crate::directory::{idempotency, requests};
use crate::error::{Error, Result};
use crate::store::{Store, Undo};

/// How often it looks.
const EVERY: Duration = Duration::from_mins(10);
/// How long after the start it looks first.
const AT_FIRST: Duration = Duration::from_mins(1);
/// Rows that go in one transaction, so that no other write waits long for it.
const ROWS_AT_ONCE: u32 = 500;
/// How long the writer is left to others between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks from time to time, for ever.
pub async fn run(store: Store) {
    tokio::time::sleep(AT_FIRST).await;
    loop {
        if let Err(problem) = look(&store).await {
            tracing::warn!(%problem, "what is too old was not removed; it is tried again");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(store: &Store) -> Result<()> {
    let (reader, now) = (store.clone(), clock::now());
    let overdue = spawn_blocking(move || reader.read_pooled(|at| requests::overdue(at, now)));
    for configuration in overdue.await.map_err(|_| Error::Busy)?? {
        while store.write(Undo::Savepoint, move |tx| requests::prune(tx, configuration, ROWS_AT_ONCE)).await? > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    while store.write(Undo::Savepoint, |tx| idempotency::prune(tx, ROWS_AT_ONCE)).await? > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::configurations::{NewConfiguration, create};
    use crate::directory::requests::{Entry, Of, keep};
    use crate::directory::tokens::TokenDraft;
    use crate::model::actor::By;
    use crate::model::configuration::Source;
    use crate::model::ids;
    use crate::model::request::{LoggedCall, Verdict};
    use crate::secret::Token;
    use crate::store::{Access, idempotency as answers, requests as rows};

    #[test]
    fn what_is_too_old_goes_however_much_it_is_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Serve).unwrap();
        let new = NewConfiguration {
            id: clock::new_id(),
            account: "acme".to_owned(),
            connection_name: None,
            source: Source::Okta,
            provider: None,
            preset: None,
            sync: true,
            token: TokenDraft::new(clock::new_id(), &Token::generate().unwrap(), "first"),
        };
        let old = (0..1_200).map(|at| ids::first_at(at * 1_000));
        let ids: Vec<String> = old.chain([clock::new_id()]).collect();
        let key = store.write_blocking(Undo::Savepoint, move |tx| {
            let key = create(tx, &By::server(), &new)?.key;
            let call = |id| LoggedCall { id, ..LoggedCall::default() };
            let entry = |id| Entry { of: Of::Key(key), verdict: Verdict::Fine, call: call(id) };
            keep(tx, &ids.into_iter().map(entry).collect::<Vec<_>>())?;
            answers::begin(tx, &[1; 32], &[2; 32])?;
            Ok(key)
        });
        let key = key.unwrap();
        actix_web::rt::System::new().block_on(look(&store)).unwrap();
        assert_eq!(store.read_inline(|at| rows::count(at, key)).unwrap(), 1);
        assert!(store.read_inline(|at| answers::find(at, &[1; 32])).unwrap().is_some());
    }
}
