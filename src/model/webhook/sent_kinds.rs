//! The kinds of events that a webhook sends. A kind that was added later is sent from that change on, so that a wider selection
//! does not send what happened before it.

use std::collections::BTreeMap;

use crate::model::event::PUBLISHED_KINDS;

/// Kinds that were added to a webhook after its creation, each with the number after which its events are sent.
pub type KindsSince = BTreeMap<String, i64>;

/// The kinds of events that a webhook sends, each with the number after which its events are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentKinds(Option<BTreeMap<&'static str, i64>>);

impl SentKinds {
    /// The selected kinds, or all, of which some were added later.
    pub fn new(selected: Option<Vec<&'static str>>, since: &KindsSince) -> Self {
        if selected.is_none() && since.is_empty() {
            return Self(None);
        }
        let selected = selected.unwrap_or_else(|| PUBLISHED_KINDS.to_vec());
        Self(Some(selected.into_iter().map(|kind| (kind, since.get(kind).copied().unwrap_or(0))).collect()))
    }

    /// Whether all events are sent.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the event of a kind with this number is sent.
    pub fn includes(&self, kind: &str, seq: i64) -> bool {
        self.0.as_ref().is_none_or(|kinds| kinds.get(kind).is_some_and(|since| seq > *since))
    }

    /// A JSON object of kinds and numbers for a query. `None`: all events.
    pub fn to_json(&self) -> Option<String> {
        self.0.as_ref().map(|kinds| serde_json::json!(kinds).to_string())
    }

    /// Which of `selected` are sent only after `newest`, because these kinds do not include them. Numbers that are not greater
    /// than `oldest` have no effect any more.
    pub fn find_added(&self, selected: Option<&[&'static str]>, (oldest, newest): (i64, i64)) -> KindsSince {
        let Some(kinds) = &self.0 else { return KindsSince::new() };
        let selected = selected.unwrap_or(&PUBLISHED_KINDS);
        let since = |kind: &&str| (String::from(*kind), kinds.get(kind).copied().unwrap_or(newest));
        selected.iter().map(since).filter(|(_, since)| *since > oldest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_added_is_sent_from_then_on() {
        let first = SentKinds::new(Some(vec!["user.created"]), &KindsSince::new());
        assert!(first.includes("user.created", 1) && !first.includes("group.created", 9) && !first.is_all());
        let since = first.find_added(Some(&["user.created", "group.created"]), (0, 7));
        assert_eq!(since, KindsSince::from([("group.created".to_owned(), 7)]));
        let second = SentKinds::new(Some(vec!["user.created", "group.created"]), &since);
        assert_eq!(second.to_json().as_deref(), Some(r#"{"group.created":7,"user.created":0}"#));
        assert!(second.includes("user.created", 1));
        assert_eq!((second.includes("group.created", 7), second.includes("group.created", 8)), (false, true));
        // All kinds: those of before as before, the others from then on.
        let since = second.find_added(None, (0, 20));
        let all = SentKinds::new(None, &since);
        assert!(
            all.includes("group.created", 8) && !all.includes("user.deleted", 20) && all.includes("user.deleted", 21)
        );
        // Once the earlier events have expired, it is the same as all events.
        assert!(SentKinds::new(None, &all.find_added(None, (20, 30))).is_all());
        assert!(SentKinds::new(None, &KindsSince::new()).find_added(Some(&["user.created"]), (0, 9)).is_empty());
    }
}
