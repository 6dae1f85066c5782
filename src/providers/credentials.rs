//! How identity providers authenticate: the methods, which of them are advised, and the names of the fields in the consoles.

use super::IdentityProvider;
use crate::model::oauth::ClientAuthentication;

/// A way in which an identity provider authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialMethod {
    /// A long-lived token in each request.
    Token,
    /// An OAuth client that gets access tokens.
    Client(ClientAuthentication),
}

impl CredentialMethod {
    /// All methods, in the order in which those without advice are listed.
    pub const ALL: [Self; 4] = [
        Self::Client(ClientAuthentication::Secret),
        Self::Client(ClientAuthentication::PrivateKeyJwt),
        Self::Client(ClientAuthentication::Federated),
        Self::Token,
    ];

    /// The key in forms and URLs.
    pub fn key(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Client(authentication) => authentication.as_str(),
        }
    }

    /// Display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Token => "Token",
            Self::Client(ClientAuthentication::Secret) => "OAuth client with a secret",
            Self::Client(ClientAuthentication::PrivateKeyJwt) => "OAuth client with a signed assertion",
            Self::Client(ClientAuthentication::Federated) => "Workload identity federation",
        }
    }

    /// Text of the button that leads to its form.
    pub fn action(self) -> &'static str {
        match self {
            Self::Token => "Create a token",
            Self::Client(ClientAuthentication::Secret) => "Add an OAuth client with a secret",
            Self::Client(ClientAuthentication::PrivateKeyJwt) => "Add an OAuth client with a signed assertion",
            Self::Client(ClientAuthentication::Federated) => "Set up workload identity federation",
        }
    }

    /// Returns the method with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.key() == key)
    }

    /// The advice where a provider has none of its own.
    fn general_advice(self) -> CredentialAdvice {
        let reason = match self {
            Self::Token => "One long-lived secret in each request. Every SCIM client takes it.",
            Self::Client(ClientAuthentication::Secret) => {
                "The provider gets short-lived access tokens with a client id and a secret."
            }
            Self::Client(ClientAuthentication::PrivateKeyJwt) => {
                "The provider gets short-lived access tokens with assertions that it signs. No secret is exchanged."
            }
            Self::Client(ClientAuthentication::Federated) => {
                "The provider gets short-lived access tokens for tokens of its own cloud. No secret is exchanged."
            }
        };
        CredentialAdvice { method: self, reason, location: "", fields: ConsoleFields::GENERAL }
    }
}

/// Why a provider should use a method, and how its console names the values.
#[derive(Debug, Clone, Copy)]
pub struct CredentialAdvice {
    /// The method.
    pub method: CredentialMethod,
    /// Why, as a sentence.
    pub reason: &'static str,
    /// Where the admin console has the fields, as a sentence; empty if unknown.
    pub location: &'static str,
    /// Names of the fields.
    pub fields: ConsoleFields,
}

/// The names of the fields of an admin console into which values of this server are copied.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleFields {
    /// The provisioning URL.
    pub scim_url: &'static str,
    /// The token URL.
    pub token_url: &'static str,
    /// The client id.
    pub client_id: &'static str,
    /// The client secret.
    pub client_secret: &'static str,
}

impl ConsoleFields {
    /// The names where those of a console are unknown.
    pub const GENERAL: Self =
        Self { scim_url: "SCIM URL", token_url: "Token URL", client_id: "Client ID", client_secret: "Client secret" };
}

/// Returns the advice to use a token, for a provider with this reason.
pub(super) const fn advise_token(reason: &'static str) -> CredentialAdvice {
    CredentialAdvice { method: CredentialMethod::Token, reason, location: "", fields: ConsoleFields::GENERAL }
}

impl IdentityProvider {
    /// Returns all methods: the advised ones first, the recommended one at the top, then the others.
    pub fn list_methods(&self) -> Vec<CredentialAdvice> {
        let is_advised = |method| self.credentials.iter().any(|advice| advice.method == method);
        let others = CredentialMethod::ALL.into_iter().filter(|method| !is_advised(*method));
        self.credentials.iter().copied().chain(others.map(CredentialMethod::general_advice)).collect()
    }

    /// Returns the advice on a method.
    pub fn advise_method(&self, method: CredentialMethod) -> CredentialAdvice {
        let own = self.credentials.iter().find(|advice| advice.method == method);
        own.copied().unwrap_or_else(|| method.general_advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::PROVIDERS;

    #[test]
    fn every_provider_lists_each_method_once_and_recommends_one() {
        for provider in PROVIDERS {
            let listed = provider.list_methods();
            assert_eq!(listed.len(), CredentialMethod::ALL.len(), "{}", provider.key);
            assert!(CredentialMethod::ALL.iter().all(|method| listed.iter().any(|advice| advice.method == *method)));
            assert!(!provider.credentials.is_empty(), "{}", provider.key);
            assert!(listed.iter().all(|advice| advice.reason.ends_with('.')), "{}", provider.key);
        }
        for method in CredentialMethod::ALL {
            assert_eq!(CredentialMethod::from_key(method.key()), Some(method));
        }
    }

    #[test]
    fn the_recommended_methods_are_those_of_the_consoles() {
        let recommended = |key| crate::providers::find_provider(key).unwrap().list_methods()[0].method;
        assert_eq!(recommended("entra"), CredentialMethod::Client(ClientAuthentication::Federated));
        for key in ["okta", "ping", "sailpoint"] {
            assert_eq!(recommended(key), CredentialMethod::Client(ClientAuthentication::Secret), "{key}");
        }
        for key in ["onelogin", "jumpcloud", "google", "rippling", "custom"] {
            assert_eq!(recommended(key), CredentialMethod::Token, "{key}");
        }
    }
}
