//! Rows of `admins` and `roles`: the people of the portal and what they may do.

use rusqlite::{OptionalExtension, Row, named_params};

use super::{Snapshot, Tx, violated};
use crate::error::{Error, Result};
use crate::model::admin::{Admin, OWNER, Role, built_in};
use crate::model::permission::Permissions;

/// A person to be kept. Everything is checked already.
#[derive(Debug, Clone)]
pub struct NewAdmin<'a> {
    /// Its id, made by the caller.
    pub id: &'a str,
    /// E-mail address as it was given.
    pub email: &'a str,
    /// The address as it is compared.
    pub email_key: &'a str,
    /// What others call the person.
    pub name: &'a str,
    /// Id of a role that exists.
    pub role: &'a str,
    /// The one account in which the role counts.
    pub account: Option<&'a str>,
    /// Argon2id digest of the password.
    pub password_digest: Option<&'a str>,
}

/// What signing in has to be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The person.
    pub admin: Admin,
    /// Argon2id digest of the password.
    pub password_digest: Option<String>,
    /// The sealed secret of one-time codes.
    pub totp_secret: Option<Vec<u8>>,
    /// The time step of the last code that was used; it and earlier ones are spent.
    pub totp_last_step: Option<i64>,
}

const COLUMNS: &str = "id, email, name, role_id, account_id, totp_secret IS NOT NULL AS has_totp, created_at,
     last_sign_in_at, disabled_at";

fn select(condition: &str) -> String {
    format!("SELECT {COLUMNS}, password_digest, totp_secret, totp_last_step FROM admins {condition}")
}

/// Adds a person. `Conflict` where the address is taken.
pub fn insert(tx: &Tx<'_>, new: &NewAdmin<'_>) -> Result<()> {
    let inserted = tx
        .prepare(
            "INSERT INTO admins (id, email, email_key, name, role_id, account_id, password_digest, created_at)
             VALUES (:id, :email, :email_key, :name, :role, :account, :password, :now)",
        )?
        .execute(named_params! {
            ":id": new.id,
            ":email": new.email,
            ":email_key": new.email_key,
            ":name": new.name,
            ":role": new.role,
            ":account": new.account,
            ":password": new.password_digest,
            ":now": tx.now,
        });
    inserted.map(drop).map_err(|error| match violated(&error) {
        Some(columns) if columns.ends_with("email_key") => {
            Error::Conflict("somebody has this e-mail address already".to_owned())
        }
        _ => error.into(),
    })
}

/// The person with that id.
pub fn by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<Admin>> {
    Ok(credentials(at, "WHERE id = ?1", id)?.map(|found| found.admin))
}

/// What the person with that address signs in with.
pub fn by_email_key(at: &Snapshot<'_>, email_key: &str) -> Result<Option<Credentials>> {
    credentials(at, "WHERE email_key = ?1", email_key)
}

/// What the person with that id signs in with.
pub fn credentials_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<Credentials>> {
    credentials(at, "WHERE id = ?1", id)
}

fn credentials(at: &Snapshot<'_>, condition: &str, value: &str) -> Result<Option<Credentials>> {
    let found = at.prepare(&select(condition))?.query_row([value], |row| {
        Ok(Credentials {
            admin: admin(row)?,
            password_digest: row.get("password_digest")?,
            totp_secret: row.get("totp_secret")?,
            totp_last_step: row.get("totp_last_step")?,
        })
    });
    Ok(found.optional()?)
}

/// Everybody, in the order of their addresses.
pub fn list(at: &Snapshot<'_>) -> Result<Vec<Admin>> {
    let mut statement = at.prepare(&select("ORDER BY email_key"))?;
    Ok(statement.query_map([], admin)?.collect::<rusqlite::Result<_>>()?)
}

/// Whether there is nobody yet.
pub fn is_empty(at: &Snapshot<'_>) -> Result<bool> {
    Ok(!at.prepare("SELECT 1 FROM admins LIMIT 1")?.exists([])?)
}

/// How many people could run the server: owners everywhere, who may sign in.
pub fn active_owners(at: &Snapshot<'_>) -> Result<i64> {
    let mut statement =
        at.prepare("SELECT count(*) FROM admins WHERE role_id = ?1 AND account_id IS NULL AND disabled_at IS NULL")?;
    Ok(statement.query_row([OWNER], |row| row.get(0))?)
}

/// How many of them could do so with a password.
pub fn owners_with_password(at: &Snapshot<'_>) -> Result<i64> {
    let mut statement = at.prepare(
        "SELECT count(*) FROM admins
         WHERE role_id = ?1 AND account_id IS NULL AND disabled_at IS NULL AND password_digest IS NOT NULL",
    )?;
    Ok(statement.query_row([OWNER], |row| row.get(0))?)
}

