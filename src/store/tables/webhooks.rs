//! Rows of `webhooks` and `webhook_keys`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Row, named_params, params};

use super::instance;
use super::rows::{ACCOUNT_ID, read_account_ref, read_by_name, read_columns};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::account::AccountRef;
use crate::model::webhook::headers::SealedHeader;
use crate::model::webhook::sent_kinds::KindsSince;
use crate::model::webhook::{
    PayloadMode, SignatureKind, Webhook, WebhookFormat, WebhookKey, WebhookSettings, WebhookState,
};
use crate::store::{Snapshot, Tx};

/// Key in `instance` of a number that increases with every change that delivery must notice.
const REVISION_KEY: &str = "webhooks_revision";

/// Records a change that delivery must notice, also if it is made by another process.
pub fn mark_changed(tx: &Tx<'_>) -> Result<()> {
    let next = find_revision(tx)? + 1;
    instance::set_value(tx, REVISION_KEY, &next.to_string())
}

/// Returns the number of the last change that delivery must notice.
pub fn find_revision(at: &Snapshot<'_>) -> Result<i64> {
    let stored = instance::get_value(at, REVISION_KEY)?.unwrap_or_else(|| "0".to_owned());
    stored.parse().map_err(|problem| Error::undecodable("the revision of the webhooks", problem))
}

const COLUMNS: &str =
    "webhook, id, account, url, description, kinds, format, payload, batch_size, rate_limit, signature,
     headers, state, disabled_reason, start_seq, backfill_until, kinds_since, by_account, content_revision, created_at, updated_at";

fn build_select(condition: &str) -> String {
    format!("SELECT {COLUMNS}, {ACCOUNT_ID} FROM webhooks c WHERE {condition}")
}

/// Inserts a webhook and returns its key. `new.key` is ignored.
pub fn insert_webhook(tx: &Tx<'_>, new: &Webhook) -> Result<i64> {
    tx.check_restriction()?;
    let settings = &new.settings;
    let mut statement = tx.prepare(
        "INSERT INTO webhooks (id, account, url, description, kinds, format, payload, batch_size, rate_limit, signature,
             headers, state, start_seq, backfill_until, by_account, content_revision, created_at, updated_at)
         VALUES (:id, :account, :url, :description, :kinds, :format, :payload, :batch_size, :rate_limit, :signature,
             :headers, :state, :start_seq, :backfill_until, :by_account, :content_revision, :created_at, :updated_at)",
    )?;
    let key = statement.insert(named_params! {
        ":id": new.id,
        ":account": new.account.as_ref().map(|account| account.key),
        ":url": settings.url,
        ":description": settings.description,
        ":kinds": settings.kinds.as_ref().map(|kinds| kinds.join(",")),
        ":format": settings.format.as_str(),
        ":payload": settings.payload.as_str(),
        ":batch_size": settings.batch_size,
        ":rate_limit": settings.rate_limit,
        ":signature": new.signature.as_str(),
        ":headers": serialize_headers(&new.headers),
        ":state": new.state.as_str(),
        ":start_seq": new.start_seq,
        ":backfill_until": new.backfill_until,
        ":by_account": new.by_account,
        ":content_revision": new.content_revision,
        ":created_at": new.created_at,
        ":updated_at": new.updated_at,
    })?;
    Ok(key)
}

/// Stores the settings, headers and state of a webhook.
pub fn save_webhook(tx: &Tx<'_>, changed: &Webhook) -> Result<()> {
    let settings = &changed.settings;
    tx.run(
        "UPDATE webhooks SET url = :url, description = :description, kinds = :kinds, format = :format, payload = :payload,
             batch_size = :batch_size, rate_limit = :rate_limit, headers = :headers, state = :state,
             disabled_reason = :disabled_reason, kinds_since = :kinds_since, content_revision = :content_revision,
             updated_at = :now
         WHERE webhook = :key",
        named_params! {
            ":key": changed.key,
            ":url": settings.url,
            ":description": settings.description,
            ":kinds": settings.kinds.as_ref().map(|kinds| kinds.join(",")),
            ":format": settings.format.as_str(),
            ":payload": settings.payload.as_str(),
            ":batch_size": settings.batch_size,
            ":rate_limit": settings.rate_limit,
            ":headers": serialize_headers(&changed.headers),
            ":state": changed.state.as_str(),
            ":disabled_reason": changed.disabled_reason,
            ":kinds_since": serde_json::json!(changed.kinds_since).to_string(),
            ":content_revision": changed.content_revision,
            ":now": tx.now,
        },
    )
}

