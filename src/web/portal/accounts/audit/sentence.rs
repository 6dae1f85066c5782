//! An entry of the audit log as a sentence: what the actor did, and to what.

use serde_json::Value;

use crate::management::audit::{AuditEntry, AuditNames};

/// Actions, with the words after the name of the actor, and what follows them.
const PHRASES: &[(&str, &str, SentenceEnd)] = &[
    ("account.created", "created the customer", SentenceEnd::Account),
    ("account.deleted", "deleted the customer", SentenceEnd::Account),
    ("account.quotas_changed", "changed the limits of the customer", SentenceEnd::Account),
    ("account.updated", "renamed the customer", SentenceEnd::Account),
    ("admin.codes_blocked", "entered too many wrong one-time codes for", SentenceEnd::Object),
    ("admin.created", "created the account of", SentenceEnd::Object),
    ("admin.invite_accepted", "accepted an invitation", SentenceEnd::Nothing),
    ("admin.invite_revoked", "revoked the invitation of", SentenceEnd::Object),
    ("admin.invited", "invited", SentenceEnd::Object),
    ("admin.linked", "linked a single sign-on identity", SentenceEnd::Nothing),
    ("admin.password_changed", "changed a password", SentenceEnd::Nothing),
    ("admin.unlinked", "unlinked a single sign-on identity", SentenceEnd::Nothing),
    ("admin.updated", "changed the account of", SentenceEnd::Object),
    ("api_key.created", "created the API key", SentenceEnd::Object),
    ("api_key.revoked", "revoked the API key", SentenceEnd::Object),
    ("backup.created", "created a backup", SentenceEnd::Nothing),
    ("backup.downloaded", "downloaded a backup", SentenceEnd::Nothing),
    ("backup.verified", "verified a backup", SentenceEnd::Nothing),
    ("branding.updated", "changed the branding", SentenceEnd::Nothing),
    ("clock.accepted", "accepted the time of the machine", SentenceEnd::Nothing),
    ("configuration.created", "created", SentenceEnd::Connection),
    ("configuration.deleted", "deleted", SentenceEnd::Connection),
    ("configuration.exported", "exported the data of", SentenceEnd::Connection),
    ("configuration.held", "held the changes of", SentenceEnd::Connection),
    ("configuration.hold_decided", "decided on the hold of", SentenceEnd::Connection),
    ("configuration.quotas_changed", "changed the limits of", SentenceEnd::Connection),
    ("configuration.tested", "sent a test event of", SentenceEnd::Connection),
    ("configuration.undone", "undid changes of", SentenceEnd::Connection),
    ("configuration.updated", "changed", SentenceEnd::Connection),
    ("link.created", "created a setup link of", SentenceEnd::Connection),
    ("link.ended", "finished the setup of", SentenceEnd::Connection),
    ("link.opened", "was opened for", SentenceEnd::Connection),
    ("link.revoked", "revoked a setup link of", SentenceEnd::Connection),
    ("oauth_client.created", "added an OAuth client to", SentenceEnd::Connection),
    ("oauth_client.deleted", "deleted an OAuth client of", SentenceEnd::Connection),
    ("oauth_client.tokens_revoked", "revoked access tokens of an OAuth client of", SentenceEnd::Connection),
    ("oauth_client.updated", "changed an OAuth client of", SentenceEnd::Connection),
    ("oauth_secret.created", "added a client secret to", SentenceEnd::Connection),
    ("oauth_secret.deleted", "deleted a client secret of", SentenceEnd::Connection),
    ("personal_data.completed", "completed a request about personal data", SentenceEnd::Nothing),
    ("personal_data.downloaded", "downloaded personal data", SentenceEnd::Nothing),
    ("personal_data.requested", "requested an export or erasure of personal data", SentenceEnd::Nothing),
    ("requests.emptied", "emptied the request log of", SentenceEnd::Connection),
    ("requests.replayed", "sent a request again for", SentenceEnd::Connection),
    ("resource.restored", "restored a user or group of", SentenceEnd::Connection),
    ("role.created", "created the role", SentenceEnd::Object),
    ("role.removed", "deleted the role", SentenceEnd::Object),
    ("role.updated", "changed the role", SentenceEnd::Object),
    ("schema.added", "added a schema to", SentenceEnd::Connection),
    ("schema.extended", "declared attributes of", SentenceEnd::Connection),
    ("schema.removed", "removed a schema of", SentenceEnd::Connection),
    ("session.ended", "signed out", SentenceEnd::Nothing),
    ("settings.updated", "changed the settings", SentenceEnd::Nothing),
    ("sign_in.failed", "failed to sign in", SentenceEnd::Nothing),
    ("sign_in.succeeded", "signed in", SentenceEnd::Nothing),
    ("sso.refused", "was rejected at single sign-on", SentenceEnd::Nothing),
    ("sso.removed", "removed single sign-on", SentenceEnd::Nothing),
    ("sso.updated", "changed single sign-on", SentenceEnd::Nothing),
    ("token.created", "created a token of", SentenceEnd::Connection),
    ("token.revoked", "revoked a token of", SentenceEnd::Connection),
    ("token.updated", "changed a token of", SentenceEnd::Connection),
    ("users.exported", "exported the users of all connections", SentenceEnd::Nothing),
    ("webhook.created", "created the webhook", SentenceEnd::Object),
    ("webhook.deleted", "deleted the webhook", SentenceEnd::Object),
    ("webhook.disabled", "paused the webhook", SentenceEnd::Object),
    ("webhook.key_deleted", "removed a signing key of the webhook", SentenceEnd::Object),
    ("webhook.key_rotated", "rotated the signing key of the webhook", SentenceEnd::Object),
    ("webhook.lane_resumed", "resumed deliveries of the webhook", SentenceEnd::Object),
];

