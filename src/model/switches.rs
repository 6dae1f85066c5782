//! The switches of a configuration and the presets that set them. Each switch exists because identity providers differ.

mod changes;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::configuration::ConfigurationSource;
pub use changes::{PAGE_MAX, SwitchChanges, SwitchesResponse};

/// How input of an identity provider that deviates from the standard is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputMode {
    /// Accepts text booleans, other `schemas`, unknown attributes and similar deviations, and adds a note to the log.
    Lenient,
    /// Rejects what the interoperability profile rejects.
    Strict,
}

/// How a group member whose id is not a resource of the configuration is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownMembers {
    /// The request fails with 400 `invalidValue` that names the id.
    Reject,
    /// The member is skipped and noted in the log: a provider that never retries a 400 would lose the whole push.
    Skip,
}

/// Response to a successful PATCH (RFC 7644 section 3.5.2 allows both).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchResponse {
    /// 200 with the resource; 204 for large groups if no attributes are requested.
    Auto,
    /// Always 200 with the resource.
    Full,
    /// 204, unless attributes are requested.
    Empty,
}

/// Which clients may read the discovery documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveryAccess {
    /// Any client; an invalid token is still refused.
    Public,
    /// Clients with a token.
    Token,
}

/// How passwords that an identity provider sends are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Passwords)]
pub enum PasswordHandling {
    /// Passwords are accepted and discarded, with a note in the log.
    Ignore,
    /// Passwords are stored as argon2id digests, so that the operator's application can verify a password.
    Verify,
}

/// The name of a set of switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The defaults.
    Standard,
    /// Okta.
    Okta,
    /// Microsoft Entra ID.
    Entra,
    /// Other supported identity providers: `OneLogin`, `JumpCloud`, Google, Ping, Rippling.
    Idp,
    /// The interoperability profile of SCIM 2.0: input that the standard leaves open is rejected.
    Strict,
}

impl Preset {
    /// All presets in display order.
    pub const ALL: [Self; 5] = [Self::Standard, Self::Okta, Self::Entra, Self::Idp, Self::Strict];

    /// The value on the command line and in stored switches.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Idp => "idp",
            Self::Strict => "strict",
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|preset| preset.as_str() == text);
        found.ok_or_else(|| format!("use {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// Providers with the preset [`Preset::Idp`], in lowercase.
pub const NAMED_PROVIDERS: [&str; 5] = ["onelogin", "jumpcloud", "google", "ping", "rippling"];

/// Options of a configuration. Stored as JSON: absent members have their defaults and unknown members are skipped, so
/// that older and newer versions can read the same row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// The preset that the values are based on.
    pub preset: Preset,
    /// How input that deviates from the standard is handled.
    pub input: InputMode,
    /// A PATCH *replace* on `attribute[x eq "y"]` without a match creates the element instead of returning 400
    /// `noTarget`.
    pub create_on_missing_target: bool,
    /// How unknown member ids are handled.
    pub unknown_members: UnknownMembers,
    /// Group display names are unique (case-insensitive); a duplicate is 409.
    pub unique_group_names: bool,
    /// POST with the `userName` of an inactive user reactivates that user under the same id, instead of returning 409.
    pub reactivate_on_conflict: bool,
    /// Response to a successful PATCH.
    pub patch_response: PatchResponse,
    /// Whether `/Bulk` is served.
    pub bulk: bool,
    /// Which clients may read the discovery documents.
    pub discovery: DiscoveryAccess,
    /// How passwords are handled.
    pub passwords: PasswordHandling,
    /// Resources per page if `count` is absent.
    pub page_default: u32,
    /// Most resources per page (`filter.maxResults` in the discovery document).
    pub page_max: u32,
    /// Whether `ServiceProviderConfig` contains members newer than RFC 7643, such as `pagination`.
    pub newer_discovery_members: bool,
    /// The attributes that are stored; others are accepted and discarded (RFC 7643 section 9.3). Empty for all.
    /// Named as in the schemas: `title`, the URN of an extension, or `URN:attribute`.
    #[serde(rename = "wanted_attributes")]
    pub stored_attributes: Vec<String>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            preset: Preset::Standard,
            input: InputMode::Lenient,
            create_on_missing_target: false,
            unknown_members: UnknownMembers::Reject,
            unique_group_names: true,
            reactivate_on_conflict: false,
            patch_response: PatchResponse::Auto,
            bulk: true,
            discovery: DiscoveryAccess::Public,
            passwords: PasswordHandling::Ignore,
            page_default: 100,
            page_max: 500,
            newer_discovery_members: true,
            stored_attributes: Vec::new(),
        }
    }
}

impl Preset {
    /// Returns the switches of the preset.
    pub fn switches(self) -> Switches {
        let unknown_members = match self {
            Self::Standard | Self::Strict => UnknownMembers::Reject,
            Self::Okta | Self::Entra | Self::Idp => UnknownMembers::Skip,
        };
        Switches {
            preset: self,
            input: if self == Self::Strict { InputMode::Strict } else { InputMode::Lenient },
            unknown_members,
            // Entra replaces `emails[type eq "work"].value` before it adds one.
            create_on_missing_target: self == Self::Entra,
            ..Switches::default()
        }
    }

    /// Returns the preset for a source, and for the provider if the source is `other`. Provider names are
    /// case-insensitive.
    pub fn for_source(source: ConfigurationSource, provider: Option<&str>) -> Self {
        let named = |provider: &str| NAMED_PROVIDERS.iter().any(|name| name.eq_ignore_ascii_case(provider.trim()));
        match source {
            ConfigurationSource::Okta => Self::Okta,
            ConfigurationSource::AzureAd => Self::Entra,
            ConfigurationSource::Other if provider.is_some_and(named) => Self::Idp,
            ConfigurationSource::Other | ConfigurationSource::Frontegg => Self::Standard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(Preset::for_source(source, provider), preset, "{source:?} {provider:?}");
        }
    }

    #[test]
    fn presets_differ_from_the_standard_only_where_the_provider_does() {
        for (preset, skips, creates) in [
            (Preset::Standard, false, false),
            (Preset::Okta, true, false),
            (Preset::Entra, true, true),
            (Preset::Idp, true, false),
        ] {
            let switches = preset.switches();
            assert_eq!(switches.unknown_members == UnknownMembers::Skip, skips);
            assert_eq!(switches.create_on_missing_target, creates);
            assert_eq!(switches.input, InputMode::Lenient);
            let rest = Switches {
                preset: Preset::Standard,
                unknown_members: UnknownMembers::Reject,
                create_on_missing_target: false,
                ..switches
            };
            assert_eq!(rest, Switches::default());
        }
    }

    #[test]
    fn the_strict_preset_rejects_what_the_others_normalize() {
        let standard = Switches { preset: Preset::Strict, input: InputMode::Strict, ..Switches::default() };
        assert_eq!("strict".parse::<Preset>().unwrap().switches(), standard);
        assert!("lax".parse::<Preset>().unwrap_err().contains("standard, okta"));
    }

    #[test]
    fn stored_switches_may_have_absent_and_unknown_members() {
        let read: Switches = serde_json::from_str(r#"{"preset":"okta","from_the_future":1}"#).unwrap();
        assert_eq!(read, Switches { preset: Preset::Okta, ..Switches::default() });
        let stored = serde_json::to_string(&Preset::Entra.switches()).unwrap();
        assert_eq!(serde_json::from_str::<Switches>(&stored).unwrap(), Preset::Entra.switches());
    }
}
