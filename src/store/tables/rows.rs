//! Reads the columns of rows: structs, the types of the model, and secrets that are found by their digest.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Value, ValueRef};

use crate::auth::secret::{self, TokenDigest};
use crate::error::Result;
use crate::model::account::{AccountFilter, AccountRef};
use crate::model::configuration::ConfigurationSource;
use crate::model::oauth::scope::OauthScope;
use crate::model::permission::Permissions;
use crate::model::rights::{AccessRights, TokenRights};
use crate::model::switches::Switches;
use crate::store::Snapshot;

/// Builds a struct from the columns with the names of its fields. `field: "name"` reads another column, and
/// `; field: value` sets a field that is not a column.
macro_rules! read_columns {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $column:literal) => { $column };
    ($row:expr, $type:ident { $($field:ident $(: $column:literal)?),+ $(; $($other:ident: $value:expr),+)? }) => {
        Ok($type {
            $($field: $row.get(read_columns!(@name $field $($column)?))?,)+
            $($($other: $value),+)?
        })
    };
}

pub(super) use read_columns;

/// Reads a named enum from a column with its name.
macro_rules! read_by_name {
    ($($name:ident),+) => {$(
        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                let parsed = value.as_str()?.parse();
                parsed.map_err(|error: String| rusqlite::types::FromSqlError::Other(error.into()))
            }
        }
    )+};
}

pub(super) use read_by_name;

/// Returns the row with this digest of a secret. The first column of the query is the digest.
pub(super) fn find_by_digest<T>(
    at: &Snapshot<'_>,
    sql: &str,
    digest: &TokenDigest,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    let found = at.find_row(sql, [digest.as_slice()], |row| Ok((row.get::<_, TokenDigest>(0)?, read(row)?)))?;
    Ok(found.and_then(|(stored, row)| secret::digests_match(&stored, digest).then_some(row)))
}

/// Id of the account of a row, as a column of its query.
pub(super) const ACCOUNT_ID: &str = "(SELECT a.id FROM accounts a WHERE a.account = c.account) AS account_id";

/// Reads the columns `account` and `account_id`. `None` if the row has no account.
pub(super) fn read_account_ref(row: &Row<'_>) -> rusqlite::Result<Option<AccountRef>> {
    let key: Option<i64> = row.get("account")?;
    key.map(|key| Ok(AccountRef { key, id: row.get("account_id")? })).transpose()
}

/// Returns the condition on a column `account` for a filter, and its parameter ?1.
pub(super) fn build_account_condition(filter: Option<&AccountFilter>) -> (&'static str, Value) {
    match filter {
        None => ("?1 IS NULL", Value::Null),
        Some(AccountFilter::Only(account)) => ("account = ?1", Value::Integer(account.key)),
        Some(AccountFilter::WithId(id)) => {
            let condition = "account = (SELECT max(a.account) FROM accounts a WHERE a.id = ?1)";
            (condition, Value::Text(id.clone()))
        }
    }
}

/// A limit for SQL.
pub(super) fn to_sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl FromSql for ConfigurationSource {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

impl FromSql for TokenRights {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

impl FromSql for AccessRights {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        if let Ok(rights) = text.parse::<TokenRights>() {
            return Ok(rights.into());
        }
        OauthScope::parse(text).map(|scope| scope.rights()).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl FromSql for Permissions {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::from_key_list)
    }
}

impl FromSql for Switches {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map_err(|error| FromSqlError::Other(error.into()))
    }
}
