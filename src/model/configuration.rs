//! A configuration: one provisioning door of an account, with its identity provider, name and switches.

use std::fmt;
use std::str::FromStr;

use super::switches::Switches;
use super::{ids, names};
use crate::clock::Millis;

/// Path of the canonical provisioning URL, before the configuration's id.
pub const PROVISIONING_PATH: &str = "/directory/resources/scim/v2.0/";

/// The kind of identity provider, in the four words of the management API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `frontegg`
    Frontegg,
    /// `okta`
    Okta,
    /// `azure-ad`: Microsoft Entra ID.
    AzureAd,
    /// `other`
    Other,
}

impl Source {
    /// All sources, in the order of the API.
    pub const ALL: [Self; 4] = [Self::Frontegg, Self::Okta, Self::AzureAd, Self::Other];

    /// The word of the API and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Frontegg => "frontegg",
            Self::Okta => "okta",
            Self::AzureAd => "azure-ad",
            Self::Other => "other",
        }
    }

    /// What people call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Frontegg => "Frontegg",
            Self::Okta => "Okta",
            Self::AzureAd => "Microsoft Entra ID",
            Self::Other => "SCIM",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| "source must be frontegg, okta, azure-ad or other".into())
    }
}

/// One SCIM provisioning configuration of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Key in this database; never shown.
    pub key: i64,
    /// The id in URLs.
    pub id: String,
    /// Id of the account.
    pub account: String,
    /// Its name, unique in the account.
    pub connection_name: String,
    /// Kind of identity provider.
    pub source: Source,
    /// The provider's own name where the source does not say it.
    pub provider: Option<String>,
    /// What may differ between configurations.
    pub switches: Switches,
    /// Moves with every change of the switches, so that a cached copy knows it is old.
    pub revision: i64,
    /// Whether its changes reach the operator's application.
    pub sync: bool,
    /// When it was made.
    pub created_at: Millis,
    /// The last provisioning write that succeeded.
    pub last_sync: Option<Millis>,
    /// The last call with a right token.
    pub last_seen: Option<Millis>,
    /// When it was deleted; the row stays, because events and leftovers name it.
    pub deleted_at: Option<Millis>,
}

/// The provisioning URL of a configuration.
pub fn provisioning_url(public_url: &str, id: &str) -> String {
    format!("{public_url}{PROVISIONING_PATH}{id}")
}

/// Checks a connection name: trimmed, 1 to 64 characters, no control characters. The error says what to change.
pub fn check_name(name: &str) -> Result<&str, String> {
    names::check("connectionName", name)
}

/// Checks a provider's name by the same rules as a connection name.
pub fn check_provider(provider: &str) -> Result<&str, String> {
    names::check("provider", provider)
}

/// The name of a configuration that was given none: the label of its source and the end of its id.
pub fn default_name(source: Source, id: &str) -> String {
    format!("{} {}", source.label(), ids::short(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_the_four_words_of_the_api() {
        for source in Source::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
        for wrong in ["", "Okta", "azuread", "azure_ad", "google"] {
            assert!(wrong.parse::<Source>().unwrap_err().contains("azure-ad"));
        }
    }

    #[test]
    fn connection_names_are_trimmed_and_bounded_in_characters() {
        assert_eq!(check_name("  Okta prod "), Ok("Okta prod"));
        assert!(check_name(&"ü".repeat(64)).is_ok());
        for wrong in ["", "   ", "a\nb", &"x".repeat(65)] {
            assert!(check_name(wrong).unwrap_err().starts_with("connectionName"));
        }
        assert!(check_provider("").unwrap_err().starts_with("provider"));
    }

    #[test]
    fn a_nameless_configuration_is_called_by_its_source_and_short_id() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(default_name(Source::Okta, id), "Okta 9a8057");
        assert_eq!(default_name(Source::AzureAd, id), "Microsoft Entra ID 9a8057");
    }

    #[test]
    fn the_provisioning_url_is_the_canonical_path() {
        assert_eq!(provisioning_url("https://x.example", "abc"), "https://x.example/directory/resources/scim/v2.0/abc");
    }
}
