//! The switches of a configuration and the presets that choose them. Each switch exists because identity providers
//! differ; each has an effect.

mod changes;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::configuration::Source;
pub use changes::{Changes, PAGE_MAX, Shown};

/// How much of what an identity provider sends besides the standard is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Takes text booleans, foreign `schemas`, unknown attributes and the like, and notes it.
    Lenient,
    /// Refuses what the interoperability profile refuses.
    Strict,
}

/// What happens to a group member whose id is no resource of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownMembers {
    /// 400 `invalidValue` that names it.
    Reject,
    /// It is left out and noted: a provider that never retries a 400 would lose the whole push.
    Skip,
}

/// What a successful PATCH answers (RFC 7644 section 3.5.2 allows both).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchResponse {
    /// The resource, except for large groups of which no attributes are asked.
    Auto,
    /// Always 200 with the resource.
    Full,
    /// 204 unless attributes are asked.
    Empty,
}

/// Who may read the discovery documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Discovery {
    /// Anybody; a wrong token is refused all the same.
    Public,
    /// Callers with a token.
    Token,
}

/// What happens to the passwords that an identity provider sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Passwords {
    /// Accepted, thrown away, and noted.
    Ignore,
    /// Kept as argon2id digests, against which the operator's application can check a password.
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
    /// Other identity providers known by name: `OneLogin`, `JumpCloud`, Google, Ping, Rippling.
    Idp,
    /// The interoperability profile of SCIM 2.0: what the standard leaves open is refused.
    Strict,
}

impl Preset {
    /// All of them, as they are chosen from.
    pub const ALL: [Self; 5] = [Self::Standard, Self::Okta, Self::Entra, Self::Idp, Self::Strict];

    /// The word for it on the command line and in stored switches.
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

/// Providers that have the preset [`Preset::Idp`], in lower case.
pub const NAMED_PROVIDERS: [&str; 5] = ["onelogin", "jumpcloud", "google", "ping", "rippling"];

/// What may differ between configurations. Stored as JSON; a member that is missing has its default, one that is
/// unknown is skipped, so that an older and a newer program read the same row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// The preset these values started from.
    pub preset: Preset,
    /// How much besides the standard is taken.
    pub input: Input,
    /// A PATCH *replace* on `attribute[x eq "y"]` that matches nothing makes the element instead of 400 `noTarget`.
    pub create_on_missing_target: bool,
    /// What happens to a member id that is unknown.
    pub unknown_members: UnknownMembers,
    /// Two groups may not share a display name (case-insensitive): 409.
    pub unique_group_names: bool,
    /// POST of an inactive user's name makes that user active again, under the same id, instead of 409.
    pub reactivate_on_conflict: bool,
    /// What a successful PATCH answers.
    pub patch_response: PatchResponse,
    /// `/Bulk` is served.
    pub bulk: bool,
    /// Who may read the discovery documents.
    pub discovery: Discovery,
    /// What happens to passwords.
    pub passwords: Passwords,
    /// Resources on a page where `count` is not given.
    pub page_default: u32,
    /// The most resources on a page (`filter.maxResults` in the discovery document).
    pub page_max: u32,
    /// Members of `ServiceProviderConfig` newer than RFC 7643, such as `pagination`, are shown.
    pub newer_discovery_members: bool,
    /// The attributes that are stored; others are accepted and thrown away (RFC 7643 section 9.3). Empty for all.
    /// Spelled as in the schemas: `title`, the URN of an extension, or `URN:attribute`.
    pub wanted_attributes: Vec<String>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            preset: Preset::Standard,
            input: Input::Lenient,
            create_on_missing_target: false,
            unknown_members: UnknownMembers::Reject,
            unique_group_names: true,
            reactivate_on_conflict: false,
            patch_response: PatchResponse::Auto,
            bulk: true,
            discovery: Discovery::Public,
            passwords: Passwords::Ignore,
            page_default: 100,
            page_max: 500,
            newer_discovery_members: true,
            wanted_attributes: Vec::new(),
        }
    }
}

impl Preset {
    /// The switches of the preset.
    pub fn switches(self) -> Switches {
        let unknown_members = match self {
            Self::Standard | Self::Strict => UnknownMembers::Reject,
            Self::Okta | Self::Entra | Self::Idp => UnknownMembers::Skip,
        };
        Switches {
            preset: self,
            input: if self == Self::Strict { Input::Strict } else { Input::Lenient },
            unknown_members,
            // Entra replaces `emails[type eq "work"].value` before there is one.
            create_on_missing_target: self == Self::Entra,
            ..Switches::default()
        }
    }

    /// The preset for a source, and for a provider where the source is `other`. Providers are compared without case.
    pub fn for_source(source: Source, provider: Option<&str>) -> Self {
        let named = |provider: &str| NAMED_PROVIDERS.iter().any(|known| known.eq_ignore_ascii_case(provider.trim()));
        match source {
            Source::Okta => Self::Okta,
            Source::AzureAd => Self::Entra,
            Source::Other if provider.is_some_and(named) => Self::Idp,
            Source::Other | Source::Frontegg => Self::Standard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_and_the_provider_choose_the_preset() {
        for (source, provider, preset) in [
            (Source::Okta, None, Preset::Okta),
            (Source::Okta, Some("ping"), Preset::Okta),
            (Source::AzureAd, None, Preset::Entra),
            (Source::Frontegg, None, Preset::Standard),
            (Source::Other, None, Preset::Standard),
            (Source::Other, Some("home-grown"), Preset::Standard),
            (Source::Other, Some("onelogin"), Preset::Idp),
            (Source::Other, Some(" OneLogin "), Preset::Idp),
            (Source::Other, Some("JumpCloud"), Preset::Idp),
            (Source::Other, Some("google"), Preset::Idp),
            (Source::Other, Some("ping"), Preset::Idp),
            (Source::Other, Some("rippling"), Preset::Idp),
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
            assert_eq!(switches.input, Input::Lenient);
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
    fn the_strict_preset_refuses_what_the_others_mend() {
        let standard = Switches { preset: Preset::Strict, input: Input::Strict, ..Switches::default() };
        assert_eq!("strict".parse::<Preset>().unwrap().switches(), standard);
        assert!("lax".parse::<Preset>().unwrap_err().contains("standard, okta"));
    }

    #[test]
    fn stored_switches_survive_missing_and_unknown_members() {
        let read: Switches = serde_json::from_str(r#"{"preset":"okta","from_the_future":1}"#).unwrap();
        assert_eq!(read, Switches { preset: Preset::Okta, ..Switches::default() });
        let kept = serde_json::to_string(&Preset::Entra.switches()).unwrap();
        assert_eq!(serde_json::from_str::<Switches>(&kept).unwrap(), Preset::Entra.switches());
    }
}
