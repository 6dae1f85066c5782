//! The setup steps in the admin console of a provider, and how this server recognizes that a step has worked.

use super::IdentityProvider;
use super::credentials::{CredentialAdvice, CredentialMethod};
use crate::model::oauth::ClientAuthentication;

/// What this server sees when a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupEffect {
    /// A request arrived.
    Reached,
    /// An OAuth client got an access token.
    TokenFetched,
    /// A request had a valid token.
    Authenticated,
    /// A connection test or a look-up was answered.
    Tested,
    /// The first user is here.
    UserArrived,
    /// The first group is here.
    GroupArrived,
    /// Nothing: a setting of the provider.
    NotVisible,
}

/// The methods of authentication that a step or a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepMethod {
    /// Every method.
    Any,
    /// A token only.
    Token,
    /// An OAuth client only.
    Client,
}

impl StepMethod {
    fn includes(self, method: CredentialMethod) -> bool {
        match self {
            Self::Any => true,
            Self::Token => method == CredentialMethod::Token,
            Self::Client => method != CredentialMethod::Token,
        }
    }
}

/// A value of a field in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleValue {
    /// The provisioning URL.
    ScimUrl,
    /// The token.
    Token,
    /// The token URL of an OAuth client.
    TokenUrl,
    /// The id of an OAuth client.
    ClientId,
    /// The secret of an OAuth client.
    ClientSecret,
    /// A fixed value or a choice.
    Text(&'static str),
}

/// A field in the console, with its label there.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleField {
    /// The label, exactly as in the console.
    pub label: &'static str,
    /// The value.
    pub value: ConsoleValue,
    /// For which methods it is.
    pub method: StepMethod,
}

impl ConsoleField {
    /// The field of the provisioning URL, if a token is used: clients have the names of [`CredentialAdvice`].
    pub(super) const fn scim_url(label: &'static str) -> Self {
        Self { label, value: ConsoleValue::ScimUrl, method: StepMethod::Token }
    }

    /// The field of the token.
    pub(super) const fn token(label: &'static str) -> Self {
        Self { label, value: ConsoleValue::Token, method: StepMethod::Token }
    }

    /// A field with a fixed value.
    pub(super) const fn text(label: &'static str, value: &'static str) -> Self {
        Self { label, value: ConsoleValue::Text(value), method: StepMethod::Any }
    }

    /// A field with a fixed value, for one kind of method.
    pub(super) const fn text_for(method: StepMethod, label: &'static str, value: &'static str) -> Self {
        Self { label, value: ConsoleValue::Text(value), method }
    }
}

/// One step. Texts are HTML.
#[derive(Debug, Clone, Copy)]
pub struct SetupStep {
    /// Name of the step in URLs, unique for the provider and the method.
    pub anchor: &'static str,
    /// Title in the imperative.
    pub title: &'static str,
    /// The way in the console, and what to do there.
    pub text: &'static str,
    /// The fields to fill in.
    pub fields: &'static [ConsoleField],
    /// What to do when the fields are filled in; empty for nothing.
    pub after: &'static str,
    /// Whether the credentials are entered in this step.
    pub has_credentials: bool,
    /// Whether the attributes are mapped in this step.
    pub has_mapping: bool,
    /// What this server sees when it is done.
    pub effect: SetupEffect,
    /// For which methods it is.
    pub method: StepMethod,
}

impl SetupStep {
    /// A step without fields.
    pub(super) const fn new(
        anchor: &'static str,
        title: &'static str,
        text: &'static str,
        effect: SetupEffect,
    ) -> Self {
        Self {
            anchor,
            title,
            text,
            fields: &[],
            after: "",
            has_credentials: false,
            has_mapping: false,
            effect,
            method: StepMethod::Any,
        }
    }

    /// The step in which the credentials are entered.
    pub(super) const fn credentials(
        title: &'static str,
        text: &'static str,
        fields: &'static [ConsoleField],
        after: &'static str,
    ) -> Self {
        Self {
            anchor: "connect",
            title,
            text,
            fields,
            after,
            has_credentials: true,
            has_mapping: false,
            effect: SetupEffect::Authenticated,
            method: StepMethod::Any,
        }
    }

