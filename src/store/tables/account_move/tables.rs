//! The tables of an account: which rows belong to it, and which columns have numbers. Every table of `schema.sql` is in
//! [`MOVED_TABLES`] or in [`STAYING_TABLES`].

use super::numbers::NumberKind;

/// What a column has that changes when its row moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnRole {
    /// The number of a row.
    Number(NumberKind),
    /// A position between rows: the number of a row that may not exist any more.
    Position(NumberKind),
    /// A JSON object of positions between events.
    Positions,
    /// The position of a backfill, a JSON object with numbers of users and groups.
    BackfillCursor,
    /// The id of the account.
    AccountId,
}

use ColumnRole::{AccountId, BackfillCursor, Number, Position, Positions};
use NumberKind::{
    Account, Attempt, AuditEntry, Client, Configuration, Event, LoggedRequest, PersonalDataPart, PersonalDataRequest,
    Resource, Tombstone, TombstoneSlice, Webhook,
};

/// A table with rows of accounts.
#[derive(Debug)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// What follows FROM in the query of the rows `t` of the account ?1. `{db}` is the database, `{configurations}` the keys of its
    /// configurations.
    pub source: &'static str,
    /// The columns of its primary key.
    pub key: &'static [&'static str],
    /// The columns that change.
    pub roles: &'static [(&'static str, ColumnRole)],
    /// The kind of the numbers in its key, if the table counts its rows.
    pub numbered: Option<NumberKind>,
    /// Columns with values that only one row of an instance may have.
    pub unique: &'static [&'static str],
    /// Assignments that free the unique values of a row that is changed next.
    pub parked: &'static str,
    /// Columns with secrets that only this instance can decrypt, and what the file has instead.
    pub sealed: &'static [(&'static str, &'static str)],
}

const EMPTY: MovedTable =
    MovedTable { name: "", source: "", key: &[], roles: &[], numbered: None, unique: &[], parked: "", sealed: &[] };

macro_rules! of_configuration {
    ($table:literal) => {
        concat!("{db}.", $table, " t WHERE t.configuration IN {configurations}")
    };
}

macro_rules! of_account {
    ($table:literal) => {
        concat!("{db}.", $table, " t WHERE t.account = ?1")
    };
}

const CONFIGURATION: (&str, ColumnRole) = ("configuration", Number(Configuration));
const ACCOUNT: (&str, ColumnRole) = ("account", Number(Account));

/// A table whose rows belong to a configuration and are referred to by nothing.
const fn table_of_configuration(name: &'static str, source: &'static str, key: &'static [&'static str]) -> MovedTable {
    MovedTable { name, source, key, roles: &[CONFIGURATION], ..EMPTY }
}

/// The table of the request log, which moves only if that is asked for.
pub const REQUEST_LOG: &str = "requests";

