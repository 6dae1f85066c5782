//! What a restore carries over from the replaced database, so that it does not undo a revocation: ended credentials,
//! disabled admins, passwords and second factors. All sessions end in any case.
//!
//! The two files can have different schema versions, so rows are matched by ids and digests, and each step is skipped
//! if one file has no such table.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params, params_from_iter};

use crate::clock::{self, Millis};
use crate::model::permission::Permissions;
use crate::store::engine::sqlite_errors::describe_damage;

/// A credential that ends at a time: table, key column, column of the end, plural name.
const ENDED_CREDENTIALS: [(&str, &str, &str, &str); 4] = [
    ("tokens", "digest", "revoked_at", "tokens"),
    ("api_keys", "id", "revoked_at", "API keys"),
    ("setup_links", "id", "ended_at", "setup links"),
    ("admin_invites", "id", "ended_at", "invitations"),
];

/// What was carried over.
#[derive(Debug, Default)]
pub(super) struct CarriedOver {
    /// Sentences about it.
    pub(super) notes: Vec<String>,
    /// The tables of the replaced file that cannot be read, with the first error.
    pub(super) unreadable: Option<String>,
}

/// Ends all sessions in the restored file, and carries over from the replaced file what has ended or changed there since
/// the backup, as far as it can be read. With `since`, ends all credentials that were created at this time or later. The
/// error of `replaced` says why there is none.
pub(super) fn carry_over(
    restored: &mut Connection,
    replaced: Result<&Connection, &String>,
    since: Option<Millis>,
) -> rusqlite::Result<CarriedOver> {
    let now = clock::current_millis();
    let tx = restored.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut carried = CarriedOver::default();
    match replaced {
        Ok(replaced) => carry_over_tables(&tx, replaced, now, &mut carried)?,
        Err(reason) => carried.notes.push(format!("{reason}: {NOT_CARRIED_OVER}")),
    }
    if let Some(detail) = &carried.unreadable {
        carried.notes.push(format!("the previous database cannot be read completely ({detail}): {NOT_CARRIED_OVER}"));
    }
    let notes = &mut carried.notes;
    if let Some(since) = since {
        revoke_created_since(&tx, since, now, notes)?;
    }
    if has_table(&tx, "sign_in_claims")? {
        tx.execute("DELETE FROM sign_in_claims", [])?;
    }
    if has_table(&tx, "sessions")? {
        let ended = tx.execute("DELETE FROM sessions", [])?;
        notes.push(format!("sessions ended: {ended}"));
    }
    tx.commit()?;
    Ok(carried)
}

/// What the operator has to do without a readable previous database.
const NOT_CARRIED_OVER: &str = "revocations after the backup are undone, unless you give --revoke-all-since";