/// Deletes a webhook with its keys, lanes and attempts.
pub fn delete_webhook(tx: &Tx<'_>, key: i64) -> Result<()> {
    for sql in [
        "DELETE FROM webhook_keys WHERE webhook = ?1",
        "DELETE FROM webhook_lanes WHERE webhook = ?1",
        "DELETE FROM webhook_attempts WHERE webhook = ?1",
        "DELETE FROM webhooks WHERE webhook = ?1",
    ] {
        tx.run(sql, [key])?;
    }
    Ok(())
}

/// Returns the webhook with this id.
pub fn find_webhook_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<Webhook>> {
    at.find_row(&build_select("id = ?1"), [id], read_webhook)
}

/// Returns the webhook with this key.
pub fn find_webhook_by_key(at: &Snapshot<'_>, key: i64) -> Result<Option<Webhook>> {
    at.find_row(&build_select("webhook = ?1"), [key], read_webhook)
}

/// Returns all webhooks, oldest first, or those of one account.
pub fn list_webhooks(at: &Snapshot<'_>, account: Option<i64>) -> Result<Vec<Webhook>> {
    at.list_rows(&build_select("?1 IS NULL OR account = ?1 ORDER BY webhook"), [account], read_webhook)
}

/// Returns the number of webhooks.
pub fn count_webhooks(at: &Snapshot<'_>) -> Result<u32> {
    at.read_value("SELECT count(*) FROM webhooks", [])
}

/// Inserts a key of a webhook.
pub fn insert_webhook_key(tx: &Tx<'_>, webhook: i64, key: &WebhookKey) -> Result<()> {
    tx.run(
        "INSERT INTO webhook_keys (id, webhook, sealed, public, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![key.id, webhook, key.sealed, key.public, key.created_at, key.expires_at],
    )
}

/// Returns the keys of a webhook that have not ended, newest first.
pub fn list_webhook_keys(at: &Snapshot<'_>, webhook: i64, now: Millis) -> Result<Vec<WebhookKey>> {
    at.list_rows(
        "SELECT id, sealed, public, created_at, expires_at FROM webhook_keys
         WHERE webhook = ?1 AND (expires_at IS NULL OR expires_at > ?2) ORDER BY created_at DESC, id DESC",
        (webhook, now),
        |row| read_columns!(row, WebhookKey { id, sealed, public, created_at, expires_at }),
    )
}

/// Ends the current keys of a webhook at a time, and deletes those that have ended.
pub fn end_webhook_keys(tx: &Tx<'_>, webhook: i64, at: Millis) -> Result<()> {
    tx.run("UPDATE webhook_keys SET expires_at = min(coalesce(expires_at, ?2), ?2) WHERE webhook = ?1", (webhook, at))?;
    tx.run("DELETE FROM webhook_keys WHERE webhook = ?1 AND expires_at <= ?2", (webhook, tx.now))
}

/// Deletes a key.
pub fn delete_webhook_key(tx: &Tx<'_>, webhook: i64, id: &str) -> Result<()> {
    tx.run("DELETE FROM webhook_keys WHERE webhook = ?1 AND id = ?2", (webhook, id))
}

/// Returns the keys of the webhooks of an account.
pub fn list_keys_of_account(at: &Snapshot<'_>, account: i64) -> Result<Vec<i64>> {
    at.list_values("SELECT webhook FROM webhooks WHERE account = ?1", [account])
}

fn serialize_headers(headers: &[SealedHeader]) -> String {
    let encoded: BTreeMap<&str, String> =
        headers.iter().map(|header| (header.name.as_str(), STANDARD.encode(&header.sealed))).collect();
    serde_json::json!(encoded).to_string()
}

