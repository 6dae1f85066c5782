//! Warnings before the last secret of an OAuth client ends: on the start page, and on the pages of a connection.

use crate::clock::Millis;
use crate::diagnosis::connection_status::format_until;
use crate::error::Result;
use crate::management::oauth::{EndingSecret, list_clients, list_ending_secrets};
use crate::model::audit_context::AccountScope;
use crate::model::oauth::{OauthClientState, SECRET_WARNING_DAYS, find_warning_days};
use crate::store::Snapshot;
use crate::web::portal::texts;

const DAY: Millis = 24 * 60 * 60 * 1000;
/// Most warnings on a page.
const ALERTS_MAX: u32 = 20;
/// A secret that ended longer ago than this is not reported any more.
const ENDED_SINCE_MAX: Millis = 30 * DAY;

/// The warnings that a page shows, the first to end first.
#[derive(Default)]
pub(crate) struct SecretAlerts {
    pub(crate) lines: Vec<SecretAlertLine>,
}

/// A warning in one sentence.
pub(crate) struct SecretAlertLine {
    ending: EndingSecret,
    pub(crate) sentence: String,
    /// Days of the latest threshold that has passed; 0 if the secret has ended.
    days: u32,
}

impl SecretAlertLine {
    fn new(ending: EndingSecret, now: Millis) -> Option<Self> {
        let days = find_warning_days(ending.expires_at, now)?;
        let (label, end) = (&ending.client_label, format_until(ending.expires_at, now));
        let sentence = if days == 0 {
            texts::credentials::warn_secret_ended(label, &end)
        } else {
            texts::credentials::warn_secret_ends(label, &end)
        };
        Some(Self { ending, sentence, days })
    }

    pub(crate) fn connection_name(&self) -> &str {
        &self.ending.connection_name
    }

    /// Path of the page of the client.
    pub(crate) fn client_path(&self) -> String {
        format!("/connections/{}/oauth-clients/{}", self.ending.configuration_id, self.ending.client_id)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.days == 0
    }
}

impl SecretAlerts {
    /// Reads the warnings within the scope of an admin.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) fn read(at: &Snapshot<'_>, scope: &AccountScope, now: Millis) -> Result<Self> {
        let until = now + Millis::from(SECRET_WARNING_DAYS[0]) * DAY;
        let found = list_ending_secrets(at, scope, (now - ENDED_SINCE_MAX, until), ALERTS_MAX)?;
        Ok(Self { lines: found.into_iter().filter_map(|ending| SecretAlertLine::new(ending, now)).collect() })
    }

    /// Those of one connection. A client has at most one.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) fn of_configuration(at: &Snapshot<'_>, id: &str, scope: &AccountScope, now: Millis) -> Result<Self> {
        let endings = list_clients(at, scope, id)?.into_iter().filter_map(|found| {
            let last = found.secrets.iter().map(|secret| secret.expires_at).max()?;
            (found.client.state == OauthClientState::Active && last > now - ENDED_SINCE_MAX).then(|| EndingSecret {
                configuration_id: id.to_owned(),
                connection_name: String::new(),
                client_id: found.client.client_id,
                client_label: found.client.label,
                expires_at: last,
            })
        });
        Ok(Self { lines: endings.filter_map(|ending| SecretAlertLine::new(ending, now)).collect() })
    }

    /// Whether one is due within three days, or has ended.
    pub(crate) fn is_urgent(&self) -> bool {
        self.lines.iter().any(|line| line.days <= SECRET_WARNING_DAYS[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_says_when_the_secret_ends_and_what_happens_then() {
        let line = |expires_at| {
            let ending = EndingSecret {
                configuration_id: "c".to_owned(),
                connection_name: "Main".to_owned(),
                client_id: "rcc_1".to_owned(),
                client_label: "Entra".to_owned(),
                expires_at,
            };
            SecretAlertLine::new(ending, 0)
        };
        assert!(line(31 * DAY).is_none());
        assert!(line(12 * DAY).unwrap().sentence.contains("expires in 12 days"));
        assert!(line(-2 * DAY).unwrap().sentence.contains("expired 2 days ago"));
        let urgent = |end| SecretAlerts { lines: line(end).into_iter().collect() }.is_urgent();
        assert!(!urgent(12 * DAY) && urgent(2 * DAY) && urgent(-DAY));
    }
}
