//! The identity providers that people choose from: how each is called, what it means for a configuration, and how often
//! it is heard of.

use super::configuration::{Configuration, Source};
use crate::clock::Millis;

const MINUTE: Millis = 60 * 1000;
const DAY: Millis = 24 * 60 * MINUTE;

/// An identity provider as it is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// The word in forms and addresses.
    pub key: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// One line below the name.
    pub hint: &'static str,
    /// The source of its configurations.
    pub source: Source,
    /// What its configurations keep as provider, where the source does not say it.
    pub provider: Option<&'static str>,
    /// How long it is quiet at most while all is well.
    pub cycle: Millis,
}

const fn other(key: &'static str, name: &'static str, hint: &'static str) -> Provider {
    Provider { key, name, hint, source: Source::Other, provider: Some(key), cycle: 7 * DAY }
}

/// All of them, as they are shown; the last one is for whatever else there is.
pub const PROVIDERS: [Provider; 8] = [
    Provider {
        key: "okta",
        name: "Okta",
        hint: "SCIM 2.0 app from the catalogue, or your own",
        source: Source::Okta,
        provider: None,
        cycle: 7 * DAY,
    },
    Provider {
        key: "entra",
        name: "Microsoft Entra ID",
        hint: "Enterprise application, every 40 minutes",
        source: Source::AzureAd,
        provider: None,
        cycle: 40 * MINUTE,
    },
    other("onelogin", "OneLogin", "SCIM Provisioner with SAML"),
    other("jumpcloud", "JumpCloud", "Custom application, Identity Management"),
    other("google", "Google Workspace", "Users only, catalogue applications only"),
    other("ping", "PingOne", "SCIM Outbound connection"),
    other("rippling", "Rippling", "Custom integration"),
    Provider {
        key: "custom",
        name: "Custom SCIM 2.0",
        hint: "Any client that speaks SCIM 2.0",
        source: Source::Other,
        provider: None,
        cycle: 7 * DAY,
    },
];

/// The provider with that word.
pub fn by_key(key: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.key == key)
}

/// The provider of a configuration; what has no entry of its own is custom.
pub fn of(configuration: &Configuration) -> &'static Provider {
    let named = configuration.provider.as_deref().map(|provider| provider.trim().to_ascii_lowercase());
    let found = PROVIDERS.iter().find(|provider| match provider.provider {
        Some(own) => provider.source == configuration.source && named.as_deref() == Some(own),
        None => provider.source == configuration.source,
    });
    found.unwrap_or(&PROVIDERS[PROVIDERS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::switches::{NAMED_PROVIDERS, Preset};

    #[test]
    fn each_has_a_word_of_its_own_and_the_named_ones_their_preset() {
        for provider in &PROVIDERS {
            assert_eq!(by_key(provider.key), Some(provider));
        }
        for named in NAMED_PROVIDERS {
            let provider = by_key(named).unwrap();
            assert_eq!(Preset::for_source(provider.source, provider.provider), Preset::Idp);
        }
    }
}
