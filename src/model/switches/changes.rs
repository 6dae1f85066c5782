//! Switches as people see and change them: in the words of the management API, each one alone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Discovery, Input, Passwords, PatchResponse, Switches, UnknownMembers};

/// The highest `page_max`.
pub const PAGE_MAX: u32 = 1_000;

macro_rules! switches {
    ($($(#[$about:meta])* $name:ident: $kind:ty),+ $(,)?) => {
        /// The switches of a configuration
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = "camelCase")]
        #[schema(as = Switches)]
        pub struct Shown {
            $($(#[$about])* pub $name: $kind),+
        }

        impl From<&Switches> for Shown {
            fn from(switches: &Switches) -> Self {
                Self { $($name: switches.$name.clone()),+ }
            }
        }

        /// Switches to be changed; what is left out stays as it is
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase")]
        #[schema(as = SwitchChanges)]
        pub struct Changes {
            $($(#[$about])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$kind>),+
        }

        impl Changes {
            /// Makes the changes.
            pub fn apply(&self, switches: &mut Switches) {
                $(if let Some(value) = &self.$name {
                    switches.$name.clone_from(value);
                })+
            }

            /// What is different in `to`, with the value that it has there.
            pub fn between(from: &Switches, to: &Switches) -> Self {
                Self { $($name: (from.$name != to.$name).then(|| to.$name.clone())),+ }
            }
        }
    };
}

switches! {
    /// How much of what a provider sends besides the standard is taken
    input: Input,
    /// A PATCH replace on `attribute[x eq "y"]` that matches nothing makes the element instead of 400 noTarget
    create_on_missing_target: bool,
    /// What happens to a group member whose id is unknown
    unknown_members: UnknownMembers,
    /// Two groups may not share a display name, whatever its case
    unique_group_names: bool,
    /// POST of an inactive user's name makes that user active again, under the same id, instead of 409
    reactivate_on_conflict: bool,
    /// What a successful PATCH answers
    patch_response: PatchResponse,
    /// Whether /Bulk is served
    bulk: bool,
    /// Who may read the discovery documents
    discovery: Discovery,
    /// What happens to the passwords that a provider sends
    passwords: Passwords,
    /// Resources on a page where `count` is not given; no more than `pageMax`
    #[schema(minimum = 1, maximum = 1000)]
    page_default: u32,
    /// The most resources on a page
    #[schema(minimum = 1, maximum = 1000)]
    page_max: u32,
    /// Whether ServiceProviderConfig shows members newer than RFC 7643, such as `pagination`
    newer_discovery_members: bool,
    /// The attributes that are stored, such as `name`, `emails`, the URN of an extension or `URN:attribute`; others are
    /// accepted and thrown away. Empty for all. What identifies people and groups is always stored
    wanted_attributes: Vec<String>,
}

impl Changes {
    /// Whether nothing is to be changed.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that each value is possible by itself. The error names the switch.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("pageDefault", self.page_default), ("pageMax", self.page_max)] {
            if value.is_some_and(|value| !(1..=PAGE_MAX).contains(&value)) {
                return Err(format!("switches.{name} must be a number from 1 to {PAGE_MAX}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Preset;
    use super::*;

    #[test]
    fn a_change_touches_what_it_names() {
        let changes: Changes =
            serde_json::from_value(json!({"pageMax": 50, "discovery": "token", "bulk": null})).unwrap();
        let mut switches = Preset::Okta.switches();
        changes.apply(&mut switches);
        let rest = Switches { page_max: 500, discovery: Discovery::Public, ..switches.clone() };
        assert_eq!((switches.page_max, switches.discovery), (50, Discovery::Token));
        assert_eq!(rest, Preset::Okta.switches());
        assert_eq!(Changes::between(&Preset::Okta.switches(), &switches), changes);
        assert!(Changes::between(&switches, &switches).is_nothing());
    }

    #[test]
    fn every_switch_that_is_stored_is_shown_in_camel_case() {
        let shown = serde_json::to_value(Shown::from(&Switches::default())).unwrap();
        let stored = serde_json::to_value(Switches::default()).unwrap();
        let camel = |name: &str| {
            let mut words = name.split('_');
            let first = words.next().unwrap_or_default().to_owned();
            words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
        };
        let names: Vec<String> = stored.as_object().unwrap().keys().map(|name| camel(name)).collect();
        let mut expected: Vec<&String> = names.iter().filter(|name| *name != "preset").collect();
        let mut found: Vec<&String> = shown.as_object().unwrap().keys().collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn pages_have_bounds() {
        for (changes, named) in [
            (Changes { page_max: Some(0), ..Changes::default() }, "pageMax"),
            (Changes { page_max: Some(1_001), ..Changes::default() }, "pageMax"),
            (Changes { page_default: Some(0), ..Changes::default() }, "pageDefault"),
        ] {
            assert!(changes.check().unwrap_err().contains(named));
        }
        assert!(Changes { page_default: Some(1), page_max: Some(1_000), ..Changes::default() }.check().is_ok());
    }
}