/// Carries over each table that both files have. An error of one table leaves out only that one.
fn carry_over_tables(
    restored: &Connection,
    replaced: &Connection,
    now: Millis,
    carried: &mut CarriedOver,
) -> rusqlite::Result<()> {
    for table in CARRIED_TABLES {
        let result = has_table(replaced, table).and_then(|is_there| {
            if is_there && has_table(restored, table)? {
                return carry_over_table(table, (restored, replaced), now, &mut carried.notes);
            }
            Ok(())
        });
        match result {
            // The restored file failed, and not the replaced one.
            Err(error) if restored.is_autocommit() || error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                return Err(error);
            }
            Err(error) => {
                let detail = format!("{table}: {}", describe_damage(&error));
                carried.unreadable.get_or_insert(detail);
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// The tables with something to carry over.
const CARRIED_TABLES: [&str; 14] = [
    "tokens",
    "api_keys",
    "setup_links",
    "admin_invites",
    "instance",
    "roles",
    "sso_provider",
    "admins",
    "wrong_codes",
    "sso_identities",
    "webhooks",
    "webhook_keys",
    "oauth_clients",
    "oauth_secrets",
];

fn carry_over_table(
    table: &str,
    (restored, replaced): (&Connection, &Connection),
    now: Millis,
    notes: &mut Vec<String>,
) -> rusqlite::Result<()> {
    for (_, key, end, name) in ENDED_CREDENTIALS.into_iter().filter(|(ended, ..)| *ended == table) {
        let ended = carry_over_ends(restored, replaced, (table, key, end))?;
        add_count(notes, ended, &format!("{name} that were revoked after the backup stay revoked"));
    }
    let limited = [("tokens", "digest", "tokens"), ("api_keys", "id", "API keys")];
    for (_, key, name) in limited.into_iter().filter(|(limited, ..)| *limited == table) {
        let limited = carry_over_expiry(restored, replaced, table, key)?;
        add_count(notes, limited, &format!("{name} keep an earlier expiry that was set after the backup"));
    }
    for (_, step, sentence) in CLOSED_ACCESS.into_iter().filter(|(closed, ..)| *closed == table) {
        add_count(notes, step(restored, replaced)?, sentence);
    }
    match table {
        "admins" => carry_over_admins(restored, replaced, now, notes),
        "wrong_codes" => carry_over_wrong_codes(restored, replaced),
        _ => Ok(()),
    }
}

/// What accounts may do, and was switched off after the backup, stays off.
fn carry_over_switches(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let mut count = 0;
    for key in ["self_service", "account_webhooks"] {
        if replaced.prepare("SELECT 1 FROM instance WHERE key = ?1 AND value = 'off'")?.exists([key])? {
            count += restored.execute(
                "INSERT INTO instance (key, value) VALUES (?1, 'off')
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
                [key],
            )?;
        }
    }
    Ok(count)
}

/// A webhook that does not send any more must not send events again because of a restore. An admin can resume it.
fn disable_ended_webhooks(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let active = list_texts(replaced, "SELECT id FROM webhooks WHERE state = 'active'")?;
    let mut count = 0;
    for id in list_texts(restored, "SELECT id FROM webhooks WHERE state = 'active'")? {
        if !active.contains(&id) {
            let sql = "UPDATE webhooks SET state = 'disabled', disabled_reason = 'restored' WHERE id = ?1";
            count += restored.execute(sql, [id])?;
        }
    }
    Ok(count)
}

/// Only of webhooks that still exist: a deleted one is disabled.
fn delete_ended_webhook_keys(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let keys = list_texts(replaced, "SELECT id FROM webhook_keys")?;
    let webhooks = list_texts(replaced, "SELECT id FROM webhooks")?;
    let mut statement =
        restored.prepare("SELECT k.id, w.id FROM webhook_keys k JOIN webhooks w ON w.webhook = k.webhook")?;
    let stored: Vec<(String, String)> =
        statement.query_map([], |row| row.try_into())?.collect::<rusqlite::Result<_>>()?;
    let mut count = 0;
    for (key, webhook) in stored {
        if webhooks.contains(&webhook) && !keys.contains(&key) {
            count += restored.execute("DELETE FROM webhook_keys WHERE id = ?1", [key])?;
        }
    }
    Ok(count)
}

/// An OAuth client that was deleted or disabled gets no access tokens any more, and those that it had are revoked.
fn disable_ended_clients(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let active = list_texts(replaced, "SELECT client_id FROM oauth_clients WHERE state = 'active'")?;
    let mut count = 0;
    for id in list_texts(restored, "SELECT client_id FROM oauth_clients WHERE state = 'active'")? {
        if !active.contains(&id) {
            restored.execute(
                "UPDATE tokens SET revoked_at = ?2
                 WHERE client = (SELECT client FROM oauth_clients WHERE client_id = ?1) AND revoked_at IS NULL",
                params![id, clock::current_millis()],
            )?;
            count += restored.execute("UPDATE oauth_clients SET state = 'disabled' WHERE client_id = ?1", [id])?;
        }
    }
    Ok(count)
}

/// Deletes the secrets of OAuth clients that the replaced file does not have, and ends others when it ends them.
fn delete_ended_secrets(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let secrets = list_texts(replaced, "SELECT id FROM oauth_secrets")?;
    let clients = list_texts(replaced, "SELECT client_id FROM oauth_clients")?;
    let mut statement = restored
        .prepare("SELECT s.id, o.client_id FROM oauth_secrets s JOIN oauth_clients o ON o.client = s.client")?;
    let stored: Vec<(String, String)> =
        statement.query_map([], |row| row.try_into())?.collect::<rusqlite::Result<_>>()?;
    let mut count = 0;
    for (secret, client) in stored {
        if clients.contains(&client) && !secrets.contains(&secret) {
            restored.execute(
                "UPDATE tokens SET revoked_at = ?2 WHERE client IS NOT NULL AND secret = ?1 AND revoked_at IS NULL",
                params![secret, clock::current_millis()],
            )?;
            count += restored.execute("DELETE FROM oauth_secrets WHERE id = ?1", [secret])?;
        }
    }
    Ok(count)
}

fn list_texts(connection: &Connection, sql: &str) -> rusqlite::Result<BTreeSet<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Permissions that a role has lost after the backup stay removed. Returns the number of such roles.
fn carry_over_role_permissions(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let roles: Vec<(String, String)> = replaced
        .prepare("SELECT id, permissions FROM roles")?
        .query_map([], |row| row.try_into())?
        .collect::<rusqlite::Result<_>>()?;
    let mut count = 0;
    for (id, newer) in roles {
        let older: Option<String> =
            restored.query_row("SELECT permissions FROM roles WHERE id = ?1", [&id], |row| row.get(0)).optional()?;
        let (Some(older), newer) = (older, Permissions::from_key_list(&newer)) else { continue };
        let older = Permissions::from_key_list(&older);
        if !newer.contains_all(older) {
            let both = older.intersection(newer).key_list();
            count += restored.execute("UPDATE roles SET permissions = ?2 WHERE id = ?1", [&id, &both])?;
        }
    }
    Ok(count)
}

/// The provider of single sign-on of a file: settings, encrypted secret and revision.
type ProviderRow = (String, Option<Vec<u8>>, i64);

/// The provider of single sign-on stays as it is in the replaced file: with its domains, requirements and roles, or removed.
/// Without one in the backup there is none, because a provider opens access. Returns whether it changed.
fn carry_over_sso_provider(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let find = |file: &Connection| -> rusqlite::Result<Option<ProviderRow>> {
        let sql = "SELECT agreement, client_secret, revision FROM sso_provider";
        file.query_row(sql, [], |row| row.try_into()).optional()
    };
    match (find(restored)?, find(replaced)?) {
        (Some(_), None) => restored.execute("DELETE FROM sso_provider", []),
        (Some(older), Some(newer)) if older != newer => restored.execute(
            "UPDATE sso_provider SET agreement = ?1, client_secret = ?2, revision = ?3",
            params![newer.0, newer.1, newer.2],
        ),
        _ => Ok(0),
    }
}

/// Copies a change from the replaced file and returns how many there are.
type CarryOverStep = fn(&Connection, &Connection) -> rusqlite::Result<usize>;

/// Settings that close access: table, step, and the sentence after the number of changes.
const CLOSED_ACCESS: [(&str, CarryOverStep, &str); 8] = [
    (
        "instance",
        carry_over_switches,
        "switch (self-service, account webhooks) that was turned off after the backup stays off",
    ),
    (
        "webhooks",
        disable_ended_webhooks,
        "webhooks that were deleted, paused or disabled after the backup are disabled",
    ),
    ("webhook_keys", delete_ended_webhook_keys, "keys of webhooks that were deleted after the backup stay deleted"),
    (
        "oauth_clients",
        disable_ended_clients,
        "OAuth clients that were deleted or disabled after the backup are disabled",
    ),
    ("oauth_secrets", delete_ended_secrets, "secrets of OAuth clients that were deleted after the backup stay deleted"),
    ("roles", carry_over_role_permissions, "roles do not get back permissions that were removed after the backup"),
    ("sso_provider", carry_over_sso_provider, "single sign-on provider stays as it was changed after the backup"),
    (
        "sso_identities",
        carry_over_unlinked_identities,
        "links to single sign-on identities that were removed after the backup stay removed",
    ),
];

fn add_count(notes: &mut Vec<String>, count: usize, sentence: &str) {
    if count > 0 {
        notes.push(format!("{count} {sentence}"));
    }
}

/// Sets the end of each credential that has ended in the replaced file.
fn carry_over_ends(
    restored: &Connection,
    replaced: &Connection,
    (table, key, end): (&str, &str, &str),
) -> rusqlite::Result<usize> {
    let mut ended = replaced.prepare(&format!("SELECT {key}, {end} FROM {table} WHERE {end} IS NOT NULL"))?;
    let mut update = restored.prepare(&format!("UPDATE {table} SET {end} = ?2 WHERE {key} = ?1 AND {end} IS NULL"))?;
    let mut rows = ended.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += update.execute(params![row.get::<_, Value>(0)?, row.get::<_, Value>(1)?])?;
    }
    Ok(count)
}

/// Limits each credential that expires earlier in the replaced file, such as a token that was rotated.
fn carry_over_expiry(restored: &Connection, replaced: &Connection, table: &str, key: &str) -> rusqlite::Result<usize> {
    let mut limited =
        replaced.prepare(&format!("SELECT {key}, expires_at FROM {table} WHERE expires_at IS NOT NULL"))?;
    let mut update = restored.prepare(&format!(
        "UPDATE {table} SET expires_at = ?2 WHERE {key} = ?1 AND (expires_at IS NULL OR expires_at > ?2)"
    ))?;
    let mut rows = limited.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += update.execute(params![row.get::<_, Value>(0)?, row.get::<_, Value>(1)?])?;
    }
    Ok(count)
}

/// An admin in one of the files.
struct StoredAdmin {
    email: String,
    role: String,
    password_digest: Option<String>,
    totp_secret: Option<Vec<u8>>,
    totp_last_step: Option<i64>,
    disabled_at: Option<Millis>,
}

fn find_admin(connection: &Connection, id: &str) -> rusqlite::Result<Option<StoredAdmin>> {
    let mut statement = connection.prepare_cached(
        "SELECT email, role_id, password_digest, totp_secret, totp_last_step, disabled_at FROM admins WHERE id = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(StoredAdmin {
            email: row.get(0)?,
            role: row.get(1)?,
            password_digest: row.get(2)?,
            totp_secret: row.get(3)?,
            totp_last_step: row.get(4)?,
            disabled_at: row.get(5)?,
        })
    };
    statement.query_row([id], read).optional()
}