/// What the phrase of an action ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SentenceEnd {
    Connection,
    Account,
    /// The name or address in the values of the entry.
    Object,
    Nothing,
}

/// The parts of a sentence after the actor. Each part is text of its own, because names come from outside.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AuditSentence {
    pub(super) phrase: String,
    /// Whether the connection of the entry follows.
    pub(super) names_connection: bool,
    /// The name of the changed object.
    pub(super) object: Option<String>,
}

impl AuditSentence {
    /// The sentence of an entry. The action itself is shown if it has no phrase.
    pub(super) fn from_entry(entry: &AuditEntry, names: &AuditNames) -> Self {
        let known = PHRASES.iter().find(|(action, ..)| *action == entry.action);
        let Some((_, phrase, target)) = known else {
            let phrase = format!("{}:", entry.action.replace(['.', '_'], " "));
            let object = find_object_name(entry);
            let phrase = if object.is_none() { phrase.trim_end_matches(':').to_owned() } else { phrase };
            return Self { phrase, names_connection: false, object };
        };
        let phrase = if is_rotation(entry) { "rotated the token of" } else { *phrase };
        let mut sentence = Self { phrase: phrase.to_owned(), ..Self::default() };
        match target {
            SentenceEnd::Connection => sentence.names_connection = true,
            SentenceEnd::Account => {
                sentence.object = entry.account.as_ref().map(|account| names.accounts.find(account).to_owned());
            }
            SentenceEnd::Object => sentence.object = find_object_name(entry),
            SentenceEnd::Nothing => {}
        }
        let needs_object = matches!(target, SentenceEnd::Account | SentenceEnd::Object);
        if needs_object && sentence.object.is_none() {
            sentence.object.clone_from(&entry.subject_id);
        }
        sentence
    }
}

/// Whether a new token replaces an earlier one.
fn is_rotation(entry: &AuditEntry) -> bool {
    let Some(after) = entry.after.as_ref().filter(|_| entry.action == "token.created") else { return false };
    after["revokedTokens"].as_u64().is_some_and(|count| count > 0) || after["othersEndAfterMs"].is_number()
}

/// A name or address in the values of an entry.
fn find_object_name(entry: &AuditEntry) -> Option<String> {
    let find = |value: &Value| {
        let texts = ["email", "name", "label", "url"].into_iter().filter_map(|key| value[key].as_str());
        texts.map(str::to_owned).find(|text| !text.is_empty())
    };
    entry.after.iter().chain(&entry.before).find_map(find)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::account::AccountRef;

    fn entry(action: &str, after: Value) -> AuditEntry {
        AuditEntry {
            number: 1,
            at: 0,
            actor: ["admin".to_owned(), "a".to_owned(), "mara@x.example".to_owned()],
            address: None,
            request_id: None,
            account: Some(AccountRef { key: 1, id: "acme".to_owned() }),
            configuration_id: Some("c".to_owned()),
            action: action.to_owned(),
            subject_id: Some("s".to_owned()),
            before: None,
            after: Some(after),
        }
    }

    fn sentence(action: &str, after: Value) -> (String, bool, Option<String>) {
        let AuditSentence { phrase, names_connection, object } =
            AuditSentence::from_entry(&entry(action, after), &AuditNames::default());
        (phrase, names_connection, object)
    }

    #[test]
    fn an_entry_is_a_sentence_with_its_connection_or_object() {
        let rotated = json!({"token": {"label": "x"}, "revokedTokens": 1, "othersEndAfterMs": null});
        assert_eq!(sentence("token.created", rotated), ("rotated the token of".to_owned(), true, None));
        let first = json!({"token": {"label": "x"}, "revokedTokens": 0, "othersEndAfterMs": null});
        assert_eq!(sentence("token.created", first), ("created a token of".to_owned(), true, None));
        let invited = json!({"email": "b@x.example", "role": "viewer"});
        assert_eq!(sentence("admin.invited", invited), ("invited".to_owned(), false, Some("b@x.example".to_owned())));
        let renamed = sentence("account.updated", json!({"name": "Acme"}));
        assert_eq!(renamed, ("renamed the customer".to_owned(), false, Some("acme".to_owned())));
        assert_eq!(sentence("api_key.created", json!({})).2.as_deref(), Some("s"));
    }

    #[test]
    fn an_action_without_a_phrase_appears_as_it_is() {
        assert_eq!(sentence("webhook.lane_stopped", json!({})), ("webhook lane stopped".to_owned(), false, None));
        let named = sentence("webhook.lane_stopped", json!({"url": "https://x"}));
        assert_eq!(named, ("webhook lane stopped:".to_owned(), false, Some("https://x".to_owned())));
    }

    #[test]
    fn the_phrases_are_sorted_and_unique() {
        assert!(PHRASES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