/// The tables in the order in which rows are inserted: a row comes after those that it refers to.
pub const MOVED_TABLES: &[MovedTable] = &[
    MovedTable {
        name: "roles",
        source: "{db}.roles t WHERE t.id IN (SELECT a.role_id FROM {db}.admins a WHERE a.account = ?1)",
        key: &["id"],
        ..EMPTY
    },
    MovedTable {
        name: "accounts",
        source: of_account!("accounts"),
        key: &["account"],
        roles: &[ACCOUNT, ("id", AccountId)],
        numbered: Some(Account),
        ..EMPTY
    },
    MovedTable {
        name: "configurations",
        source: of_account!("configurations"),
        key: &["configuration"],
        roles: &[CONFIGURATION, ACCOUNT],
        numbered: Some(Configuration),
        unique: &["id"],
        parked: "connection_name = id",
        ..EMPTY
    },
    MovedTable {
        name: "configuration_usage",
        source: of_configuration!("configuration_usage"),
        key: &["configuration"],
        roles: &[CONFIGURATION, ACCOUNT],
        ..EMPTY
    },
    MovedTable {
        name: "account_usage",
        source: of_account!("account_usage"),
        key: &["account"],
        roles: &[ACCOUNT],
        ..EMPTY
    },
    MovedTable {
        name: "oauth_clients",
        source: of_configuration!("oauth_clients"),
        key: &["client"],
        roles: &[("client", Number(Client)), CONFIGURATION],
        numbered: Some(Client),
        unique: &["client_id"],
        parked: "client_id = '-' || client",
        ..EMPTY
    },
    MovedTable {
        name: "oauth_secrets",
        source: "{db}.oauth_clients c JOIN {db}.oauth_secrets t ON t.client = c.client
                 WHERE c.configuration IN {configurations}",
        key: &["id"],
        roles: &[("client", Number(Client))],
        unique: &["id"],
        ..EMPTY
    },
    MovedTable {
        name: "oauth_assertions",
        source: "{db}.oauth_clients c JOIN {db}.oauth_assertions t ON t.client = c.client
                 WHERE c.configuration IN {configurations}",
        key: &["client", "digest"],
        roles: &[("client", Number(Client))],
        ..EMPTY
    },
    MovedTable {
        name: "tokens",
        source: of_configuration!("tokens"),
        key: &["digest"],
        roles: &[CONFIGURATION, ("client", Number(Client))],
        unique: &["digest", "id"],
        ..EMPTY
    },
    table_of_configuration("extensions", of_configuration!("extensions"), &["configuration", "id"]),
    MovedTable {
        name: "resources",
        source: of_configuration!("resources"),
        key: &["resource"],
        roles: &[("resource", Number(Resource)), CONFIGURATION],
        numbered: Some(Resource),
        unique: &["id"],
        parked: "id = '-' || resource, user_name_key = NULL, unique_name_key = NULL",
        ..EMPTY
    },
    MovedTable {
        name: "resource_values",
        source: of_configuration!("resource_values"),
        key: &["configuration", "path", "key", "resource"],
        roles: &[CONFIGURATION, ("resource", Number(Resource))],
        ..EMPTY
    },
    MovedTable {
        name: "group_members",
        source: "{db}.resources r CROSS JOIN {db}.group_members t ON t.group_resource = r.resource
                 WHERE r.configuration IN {configurations}",
        key: &["group_resource", "member_resource"],
        roles: &[("group_resource", Number(Resource)), ("member_resource", Number(Resource))],
        ..EMPTY
    },
    MovedTable {
        name: "passwords",
        source: "{db}.resources r CROSS JOIN {db}.passwords t ON t.resource = r.resource
                 WHERE r.configuration IN {configurations}",
        key: &["resource"],
        roles: &[("resource", Number(Resource))],
        ..EMPTY
    },
    MovedTable {
        name: "tombstones",
        source: of_configuration!("tombstones"),
        key: &["tombstone"],
        roles: &[("tombstone", Number(Tombstone)), CONFIGURATION],
        numbered: Some(Tombstone),
        unique: &["id"],
        parked: "id = '-' || tombstone",
        ..EMPTY
    },
    MovedTable {
        name: "tombstone_members",
        source: "{db}.tombstones o JOIN {db}.tombstone_members t ON t.tombstone = o.tombstone
                 WHERE o.configuration IN {configurations}",
        key: &["slice"],
        roles: &[("slice", Number(TombstoneSlice)), ("tombstone", Number(Tombstone))],
        numbered: Some(TombstoneSlice),
        ..EMPTY
    },
    MovedTable {
        name: "events",
        source: of_configuration!("events"),
        key: &["seq"],
        roles: &[("seq", Number(Event)), CONFIGURATION, ("account_id", AccountId)],
        numbered: Some(Event),
        ..EMPTY
    },
    MovedTable {
        name: "membership_events",
        source: "{db}.membership_events t WHERE t.member_id IN (
                     SELECT id FROM {db}.resources WHERE configuration IN {configurations}
                     UNION SELECT id FROM {db}.tombstones WHERE configuration IN {configurations}
                     UNION SELECT id FROM {db}.held_resources WHERE configuration IN {configurations})",
        key: &["member_id", "group_id"],
        roles: &[("seq", Position(Event))],
        ..EMPTY
    },
    MovedTable {
        name: "held_resources",
        source: of_configuration!("held_resources"),
        key: &["id"],
        roles: &[CONFIGURATION, ("resource", Number(Resource))],
        unique: &["id"],
        ..EMPTY
    },
    table_of_configuration("held_emails", of_configuration!("held_emails"), &["configuration", "key", "id"]),
    MovedTable {
        name: "held_members",
        source: of_configuration!("held_members"),
        key: &["configuration", "group_id", "member", "member_id"],
        roles: &[CONFIGURATION, ("member", Number(Resource))],
        ..EMPTY
    },
    table_of_configuration("holds", of_configuration!("holds"), &["configuration"]),
    table_of_configuration("removal_windows", of_configuration!("removal_windows"), &["configuration", "kind"]),
    table_of_configuration("removals", of_configuration!("removals"), &["configuration", "kind", "subject", "member"]),
    table_of_configuration("protected_users", of_configuration!("protected_users"), &["configuration", "name"]),
    MovedTable {
        name: "undos",
        source: of_configuration!("undos"),
        key: &["configuration"],
        roles: &[CONFIGURATION, ("first_seq", Position(Event)), ("last_seq", Position(Event))],
        ..EMPTY
    },
    MovedTable {
        unique: &["id", "digest"],
        ..table_of_configuration("setup_links", of_configuration!("setup_links"), &["id"])
    },
    MovedTable {
        name: "setup_link_visits",
        source: "{db}.setup_links l JOIN {db}.setup_link_visits t ON t.link_id = l.id
                 WHERE l.configuration IN {configurations}",
        key: &["link_id", "day", "address"],
        ..EMPTY
    },
    table_of_configuration("traffic", of_configuration!("traffic"), &["configuration", "hour"]),
    table_of_configuration(
        "undeclared_attributes",
        of_configuration!("undeclared_attributes"),
        &["configuration", "resource_type", "name"],
    ),
    MovedTable {
        name: "api_keys",
        source: of_account!("api_keys"),
        key: &["id"],
        roles: &[ACCOUNT],
        unique: &["id", "digest"],
        ..EMPTY
    },
    MovedTable {
        name: "admins",
        source: of_account!("admins"),
        key: &["id"],
        roles: &[ACCOUNT],
        unique: &["id", "email_key"],
        parked: "email_key = id",
        sealed: &[("totp_secret", "NULL"), ("totp_last_step", "NULL")],
        ..EMPTY
    },
    MovedTable {
        name: "admin_invites",
        source: "{db}.admin_invites t WHERE t.account = ?1
                 AND t.invited_by IN (SELECT a.id FROM {db}.admins a WHERE a.account = ?1)",
        key: &["id"],
        roles: &[ACCOUNT],
        unique: &["id", "digest"],
        ..EMPTY
    },
    MovedTable {
        name: "recovery_codes",
        source: "{db}.admins a JOIN {db}.recovery_codes t ON t.admin_id = a.id WHERE a.account = ?1",
        key: &["admin_id", "digest"],
        ..EMPTY
    },
    MovedTable {
        name: "sso_identities",
        source: "{db}.admins a JOIN {db}.sso_identities t ON t.admin_id = a.id WHERE a.account = ?1",
        key: &["issuer", "subject"],
        ..EMPTY
    },
    MovedTable {
        name: "wrong_codes",
        source: "{db}.admins a JOIN {db}.wrong_codes t ON t.admin_id = a.id WHERE a.account = ?1",
        key: &["admin_id"],
        ..EMPTY
    },
    MovedTable {
        name: "webhooks",
        source: of_account!("webhooks"),
        key: &["webhook"],
        roles: &[
            ("webhook", Number(Webhook)),
            ACCOUNT,
            ("start_seq", Position(Event)),
            ("backfill_until", Position(Configuration)),
            ("kinds_since", Positions),
        ],
        numbered: Some(Webhook),
        unique: &["id"],
        sealed: &[("headers", "'{}'")],
        ..EMPTY
    },
    MovedTable {
        name: "webhook_keys",
        source: "{db}.webhooks w JOIN {db}.webhook_keys t ON t.webhook = w.webhook WHERE w.account = ?1",
        key: &["id"],
        roles: &[("webhook", Number(Webhook))],
        unique: &["id"],
        sealed: &[("sealed", "x''")],
        ..EMPTY
    },
    MovedTable {
        name: "webhook_lanes",
        source: "{db}.webhooks w JOIN {db}.webhook_lanes t ON t.webhook = w.webhook WHERE w.account = ?1",
        key: &["webhook", "configuration"],
        roles: &[
            ("webhook", Number(Webhook)),
            CONFIGURATION,
            ("position", Position(Event)),
            ("batch_end", Position(Event)),
            ("backfill", BackfillCursor),
            ("backfill_end", BackfillCursor),
        ],
        ..EMPTY
    },
    MovedTable {
        name: "webhook_attempts",
        source: "{db}.webhooks w JOIN {db}.webhook_attempts t ON t.webhook = w.webhook WHERE w.account = ?1",
        key: &["attempt"],
        roles: &[
            ("attempt", Number(Attempt)),
            ("webhook", Number(Webhook)),
            CONFIGURATION,
            ("from_seq", Position(Event)),
            ("to_seq", Position(Event)),
        ],
        numbered: Some(Attempt),
        ..EMPTY
    },
    MovedTable {
        name: "feed_positions",
        source: of_account!("feed_positions"),
        key: &["account", "configuration_id"],
        roles: &[ACCOUNT, ("seq", Position(Event))],
        ..EMPTY
    },
    MovedTable {
        name: "audit",
        source: of_account!("audit"),
        key: &["entry"],
        roles: &[("entry", Number(AuditEntry)), ACCOUNT, ("account_id", AccountId)],
        numbered: Some(AuditEntry),
        ..EMPTY
    },
    MovedTable {
        name: "personal_data_requests",
        source: of_account!("personal_data_requests"),
        key: &["request"],
        roles: &[("request", Number(PersonalDataRequest)), ACCOUNT],
        numbered: Some(PersonalDataRequest),
        unique: &["id"],
        parked: "id = '-' || request",
        ..EMPTY
    },
    MovedTable {
        name: "personal_data_parts",
        source: "{db}.personal_data_requests p JOIN {db}.personal_data_parts t ON t.request = p.request
                 WHERE p.account = ?1",
        key: &["part"],
        roles: &[("part", Number(PersonalDataPart)), ("request", Number(PersonalDataRequest))],
        numbered: Some(PersonalDataPart),
        ..EMPTY
    },
    MovedTable {
        name: REQUEST_LOG,
        source: of_configuration!("requests"),
        key: &["request"],
        roles: &[("request", Number(LoggedRequest)), CONFIGURATION],
        numbered: Some(LoggedRequest),
        parked: "id = '-' || request",
        ..EMPTY
    },
];

