//! Secrets of an account that are encrypted with the key of an instance: keys and headers of webhooks, and the one-time codes of
//! admins. The file has them encrypted with a key that follows from a passphrase, or not at all.

use argon2::Argon2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension, params};

use super::export::ExportWriter;
use super::file::AccountFile;
use crate::auth::jwt::SigningKey;
use crate::auth::secret;
use crate::auth::secret::sealed::{ONE_TIME_CODES_PURPOSE, Sealer, WEBHOOK_HEADER_PURPOSE, WEBHOOK_KEY_PURPOSE};
use crate::error::{Error, Reason, Result};
use crate::store::Tx;

/// Bytes of the salt of a passphrase.
const SALT_BYTES: usize = 16;

/// The passphrase of a file.
pub struct TransferKey(String);

impl TransferKey {
    /// The key of a passphrase. Spaces and line breaks around it do not count.
    pub fn new(passphrase: &str) -> Self {
        Self(passphrase.trim().to_owned())
    }

    /// Derives the key with Argon2id (19 MiB, two passes), so that a weak passphrase is not found quickly.
    fn derive(&self, salt: &[u8]) -> Option<String> {
        let mut key = [0; 32];
        Argon2::default().hash_password_into(self.0.as_bytes(), salt, &mut key).ok()?;
        Some(STANDARD.encode(key))
    }
}

/// A secret of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferredSecret {
    /// `webhook key`, `webhook header` or `one-time codes`.
    kind: String,
    /// Id of the webhook key, name of the header, or id of the admin.
    id: String,
    /// Id of the webhook or of the admin.
    about: String,
    /// The last step of one-time codes that was used.
    last_step: Option<i64>,
    /// The secret, encrypted with the key of the file.
    sealed: Vec<u8>,
}

/// Appends the secrets to a file. Returns how many the account has, and how many of them are in the file. Those that the key of the
/// instance does not open are left out.
///
/// # Errors
/// Errors of SQLite.
pub fn write_secrets(
    writer: &ExportWriter,
    keys: Option<(&SigningKey, &TransferKey)>,
) -> rusqlite::Result<(usize, usize)> {
    let connection = writer.connection();
    connection.execute_batch("CREATE TABLE main.secrets (kind, id, about, last_step, sealed)")?;
    let stored = list_stored(connection, writer.account())?;
    let count = stored.len();
    let Some((own, transfer)) = keys else { return Ok((count, 0)) };
    let salt = secret::random_bytes().ok().map(|bytes| bytes[..SALT_BYTES].to_vec());
    let Some((salt, key)) = salt.and_then(|salt| transfer.derive(&salt).map(|key| (salt, key))) else {
        return Ok((count, 0));
    };
    let mut included = 0;
    for one in stored {
        let opened = own.sealer(&one.kind, &one.about).open(&one.sealed);
        let sealed = opened
            .and_then(|text| sealer_of_file(&key, &one.kind, &one.about).seal(&secret::random_bytes().ok()?, text));
        let Some(sealed) = sealed else { continue };
        connection.execute(
            "INSERT INTO main.secrets VALUES (?1, ?2, ?3, ?4, ?5)",
            params![one.kind, one.id, one.about, one.last_step, sealed],
        )?;
        included += 1;
    }
    connection.execute_batch("CREATE TABLE main.salt (salt)")?;
    connection.execute("INSERT INTO main.salt VALUES (?1)", [salt])?;
    Ok((count, included))
}

fn sealer_of_file(key: &str, kind: &str, about: &str) -> Sealer {
    Sealer::new(key, &secret::digest_text(&format!("transfer of {kind} {about}")))
}