fn list_admin_ids(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("SELECT id FROM admins ORDER BY id")?.query_map([], |row| row.get(0))?.collect()
}

/// Disables admins that are disabled or deleted in the replaced file, and takes over newer passwords, second factors and
/// recovery codes. Reports roles that differ, because a lower role may have been intended.
fn carry_over_admins(
    restored: &Connection,
    replaced: &Connection,
    now: Millis,
    notes: &mut Vec<String>,
) -> rusqlite::Result<()> {
    for id in list_admin_ids(restored)? {
        let Some(older) = find_admin(restored, &id)? else { continue };
        let email = &older.email;
        let Some(newer) = find_admin(replaced, &id)? else {
            restored
                .execute("UPDATE admins SET disabled_at = ifnull(disabled_at, ?2) WHERE id = ?1", params![id, now])?;
            notes.push(format!("{email} does not exist in the previous database: disabled"));
            continue;
        };
        if newer.disabled_at.is_some() && older.disabled_at.is_none() {
            restored.execute("UPDATE admins SET disabled_at = ?2 WHERE id = ?1", params![id, newer.disabled_at])?;
            notes.push(format!("{email} was disabled after the backup and stays disabled"));
        }
        if newer.password_digest != older.password_digest {
            restored
                .execute("UPDATE admins SET password_digest = ?2 WHERE id = ?1", params![id, newer.password_digest])?;
            notes.push(format!("{email} keeps the password that was set after the backup"));
        }
        if newer.totp_secret != older.totp_secret {
            notes.push(format!("{email} keeps the second factor that was set or removed after the backup"));
        }
        restored.execute(
            "UPDATE admins SET totp_secret = ?2, totp_last_step = ?3 WHERE id = ?1",
            params![id, newer.totp_secret, newer.totp_last_step],
        )?;
        copy_recovery_codes(restored, replaced, &id)?;
        if newer.role != older.role {
            notes.push(format!(
                "{email} has the role {} again; it was {} in the previous database: change it if that was intended",
                older.role, newer.role
            ));
        }
    }
    Ok(())
}