/// Tables that do not move, with the reason.
pub const STAYING_TABLES: &[(&str, &str)] = &[
    ("instance", "settings of the instance"),
    ("branding", "settings of the instance"),
    ("sso_provider", "settings of the instance"),
    ("resource_counts", "follows from the numbers of the resources, and is counted again after the import"),
    ("pending_references", "empty when the account is frozen"),
    ("pending_changes", "empty when the account is frozen"),
    ("pending_member_slices", "empty when the account is frozen"),
    ("undone_changes", "empty when the account is frozen"),
    ("personal_data_subjects", "empty when the account is frozen"),
    ("audit_counts", "counts of the current hour, for all accounts"),
    ("idempotent_calls", "belong to callers, and their digests include the address of the instance"),
    ("sessions", "a browser signs in again at the new address"),
    ("sign_in_claims", "a browser signs in again at the new address"),
    ("account_imports", "describes an import into this instance"),
    ("account_import_ranges", "describes an import into this instance"),
];

/// Returns the table with this name.
pub fn find_table(name: &str) -> Option<&'static MovedTable> {
    MOVED_TABLES.iter().find(|table| table.name == name)
}

impl MovedTable {
    /// Returns what follows FROM in the query of the rows of the account ?1 in a database.
    pub fn build_source(&self, database: &str) -> String {
        let configurations = "(SELECT c.configuration FROM {db}.configurations c WHERE c.account = ?1)";
        self.source.replace("{configurations}", configurations).replace("{db}", database)
    }

