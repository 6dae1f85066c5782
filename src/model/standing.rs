//! How a configuration stands, in one word and one sentence: what people look at first.

use super::configuration::Configuration;
use super::provider::Provider;
use super::request::Health;
use crate::clock::Millis;

/// How a configuration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No call with its token yet.
    Waiting,
    /// Calls, but no write yet.
    Testing,
    /// Heard of within the expected cycle.
    Live,
    /// Nothing for two expected cycles.
    Quiet,
    /// Too many of the last calls failed.
    Failing,
    /// Paused by a person.
    Paused,
}

impl Standing {
    /// All of them, as they are filtered by.
    pub const ALL: [Self; 6] = [Self::Failing, Self::Quiet, Self::Waiting, Self::Testing, Self::Live, Self::Paused];

    /// How it is at that time.
    pub fn of(one: &Configuration, health: &Health, provider: &Provider, now: Millis) -> Self {
        if !one.sync {
            return Self::Paused;
        }
        if health.is_failing() {
            return Self::Failing;
        }
        match (one.last_seen, one.last_sync) {
            (None, _) => Self::Waiting,
            (Some(_), None) => Self::Testing,
            (Some(seen), Some(_)) if now - seen > 2 * provider.cycle => Self::Quiet,
            (Some(_), Some(_)) => Self::Live,
        }
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Testing => "Testing",
            Self::Live => "Live",
            Self::Quiet => "Quiet",
            Self::Failing => "Failing",
            Self::Paused => "Paused",
        }
    }

    /// The word in addresses and style sheets.
    pub fn key(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Testing => "testing",
            Self::Live => "live",
            Self::Quiet => "quiet",
            Self::Failing => "failing",
            Self::Paused => "paused",
        }
    }

    /// Why, and what to do next.
    pub fn sentence(self, one: &Configuration, health: &Health, provider: &Provider, now: Millis) -> String {
        let name = provider.name;
        let ago = |at: Option<Millis>| at.map_or_else(|| "never".to_owned(), |at| ago(now - at));
        match self {
            Self::Waiting => format!("Waiting for {name}. Nothing has arrived yet: follow the steps, then test there."),
            Self::Testing => format!("{name} reached us and its token is right. Assign a user there to go on."),
            Self::Live => format!("Last change {}, last call {}.", ago(one.last_sync), ago(one.last_seen)),
            Self::Quiet => {
                format!("Nothing since {}. Look whether provisioning still runs at {name}.", ago(one.last_seen))
            }
            Self::Failing if health.auth_failures >= 3 => {
                format!(
                    "The last {} calls came with a token that is not valid. Put the present one in at {name}.",
                    health.auth_failures
                )
            }
            Self::Failing => format!(
                "{} of the last {} calls failed. The request log says why.",
                health.recent_failures(),
                health.recent_calls()
            ),
            Self::Paused => {
                "Paused. Calls still succeed and are kept, but nothing reaches your application.".to_owned()
            }
        }
    }
}

/// A span of time as people say it.
pub fn ago(span: Millis) -> String {
    const UNITS: [(Millis, &str); 4] =
        [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    for (length, unit) in UNITS {
        let count = span / length;
        if count >= 1 {
            let plural = if count == 1 { "" } else { "s" };
            return format!("{count} {unit}{plural} ago");
        }
    }
    "just now".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::configuration::Source;
    use crate::model::provider::by_key;
    use crate::model::request::Verdict;
    use crate::model::switches::Switches;

    const HOUR: Millis = 3_600_000;

    fn one(seen: Option<Millis>, synced: Option<Millis>, sync: bool) -> Configuration {
        Configuration {
            key: 1,
            id: "x".to_owned(),
            account: "acme".to_owned(),
            connection_name: "Main".to_owned(),
            source: Source::AzureAd,
            provider: None,
            switches: Switches::default(),
            revision: 1,
            sync,
            created_at: 0,
            last_sync: synced,
            last_seen: seen,
            deleted_at: None,
        }
    }

    #[test]
    fn a_configuration_goes_from_waiting_to_live_and_quiet() {
        let (entra, fine) = (by_key("entra").unwrap(), Health::default());
        for (configuration, now, standing) in [
            (one(None, None, true), HOUR, Standing::Waiting),
            (one(Some(0), None, true), HOUR, Standing::Testing),
            (one(Some(0), Some(0), true), HOUR, Standing::Live),
            (one(Some(0), Some(0), true), 2 * HOUR, Standing::Quiet),
            (one(Some(0), Some(0), false), 2 * HOUR, Standing::Paused),
        ] {
            assert_eq!(Standing::of(&configuration, &fine, entra, now), standing);
            assert!(!standing.sentence(&configuration, &fine, entra, now).is_empty());
        }
    }

    #[test]
    fn three_wrong_tokens_in_a_row_are_said_as_such() {
        let entra = by_key("entra").unwrap();
        let mut health = Health::default();
        (0..3).for_each(|_| health.note(Verdict::Stranger, 1));
        let configuration = one(Some(0), Some(0), true);
        let standing = Standing::of(&configuration, &health, entra, HOUR);
        assert_eq!(standing, Standing::Failing);
        assert!(standing.sentence(&configuration, &health, entra, HOUR).contains("token"));
    }

    #[test]
    fn spans_are_said_in_their_largest_unit() {
        for (span, said) in [
            (0, "just now"),
            (1_000, "1 second ago"),
            (120_000, "2 minutes ago"),
            (HOUR, "1 hour ago"),
            (50 * HOUR, "2 days ago"),
        ] {
            assert_eq!(ago(span), said);
        }
    }
}