/// Recovery codes that were used after the backup stay used.
fn copy_recovery_codes(restored: &Connection, replaced: &Connection, admin: &str) -> rusqlite::Result<()> {
    restored.execute("DELETE FROM recovery_codes WHERE admin_id = ?1", [admin])?;
    let mut left = replaced.prepare_cached("SELECT digest FROM recovery_codes WHERE admin_id = ?1")?;
    let digests: Vec<Vec<u8>> = left.query_map([admin], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for digest in digests {
        restored.execute("INSERT INTO recovery_codes (admin_id, digest) VALUES (?1, ?2)", params![admin, digest])?;
    }
    Ok(())
}

/// Wrong codes keep their count and the time until which codes are refused, so that a restore is no new try.
fn carry_over_wrong_codes(restored: &Connection, replaced: &Connection) -> rusqlite::Result<()> {
    let mut counted =
        replaced.prepare("SELECT admin_id, failures, blocked_until, unseen, unseen_since FROM wrong_codes")?;
    let mut insert = restored.prepare(
        "INSERT OR REPLACE INTO wrong_codes (admin_id, failures, blocked_until, unseen, unseen_since)
         SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM admins WHERE id = ?1)",
    )?;
    let mut rows = counted.query([])?;
    while let Some(row) = rows.next()? {
        let value = |column| row.get::<_, Value>(column);
        insert.execute(params![value(0)?, value(1)?, value(2)?, value(3)?, value(4)?])?;
    }
    Ok(())
}

