//! The identity providers that an admin can choose, one file each.
//!
//! Tiles, setup steps, presets, the live test, explanations, the help of the command line and the table in
//! `docs/providers.md` are derived from these entries.

pub mod credentials;
mod custom;
mod entra;
mod google;
mod jumpcloud;
mod okta;
mod onelogin;
mod ping;
mod rippling;
mod sailpoint;
pub mod steps;

use self::credentials::CredentialAdvice;
use self::steps::SetupStep;
use crate::clock::Millis;
use crate::model::configuration::{Configuration, ConfigurationSource};
use crate::model::switches::Preset;
use crate::scim::percent;

const MINUTE: Millis = 60 * 1000;
const DAY: Millis = 24 * 60 * MINUTE;

/// An identity provider that an admin can choose.
#[derive(Debug)]
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
    /// The preset of its configurations.
    pub preset: Preset,
    /// Longest time between two calls while provisioning works, in milliseconds.
    pub max_call_interval: Millis,
    /// Whether a search for users is its connection test; `None` if its test cannot be distinguished from other calls.
    pub is_connection_test: Option<fn(&UserSearch<'_>) -> bool>,
    /// Where its admin console has which setting.
    pub locations: ConsoleLocations,
    /// The ways to authenticate that are advised, the recommended one first.
    pub credentials: &'static [CredentialAdvice],
    /// What to do at the provider after the first user has arrived.
    pub after_first_user: &'static str,
    /// The time that the setup needs, and the role at the provider, as sentences.
    pub effort: &'static str,
    /// What to know before the setup: sentences in HTML.
    pub before: &'static [&'static str],
    /// The setup steps.
    pub steps: &'static [SetupStep],
    /// What to know after the setup: sentences in HTML.
    pub good_to_know: &'static [&'static str],
    /// The provider's own help.
    pub help_url: Option<&'static str>,
    /// How to make it send users and groups again; empty if its help does not say so.
    pub resync: &'static [ResyncHint],
    /// The date on which the steps were compared with the product.
    pub steps_checked_on: &'static str,
    /// Deviations and limits, one sentence each.
    pub notes: &'static [&'static str],
}

/// An action in the console of a provider that sends users or groups again.
#[derive(Debug)]
pub struct ResyncHint {
    /// Name of the action, as the console has it.
    pub action: &'static str,
    /// Where it is and what it sends: sentences in HTML.
    pub description: &'static str,
    /// The page of the provider's help that describes it.
    pub help_url: &'static str,
    /// The date on which that page was read.
    pub checked_on: &'static str,
}

/// The parameters by which connection tests differ from other searches (`GET …/Users?…`).
#[derive(Debug)]
pub struct UserSearch<'q> {
    /// The first quoted value of the filter.
    pub filter_value: Option<&'q str>,
    /// `startIndex`
    pub start_index: Option<&'q str>,
    /// `count`
    pub count: Option<&'q str>,
}

/// Where an admin console has which setting, each as a sentence; empty if unknown.
#[derive(Debug)]
pub struct ConsoleLocations {
    /// The token field.
    pub token: &'static str,
    /// The field for the provisioning URL.
    pub url: &'static str,
    /// The attribute mapping.
    pub mapping: &'static str,
    /// The assignment of users and groups.
    pub assignments: &'static str,
}

/// A setting at an identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingLocation {
    /// The token field.
    Token,
    /// The field for the provisioning URL.
    Url,
    /// The attribute mapping.
    Mapping,
    /// The assignment of users and groups.
    Assignments,
    /// The behavior of the client itself; there is no setting.
    Client,
}

impl ConsoleLocations {
    /// Returns where the setting is; empty if unknown.
    pub fn describe(&self, setting: SettingLocation) -> &'static str {
        match setting {
            SettingLocation::Token => self.token,
            SettingLocation::Url => self.url,
            SettingLocation::Mapping => self.mapping,
            SettingLocation::Assignments => self.assignments,
            SettingLocation::Client => "",
        }
    }
}

/// All providers in display order. The last one stands for any other SCIM 2.0 client.
pub static PROVIDERS: &[IdentityProvider] = &[
    okta::PROVIDER,
    entra::PROVIDER,
    onelogin::PROVIDER,
    jumpcloud::PROVIDER,
    google::PROVIDER,
    ping::PROVIDER,
    rippling::PROVIDER,
    sailpoint::PROVIDER,
    custom::PROVIDER,
];

/// Key of the provider that stands for any other SCIM 2.0 client.
pub const CUSTOM_KEY: &str = "custom";

/// Returns the provider with this key.
pub fn find_provider(key: &str) -> Option<&'static IdentityProvider> {
    PROVIDERS.iter().find(|provider| provider.key == key)
}

