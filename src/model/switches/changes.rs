//! Switches in the management API: their JSON form, and partial changes of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DiscoveryAccess, InputMode, PasswordHandling, PatchResponse, Switches, UnknownMembers};

/// The highest `page_max`.
pub const PAGE_MAX: u32 = 1_000;

macro_rules! switches {
    ($($(#[$about:meta])* $name:ident: $kind:ty),+ $(,)?) => {
        /// The switches of a configuration
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = "camelCase")]
        #[schema(as = Switches)]
        pub struct SwitchesResponse {
            $($(#[$about])* pub $name: $kind),+
        }

        impl From<&Switches> for SwitchesResponse {
            fn from(switches: &Switches) -> Self {
                Self { $($name: switches.$name.clone()),+ }
            }
        }

        /// Switches to change; absent members are not changed
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase")]
        #[schema(as = SwitchChanges)]
        pub struct SwitchChanges {
            $($(#[$about])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$kind>),+
        }

        impl SwitchChanges {
            /// Applies the changes to `switches`.
            pub fn apply(&self, switches: &mut Switches) {
                $(if let Some(value) = &self.$name {
                    switches.$name.clone_from(value);
                })+
            }

            /// Returns the switches that differ between `from` and `to`, with their values in `to`.
            pub fn between(from: &Switches, to: &Switches) -> Self {
                Self { $($name: (from.$name != to.$name).then(|| to.$name.clone())),+ }
            }
        }
    };
}

switches! {
    /// How input of a provider that deviates from the standard is handled
    input: InputMode,
    /// A PATCH replace on `attribute[x eq "y"]` without a match creates the element instead of returning 400 noTarget
    create_on_missing_target: bool,
    /// How a group member with an unknown id is handled
    unknown_members: UnknownMembers,
    /// Whether group display names must be unique (case-insensitive)
    unique_group_names: bool,
    /// POST with the userName of an inactive user reactivates that user under the same id, instead of returning 409
    reactivate_on_conflict: bool,
    /// Response to a successful PATCH
    patch_response: PatchResponse,
    /// Whether /Bulk is served
    bulk: bool,
    /// Which clients may read the discovery documents
    discovery: DiscoveryAccess,
    /// How passwords that a provider sends are handled
    passwords: PasswordHandling,
    /// Resources per page if `count` is absent; at most `pageMax`
    #[schema(minimum = 1, maximum = 1000)]
    page_default: u32,
    /// Most resources per page
    #[schema(minimum = 1, maximum = 1000)]
    page_max: u32,
    /// Whether ServiceProviderConfig contains members newer than RFC 7643, such as `pagination`
    newer_discovery_members: bool,
    /// The attributes that are stored, such as `name`, `emails`, the URN of an extension or `URN:attribute`; others are
    /// accepted and discarded. Empty for all. Attributes that identify users and groups are always stored
    #[serde(rename = "wantedAttributes")]
    stored_attributes: Vec<String>,
}

impl SwitchChanges {
    /// Returns whether there are no changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks each value on its own.
    ///
    /// # Errors
    /// A sentence that names the switch.
    pub fn check(&self) -> crate::error::Result<()> {
        for (name, value) in [("pageDefault", self.page_default), ("pageMax", self.page_max)] {
            if value.is_some_and(|value| !(1..=PAGE_MAX).contains(&value)) {
                let detail = crate::error::Reason::NumberOutOfRange.with("min", 1).with("max", PAGE_MAX);
                return Err(detail.on_field(format!("switches.{name}")));
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
    fn changes_affect_only_the_named_switches() {
        let changes: SwitchChanges =
            serde_json::from_value(json!({"pageMax": 50, "discovery": "token", "bulk": null})).unwrap();
        let mut switches = Preset::Okta.switches();
        changes.apply(&mut switches);
        let rest = Switches { page_max: 500, discovery: DiscoveryAccess::Public, ..switches.clone() };
        assert_eq!((switches.page_max, switches.discovery), (50, DiscoveryAccess::Token));
        assert_eq!(rest, Preset::Okta.switches());
        assert_eq!(SwitchChanges::between(&Preset::Okta.switches(), &switches), changes);
        assert!(SwitchChanges::between(&switches, &switches).is_empty());
    }

    #[test]
    fn every_stored_switch_is_returned_in_camel_case() {
        let returned = serde_json::to_value(SwitchesResponse::from(&Switches::default())).unwrap();
        let stored = serde_json::to_value(Switches::default()).unwrap();
        let camel = |name: &str| {
            let mut parts = name.split('_');
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |name, part| name + &part[..1].to_uppercase() + &part[1..])
        };
        let names: Vec<String> = stored.as_object().unwrap().keys().map(|name| camel(name)).collect();
        let mut expected: Vec<&String> = names.iter().filter(|name| *name != "preset").collect();
        let mut found: Vec<&String> = returned.as_object().unwrap().keys().collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn pages_have_bounds() {
        for (changes, named) in [
            (SwitchChanges { page_max: Some(0), ..SwitchChanges::default() }, "pageMax"),
            (SwitchChanges { page_max: Some(1_001), ..SwitchChanges::default() }, "pageMax"),
            (SwitchChanges { page_default: Some(0), ..SwitchChanges::default() }, "pageDefault"),
        ] {
            assert!(changes.check().unwrap_err().to_string().contains(named));
        }
        assert!(
            SwitchChanges { page_default: Some(1), page_max: Some(1_000), ..SwitchChanges::default() }.check().is_ok()
        );
    }
}
