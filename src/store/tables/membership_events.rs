//! Rows of `membership_events`: which published event is the newest one about a membership, and about any membership of a
//! member. An event is about up to 1,000 members, so the events have no index by member.

use rusqlite::params;

use crate::error::Result;
use crate::store::tables::resources::StoredResource;
use crate::store::{Snapshot, Tx};

/// Group of the row that has the newest event about any membership of a member.
const ANY_GROUP: &str = "";

/// Records a published event about members that joined or left a group.
pub fn record_event<'m>(
    tx: &Tx<'_>,
    seq: i64,
    group_id: &str,
    members: impl Iterator<Item = &'m str>,
    joined: bool,
) -> Result<()> {
    for member in members {
        set_newest(tx, member, ANY_GROUP, seq)?;
        if joined {
            set_newest(tx, member, group_id, seq)?;
        } else {
            delete_membership(tx, member, group_id)?;
        }
    }
    Ok(())
}

fn set_newest(tx: &Tx<'_>, member_id: &str, group_id: &str, seq: i64) -> Result<()> {
    tx.run(
        "INSERT INTO membership_events (member_id, group_id, seq) VALUES (?1, ?2, ?3)
         ON CONFLICT (member_id, group_id) DO UPDATE SET seq = excluded.seq",
        params![member_id, group_id, seq],
    )
}

/// Deletes the row of a membership that ended, without an event about it.
pub fn delete_membership(tx: &Tx<'_>, member_id: &str, group_id: &str) -> Result<()> {
    tx.run("DELETE FROM membership_events WHERE member_id = ?1 AND group_id = ?2", [member_id, group_id])
}

/// Deletes the rows of all memberships of a group. Call it before its members are removed.
pub fn delete_memberships_of_group(tx: &Tx<'_>, group: &StoredResource) -> Result<()> {
    tx.run(
        "DELETE FROM membership_events WHERE group_id = ?1 AND member_id IN
             (SELECT m.id FROM group_members e CROSS JOIN resources m ON m.resource = e.member_resource
              WHERE e.group_resource = ?2)",
        params![group.id, group.key],
    )
}

/// Deletes the rows of the held memberships of a group whose deletion is published.
pub fn delete_held_memberships(tx: &Tx<'_>, group: &StoredResource) -> Result<()> {
    tx.run(
        "DELETE FROM membership_events WHERE group_id = ?1 AND member_id IN
             (SELECT member_id FROM held_members WHERE configuration = ?2 AND group_id = ?1)",
        params![group.id, group.configuration],
    )
}

/// Deletes the rows of a member whose deletion is published.
pub fn delete_member(tx: &Tx<'_>, member_id: &str) -> Result<()> {
    tx.run("DELETE FROM membership_events WHERE member_id = ?1", [member_id])
}

/// Whether there is a published event about any membership of the member after this number.
pub fn has_later_event(at: &Snapshot<'_>, member_id: &str, seq: i64) -> Result<bool> {
    let newest: Option<i64> = at.find_value(
        "SELECT seq FROM membership_events WHERE member_id = ?1 AND group_id = ?2",
        [member_id, ANY_GROUP],
    )?;
    Ok(newest.is_some_and(|newest| newest > seq))
}

/// Whether the membership is published, and this is the number of the event that reported it.
pub fn is_newest_event(at: &Snapshot<'_>, member_id: &str, group_id: &str, seq: i64) -> Result<bool> {
    let newest: Option<i64> = at.find_value(
        "SELECT seq FROM membership_events WHERE member_id = ?1 AND group_id = ?2",
        [member_id, group_id],
    )?;
    Ok(newest == Some(seq))
}

/// Returns the number of published memberships.
#[cfg(test)]
pub fn count_memberships(at: &Snapshot<'_>) -> Result<i64> {
    at.read_value("SELECT count(*) FROM membership_events WHERE group_id <> ''", [])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_statement_is_an_index_lookup() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        let source = include_str!("membership_events.rs").split("mod tests").next().unwrap();
        let mut plans = 0;
        let is_statement = |text: &&str| text.starts_with("SELECT seq") || text.starts_with("DELETE");
        for sql in source.split('"').filter(is_statement) {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let parameters = ["x"; 2].into_iter().take(statement.parameter_count());
            let steps = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{sql}: {steps:?}");
            plans += 1;
        }
        assert_eq!(plans, 6);
    }
}
