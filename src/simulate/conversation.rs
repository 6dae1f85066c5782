//! The library of conversations, with the rules and the sources that their steps name.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::assertion::validate_assertion;
use crate::compressed_text::{CompressedText, compressed_text};

/// Value of `format` in each file.
const FORMAT: &str = "rollcall-conversation/1";
/// Longest pause before a step, in milliseconds.
const PAUSE_MAX_MS: u64 = 5_000;

/// All conversations, in the order in which they are listed and played.
const FILES: &[CompressedText] = &[
    compressed_text!("src/simulate/conversations/okta-users.json"),
    compressed_text!("src/simulate/conversations/okta-groups.json"),
    compressed_text!("src/simulate/conversations/entra-users.json"),
    compressed_text!("src/simulate/conversations/entra-groups.json"),
    compressed_text!("src/simulate/conversations/entra-validator.json"),
    compressed_text!("src/simulate/conversations/onelogin.json"),
    compressed_text!("src/simulate/conversations/jumpcloud.json"),
    compressed_text!("src/simulate/conversations/ping.json"),
    compressed_text!("src/simulate/conversations/sailpoint.json"),
    compressed_text!("src/simulate/conversations/rauthy.json"),
    compressed_text!("src/simulate/conversations/wire-tolerance.json"),
];
const RULES: CompressedText = compressed_text!("src/simulate/rules.json");
const SOURCES: CompressedText = compressed_text!("src/simulate/sources.json");

/// Keys of `expect`.
const EXPECT_KEYS: &[&str] =
    &["status", "json", "json_if_body", "list", "error", "headers", "max_ms", "body", "content_type"];

/// All conversations, rules and sources.
#[derive(Debug)]
pub struct Library {
    /// The conversations.
    pub conversations: Vec<Conversation>,
    rules: BTreeMap<String, ServerRule>,
    sources: BTreeMap<String, SourceLink>,
}

/// What a server should answer, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerRule {
    rule: String,
    reason: String,
}

/// Where a request comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceLink {
    /// How sure it is: `documented`, `recorded`, `client source`, `third party` or `inferred`.
    pub kind: String,
    /// Name of the document, or the reason of an inference.
    pub title: String,
    /// Address of the document of the provider, or of the section of the RFC.
    pub url: String,
}

/// Whether a provider needs what a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckLevel {
    /// The provider does not work without it.
    #[default]
    Required,
    /// The provider works without it.
    Recommended,
}

impl CheckLevel {
    /// Returns the name of the level.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Recommended => "recommended",
        }
    }
}

/// The credential of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StepCredential {
    /// The token, as bearer token.
    #[default]
    Bearer,
    /// No credential.
    None,
    /// A wrong bearer token.
    Bad,
    /// The token, with the scheme in lower case.
    SchemeLower,
}

/// What a step needs in addition to a token. Without it, the step is skipped, and this is not a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StepNeed {
    /// A token that was requested with the credentials of an OAuth client.
    Oauth,
    /// A token of a workload identity of Azure, which this program cannot request.
    WorkloadIdentity,
}

impl StepNeed {
    /// Why the step is skipped.
    pub(super) fn describe_skip(self) -> &'static str {
        match self {
            Self::Oauth => "skipped: needs an OAuth client: --client-id, --client-secret-file and --token-url",
            Self::WorkloadIdentity => {
                "skipped: needs a workload identity of Azure; run this test in the validator of Microsoft"
            }
        }
    }
}

/// A conversation of one provider: its steps are sent in order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    format: String,
    /// Unique name.
    pub name: String,
    /// Name of the provider on the command line.
    pub provider: String,
    /// Subject, for humans.
    pub title: String,
    /// What the conversation contains.
    pub about: String,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
    #[serde(default)]
    pub(super) vars: Map<String, Value>,
    pub(super) steps: Vec<ConversationStep>,
}

/// One request, and what its answer must be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConversationStep {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) rules: Vec<String>,
    #[serde(default)]
    pub(super) level: CheckLevel,
    /// What this step needs in addition to a token.
    pub(super) needs: Option<StepNeed>,
    /// Removes what the conversation created; left out if the resources are to stay.
    #[serde(default)]
    pub(super) cleanup: bool,
    /// Reason of this step in addition to those of its rules.
    pub(super) why: Option<String>,
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
    #[serde(default)]
    pub(super) auth: StepCredential,
    pub(super) body: Option<Value>,
    pub(super) body_raw: Option<String>,
    #[serde(default)]
    pub(super) pause_ms: u64,
    pub(super) expect: Value,
    #[serde(default)]
    pub(super) capture: BTreeMap<String, String>,
}

impl Library {
    /// Reads the conversations that are part of the program.
    ///
    /// # Errors
    /// A sentence, if one of them is malformed or damaged.
    pub fn load() -> Result<Self, String> {
        let read = |text: &CompressedText| text.read().map_err(|problem| problem.to_string());
        let conversations =
            FILES.iter().map(|text| Conversation::parse(&read(text)?)).collect::<Result<_, String>>()?;
        let rules = serde_json::from_str(&read(&RULES)?).map_err(|problem| format!("rules: {problem}"))?;
        let sources = serde_json::from_str(&read(&SOURCES)?).map_err(|problem| format!("sources: {problem}"))?;
        let library = Self { conversations, rules, sources };
        library.validate_references()?;
        Ok(library)
    }

