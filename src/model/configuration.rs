//! A configuration: one provisioning endpoint of an account, with its identity provider, name and switches.

use super::account::AccountRef;
use super::switches::Switches;
use super::{ids, names};
use crate::clock::Millis;
use crate::named_enum::named_enum;

/// Path prefix of the canonical provisioning URL; the configuration id follows.
pub const PROVISIONING_PATH: &str = "/directory/resources/scim/v2.0/";

named_enum! {
    /// The kind of identity provider: the four `source` values of the management API.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ConfigurationSource {
        /// `frontegg`
        Frontegg = "frontegg",
        /// `okta`
        Okta = "okta",
        /// `azure-ad`: Microsoft Entra ID.
        AzureAd = "azure-ad",
        /// `other`
        Other = "other",
    }
}

impl ConfigurationSource {
    /// Display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Frontegg => "Frontegg",
            Self::Okta => "Okta",
            Self::AzureAd => "Microsoft Entra ID",
            Self::Other => "SCIM",
        }
    }
}

/// What a new configuration publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialSync {
    /// Every change.
    On,
    /// Nothing until it is resumed.
    Paused,
    /// The same, and it is marked as staged until then.
    Staged,
}

/// One SCIM provisioning configuration of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Key in this database; internal, not returned by the API.
    pub key: i64,
    /// The id in URLs.
    pub id: String,
    /// The account.
    pub account: AccountRef,
    /// Name, unique in the account.
    pub connection_name: String,
    /// Kind of identity provider.
    pub source: ConfigurationSource,
    /// Name of the provider where the source does not identify it.
    pub provider: Option<String>,
    /// Options of this configuration.
    pub switches: Switches,
    /// Incremented with every change of the switches, to invalidate cached copies.
    pub revision: i64,
    /// Whether changes are published to the operator's application.
    pub sync: bool,
    /// Whether it was created staged and has not been resumed since: nothing of it was published.
    pub staged: bool,
    /// When the configuration was created.
    pub created_at: Millis,
    /// Time of the last successful provisioning write.
    pub last_sync: Option<Millis>,
    /// Time of the last call with a valid token.
    pub last_seen: Option<Millis>,
    /// When the configuration was deleted. The row stays, because events and remaining resources refer to it.
    pub deleted_at: Option<Millis>,
    /// Whether its changes wait for a decision, because its identity provider removed much at once.
    pub held: bool,
}

/// Provider of temporary configurations, whose users are invented.
pub const SIMULATED_PROVIDER: &str = "simulated";

impl Configuration {
    /// Whether it is temporary, and its users are invented.
    pub fn is_simulated(&self) -> bool {
        self.provider.as_deref() == Some(SIMULATED_PROVIDER)
    }
}

/// A configuration and its account, for shares that are divided between accounts and then between their configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigurationKey {
    /// Key of the account.
    pub account: i64,
    /// Key of the configuration.
    pub key: i64,
}

/// Returns the provisioning URL of a configuration.
pub fn provisioning_url(public_url: &str, id: &str) -> String {
    format!("{public_url}{PROVISIONING_PATH}{id}")
}

/// Checks a connection name: 1 to 64 characters after trimming, no control characters. Returns the trimmed name.
///
/// # Errors
/// A sentence that names the rule.
pub fn check_name(name: &str) -> crate::error::Result<&str> {
    names::check_name("connectionName", name)
}

/// Checks a provider name by the same rules as a connection name.
pub fn check_provider(provider: &str) -> crate::error::Result<&str> {
    names::check_name("provider", provider)
}

/// Returns the default name of a configuration: the label of its source and the end of its id.
pub fn default_name(source: ConfigurationSource, id: &str) -> String {
    format!("{} {}", source.label(), ids::shorten_id(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_the_four_values_of_the_api() {
        for source in ConfigurationSource::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
        for wrong in ["", "Okta", "azuread", "azure_ad", "google"] {
            assert!(wrong.parse::<ConfigurationSource>().unwrap_err().contains("azure-ad"));
        }
    }

    #[test]
    fn connection_names_are_trimmed_and_bounded_in_characters() {
        assert_eq!(check_name("  Okta prod ").ok(), Some("Okta prod"));
        assert!(check_name(&"ü".repeat(64)).is_ok());
        for wrong in ["", "   ", "a\nb", &"x".repeat(65)] {
            assert!(check_name(wrong).unwrap_err().to_string().contains("field=connectionName"));
        }
        assert!(check_provider("").unwrap_err().to_string().contains("field=provider"));
    }

    #[test]
    fn the_default_name_is_the_source_and_the_short_id() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(default_name(ConfigurationSource::Okta, id), "Okta 9a8057");
        assert_eq!(default_name(ConfigurationSource::AzureAd, id), "Microsoft Entra ID 9a8057");
    }

    #[test]
    fn the_provisioning_url_is_the_canonical_path() {
        assert_eq!(provisioning_url("https://x.example", "abc"), "https://x.example/directory/resources/scim/v2.0/abc");
    }
}