/// Writes what can be changed of a person: name, role, account, and since when the person is disabled.
pub fn update(tx: &Tx<'_>, admin: &Admin) -> Result<()> {
    tx.prepare(
        "UPDATE admins SET name = :name, role_id = :role, account_id = :account, disabled_at = :disabled_at WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": admin.id,
        ":name": admin.name,
        ":role": admin.role,
        ":account": admin.account,
        ":disabled_at": admin.disabled_at,
    })?;
    Ok(())
}

/// Keeps a new password.
pub fn set_password(tx: &Tx<'_>, id: &str, digest: &str) -> Result<()> {
    tx.prepare("UPDATE admins SET password_digest = ?2 WHERE id = ?1")?.execute([id, digest])?;
    Ok(())
}

/// Keeps the sealed secret of one-time codes, or drops it with the recovery codes.
pub fn set_totp(tx: &Tx<'_>, id: &str, sealed: Option<&[u8]>) -> Result<()> {
    tx.prepare("UPDATE admins SET totp_secret = ?2, totp_last_step = NULL WHERE id = ?1")?.execute((id, sealed))?;
    tx.prepare("DELETE FROM recovery_codes WHERE admin_id = ?1")?.execute([id])?;
    Ok(())
}

/// Spends the one-time codes up to that time step. False where they were spent already: a code works once.
pub fn spend_totp(tx: &Tx<'_>, id: &str, step: i64) -> Result<bool> {
    let spent = tx
        .prepare("UPDATE admins SET totp_last_step = ?2 WHERE id = ?1 AND coalesce(totp_last_step, 0) < ?2")?
        .execute((id, step))?;
    Ok(spent == 1)
}

/// Keeps the digest of a recovery code.
pub fn add_recovery_code(tx: &Tx<'_>, id: &str, digest: &[u8]) -> Result<()> {
    tx.prepare("INSERT INTO recovery_codes (admin_id, digest) VALUES (?1, ?2)")?.execute((id, digest))?;
    Ok(())
}

/// Spends a recovery code. False where the person has none like it.
pub fn spend_recovery_code(tx: &Tx<'_>, id: &str, digest: &[u8]) -> Result<bool> {
    let spent = tx.prepare("DELETE FROM recovery_codes WHERE admin_id = ?1 AND digest = ?2")?.execute((id, digest))?;
    Ok(spent == 1)
}

/// How many recovery codes the person has left.
pub fn recovery_codes(at: &Snapshot<'_>, id: &str) -> Result<i64> {
    let mut statement = at.prepare("SELECT count(*) FROM recovery_codes WHERE admin_id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// Notes that the person has signed in.
pub fn note_sign_in(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE admins SET last_sign_in_at = ?2 WHERE id = ?1")?.execute((id, tx.now))?;
    Ok(())
}

/// All roles: the built-in ones first.
pub fn roles(at: &Snapshot<'_>) -> Result<Vec<Role>> {
    let mut statement = at.prepare("SELECT id, name, permissions FROM roles ORDER BY name")?;
    let own = statement.query_map([], |row| {
        Ok(Role {
            id: row.get(0)?,
            name: row.get(1)?,
            permissions: Permissions::from_words(&row.get::<_, String>(2)?),
            is_built_in: false,
        })
    })?;
    let mut roles = built_in().to_vec();
    for role in own {
        roles.push(role?);
    }
    Ok(roles)
}

/// The role with that id.
pub fn role(at: &Snapshot<'_>, id: &str) -> Result<Option<Role>> {
    Ok(roles(at)?.into_iter().find(|role| role.id == id))
}

/// Keeps a role of one's own, in place of the one with its id. `Conflict` where the name is taken.
pub fn keep_role(tx: &Tx<'_>, role: &Role) -> Result<()> {
    let kept = tx
        .prepare(
            "INSERT INTO roles (id, name, permissions, created_at) VALUES (:id, :name, :permissions, :now)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, permissions = excluded.permissions",
        )?
        .execute(named_params! {
            ":id": role.id,
            ":name": role.name,
            ":permissions": role.permissions.words(),
            ":now": tx.now,
        });
    kept.map(drop).map_err(|error| match violated(&error) {
        Some(columns) if columns.ends_with("name") => Error::Conflict("a role has this name already".to_owned()),
        _ => error.into(),
    })
}

/// Removes a role of one's own; false where there is none, or somebody has it.
pub fn remove_role(tx: &Tx<'_>, id: &str) -> Result<bool> {
    let removed = tx
        .prepare("DELETE FROM roles WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM admins WHERE role_id = ?1)")?
        .execute([id])?;
    Ok(removed == 1)
}

fn admin(row: &Row<'_>) -> rusqlite::Result<Admin> {
    Ok(Admin {
        id: row.get("id")?,
        email: row.get("email")?,
        name: row.get("name")?,
        role: row.get("role_id")?,
        account: row.get("account_id")?,
        has_totp: row.get("has_totp")?,
        created_at: row.get("created_at")?,
        last_sign_in_at: row.get("last_sign_in_at")?,
        disabled_at: row.get("disabled_at")?,
    })
}