    /// Returns what the file has of a column of the row `t`.
    pub fn build_expression(&self, column: &str) -> String {
        let sealed = self.sealed.iter().find(|(name, _)| *name == column);
        sealed.map_or_else(|| format!("t.{column}"), |(_, value)| (*value).to_owned())
    }

    /// Returns what a column has that changes.
    pub fn find_role(&self, column: &str) -> Option<ColumnRole> {
        self.roles.iter().find(|(name, _)| *name == column).map(|(_, role)| *role)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;

    use super::*;

    fn schema() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../../schema.sql")).unwrap();
        connection
    }

    fn list(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn each_table_moves_or_has_a_reason_to_stay() {
        let all = list(
            &schema(),
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        );
        let moved = MOVED_TABLES.iter().map(|table| table.name);
        let known: Vec<&str> = moved.chain(STAYING_TABLES.iter().map(|(name, _)| *name)).collect();
        let known_once: BTreeSet<&str> = known.iter().copied().collect();
        assert_eq!(known.len(), known_once.len(), "a table is in both lists");
        let absent: Vec<&String> = all.iter().filter(|name| !known_once.contains(name.as_str())).collect();
        assert!(absent.is_empty(), "add to MOVED_TABLES, or with a reason to STAYING_TABLES: {absent:?}");
        assert_eq!(known.len(), all.len());
    }

    #[test]
    fn each_number_of_a_row_that_moves_has_its_role() {
        let connection = schema();
        for table in MOVED_TABLES {
            let columns = list(&connection, &format!("SELECT name FROM pragma_table_info('{}')", table.name));
            for (column, _) in table.roles {
                assert!(columns.iter().any(|name| name == column), "{}.{column}", table.name);
            }
            let key = list(
                &connection,
                &format!("SELECT name FROM pragma_table_info('{}') WHERE pk > 0 ORDER BY pk", table.name),
            );
            assert_eq!(key, table.key, "{}", table.name);
            // Columns with the name of a number, and foreign keys to numbers, change with the number.
            let numbered: BTreeSet<&str> = MOVED_TABLES
                .iter()
                .filter(|one| one.numbered.is_some())
                .map(|one| one.key[0])
                .chain(["seq", "position", "batch_end"])
                .collect();
            let types = list(
                &connection,
                &format!("SELECT name FROM pragma_table_info('{}') WHERE type = 'INTEGER'", table.name),
            );
            for column in types.iter().filter(|column| numbered.contains(column.as_str())) {
                assert!(table.find_role(column).is_some(), "{}.{column} has a number", table.name);
            }
            let references = list(
                &connection,
                &format!("SELECT \"from\" FROM pragma_foreign_key_list('{}') WHERE \"to\" <> 'id'", table.name),
            );
            for column in references {
                assert!(table.find_role(&column).is_some(), "{}.{column} refers to a number", table.name);
            }
        }
    }

    #[test]
    fn a_row_comes_after_those_that_it_refers_to() {
        let connection = schema();
        let position = |name: &str| MOVED_TABLES.iter().position(|table| table.name == name);
        for (number, table) in MOVED_TABLES.iter().enumerate() {
            let parents =
                list(&connection, &format!("SELECT \"table\" FROM pragma_foreign_key_list('{}')", table.name));
            for parent in parents {
                assert!(position(&parent).is_some_and(|at| at < number), "{} refers to {parent}", table.name);
            }
        }
    }
}
