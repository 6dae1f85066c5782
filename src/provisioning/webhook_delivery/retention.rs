//! Removal of expired events and attempts. Events that a webhook still waits for stay, so that no change is skipped; a webhook
//! that waits for too long is disabled.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::webhook::sent_kinds::SentKinds;
use crate::model::webhook::{Webhook, WebhookState};
use crate::provisioning::webhook_delivery::{disable_webhook, load_lane};
use crate::store::Tx;
use crate::store::tables::events::{self, OldEvent};
use crate::store::tables::{webhook_attempts, webhooks};

/// Retention of attempts.
pub const ATTEMPT_RETENTION_MS: Millis = 30 * 86_400_000;
/// Maximum number of attempts that are stored.
pub const ATTEMPTS_MAX: i64 = 100_000;
/// Time for which a webhook may keep events from expiring.
pub const BLOCKED_MAX_MS: Millis = 90 * 86_400_000;
/// Reason of a webhook that was disabled because its events could not expire.
pub const DISABLED_BLOCKED: &str = "events_not_delivered";

/// Removes at most `limit` events from before a time that no webhook waits for. Returns how many were removed.
pub fn remove_delivered_events(tx: &Tx<'_>, before: Millis, limit: u32) -> Result<usize> {
    let mut waiting: Vec<(Webhook, SentKinds)> = Vec::new();
    for webhook in webhooks::list_webhooks(tx, None)? {
        if webhook.state != WebhookState::Disabled {
            let kinds = webhook.list_sent_kinds()?;
            waiting.push((webhook, kinds));
        }
    }
    if waiting.is_empty() {
        return events::delete_events_before(tx, before, limit);
    }
    let old = events::list_old_events(tx, before, limit)?;
    let mut positions = HashMap::new();
    let mut last = None;
    for event in &old {
        if event.is_published {
            let blocking = find_blocking(tx, &waiting, &mut positions, event)?;
            for key in blocking {
                if event.created_at >= before - BLOCKED_MAX_MS {
                    return delete_until(tx, last, before, limit);
                }
                disable_webhook(tx, key, DISABLED_BLOCKED)?;
                waiting.retain(|(webhook, _)| webhook.key != key);
            }
        }
        last = Some(event.seq);
    }
    delete_until(tx, last, before, limit)
}

fn delete_until(tx: &Tx<'_>, last: Option<i64>, before: Millis, limit: u32) -> Result<usize> {
    last.map_or(Ok(0), |last| events::delete_events_until(tx, last, before, limit))
}

/// Returns the keys of the webhooks that wait for an event.
fn find_blocking(
    tx: &Tx<'_>,
    waiting: &[(Webhook, SentKinds)],
    positions: &mut HashMap<(i64, i64), i64>,
    event: &OldEvent,
) -> Result<Vec<i64>> {
    let mut blocking = Vec::new();
    for (webhook, kinds) in waiting {
        if !kinds.includes(&event.kind, event.seq) || !webhook.covers_account(event.account) {
            continue;
        }
        let key = (webhook.key, event.configuration);
        let position = if let Some(position) = positions.get(&key) {
            *position
        } else {
            let position = load_lane(tx, webhook, event.configuration)?.position;
            positions.insert(key, position);
            position
        };
        if position < event.seq {
            blocking.push(webhook.key);
        }
    }
    Ok(blocking)
}

/// Removes at most `limit` attempts that are old or too many. Returns how many were removed.
pub fn remove_old_attempts(tx: &Tx<'_>, limit: u32) -> Result<usize> {
    tx.allow_on_full_disk();
    webhook_attempts::delete_old_attempts(tx, tx.now - ATTEMPT_RETENTION_MS, ATTEMPTS_MAX, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{EventAction, EventKind};
    use crate::provisioning::webhook_delivery::tests::Fixture;

    const USER: EventKind<'static> = EventKind::Resource("User", EventAction::Updated);
    const GROUP: EventKind<'static> = EventKind::Resource("Group", EventAction::Updated);

    #[test]
    fn an_event_that_a_webhook_waits_for_does_not_expire() {
        let fixture = Fixture::new();
        // The event of the configuration itself and those of groups are not sent.
        fixture.append(GROUP);
        let first = fixture.append(USER);
        let second = fixture.append(USER);
        fixture.append(GROUP);
        assert_eq!(fixture.remove_after(1_000), 2);
        assert_eq!(fixture.remove_after(1_000), 0);
        fixture.deliver(first);
        assert_eq!(fixture.remove_after(1_000), 1);
        fixture.deliver(second);
        // The newest event always stays.
        assert_eq!(fixture.remove_after(1_000), 1);
        assert_eq!(fixture.state(), WebhookState::Active);
    }

    #[test]
    fn a_webhook_that_blocks_the_removal_for_too_long_is_disabled() {
        let fixture = Fixture::new();
        fixture.append(USER);
        fixture.append(USER);
        assert_eq!(fixture.remove_after(BLOCKED_MAX_MS + 1_000), 2);
        assert_eq!(fixture.state(), WebhookState::Disabled);
        assert_eq!(fixture.remove_after(1_000), 0);
    }
}