/// Returns the provider of a configuration; the custom provider where no entry matches.
pub fn provider_of_configuration(configuration: &Configuration) -> &'static IdentityProvider {
    match_provider(configuration.source, configuration.provider.as_deref())
}

/// Returns the provider for a source and a provider name, which is case-insensitive; the custom provider where no entry
/// matches.
pub fn match_provider(source: ConfigurationSource, name: Option<&str>) -> &'static IdentityProvider {
    let is_named = |own: &str| name.is_some_and(|name| name.trim().eq_ignore_ascii_case(own));
    let found = PROVIDERS.iter().find(|one| one.source == source && one.provider.is_none_or(is_named));
    found.unwrap_or(&PROVIDERS[PROVIDERS.len() - 1])
}

/// Returns the provider whose connection test is a `GET` of this path with its query.
pub fn recognize_connection_test(path: &str) -> Option<&'static IdentityProvider> {
    let (path, query) = path.split_once('?')?;
    if !path.trim_end_matches('/').ends_with("/Users") {
        return None;
    }
    let pairs = percent::parse_query_string(query);
    let value =
        |name: &str| pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let search = UserSearch {
        filter_value: value("filter").map(|filter| filter.split('"').nth(1).unwrap_or_default()),
        start_index: value("startIndex"),
        count: value("count"),
    };
    PROVIDERS.iter().find(|provider| provider.is_connection_test.is_some_and(|is_test| is_test(&search)))
}

/// Returns the names of the providers with this preset, such as `Okta` or `A, B and C`; empty if there are none.
pub fn list_names_with_preset(preset: Preset) -> String {
    let names: Vec<&str> = PROVIDERS.iter().filter(|one| one.preset == preset).map(|one| one.name).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns the values of `Configuration::provider` that name a provider, separated by commas.
pub fn list_provider_values() -> String {
    PROVIDERS.iter().filter_map(|one| one.provider).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_a_unique_key_by_which_it_is_found() {
        for (at, provider) in PROVIDERS.iter().enumerate() {
            assert_eq!(PROVIDERS.iter().position(|other| other.key == provider.key), Some(at));
            let found = match_provider(provider.source, provider.provider);
            assert_eq!(found.key, provider.key, "source and provider name identify the entry");
        }
        assert!(find_provider("okta").is_some() && find_provider("Okta").is_none());
    }

    #[test]
    fn each_way_to_send_again_has_a_page_of_the_help() {
        for hint in PROVIDERS.iter().flat_map(|provider| provider.resync) {
            assert!(hint.help_url.starts_with("https://") && hint.description.ends_with('.'), "{hint:?}");
            assert!(hint.description.contains(&format!("<strong>{}</strong>", hint.action)), "{hint:?}");
            assert_eq!(hint.checked_on.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{hint:?}");
        }
        assert!(find_provider("okta").is_some_and(|okta| okta.resync.len() == 2));
    }

    #[test]
    fn the_source_and_the_provider_choose_the_preset() {
        for (source, provider, preset) in [
            (ConfigurationSource::Okta, None, Preset::Okta),
            (ConfigurationSource::Okta, Some("ping"), Preset::Okta),
            (ConfigurationSource::AzureAd, None, Preset::Entra),
            (ConfigurationSource::Frontegg, None, Preset::Standard),
            (ConfigurationSource::Other, None, Preset::Standard),
            (ConfigurationSource::Other, Some("home-grown"), Preset::Standard),
            (ConfigurationSource::Other, Some("onelogin"), Preset::Idp),
            (ConfigurationSource::Other, Some(" OneLogin "), Preset::Idp),
            (ConfigurationSource::Other, Some("JumpCloud"), Preset::Idp),
            (ConfigurationSource::Other, Some("google"), Preset::Idp),
            (ConfigurationSource::Other, Some("ping"), Preset::Idp),
            (ConfigurationSource::Other, Some("rippling"), Preset::Idp),
        ] {
            assert_eq!(match_provider(source, provider).preset, preset, "{source:?} {provider:?}");
        }
    }

    #[test]
    fn the_connection_tests_of_providers_are_recognized() {
        for (path, key) in [
            ("/Users?startIndex=1&count=2", Some("okta")),
            ("/Users?count=1&startIndex=1", Some("okta")),
            ("/Users?filter=userName+eq+%22b7a4b2c6-5c1f-4d2e-9a44-2b6f8f6f2f10%22", Some("entra")),
            ("/Users?filter=userName%20eq%20%22alice@example.com%22&startIndex=1&count=1", None),
            ("/Users?startIndex=1&count=1&filter=active%20eq%20true", None),
            ("/Users?startIndex=1&count=100", None),
            ("/Groups?startIndex=1&count=2", None),
            ("/Users", None),
        ] {
            assert_eq!(recognize_connection_test(path).map(|provider| provider.key), key, "{path}");
        }
    }
}
