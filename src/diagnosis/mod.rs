//! Why a call failed: one list of rules for the page of a call, the live test and the status of a connection.

pub mod connection_status;
mod oauth_rules;
mod rules;
mod summary;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::oauth_rules::OAUTH_RULES;
pub use self::rules::{EXPLANATION_RULES, ExplanationRule, has_endpoint_twice};
pub use self::summary::{left_unchanged, summarize_call};

use crate::error::Reason;
use crate::model::request::{FailureCause, LoggedCall};
use crate::providers::IdentityProvider;
use crate::scim::dialect::NoteCode;

/// Base paths that contain no configuration id.
const BASES_WITHOUT_ID: [&str; 2] = ["/api/scim/resource/v2", "/scim/v2"];

/// Parts of paths that are token endpoints of other products. Ours is `/oauth2/token`.
const TOKEN_NAMES: [&str; 3] = ["token", "oauth", "access_token"];

/// A logged call with the parsed parts that its explanation needs.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'c> {
    /// The call.
    pub call: &'c LoggedCall,
    /// The decoded path relative to the provisioning URL: `/Users/7`.
    pub relative_path: &'c str,
    /// The decoded filter in the query.
    pub filter: Option<&'c str>,
    /// The request body, if it is JSON and was logged completely.
    pub request: Option<&'c Value>,
    /// The response body, if it is JSON and was logged completely.
    pub response: Option<&'c Value>,
    /// Display name of the resource.
    pub name: Option<&'c str>,
    /// Whether the public URL of the server is HTTPS.
    pub is_secure: bool,
}

impl CallContext<'_> {
    /// The `detail` of the error response; empty if there is none.
    fn detail(&self) -> &str {
        self.call.detail.as_deref().unwrap_or_default()
    }

    /// Whether the error response has this `scimType`.
    fn is_refused_as(&self, scim_type: &str) -> bool {
        self.call.scim_type.as_deref() == Some(scim_type)
    }

    /// Whether the token was refused for this reason.
    fn is_token_refused_as(&self, refusal: &str) -> bool {
        self.call.refusal.as_deref() == Some(refusal)
    }

    /// Whether the call failed for one of these reasons.
    fn failed_for(&self, reasons: &[Reason]) -> bool {
        self.call.reason.is_some_and(|reason| reasons.contains(&reason))
    }

    /// The same, and the reason is about this attribute or one of its sub-attributes.
    fn failed_on(&self, reasons: &[Reason], attribute: &str) -> bool {
        let field = self.call.reason_field.as_deref().unwrap_or_default();
        let is_about_it = field.strip_prefix(attribute).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.failed_for(reasons) && is_about_it
    }

    /// Whether the path is that of the token endpoint or of the revocation endpoint.
    fn is_token_path(&self) -> bool {
        let path = self.relative_path.trim_end_matches('/');
        path.ends_with("/oauth2/token") || path.ends_with("/oauth2/revoke")
    }

    /// Whether the path looks like the token endpoint of another product, and is not ours.
    fn is_wrong_token_path(&self) -> bool {
        let path = self.relative_path.to_ascii_lowercase();
        let mut segments = path.split('/').filter(|part| !part.is_empty());
        !self.is_token_path() && segments.any(|part| TOKEN_NAMES.contains(&part) || part.starts_with("oauth2"))
    }

    /// Whether the log entry has this note.
    fn has_note(&self, code: NoteCode) -> bool {
        self.call.notes.iter().any(|note| note.split(' ').next() == Some(code.as_str()))
    }
}

/// The explanation of a call by one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Id of the rule.
    pub id: &'static str,
    /// What the identity provider did, as a sentence.
    pub what: &'static str,
    /// How to fix it.
    pub advice: &'static str,
    /// Where to fix it at the provider of the configuration; empty if unknown.
    pub location: &'static str,
}

/// Returns the explanations of a call in the order of the rules. Empty if the call succeeded, or if no rule adds
/// anything to the error response.
pub fn explain_call(facts: &CallContext<'_>, provider: &IdentityProvider) -> Vec<Explanation> {
    let matching = list_rules().filter(|rule| (rule.applies)(facts));
    let to_explanation = |rule: &ExplanationRule| Explanation {
        id: rule.id,
        what: rule.what,
        advice: rule.advice,
        location: provider.locations.describe(rule.location),
    };
    matching.map(to_explanation).collect()
}

/// Returns why calls fail with this cause, as the end of a sentence. `None` if no rule explains it.
pub fn describe_cause(cause: FailureCause) -> Option<&'static str> {
    let mut call = LoggedCall { failed: true, ..LoggedCall::default() };
    match cause {
        FailureCause::Token(refusal) => (call.status, call.refusal) = (401, Some(refusal.to_string())),
        FailureCause::Reason(reason) => (call.status, call.reason) = (reason.kind().status(), Some(reason)),
    }
    describe_rejection(&call)
}

/// Returns why a call failed, as the end of a sentence, from its reason alone. `None` if no rule explains it.
pub fn describe_rejection(call: &LoggedCall) -> Option<&'static str> {
    let facts = CallContext {
        call,
        relative_path: "",
        filter: None,
        request: None,
        response: None,
        name: None,
        is_secure: false,
    };
    find_rule(&facts).map(|rule| rule.refusal_reason)
}

/// All rules, in the order in which they are reported.
fn list_rules() -> impl Iterator<Item = &'static ExplanationRule> {
    OAUTH_RULES.iter().chain(EXPLANATION_RULES)
}

/// The path of a call relative to the provisioning URL.
pub fn relative_path<'p>(path: &'p str, configuration_id: &str) -> &'p str {
    if let Some((_, below)) = path.split_once(configuration_id) {
        return below;
    }
    BASES_WITHOUT_ID.iter().find_map(|base| path.strip_prefix(base)).unwrap_or(path)
}

/// Returns the first rule that explains why the call was refused.
pub fn find_rule(facts: &CallContext<'_>) -> Option<&'static ExplanationRule> {
    list_rules().find(|rule| !rule.refusal_reason.is_empty() && (rule.applies)(facts))
}