fn read_webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let kinds: Option<String> = row.get("kinds")?;
    let settings = WebhookSettings {
        url: row.get("url")?,
        description: row.get("description")?,
        kinds: kinds.map(|list| list.split(',').map(str::to_owned).collect()),
        format: row.get("format")?,
        payload: row.get("payload")?,
        batch_size: row.get("batch_size")?,
        rate_limit: row.get("rate_limit")?,
    };
    let account: Option<AccountRef> = read_account_ref(row)?;
    read_columns!(
        row,
        Webhook {
            key: "webhook", id, signature, state, disabled_reason, start_seq, backfill_until, by_account,
            content_revision, created_at, updated_at;
            account: account, settings: settings, headers: row.get::<_, StoredHeaders>("headers")?.0,
            kinds_since: row.get::<_, StoredKindsSince>("kinds_since")?.0
        }
    )
}

/// The column `headers`.
struct StoredHeaders(Vec<SealedHeader>);

impl FromSql for StoredHeaders {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let other = |problem: Box<dyn std::error::Error + Send + Sync>| FromSqlError::Other(problem);
        let encoded: BTreeMap<String, String> =
            serde_json::from_str(value.as_str()?).map_err(|problem| other(problem.into()))?;
        let decode = |(name, text): (String, String)| {
            let sealed = STANDARD.decode(text).map_err(|problem| other(problem.into()))?;
            Ok(SealedHeader { name, sealed })
        };
        encoded.into_iter().map(decode).collect::<FromSqlResult<_>>().map(Self)
    }
}

/// The column `kinds_since`.
struct StoredKindsSince(KindsSince);

impl FromSql for StoredKindsSince {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let decoded = serde_json::from_str(value.as_str()?);
        decoded.map(Self).map_err(|problem| FromSqlError::Other(problem.into()))
    }
}

read_by_name!(WebhookFormat, PayloadMode, SignatureKind, WebhookState);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn webhook(id: &str) -> Webhook {
        let header = SealedHeader { name: "x-a".to_owned(), sealed: vec![1, 2, 3] };
        Webhook {
            key: 0,
            id: id.to_owned(),
            account: None,
            by_account: true,
            settings: WebhookSettings {
                kinds: Some(vec!["user.*".to_owned(), "group.created".to_owned()]),
                ..WebhookSettings::new("https://hook.example.com/".to_owned())
            },
            headers: vec![header],
            signature: SignatureKind::Hmac,
            state: WebhookState::Active,
            disabled_reason: None,
            start_seq: 7,
            backfill_until: Some(3),
            kinds_since: KindsSince::new(),
            content_revision: 1,
            created_at: 5,
            updated_at: 5,
        }
    }

    #[test]
    fn a_stored_webhook_is_read_back_and_deleted_with_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let new = webhook("w1");
        let key = WebhookKey { id: "k1".to_owned(), sealed: vec![9], public: None, created_at: 5, expires_at: None };
        let (stored_key, inserted) = store
            .write_blocking(move |tx| {
                let inserted = insert_webhook(tx, &new)?;
                insert_webhook_key(tx, inserted, &key)?;
                mark_changed(tx)?;
                Ok((list_webhook_keys(tx, inserted, 6)?, inserted))
            })
            .unwrap();
        let found = store.read_inline(|at| find_webhook_by_id(at, "w1")).unwrap().unwrap();
        assert_eq!(found, Webhook { key: inserted, ..webhook("w1") });
        assert_eq!((stored_key.len(), store.read_inline(find_revision).unwrap()), (1, 1));
        let ended = store.write_blocking(move |tx| {
            end_webhook_keys(tx, inserted, tx.now + 10)?;
            let keys = (list_webhook_keys(tx, inserted, tx.now)?, list_webhook_keys(tx, inserted, tx.now + 10)?);
            delete_webhook(tx, inserted)?;
            Ok(keys)
        });
        let ended = ended.unwrap();
        assert_eq!((ended.0.len(), ended.1.len()), (1, 0));
        assert_eq!(store.read_inline(count_webhooks).unwrap(), 0);
    }
}