fn carry_over_unlinked_identities(restored: &Connection, replaced: &Connection) -> rusqlite::Result<usize> {
    let linked: Vec<(String, String, String)> = restored
        .prepare("SELECT issuer, subject, admin_id FROM sso_identities")?
        .query_map([], |row| row.try_into())?
        .collect::<rusqlite::Result<_>>()?;
    let mut is_linked =
        replaced.prepare("SELECT 1 FROM sso_identities WHERE issuer = ?1 AND subject = ?2 AND admin_id = ?3")?;
    let mut count = 0;
    for (issuer, subject, admin) in linked {
        if !is_linked.exists([&issuer, &subject, &admin])? {
            count += restored
                .execute("DELETE FROM sso_identities WHERE issuer = ?1 AND subject = ?2", [&issuer, &subject])?;
        }
    }
    Ok(count)
}

/// Ends the credentials that were created at a time or later, and disables the admins that were created then.
fn revoke_created_since(
    restored: &Connection,
    since: Millis,
    now: Millis,
    notes: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let admins = ("admins", "id", "disabled_at", "admins");
    for (table, _, end, name) in ENDED_CREDENTIALS.into_iter().chain([admins]) {
        if has_table(restored, table)? {
            let ended = restored.execute(
                &format!("UPDATE {table} SET {end} = ?2 WHERE {end} IS NULL AND created_at >= ?1"),
                params_from_iter([since, now]),
            )?;
            let verb = if table == "admins" { "disabled" } else { "revoked" };
            notes.push(format!("{name} created since {} and {verb}: {ended}", clock::format_rfc3339(since)));
        }
    }
    if has_table(restored, "oauth_secrets")? {
        let deleted = restored.execute("DELETE FROM oauth_secrets WHERE created_at >= ?1", [since])?;
        let disabled = restored.execute(
            "UPDATE oauth_clients SET state = 'disabled' WHERE state = 'active' AND created_at >= ?1",
            [since],
        )?;
        let since = clock::format_rfc3339(since);
        notes.push(format!("OAuth clients created since {since} and disabled: {disabled}; secrets deleted: {deleted}"));
    }
    Ok(())
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?.exists([name])
}
