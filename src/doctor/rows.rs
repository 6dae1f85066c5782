//! What the database says: who runs the portal, which tokens end soon, and whether the clock can be right.

use super::{Finding, span};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Snapshot, admins, events, instance, tokens};

const DAY: Millis = 24 * 60 * 60 * 1000;
/// Tokens that end within this are told of.
const TOKENS_SOON: Millis = 14 * DAY;
/// Connections that are named.
const NAMED_MAX: usize = 3;
/// How far the newest event may lie ahead before the clock is doubted.
const CLOCK_SLACK: Millis = 5 * 60 * 1000;
/// No machine that runs this has an earlier time: 2026-01-01.
const CLOCK_MIN: Millis = 1_767_225_600_000;

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Where the outside world reaches the server.
    pub public_url: String,
    /// People who could run the server.
    pub(super) owners: i64,
    /// Names of the connections whose tokens end soon.
    pub(super) ending: Vec<String>,
    /// When the newest event was written.
    pub(super) newest_event: Option<Millis>,
}

impl Rows {
    pub(super) fn read(at: &Snapshot<'_>, now: Millis) -> Result<Self> {
        Ok(Self {
            public_url: instance::public_url(at)?,
            owners: admins::active_owners(at)?,
            ending: tokens::ending(at, now, now + TOKENS_SOON)?,
            newest_event: events::newest_time(at)?,
        })
    }
}

pub(super) fn all(rows: &Rows, now: Millis) -> Vec<Finding> {
    vec![clock(rows, now), owners(rows), ending(rows)]
}

fn clock(rows: &Rows, now: Millis) -> Finding {
    const ABOUT: &str = "Clock";
    let next = "Set the clock of the machine, best with an NTP service.";
    if now < CLOCK_MIN {
        return Finding::problem(ABOUT, "The clock stands before this program was made.", next);
    }
    let ahead = rows.newest_event.map_or(0, |at| at - now);
    if ahead > CLOCK_SLACK {
        let said =
            format!("The newest event was written {} from now: the clock was wrong then or is now.", span(ahead));
        return Finding::warning(ABOUT, said, next);
    }
    Finding::fine(ABOUT, "The clock agrees with what was written last.")
}

fn owners(rows: &Rows) -> Finding {
    const ABOUT: &str = "Owners";
    match rows.owners {
        0 => Finding::warning(
            ABOUT,
            "Nobody can run the server in the portal.",
            "Run rollcall setup-url, or rollcall admin create.",
        ),
        1 => Finding::fine(
            ABOUT,
            "One owner may sign in; a second keeps the server from being locked up with the first.",
        ),
        owners => Finding::fine(ABOUT, format!("{owners} owners may sign in.")),
    }
}

fn ending(rows: &Rows) -> Finding {
    const ABOUT: &str = "Tokens";
    let count = rows.ending.len();
    if count == 0 {
        return Finding::fine(ABOUT, "No token of a connection ends within 14 days.");
    }
    let named = rows.ending.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if count > NAMED_MAX { ", …" } else { "" };
    let said = format!(
        "{count} token{} of connections end within 14 days ({named}{more}).",
        if count == 1 { "" } else { "s" }
    );
    Finding::warning(ABOUT, said, "Rotate them on the tokens page of the connection, or with rollcall token rotate.")
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_clock_that_ran_back_is_doubted() {
        let rows = Rows { newest_event: Some(CLOCK_MIN + DAY), ..Rows::default() };
        assert_eq!(clock(&rows, CLOCK_MIN + DAY).grade, Grade::Fine);
        assert_eq!(clock(&rows, CLOCK_MIN).grade, Grade::Warning);
        assert_eq!(clock(&rows, 0).grade, Grade::Problem);
    }

    #[test]
    fn tokens_that_end_soon_are_counted_and_three_named() {
        let ending = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let found = super::ending(&Rows { ending, ..Rows::default() });
        assert!(found.grade == Grade::Warning && found.said.contains("4 tokens") && found.said.contains("a, b, c, …"));
    }
}