    /// The same step with these fields.
    pub(super) const fn with_fields(self, fields: &'static [ConsoleField], after: &'static str) -> Self {
        Self { fields, after, ..self }
    }

    /// The same step, in which the attributes are mapped.
    pub(super) const fn with_mapping(self) -> Self {
        Self { has_mapping: true, ..self }
    }

    /// The same step for one kind of method.
    pub(super) const fn only(self, method: StepMethod) -> Self {
        Self { method, ..self }
    }

    /// Whether provisioning works without the step.
    pub fn is_optional(&self) -> bool {
        self.effect == SetupEffect::GroupArrived
    }

    /// The fields for a method. Those of an OAuth client have the names of the advice.
    pub fn list_fields(&self, advice: &CredentialAdvice) -> Vec<ConsoleField> {
        let mut fields = Vec::new();
        if let (true, CredentialMethod::Client(authentication)) = (self.has_credentials, advice.method) {
            let names = &advice.fields;
            let of_client = |label, value| ConsoleField { label, value, method: StepMethod::Client };
            fields.push(of_client(names.scim_url, ConsoleValue::ScimUrl));
            fields.push(of_client(names.token_url, ConsoleValue::TokenUrl));
            fields.push(of_client(names.client_id, ConsoleValue::ClientId));
            if authentication == ClientAuthentication::Secret {
                fields.push(of_client(names.client_secret, ConsoleValue::ClientSecret));
            }
        }
        fields.extend(self.fields.iter().filter(|field| field.method.includes(advice.method)));
        fields
    }
}

impl IdentityProvider {
    /// The date on which the steps were checked, such as `30 November 2026`.
    pub fn checked_on(&self) -> String {
        let date = self.steps_checked_on.parse::<jiff::civil::Date>();
        date.map_or_else(|_| self.steps_checked_on.to_owned(), |date| date.strftime("%-d %B %Y").to_string())
    }

    /// The steps for a method of authentication.
    pub fn list_steps(&self, method: CredentialMethod) -> Vec<&'static SetupStep> {
        self.steps.iter().filter(|step| step.method.includes(method)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::providers::PROVIDERS;

    #[test]
    fn the_steps_of_every_method_have_unique_anchors_and_one_step_for_the_credentials() {
        for provider in PROVIDERS {
            for advice in provider.list_methods() {
                let steps = provider.list_steps(advice.method);
                let anchors: BTreeSet<&str> = steps.iter().map(|step| step.anchor).collect();
                assert_eq!(anchors.len(), steps.len(), "{}", provider.key);
                let with: Vec<_> = steps.iter().filter(|step| step.has_credentials).collect();
                assert_eq!(with.len(), 1, "{}", provider.key);
                let mapping = steps.iter().filter(|step| step.has_mapping).count();
                assert!(mapping <= 1, "{}", provider.key);
                let fields = with[0].list_fields(&advice);
                assert!(fields.iter().any(|field| field.value == ConsoleValue::ScimUrl), "{}", provider.key);
                let is_token = advice.method == CredentialMethod::Token;
                let has_token = fields.iter().any(|field| field.value == ConsoleValue::Token);
                assert_eq!(has_token, is_token, "{}: {:?}", provider.key, advice.method);
                assert!(steps.iter().any(|step| step.effect == SetupEffect::UserArrived), "{}", provider.key);
            }
        }
    }

    #[test]
    fn texts_of_steps_are_complete_sentences() {
        for provider in PROVIDERS {
            for step in provider.steps {
                assert!(
                    !step.title.ends_with('.') && step.text.ends_with(['.', ':']),
                    "{}: {}",
                    provider.key,
                    step.title
                );
                assert!(step.after.is_empty() || step.after.ends_with('.'), "{}: {}", provider.key, step.title);
            }
            assert_eq!(provider.checked_on(), "30 November 2026", "{}", provider.key);
            assert!(provider.help_url.is_none_or(|url| url.starts_with("https://")), "{}", provider.key);
        }
    }
}