    /// Returns the names of the providers, each once.
    pub fn providers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for conversation in &self.conversations {
            if !names.contains(&conversation.provider.as_str()) {
                names.push(&conversation.provider);
            }
        }
        names
    }

    /// Returns the conversation of that name.
    pub fn find_conversation(&self, name: &str) -> Option<&Conversation> {
        self.conversations.iter().find(|conversation| conversation.name == name)
    }

    /// What the server should answer to a step, in one paragraph.
    pub(super) fn describe_rule(&self, step: &ConversationStep) -> String {
        let rules: Vec<&str> = self.rules_of(step).map(|rule| rule.rule.as_str()).collect();
        rules.join(" ")
    }

    /// Why the provider needs that answer.
    pub(super) fn describe_reason(&self, step: &ConversationStep) -> String {
        let reasons = self.rules_of(step).map(|rule| rule.reason.as_str());
        let all: Vec<&str> = step.why.as_deref().into_iter().chain(reasons).collect();
        all.join(" ")
    }

    /// Where a step comes from.
    pub(super) fn source_of(&self, step: &ConversationStep) -> SourceLink {
        let unknown = || SourceLink { kind: "inferred".to_owned(), title: step.source.clone(), url: String::new() };
        self.sources.get(&step.source).cloned().unwrap_or_else(unknown)
    }

    fn rules_of<'l>(&'l self, step: &'l ConversationStep) -> impl Iterator<Item = &'l ServerRule> {
        step.rules.iter().filter_map(|name| self.rules.get(name))
    }

    /// Each rule and source that a step names exists, and each one is used.
    fn validate_references(&self) -> Result<(), String> {
        let (mut rules, mut sources) = (BTreeSet::new(), BTreeSet::new());
        for step in self.conversations.iter().flat_map(|conversation| &conversation.steps) {
            rules.extend(step.rules.iter().map(String::as_str));
            sources.insert(step.source.as_str());
        }
        let different = |used: BTreeSet<&str>, listed: BTreeSet<&str>| {
            used.symmetric_difference(&listed).next().map(|name| (*name).to_owned())
        };
        let rule = different(rules, self.rules.keys().map(String::as_str).collect());
        let source = different(sources, self.sources.keys().map(String::as_str).collect());
        rule.or(source).map_or(Ok(()), |name| Err(format!("{name:?} is not both listed and used")))
    }
}

impl Conversation {
    /// Reads a conversation.
    ///
    /// # Errors
    /// A sentence with the fault.
    fn parse(text: &str) -> Result<Self, String> {
        let conversation: Self = serde_json::from_str(text).map_err(|problem| problem.to_string())?;
        let failed = |problem: String| format!("conversation {:?}: {problem}", conversation.name);
        if conversation.format != FORMAT {
            return Err(failed(format!("the format is not {FORMAT}")));
        }
        let mut names = BTreeSet::new();
        for step in &conversation.steps {
            let named = |problem: String| failed(format!("step {:?}: {problem}", step.name));
            if !names.insert(step.name.as_str()) {
                return Err(named("the name exists twice".to_owned()));
            }
            step.validate().map_err(named)?;
        }
        if names.is_empty() {
            return Err(failed("there are no steps".to_owned()));
        }
        Ok(conversation)
    }

    /// Returns the names of its checks, in order.
    pub fn check_names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.name.as_str())
    }
}

impl ConversationStep {
    fn validate(&self) -> Result<(), String> {
        if !self.path.starts_with(['/', '?']) {
            return Err("the path must start with / or ?".to_owned());
        }
        if self.rules.is_empty() || self.pause_ms > PAUSE_MAX_MS {
            return Err(format!("it has no rule, or a pause above {PAUSE_MAX_MS} ms"));
        }
        let expect = self.expect.as_object().ok_or("expect is not an object")?;
        if let Some(key) = expect.keys().find(|key| !EXPECT_KEYS.contains(&key.as_str())) {
            return Err(format!("{key:?} is not a key of expect"));
        }
        for (key, position) in [("json", "at"), ("json_if_body", "at"), ("headers", "name")] {
            for assertion in expect.get(key).and_then(Value::as_array).into_iter().flatten() {
                validate_assertion(assertion, position)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_well_formed() {
        let library = Library::load().unwrap();
        assert_eq!(library.providers().len(), 8);
        for conversation in &library.conversations {
            assert!(library.find_conversation(&conversation.name).is_some());
            for step in &conversation.steps {
                assert!(library.describe_rule(step).ends_with('.'), "{}", step.name);
                assert!(library.describe_reason(step).ends_with('.'), "{}", step.name);
                let url = library.source_of(step).url;
                assert!(url.parse::<url::Url>().is_ok_and(|url| url.scheme() == "https"), "{}: {url:?}", step.name);
            }
        }
    }

    #[test]
    fn a_malformed_conversation_is_an_error_with_its_step() {
        let step = |change: &str| {
            format!(
                r#"{{"format": "{FORMAT}", "name": "n", "provider": "p", "title": "t", "about": "a", "steps":
                [{{"name": "s", "source": "x", "rules": ["r"], "method": "GET", "path": "/U", "expect": {{}}, {change}}}]}}"#
            )
        };
        assert!(Conversation::parse(&step(r#""level": "required""#)).is_ok());
        for (change, fault) in [
            (r#""colour": 1"#, "colour"),
            (r#""pause_ms": 90000"#, "pause"),
            (r#""expect": {"stat": 1}"#, "stat"),
            (r#""expect": {"json": [{"at": "x", "eq": 1}]}"#, "start with /"),
            (r#""expect": {"json": [{"at": "/x"}]}"#, "without a test"),
            (r#""expect": {"json": [{"at": "/x", "matches": "("}]}"#, "regular expression"),
            (r#""expect": {"headers": [{"at": "/x", "eq": "("}]}"#, "name"),
        ] {
            // The second value of a key replaces the first one.
            let text =
                if change.contains("expect") { step(change).replace(r#""expect": {}, "#, "") } else { step(change) };
            let problem = Conversation::parse(&text).unwrap_err();
            assert!(problem.contains(fault), "{change}: {problem}");
        }
    }
}
