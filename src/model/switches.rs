//! The switches of a configuration and the presets that set them. Each switch exists because identity providers differ.

mod table;
mod value;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::named_enum::named_enum;

pub use table::{
    ActiveRemovalMode, DiscoveryAccess, InputMode, PasswordHandling, PatchResponse, ResponseMediaType, SWITCHES,
    SwitchChanges, Switches, SwitchesResponse, UnknownMembers,
};
pub(crate) use value::PAGE_MAX;
pub use value::{SwitchInput, SwitchRow, TombstoneDays};

named_enum! {
    /// The name of a set of switches.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Preset {
        /// The defaults.
        Standard = "standard",
        /// Okta.
        Okta = "okta",
        /// Microsoft Entra ID.
        Entra = "entra",
        /// Other identity providers with an entry of their own.
        Idp = "idp",
        /// The interoperability profile of SCIM 2.0: input that the standard leaves open is rejected.
        Strict = "strict",
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
            active_removal: match self {
                Self::Standard => ActiveRemovalMode::Remove,
                Self::Okta | Self::Entra | Self::Idp => ActiveRemovalMode::Keep,
                Self::Strict => ActiveRemovalMode::Refuse,
            },
            ..Switches::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(switches.active_removal == ActiveRemovalMode::Keep, skips);
            assert_eq!(switches.input, InputMode::Lenient);
            let rest = Switches {
                preset: Preset::Standard,
                unknown_members: UnknownMembers::Reject,
                create_on_missing_target: false,
                active_removal: ActiveRemovalMode::Remove,
                ..switches
            };
            assert_eq!(rest, Switches::default());
        }
    }

    #[test]
    fn the_strict_preset_rejects_what_the_others_normalize() {
        let active_removal = ActiveRemovalMode::Refuse;
        let standard =
            Switches { preset: Preset::Strict, input: InputMode::Strict, active_removal, ..Switches::default() };
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
