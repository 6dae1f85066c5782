//! Code that verifies the requests of a webhook: small servers in four languages, with the path of the endpoint and the
//! public key filled in.

use crate::model::webhook::{SignatureKind, Webhook};
use crate::web::portal::texts;

/// Code in one language.
pub(crate) struct CodeSample {
    pub(crate) language: &'static str,
    /// Id of the element with the code.
    pub(crate) element_id: &'static str,
    pub(crate) code: String,
}

/// Language, id of the element, and code.
type SampleText = (&'static str, &'static str, &'static str);

const HMAC: [SampleText; 4] = [
    (texts::deliveries::NODE, "node", include_str!("../../../../templates/portal/samples/hmac-node.txt")),
    (texts::deliveries::PYTHON, "python", include_str!("../../../../templates/portal/samples/hmac-python.txt")),
    (texts::deliveries::GO, "go", include_str!("../../../../templates/portal/samples/hmac-go.txt")),
    (texts::deliveries::RUST, "rust", include_str!("../../../../templates/portal/samples/hmac-rust.txt")),
];

const ED25519: [SampleText; 4] = [
    (texts::deliveries::NODE, "node", include_str!("../../../../templates/portal/samples/ed25519-node.txt")),
    (texts::deliveries::PYTHON, "python", include_str!("../../../../templates/portal/samples/ed25519-python.txt")),
    (texts::deliveries::GO, "go", include_str!("../../../../templates/portal/samples/ed25519-go.txt")),
    (texts::deliveries::RUST, "rust", include_str!("../../../../templates/portal/samples/ed25519-rust.txt")),
];

/// Returns the samples for a webhook. `public_key` is that of its current key.
pub(crate) fn list_samples(webhook: &Webhook, public_key: Option<&str>) -> Vec<CodeSample> {
    // A path that was parsed has no quotation marks and no backslashes, so it is safe in a string of each language.
    let path = webhook.settings.parse_url().map_or_else(|| "/".to_owned(), |url| url.path().to_owned());
    let texts = match webhook.signature {
        SignatureKind::Hmac => HMAC,
        SignatureKind::Ed25519 => ED25519,
    };
    let fill = |(language, element_id, text): SampleText| CodeSample {
        language,
        element_id,
        code: text.trim_end().replace("{{path}}", &path).replace("{{public_key}}", public_key.unwrap_or_default()),
    };
    texts.into_iter().map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::webhook::{WebhookSettings, WebhookState};

    #[test]
    fn the_samples_have_the_path_and_the_key() {
        let webhook = |url: &str, signature| Webhook {
            key: 1,
            id: "w".to_owned(),
            account: None,
            by_account: false,
            settings: WebhookSettings::new(url.to_owned()),
            headers: Vec::new(),
            signature,
            state: WebhookState::Active,
            disabled_reason: None,
            start_seq: 0,
            backfill_until: None,
            kinds_since: std::collections::BTreeMap::new(),
            content_revision: 1,
            created_at: 0,
            updated_at: 0,
        };
        let hmac = list_samples(&webhook("https://u:p@a.example/x \"\\y?key=s", SignatureKind::Hmac), None);
        for CodeSample { language, code, .. } in &hmac {
            assert!(
                code.contains("\"/x%20%22/y\"") && !code.contains("{{") && !code.contains("key=s"),
                "{language}: {code}"
            );
        }
        let pair = list_samples(&webhook("https://a.example", SignatureKind::Ed25519), Some("whpk_abc="));
        for CodeSample { language, code, .. } in &pair {
            assert!(code.contains("\"whpk_abc=\"") && code.contains("\"/\""), "{language}: {code}");
        }
    }
}
