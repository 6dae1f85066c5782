//! Rows of `configuration_usage` and `account_usage`: how much each configuration and account stores, and its own limits.
//! The counters change in the transaction of the rows that they count, once for all writes of it.

use std::sync::LazyLock;

use rusqlite::{Connection, Row, params};

use super::rows::read_columns;
use crate::error::Result;
use crate::model::quota::{
    ActiveUserLimit, OwnerUsage, QuotaKind, QuotaOverrides, QuotaOwner, QuotaUsage, UsageAmounts,
};
use crate::store::pending::usage::PendingUsage;
use crate::store::recent_use::RefusedUsers;
use crate::store::{Snapshot, Tx};

const CONFIGURATION_COLUMNS: &str = "c.users, c.active_users, c.groups, c.members, c.bytes, c.request_log_bytes,
     c.users_limit, c.active_users_limit, c.groups_limit, c.members_limit, c.bytes_limit, c.request_log_bytes_limit";
const ACCOUNT_COLUMNS: &str = "a.users, a.active_users, a.groups, a.members, a.bytes,
     a.configurations_limit, a.users_limit, a.active_users_limit, a.groups_limit, a.members_limit, a.bytes_limit";
/// Number of columns of a configuration.
const CONFIGURATION_WIDTH: usize = 12;

fn read_configuration_usage(row: &Row<'_>) -> rusqlite::Result<OwnerUsage> {
    // The columns are in the order of the documentation.
    let kinds = QuotaOwner::Configuration.kinds();
    read_usage(row, 0, QuotaOwner::Configuration, (kinds, kinds))
}

fn read_account_usage(row: &Row<'_>, first: usize) -> rusqlite::Result<OwnerUsage> {
    const COUNTED: [QuotaKind; 5] =
        [QuotaKind::Users, QuotaKind::ActiveUsers, QuotaKind::Groups, QuotaKind::Members, QuotaKind::Bytes];
    read_usage(row, first, QuotaOwner::Account, (&COUNTED, QuotaOwner::Account.kinds()))
}

/// Reads the counters and then the limits, from the column `first` on.
fn read_usage(
    row: &Row<'_>,
    first: usize,
    owner: QuotaOwner,
    (counted, limited): (&[QuotaKind], &[QuotaKind]),
) -> rusqlite::Result<OwnerUsage> {
    let (mut used, mut overrides) = (UsageAmounts::default(), QuotaOverrides::default());
    for (at, kind) in counted.iter().enumerate() {
        used = used.with(*kind, row.get(first + at)?);
    }
    for (at, kind) in limited.iter().enumerate() {
        let limit: Option<i64> = row.get(first + counted.len() + at)?;
        overrides.set(*kind, limit.map(|limit| limit.max(0).unsigned_abs()));
    }
    Ok(OwnerUsage { owner, used, overrides })
}

/// Creates the counters of a new configuration.
pub fn insert_configuration_usage(tx: &Tx<'_>, configuration: i64, account: i64) -> Result<()> {
    tx.run("INSERT INTO configuration_usage (configuration, account) VALUES (?1, ?2)", params![configuration, account])
}

/// Creates the counters of a new account.
pub fn insert_account_usage(tx: &Tx<'_>, account: i64) -> Result<()> {
    tx.run("INSERT INTO account_usage (account) VALUES (?1)", [account])
}

/// Returns the usage of a configuration and of its account. A transaction reads the rows once.
pub fn load_usage(at: &Snapshot<'_>, configuration: i64) -> Result<QuotaUsage> {
    let Some(pending) = at.pending_usage() else { return Ok(read_usage_rows(at, configuration)?.1) };
    if let Some(usage) = pending.find_usage(configuration) {
        return Ok(usage);
    }
    let (account, stored) = read_usage_rows(at, configuration)?;
    pending.remember_rows(configuration, account, &stored);
    Ok(pending.find_usage(configuration).unwrap_or(stored))
}