/// Returns the secrets of an account as the instance has them.
fn list_stored(connection: &Connection, account: i64) -> rusqlite::Result<Vec<TransferredSecret>> {
    let mut found = Vec::new();
    let mut keys = connection.prepare(
        "SELECT k.id, w.id, k.sealed FROM src.webhooks w JOIN src.webhook_keys k ON k.webhook = w.webhook WHERE w.account = ?1",
    )?;
    let mut rows = keys.query([account])?;
    while let Some(row) = rows.next()? {
        let kind = WEBHOOK_KEY_PURPOSE.to_owned();
        found.push(TransferredSecret {
            kind,
            id: row.get(0)?,
            about: row.get(1)?,
            last_step: None,
            sealed: row.get(2)?,
        });
    }
    let mut headers = connection.prepare("SELECT id, headers FROM src.webhooks WHERE account = ?1")?;
    let mut rows = headers.query([account])?;
    while let Some(row) = rows.next()? {
        let (about, text): (String, String) = (row.get(0)?, row.get(1)?);
        let values: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap_or_default();
        for (id, sealed) in values {
            let Ok(sealed) = STANDARD.decode(sealed) else { continue };
            let kind = WEBHOOK_HEADER_PURPOSE.to_owned();
            found.push(TransferredSecret { kind, id, about: about.clone(), last_step: None, sealed });
        }
    }
    let mut codes = connection.prepare(
        "SELECT id, totp_secret, totp_last_step FROM src.admins WHERE account = ?1 AND totp_secret IS NOT NULL",
    )?;
    let mut rows = codes.query([account])?;
    while let Some(row) = rows.next()? {
        let (id, kind): (String, String) = (row.get(0)?, ONE_TIME_CODES_PURPOSE.to_owned());
        found.push(TransferredSecret { kind, about: id.clone(), id, last_step: row.get(2)?, sealed: row.get(1)? });
    }
    Ok(found)
}

/// Returns the secrets of a file, encrypted with the key of this instance. `None` if the passphrase is not that of the file.
///
/// # Errors
/// Errors of SQLite.
pub fn read_secrets(
    file: &AccountFile,
    (own, transfer): (&SigningKey, &TransferKey),
) -> rusqlite::Result<Option<Vec<TransferredSecret>>> {
    let connection = file.connection();
    if !file.has_table("salt")? {
        return Ok(Some(Vec::new()));
    }
    let salt: Option<Vec<u8>> = connection.query_row("SELECT salt FROM salt", [], |row| row.get(0)).optional()?;
    let Some(key) = transfer.derive(&salt.unwrap_or_default()) else { return Ok(None) };
    let mut statement = connection.prepare("SELECT kind, id, about, last_step, sealed FROM secrets ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, id, about): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let sealed: Vec<u8> = row.get(4)?;
        let Some(text) = sealer_of_file(&key, &kind, &about).open(&sealed) else { return Ok(None) };
        let random = secret::random_bytes().ok();
        let Some(sealed) = random.and_then(|random| own.sealer(&kind, &about).seal(&random, text)) else {
            return Ok(None);
        };
        found.push(TransferredSecret { kind, id, about, last_step: row.get(3)?, sealed });
    }
    Ok(Some(found))
}

/// Stores the secrets of a file.
///
/// # Errors
/// Errors of the store.
pub fn store_secrets(tx: &Tx<'_>, secrets: &[TransferredSecret]) -> Result<()> {
    for one in secrets {
        match one.kind.as_str() {
            WEBHOOK_KEY_PURPOSE => {
                tx.run("UPDATE webhook_keys SET sealed = ?2 WHERE id = ?1", params![one.id, one.sealed])?;
            }
            WEBHOOK_HEADER_PURPOSE => tx.run(
                "UPDATE webhooks SET headers = json_set(headers, '$.\"' || ?2 || '\"', ?3) WHERE id = ?1",
                params![one.about, one.id, STANDARD.encode(&one.sealed)],
            )?,
            ONE_TIME_CODES_PURPOSE => tx.run(
                "UPDATE admins SET totp_secret = ?2, totp_last_step = ?3 WHERE id = ?1",
                params![one.id, one.sealed, one.last_step],
            )?,
            _ => return Err(Error::new(Reason::ResponseNotEncrypted)),
        }
    }
    Ok(())
}
