//! Logged calls in plain words: what each did, and where it went wrong, what to do about it and where at the identity
//! provider.

mod places;
mod rules;
mod sentence;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::places::Place;
pub use self::rules::{RULES, Rule};
pub use self::sentence::sentence;

use super::provider::Provider;
use super::request::LoggedCall;

/// A logged call, taken apart as far as its explanation needs it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'c> {
    /// The call.
    pub call: &'c LoggedCall,
    /// The path below the provisioning URL, decoded: `/Users/7`.
    pub below: &'c str,
    /// The filter in the query, decoded.
    pub filter: Option<&'c str>,
    /// What was sent, where it is JSON and was kept whole.
    pub request: Option<&'c Value>,
    /// What was answered, where it is JSON and was kept whole.
    pub response: Option<&'c Value>,
    /// What people call the resource that it was about.
    pub name: Option<&'c str>,
    /// Whether the server is reached by HTTPS.
    pub is_secure: bool,
}

impl Facts<'_> {
    /// The sentence of the refusal; empty where there is none.
    fn detail(&self) -> &str {
        self.call.detail.as_deref().unwrap_or_default()
    }

    /// Whether the refusal has that word of the protocol.
    fn is_refused_as(&self, scim_type: &str) -> bool {
        self.call.scim_type.as_deref() == Some(scim_type)
    }

    /// Whether the token was refused for that reason.
    fn token_was(&self, refusal: &str) -> bool {
        self.call.refusal.as_deref() == Some(refusal)
    }

    /// Whether a note ends like this.
    fn notes(&self, end: &str) -> bool {
        self.call.notes.iter().any(|note| note.ends_with(end))
    }
}

/// What a rule says about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Its word.
    pub id: &'static str,
    /// What the identity provider did, in a sentence.
    pub what: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// Where to do it, at the provider of the configuration; empty where it cannot be said.
    pub place: &'static str,
}

/// What the rules say about a call, in their order. Nothing where all is as it should be, or no rule knows better than the
/// refusal itself.
pub fn explain(facts: &Facts<'_>, provider: &Provider) -> Vec<Explanation> {
    let speaking = RULES.iter().filter(|rule| (rule.applies)(facts));
    let said = |rule: &Rule| Explanation {
        id: rule.id,
        what: rule.what,
        advice: rule.advice,
        place: places::at(provider.key, rule.place),
    };
    speaking.map(said).collect()
}

/// The rule that says why a call was refused.
fn reason(facts: &Facts<'_>) -> Option<&'static Rule> {
    RULES.iter().find(|rule| !rule.short.is_empty() && (rule.applies)(facts))
}