/// Returns the key of the account, and the usage in the rows. One search in each of two tables.
fn read_usage_rows(at: &Snapshot<'_>, configuration: i64) -> Result<(i64, QuotaUsage)> {
    // Runs for most writes: the text is built once.
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {CONFIGURATION_COLUMNS}, {ACCOUNT_COLUMNS}, c.account FROM configuration_usage c
             CROSS JOIN account_usage a ON a.account = c.account WHERE c.configuration = ?1"
        )
    });
    at.read_row(&SQL, [configuration], |row| {
        let usage = QuotaUsage {
            configuration: read_configuration_usage(row)?,
            account: read_account_usage(row, CONFIGURATION_WIDTH)?,
        };
        Ok((row.get("account")?, usage))
    })
}

/// Returns the usage of an account, with the number of its configurations.
pub fn load_account_usage(at: &Snapshot<'_>, account: i64) -> Result<OwnerUsage> {
    let configurations = count_configurations(at, account)?;
    let sql = format!("SELECT {ACCOUNT_COLUMNS} FROM account_usage a WHERE a.account = ?1");
    let mut found = at.read_row(&sql, [account], |row| read_account_usage(row, 0))?;
    if let Some(pending) = at.pending_usage() {
        found.used = found.used.plus(&pending.account_change(account));
    }
    found.used = found.used.with(QuotaKind::Configurations, configurations);
    Ok(found)
}

fn count_configurations(at: &Snapshot<'_>, account: i64) -> Result<i64> {
    at.read_value("SELECT count(*) FROM configurations WHERE account = ?1 AND deleted_at IS NULL", [account])
}

/// Adds a change to the counters of a configuration and of its account. They are written in front of the commit.
pub fn add_usage(tx: &Tx<'_>, configuration: i64, change: &UsageAmounts) -> Result<()> {
    if change.is_zero() {
        return Ok(());
    }
    tx.check_restriction()?;
    if !tx.pending_rows().usage.add_change(configuration, change) {
        load_usage(tx, configuration)?;
        tx.pending_rows().usage.add_change(configuration, change);
    }
    Ok(())
}

/// Writes the changes of a transaction to the rows.
pub(in crate::store) fn write_pending_usage(connection: &Connection, pending: &PendingUsage) -> rusqlite::Result<()> {
    let sums = pending.list_sums();
    add_to_rows(
        connection,
        "UPDATE configuration_usage SET users = users + ?2, groups = groups + ?3, members = members + ?4,
             bytes = bytes + ?5, active_users = active_users + ?6 WHERE configuration = ?1",
        &sums.configurations,
    )?;
    add_to_rows(
        connection,
        "UPDATE account_usage SET users = users + ?2, groups = groups + ?3, members = members + ?4,
             bytes = bytes + ?5, active_users = active_users + ?6 WHERE account = ?1",
        &sums.accounts,
    )
}

fn add_to_rows(connection: &Connection, sql: &str, sums: &[(i64, UsageAmounts)]) -> rusqlite::Result<()> {
    for (key, change) in sums {
        connection.prepare_cached(sql)?.execute(params![
            key,
            change.get(QuotaKind::Users),
            change.get(QuotaKind::Groups),
            change.get(QuotaKind::Members),
            change.get(QuotaKind::Bytes),
            change.get(QuotaKind::ActiveUsers),
        ])?;
    }
    Ok(())
}

/// Adds a change to the bytes of the request log of a configuration.
pub fn add_request_log_bytes(tx: &Tx<'_>, configuration: i64, change: i64) -> Result<()> {
    tx.pending_rows().usage.forget_rows();
    tx.run(
        "UPDATE configuration_usage SET request_log_bytes = request_log_bytes + ?2 WHERE configuration = ?1",
        (configuration, change),
    )
}

/// The change of usage by one resource of a type, whose text has this length.
pub fn resource_amounts(resource_type: &str, count: i64, bytes: i64) -> UsageAmounts {
    let amounts = UsageAmounts::default().with(QuotaKind::Bytes, bytes);
    match resource_type {
        "User" => amounts.with(QuotaKind::Users, count),
        "Group" => amounts.with(QuotaKind::Groups, count),
        _ => amounts,
    }
}

