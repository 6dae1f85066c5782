//! Keys and headers of webhooks, encrypted for the database, and the check of the address. For the edges that create webhooks.

use crate::auth::jwt::SigningKey;
use crate::auth::secret;
use crate::auth::secret::webhook_key::WebhookSecret;
use crate::clock::{self, Millis};
use crate::delivery::{HEADER_PURPOSE, KEY_PURPOSE};
use crate::error::{Error, Reason, Result};
use crate::model::webhook::headers::{SealedHeader, VALUE_MAX_BYTES, check_headers};
use crate::model::webhook::{OVERLAP_MAX_MS, SignatureKind, WebhookKey, WebhookSettings};
use crate::outgoing::OutgoingRules;

/// Stands for the value of a header in responses.
const MASKED_VALUE: &str = "***";

/// A new key of a webhook.
#[derive(Debug, Clone)]
pub struct NewWebhookKey {
    /// The key to store.
    pub key: WebhookKey,
    /// The secret, `whsec_…`, to be shown once. `None` for an asymmetric key, whose public key is in `key`.
    pub secret: Option<String>,
}

/// Generates a key for the webhook with this id.
///
/// # Errors
/// `RandomnessUnavailable`.
pub fn create_key(signing_key: &SigningKey, webhook: &str, kind: SignatureKind) -> Result<NewWebhookKey> {
    let random = |_| Error::new(Reason::RandomnessUnavailable);
    let secret = match kind {
        SignatureKind::Hmac => WebhookSecret::generate_hmac(),
        SignatureKind::Ed25519 => WebhookSecret::generate_ed25519(),
    };
    let secret = secret.map_err(random)?;
    let nonce = secret::random_bytes().map_err(random)?;
    let sealed = signing_key.sealer(KEY_PURPOSE, webhook).seal(&nonce, secret.to_bytes());
    let key = WebhookKey {
        id: clock::new_id(),
        sealed: sealed.ok_or(Reason::ResponseNotEncrypted)?,
        public: secret.public_key(),
        created_at: clock::current_millis(),
        expires_at: None,
    };
    Ok(NewWebhookKey { key, secret: secret.reveal() })
}

/// Checks headers and encrypts their values for the webhook with this id.
///
/// # Errors
/// `Invalid` names the header. `RandomnessUnavailable`.
pub fn seal_headers(
    signing_key: &SigningKey,
    webhook: &str,
    headers: &[(String, String)],
) -> Result<Vec<SealedHeader>> {
    let seal = |(name, value): (String, String)| {
        // A masked value of a response is no value.
        if value == MASKED_VALUE {
            return Err(Reason::WebhookHeaderValue.with("name", name).with("max", VALUE_MAX_BYTES));
        }
        let nonce = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
        let sealed = signing_key.sealer(HEADER_PURPOSE, webhook).seal(&nonce, value.into_bytes());
        Ok(SealedHeader { name, sealed: sealed.ok_or(Reason::ResponseNotEncrypted)? })
    };
    check_headers(headers)?.into_iter().map(seal).collect()
}

/// Checks the settings of a webhook, and whether its URL may be called. A name is checked again when it is resolved.
///
/// # Errors
/// `Invalid` names the field, and for an address the setting that allows it.
pub fn check_settings(rules: &OutgoingRules, settings: &WebhookSettings) -> Result<()> {
    settings.check()?;
    let Some(url) = settings.parse_url() else { return Ok(()) };
    rules.check_url(&url).map_err(|refused| Reason::WebhookUrlRefused.with("problem", refused))
}

/// Reads the time for which an earlier key stays valid: a number with the unit `d`, `h`, `m` or `s`, or `0`.
///
/// # Errors
/// `Invalid` if it has another form or is longer than 7 days.
pub fn parse_overlap(text: &str) -> Result<Millis> {
    let invalid = || Error::new(Reason::WebhookOverlapInvalid);
    if text == "0" {
        return Ok(0);
    }
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(invalid()),
    };
    let digits = &text[..text.len() - 1];
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Millis = digits.parse().ok().filter(|_| is_number).ok_or_else(invalid)?;
    let overlap = number.checked_mul(seconds * 1_000).ok_or_else(invalid)?;
    if overlap > OVERLAP_MAX_MS { Err(invalid()) } else { Ok(overlap) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_a_number_with_a_unit() {
        for (text, overlap) in
            [("0", 0), ("24h", 86_400_000), ("30m", 1_800_000), ("7d", OVERLAP_MAX_MS), ("1s", 1_000)]
        {
            assert_eq!(parse_overlap(text).ok(), Some(overlap), "{text}");
        }
        for text in ["", "h", "24", "-1h", "+1h", "8d", "1w", "1.5h", "99999999999999999999d", "1ü"] {
            assert_eq!(parse_overlap(text).unwrap_err().reason(), Reason::WebhookOverlapInvalid, "{text}");
        }
    }

    #[test]
    fn keys_and_headers_are_encrypted_for_one_webhook() {
        let folder = tempfile::tempdir().unwrap();
        let signing_key = SigningKey::open(folder.path()).unwrap();
        let new = create_key(&signing_key, "w1", SignatureKind::Hmac).unwrap();
        assert!(new.secret.unwrap().starts_with("whsec_"));
        assert!(signing_key.sealer(KEY_PURPOSE, "w1").open(&new.key.sealed).is_some());
        assert!(signing_key.sealer(KEY_PURPOSE, "w2").open(&new.key.sealed).is_none());
        let pair = create_key(&signing_key, "w1", SignatureKind::Ed25519).unwrap();
        assert!(pair.secret.is_none() && pair.key.public.unwrap().starts_with("whpk_"));
        let headers = seal_headers(&signing_key, "w1", &[("X-Key".to_owned(), "s3cret".to_owned())]).unwrap();
        assert_eq!(headers[0].name, "x-key");
        assert!(!headers[0].sealed.windows(6).any(|part| part == b"s3cret"));
    }
}
