//! The identity providers that an admin can choose: name, source of the configuration, and expected interval between
//! calls.

use crate::clock::Millis;
use crate::model::configuration::{Configuration, ConfigurationSource};

const MINUTE: Millis = 60 * 1000;
const DAY: Millis = 24 * 60 * MINUTE;

/// An identity provider that an admin can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityProvider {
    /// The key in forms and URLs.
    pub key: &'static str,
    /// Display name.
    pub name: &'static str,
    /// One line of text below the name.
    pub hint: &'static str,
    /// The source of its configurations.
    pub source: ConfigurationSource,
    /// Value of `Configuration::provider`; `None` where the source alone identifies the provider.
    pub provider: Option<&'static str>,
    /// Longest time between two calls while provisioning works, in milliseconds.
    pub max_call_interval: Millis,
}

const fn other_source_provider(key: &'static str, name: &'static str, hint: &'static str) -> IdentityProvider {
    IdentityProvider {
        key,
        name,
        hint,
        source: ConfigurationSource::Other,
        provider: Some(key),
        max_call_interval: 7 * DAY,
    }
}

/// All providers in display order. The last one stands for any other SCIM 2.0 client.
pub const PROVIDERS: [IdentityProvider; 8] = [
    IdentityProvider {
        key: "okta",
        name: "Okta",
        hint: "SCIM 2.0 app from the catalog, or your own",
        source: ConfigurationSource::Okta,
        provider: None,
        max_call_interval: 7 * DAY,
    },
    IdentityProvider {
        key: "entra",
        name: "Microsoft Entra ID",
        hint: "Enterprise application, every 40 minutes",
        source: ConfigurationSource::AzureAd,
        provider: None,
        max_call_interval: 40 * MINUTE,
    },
    other_source_provider("onelogin", "OneLogin", "SCIM Provisioner with SAML"),
    other_source_provider("jumpcloud", "JumpCloud", "Custom application, Identity Management"),
    other_source_provider("google", "Google Workspace", "Users only, catalog applications only"),
    other_source_provider("ping", "PingOne", "SCIM Outbound connection"),
    other_source_provider("rippling", "Rippling", "Custom integration"),
    IdentityProvider {
        key: "custom",
        name: "Custom SCIM 2.0",
        hint: "Any client that speaks SCIM 2.0",
        source: ConfigurationSource::Other,
        provider: None,
        max_call_interval: 7 * DAY,
    },
];

/// Returns the provider with this key.
pub fn find_provider(key: &str) -> Option<&'static IdentityProvider> {
    PROVIDERS.iter().find(|provider| provider.key == key)
}

/// Returns the provider of a configuration; the custom provider where no entry matches.
pub fn provider_of_configuration(configuration: &Configuration) -> &'static IdentityProvider {
    let name = configuration.provider.as_deref().map(|provider| provider.trim().to_ascii_lowercase());
    let found = PROVIDERS.iter().find(|provider| match provider.provider {
        Some(own) => provider.source == configuration.source && name.as_deref() == Some(own),
        None => provider.source == configuration.source,
    });
    found.unwrap_or(&PROVIDERS[PROVIDERS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::switches::{NAMED_PROVIDERS, Preset};

    #[test]
    fn each_provider_has_a_unique_key_and_named_providers_have_the_idp_preset() {
        for provider in &PROVIDERS {
            assert_eq!(find_provider(provider.key), Some(provider));
        }
        for named in NAMED_PROVIDERS {
            let provider = find_provider(named).unwrap();
            assert_eq!(Preset::for_source(provider.source, provider.provider), Preset::Idp);
        }
    }
}
