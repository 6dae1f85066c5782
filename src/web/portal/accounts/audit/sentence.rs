//! An entry of the audit log as a sentence: what the actor did, and to what.

use serde_json::Value;

use crate::management::audit::{AuditEntry, AuditNames};
use crate::model::setup_link::LinkPurpose;
use crate::web::portal::texts;

/// Actions, with the words after the name of the actor, and what follows them.
const PHRASES: &[(&str, &str, SentenceEnd)] = &[
    ("account.created", texts::audit::ACCOUNT_CREATED, SentenceEnd::Account),
    ("account.deleted", texts::audit::ACCOUNT_DELETED, SentenceEnd::Account),
    ("account.exported", texts::audit::ACCOUNT_EXPORTED, SentenceEnd::Account),
    ("account.frozen", texts::audit::ACCOUNT_FROZEN, SentenceEnd::Account),
    ("account.imported", texts::audit::ACCOUNT_IMPORTED, SentenceEnd::Account),
    ("account.moved", texts::audit::ACCOUNT_MOVED, SentenceEnd::Account),
    ("account.quotas_changed", texts::audit::ACCOUNT_QUOTAS_CHANGED, SentenceEnd::Account),
    ("account.unfrozen", texts::audit::ACCOUNT_UNFROZEN, SentenceEnd::Account),
    ("account.updated", texts::audit::ACCOUNT_UPDATED, SentenceEnd::Account),
    ("admin.codes_blocked", texts::audit::ADMIN_CODES_BLOCKED, SentenceEnd::Object),
    ("admin.created", texts::audit::ADMIN_CREATED, SentenceEnd::Object),
    ("admin.invite_accepted", texts::audit::ADMIN_INVITE_ACCEPTED, SentenceEnd::Nothing),
    ("admin.invite_revoked", texts::audit::ADMIN_INVITE_REVOKED, SentenceEnd::Object),
    ("admin.invited", texts::audit::ADMIN_INVITED, SentenceEnd::Object),
    ("admin.linked", texts::audit::ADMIN_LINKED, SentenceEnd::Nothing),
    ("admin.password_changed", texts::audit::ADMIN_PASSWORD_CHANGED, SentenceEnd::Nothing),
    ("admin.unlinked", texts::audit::ADMIN_UNLINKED, SentenceEnd::Nothing),
    ("admin.updated", texts::audit::ADMIN_UPDATED, SentenceEnd::Object),
    ("api_key.created", texts::audit::API_KEY_CREATED, SentenceEnd::Object),
    ("api_key.revoked", texts::audit::API_KEY_REVOKED, SentenceEnd::Object),
    ("backup.created", texts::audit::BACKUP_CREATED, SentenceEnd::Nothing),
    ("backup.downloaded", texts::audit::BACKUP_DOWNLOADED, SentenceEnd::Nothing),
    ("backup.verified", texts::audit::BACKUP_VERIFIED, SentenceEnd::Nothing),
    ("branding.updated", texts::audit::BRANDING_UPDATED, SentenceEnd::Nothing),
    ("clock.accepted", texts::audit::CLOCK_ACCEPTED, SentenceEnd::Nothing),
    ("configuration.created", texts::audit::CONFIGURATION_CREATED, SentenceEnd::Connection),
    ("configuration.deleted", texts::audit::CONFIGURATION_DELETED, SentenceEnd::Connection),
    ("configuration.exported", texts::audit::CONFIGURATION_EXPORTED, SentenceEnd::Connection),
    ("configuration.held", texts::audit::CONFIGURATION_HELD, SentenceEnd::Connection),
    ("configuration.hold_decided", texts::audit::CONFIGURATION_HOLD_DECIDED, SentenceEnd::Connection),
    ("configuration.quotas_changed", texts::audit::CONFIGURATION_QUOTAS_CHANGED, SentenceEnd::Connection),
    ("configuration.tested", texts::audit::CONFIGURATION_TESTED, SentenceEnd::Connection),
    ("configuration.undone", texts::audit::CONFIGURATION_UNDONE, SentenceEnd::Connection),
    ("configuration.updated", texts::audit::CONFIGURATION_UPDATED, SentenceEnd::Connection),
    ("link.created", texts::audit::LINK_CREATED, SentenceEnd::Connection),
    ("link.ended", texts::audit::LINK_ENDED, SentenceEnd::Connection),
    ("link.opened", texts::audit::LINK_OPENED, SentenceEnd::Connection),
    ("link.revoked", texts::audit::LINK_REVOKED, SentenceEnd::Connection),
    ("oauth_client.created", texts::audit::OAUTH_CLIENT_CREATED, SentenceEnd::Connection),
    ("oauth_client.deleted", texts::audit::OAUTH_CLIENT_DELETED, SentenceEnd::Connection),
    ("oauth_client.tokens_revoked", texts::audit::OAUTH_CLIENT_TOKENS_REVOKED, SentenceEnd::Connection),
    ("oauth_client.updated", texts::audit::OAUTH_CLIENT_UPDATED, SentenceEnd::Connection),
    ("oauth_secret.created", texts::audit::OAUTH_SECRET_CREATED, SentenceEnd::Connection),
    ("oauth_secret.deleted", texts::audit::OAUTH_SECRET_DELETED, SentenceEnd::Connection),
    ("personal_data.completed", texts::audit::PERSONAL_DATA_COMPLETED, SentenceEnd::Nothing),
    ("personal_data.downloaded", texts::audit::PERSONAL_DATA_DOWNLOADED, SentenceEnd::Nothing),
    ("personal_data.requested", texts::audit::PERSONAL_DATA_REQUESTED, SentenceEnd::Nothing),
    ("requests.emptied", texts::audit::REQUESTS_EMPTIED, SentenceEnd::Connection),
    ("requests.replayed", texts::audit::REQUESTS_REPLAYED, SentenceEnd::Connection),
    ("resource.restored", texts::audit::RESOURCE_RESTORED, SentenceEnd::Connection),
    ("role.created", texts::audit::ROLE_CREATED, SentenceEnd::Object),
    ("role.removed", texts::audit::ROLE_REMOVED, SentenceEnd::Object),
    ("role.updated", texts::audit::ROLE_UPDATED, SentenceEnd::Object),
    ("schema.added", texts::audit::SCHEMA_ADDED, SentenceEnd::Connection),
    ("schema.extended", texts::audit::SCHEMA_EXTENDED, SentenceEnd::Connection),
    ("schema.removed", texts::audit::SCHEMA_REMOVED, SentenceEnd::Connection),
    ("session.ended", texts::audit::SESSION_ENDED, SentenceEnd::Nothing),
    ("settings.updated", texts::audit::SETTINGS_UPDATED, SentenceEnd::Nothing),
    ("sign_in.failed", texts::audit::SIGN_IN_FAILED, SentenceEnd::Nothing),
    ("sign_in.succeeded", texts::audit::SIGN_IN_SUCCEEDED, SentenceEnd::Nothing),
    ("sso.refused", texts::audit::SSO_REFUSED, SentenceEnd::Nothing),
    ("sso.removed", texts::audit::SSO_REMOVED, SentenceEnd::Nothing),
    ("sso.updated", texts::audit::SSO_UPDATED, SentenceEnd::Nothing),
    ("token.created", texts::audit::TOKEN_CREATED, SentenceEnd::Connection),
    ("token.revoked", texts::audit::TOKEN_REVOKED, SentenceEnd::Connection),
    ("token.updated", texts::audit::TOKEN_UPDATED, SentenceEnd::Connection),
    ("users.exported", texts::audit::USERS_EXPORTED, SentenceEnd::Nothing),
    ("webhook.created", texts::audit::WEBHOOK_CREATED, SentenceEnd::Object),
    ("webhook.deleted", texts::audit::WEBHOOK_DELETED, SentenceEnd::Object),
    ("webhook.disabled", texts::audit::WEBHOOK_DISABLED, SentenceEnd::Object),
    ("webhook.events_expired", texts::audit::WEBHOOK_EVENTS_EXPIRED, SentenceEnd::Object),
    ("webhook.key_deleted", texts::audit::WEBHOOK_KEY_DELETED, SentenceEnd::Object),
    ("webhook.key_rotated", texts::audit::WEBHOOK_KEY_ROTATED, SentenceEnd::Object),
    ("webhook.lane_resumed", texts::audit::WEBHOOK_LANE_RESUMED, SentenceEnd::Object),
    ("webhook.paused", texts::audit::WEBHOOK_PAUSED, SentenceEnd::Object),
    ("webhook.resent", texts::audit::WEBHOOK_RESENT, SentenceEnd::Object),
    ("webhook.resumed", texts::audit::WEBHOOK_RESUMED, SentenceEnd::Object),
    ("webhook.tested", texts::audit::WEBHOOK_TESTED, SentenceEnd::Object),
    ("webhook.updated", texts::audit::WEBHOOK_UPDATED, SentenceEnd::Object),
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
        let phrase = find_rotation_phrase(entry).unwrap_or(phrase);
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

/// The phrase of an entry about the rotation of a token or a client secret, whose action has another phrase.
fn find_rotation_phrase(entry: &AuditEntry) -> Option<&'static str> {
    if is_rotation(entry) {
        return Some(texts::audit::TOKEN_ROTATED);
    }
    let link = entry.after.as_ref().or(entry.before.as_ref())?;
    if link["purpose"].as_str() != Some(LinkPurpose::ReplaceToken.as_str()) {
        return None;
    }
    match (entry.action.as_str(), link["clientId"].is_string()) {
        ("link.created", false) => Some(texts::audit::TOKEN_LINK_CREATED),
        ("link.created", true) => Some(texts::audit::SECRET_LINK_CREATED),
        ("link.ended", false) => Some(texts::audit::TOKEN_LINK_ENDED),
        ("link.ended", true) => Some(texts::audit::SECRET_LINK_ENDED),
        ("link.revoked", false) => Some(texts::audit::TOKEN_LINK_REVOKED),
        ("link.revoked", true) => Some(texts::audit::SECRET_LINK_REVOKED),
        _ => None,
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
        assert_eq!(sentence("token.created", rotated), (texts::audit::TOKEN_ROTATED.to_owned(), true, None));
        let first = json!({"token": {"label": "x"}, "revokedTokens": 0, "othersEndAfterMs": null});
        assert_eq!(sentence("token.created", first), ("created a token of".to_owned(), true, None));
        for (action, client, phrase) in [
            ("link.ended", json!(null), "finished the token rotation of"),
            ("link.ended", json!("rcc_1"), "finished the client secret rotation of"),
            ("link.created", json!(null), "created a link to replace the token of"),
            ("link.revoked", json!("rcc_1"), "revoked a link to replace a client secret of"),
            ("link.opened", json!(null), "was opened for"),
        ] {
            let link = json!({"note": "", "purpose": "replace-token", "clientId": client});
            assert_eq!(sentence(action, link), (phrase.to_owned(), true, None), "{action}");
        }
        let setup = json!({"note": "", "purpose": "setup", "clientId": null});
        assert_eq!(sentence("link.ended", setup).0, "finished the setup of");
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