/// The change of the active users by one resource of a type whose `active` changes. A resource that does not exist has
/// no `active`.
pub fn active_user_change(resource_type: &str, before: Option<bool>, after: Option<bool>) -> i64 {
    let count = |active: Option<bool>| i64::from(resource_type == "User" && active == Some(true));
    count(after) - count(before)
}

/// The length of a text as an amount.
pub fn text_bytes(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// Sets or clears the limits of a configuration.
pub fn set_configuration_limits(tx: &Tx<'_>, configuration: i64, limits: &QuotaOverrides) -> Result<()> {
    tx.pending_rows().usage.forget_rows();
    tx.run(
        "UPDATE configuration_usage SET users_limit = ?2, groups_limit = ?3, members_limit = ?4, bytes_limit = ?5,
             request_log_bytes_limit = ?6, active_users_limit = ?7 WHERE configuration = ?1",
        params![
            configuration,
            to_sql(limits, QuotaKind::Users),
            to_sql(limits, QuotaKind::Groups),
            to_sql(limits, QuotaKind::Members),
            to_sql(limits, QuotaKind::Bytes),
            to_sql(limits, QuotaKind::RequestLogBytes),
            to_sql(limits, QuotaKind::ActiveUsers),
        ],
    )
}

/// Sets or clears the limits of an account.
pub fn set_account_limits(tx: &Tx<'_>, account: i64, limits: &QuotaOverrides) -> Result<()> {
    tx.pending_rows().usage.forget_rows();
    tx.run(
        "UPDATE account_usage SET configurations_limit = ?2, users_limit = ?3, groups_limit = ?4, members_limit = ?5,
             bytes_limit = ?6, active_users_limit = ?7 WHERE account = ?1",
        params![
            account,
            to_sql(limits, QuotaKind::Configurations),
            to_sql(limits, QuotaKind::Users),
            to_sql(limits, QuotaKind::Groups),
            to_sql(limits, QuotaKind::Members),
            to_sql(limits, QuotaKind::Bytes),
            to_sql(limits, QuotaKind::ActiveUsers),
        ],
    )
}

/// Sets or clears the sentence for calls above the limit of active users of a configuration.
pub fn set_configuration_message(tx: &Tx<'_>, configuration: i64, message: Option<&str>) -> Result<()> {
    let sql = "UPDATE configuration_usage SET active_users_message = ?2 WHERE configuration = ?1";
    tx.run(sql, params![configuration, message])
}

/// Sets or clears the sentence for calls above the limit of active users of an account.
pub fn set_account_message(tx: &Tx<'_>, account: i64, message: Option<&str>) -> Result<()> {
    tx.run("UPDATE account_usage SET active_users_message = ?2 WHERE account = ?1", params![account, message])
}

/// Returns the sentence for a call above the limit of active users of this owner: its own, or that of its account.
pub fn find_limit_message(at: &Snapshot<'_>, configuration: i64, owner: QuotaOwner) -> Result<Option<String>> {
    let message = match owner {
        QuotaOwner::Configuration => "coalesce(c.active_users_message, a.active_users_message)",
        QuotaOwner::Account => "a.active_users_message",
    };
    let sql = format!(
        "SELECT {message} FROM configuration_usage c CROSS JOIN account_usage a ON a.account = c.account
         WHERE c.configuration = ?1"
    );
    at.read_value(&sql, [configuration])
}

/// Adds calls that were refused because of a limit of active users.
pub fn add_refused_users(tx: &Tx<'_>, configuration: i64, refused: RefusedUsers) -> Result<()> {
    tx.run(
        "UPDATE configuration_usage SET refused_users = refused_users + ?2,
             last_refused_at = max(coalesce(last_refused_at, ?3), ?3) WHERE configuration = ?1",
        params![configuration, refused.count, refused.last],
    )
}

/// Returns what belongs to the limit of active users of a configuration.
pub fn load_configuration_active_users(at: &Snapshot<'_>, configuration: i64) -> Result<ActiveUserLimit> {
    let sql = "SELECT active_users_message AS message, refused_users AS refused, last_refused_at
               FROM configuration_usage WHERE configuration = ?1";
    at.read_row(sql, [configuration], read_active_users)
}

/// Returns what belongs to the limit of active users of an account. The refused calls are those of all its configurations,
/// including deleted ones.
pub fn load_account_active_users(at: &Snapshot<'_>, account: i64) -> Result<ActiveUserLimit> {
    let sql = "SELECT (SELECT active_users_message FROM account_usage WHERE account = ?1) AS message,
                   coalesce(sum(u.refused_users), 0) AS refused, max(u.last_refused_at) AS last_refused_at
               FROM configurations c JOIN configuration_usage u ON u.configuration = c.configuration
               WHERE c.account = ?1";
    at.read_row(sql, [account], read_active_users)
}

fn read_active_users(row: &Row<'_>) -> rusqlite::Result<ActiveUserLimit> {
    let refused: i64 = row.get("refused")?;
    read_columns!(row, ActiveUserLimit { message, last_refused_at; refused: refused.max(0).unsigned_abs() })
}

fn to_sql(limits: &QuotaOverrides, kind: QuotaKind) -> Option<i64> {
    limits.get(kind).map(|limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// Returns the bytes of all request logs.
pub fn sum_request_log_bytes(at: &Snapshot<'_>) -> Result<i64> {
    at.read_value("SELECT coalesce(sum(request_log_bytes), 0) FROM configuration_usage", [])
}

/// Returns the configuration with the largest request log, of the account whose configurations have the largest ones
/// together: one account with many configurations does not displace the logs of others.
pub fn find_largest_request_log(at: &Snapshot<'_>) -> Result<Option<i64>> {
    at.find_value(
        "WITH logs AS (
             SELECT u.configuration, u.request_log_bytes, f.account AS account
             FROM configuration_usage u JOIN configurations f ON f.configuration = u.configuration
             WHERE u.request_log_bytes > 0
         )
         SELECT configuration FROM logs
         WHERE account IS (SELECT account FROM logs GROUP BY account ORDER BY sum(request_log_bytes) DESC LIMIT 1)
         ORDER BY request_log_bytes DESC LIMIT 1",
        [],
    )
}

/// An owner whose usage reaches a percentage of a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUsage {
    /// Name of the configuration or id of the account.
    pub name: String,
    /// Its usage.
    pub usage: OwnerUsage,
}

/// Returns the stored usage of all configurations that are not deleted, and of all accounts. Not for a transaction with
/// changes, which are not in the rows yet.
pub fn list_all_usage(at: &Snapshot<'_>) -> Result<Vec<NamedUsage>> {
    let mut found = at.list_rows(
        &format!(
            "SELECT {CONFIGURATION_COLUMNS}, f.connection_name FROM configuration_usage c
             JOIN configurations f ON f.configuration = c.configuration WHERE f.deleted_at IS NULL
             ORDER BY c.configuration"
        ),
        [],
        |row| Ok(NamedUsage { usage: read_configuration_usage(row)?, name: row.get("connection_name")? }),
    )?;
    let accounts = at.list_rows(
        &format!(
            "SELECT {ACCOUNT_COLUMNS}, o.id, count(f.configuration) AS configurations FROM account_usage a
             JOIN accounts o ON o.account = a.account AND o.deleted_at IS NULL
             LEFT JOIN configurations f ON f.account = a.account AND f.deleted_at IS NULL
             GROUP BY a.account ORDER BY o.id"
        ),
        [],
        |row| {
            let mut usage = read_account_usage(row, 0)?;
            usage.used = usage.used.with(QuotaKind::Configurations, row.get("configurations")?);
            Ok(NamedUsage { usage, name: row.get("id")? })
        },
    )?;
    found.extend(accounts);
    Ok(found)
}
