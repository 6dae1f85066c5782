//! The table of the switches. One row gives the key, type, default, API description, label and help text of a switch;
//! storage, management API, portal and documents read it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Preset;
use super::value::{SwitchInput, SwitchRow, SwitchValue, TombstoneDays};

// The keys are `tt`: utoipa ignores `#[serde(rename = …)]` with a captured literal.

/// Declares a type of switch values with its API values and their labels.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $value:tt, $label:literal;)+ }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        $(#[$meta])*
        pub enum $name {
            $($(#[$about])* #[serde(rename = $value)] $variant),+
        }

        impl SwitchValue for $name {
            const INPUT: SwitchInput = SwitchInput::Choice(&[$(($value, $label)),+]);
        }
    };
}

/// Declares the switches. `key as stored_key` is for a switch whose stored key is not the name of its field.
macro_rules! switches {
    ($(
        $(#[doc = $description:literal])+
        $(#[schema($($schema:tt)+)])?
        $name:ident $(as $stored:tt)?, $key:tt: $kind:ty = $default:expr;
        $label:literal, $help:literal;
    )+) => {
        /// Options of a configuration. Stored as JSON: absent members have their defaults and unknown members are
        /// skipped, so that older and newer versions can read the same row.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Switches {
            /// The preset that the values are based on.
            pub preset: Preset,
            $($(#[doc = $description])+ $(#[serde(rename = $stored)])? pub $name: $kind),+
        }

        impl Default for Switches {
            fn default() -> Self {
                Self { preset: Preset::Standard, $($name: $default),+ }
            }
        }

        /// All switches in the order of the portal.
        pub const SWITCHES: &[SwitchRow] = &[$(SwitchRow {
            key: $key,
            description: concat!($($description),+),
            label: $label,
            help: $help,
            input: <$kind as SwitchValue>::INPUT,
        }),+];

        /// The switches of a configuration
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
        #[schema(as = Switches)]
        pub struct SwitchesResponse {
            $($(#[doc = $description])+ $(#[schema($($schema)+)])? #[serde(rename = $key)] pub $name: $kind),+
        }

        impl From<&Switches> for SwitchesResponse {
            fn from(switches: &Switches) -> Self {
                Self { $($name: switches.$name.clone()),+ }
            }
        }

        /// Switches to change; absent members are not changed
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[schema(as = SwitchChanges)]
        pub struct SwitchChanges {
            $(
                $(#[doc = $description])+
                $(#[schema($($schema)+)])?
                #[serde(rename = $key, skip_serializing_if = "Option::is_none")]
                pub $name: Option<$kind>
            ),+
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

            /// Returns whether there are no changes.
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }

            /// Checks each value on its own.
            ///
            /// # Errors
            /// The reason and the field of the switch.
            pub fn check(&self) -> crate::error::Result<()> {
                $(if let Some(value) = &self.$name {
                    value.check($key)?;
                })+
                Ok(())
            }
        }
    };
}

choice! {
    /// How input of an identity provider that deviates from the standard is handled.
    InputMode {
        /// Accepts text booleans, other `schemas`, unknown attributes and similar deviations, and adds a note to the log.
        Lenient = "lenient", "Accept and log";
        /// Rejects what the interoperability profile rejects.
        Strict = "strict", "Reject";
    }
}

choice! {
    /// How a group member whose id is not a resource of the configuration is handled.
    UnknownMembers {
        /// The request fails with 400 `invalidValue` that names the id.
        Reject = "reject", "Reject the request";
        /// The member is skipped and noted in the log: a provider that never retries a 400 would lose the whole push.
        Skip = "skip", "Skip and log";
    }
}

choice! {
    /// What a PATCH remove of `active` does.
    ActiveRemovalMode {
        /// The user stays active or inactive, with a note in the log.
        Keep = "keep", "Keep the value and log";
        /// `active` has no value (RFC 7644 section 3.5.2.2: an attribute that is not required can be removed).
        Remove = "remove", "Remove the value";
        /// The request fails with 400 `mutability`.
        Refuse = "refuse", "Reject the request";
    }
}

choice! {
    /// Response to a successful PATCH (RFC 7644 section 3.5.2 allows both).
    PatchResponse {
        /// 200 with the resource; 204 for large groups if no attributes are requested.
        Auto = "auto", "200 with the resource; 204 for large groups";
        /// Always 200 with the resource.
        Full = "full", "Always 200 with the resource";
        /// 204, unless attributes are requested.
        Empty = "empty", "204, unless attributes are requested";
    }
}

choice! {
    /// The content type of responses with a body (RFC 7644 section 3.8).
    #[derive(Default)]
    ResponseMediaType {
        /// `application/scim+json`, or `application/json` for a client that accepts only that.
        #[default]
        Negotiated = "negotiated", "application/scim+json, unless the client accepts only application/json";
        /// Always `application/json`.
        Json = "json", "Always application/json";
    }
}

choice! {
    /// Which clients may read the discovery documents.
    DiscoveryAccess {
        /// Any client; an invalid token is still refused.
        Public = "public", "Public";
        /// Clients with a token.
        Token = "token", "Require token";
    }
}

choice! {
    /// How passwords that an identity provider sends are handled.
    #[schema(as = Passwords)]
    PasswordHandling {
        /// Passwords are accepted and discarded, with a note in the log.
        Ignore = "ignore", "Ignore";
        /// Passwords are stored as argon2id digests, so that the operator's application can verify a password.
        Verify = "verify", "Store hash for verification";
    }
}

switches! {
    /// How input of a provider that deviates from the standard is handled
    input, "input": InputMode = InputMode::Lenient;
    "Non-standard input",
    "Most providers send text where a boolean belongs, or undeclared attributes. Rejecting finds such mistakes early, and stops those providers.";

    /// A PATCH replace on `attribute[x eq "y"]` without a match creates the element instead of returning 400 noTarget
    create_on_missing_target, "createOnMissingTarget": bool = false;
    "Create missing values on PATCH replace",
    "Entra replaces emails[type eq \"work\"].value before there is one. If this is off, that is rejected with noTarget.";

    /// How a group member with an unknown id is handled
    unknown_members, "unknownMembers": UnknownMembers = UnknownMembers::Reject;
    "Unknown group members",
    "If the provider doesn't retry, rejecting loses the whole update.";

    /// What a PATCH remove of `active` does. Null never changes `active`, or is 400 if `input` is `strict`
    active_removal, "activeRemoval": ActiveRemovalMode = ActiveRemovalMode::Remove;
    "When a provider removes the attribute active",
    "The standard allows the removal, and generic clients test it. Identity providers never mean it: a user without the attribute is neither active nor inactive.";

    /// Whether group display names must be unique (case-insensitive)
    unique_group_names, "uniqueGroupNames": bool = true;
    "Require unique group names (case-insensitive)",
    "Two groups whose names differ only in case are rejected. Turn it off if the directory really has such groups.";

    /// POST with the userName of an inactive user reactivates that user under the same id, instead of returning 409
    reactivate_on_conflict, "reactivateOnConflict": bool = false;
    "Reactivate a deactivated user on create",
    "The user has the same ID as before. If this is off, the provider gets 409: the name is in use.";

    /// Days for which deleted users and groups can be restored; 0 for none
    tombstone_days, "tombstoneDays": TombstoneDays = TombstoneDays::DEFAULT;
    "Days to restore deleted users and groups",
    "From 0 to 365. A mistake of a provider can be repaired in this time; after it, nothing of what was deleted is left here. 0 stores nothing.";

    /// POST with the userName, displayName of a group, or externalId of a deleted user or group brings it back under the same id
    revive_deleted, "reviveDeleted": bool = false;
    "Restore a deleted user or group on create",
    "It has the same ID as before, so your application finds its data. A user also returns to its groups. If this is off, a new one is created.";

    /// Response to a successful PATCH
    patch_response, "patchResponse": PatchResponse = PatchResponse::Auto;
    "PATCH response",
    "Large groups have large responses. Some clients need one kind.";

    /// Content type of responses with a body
    response_media_type, "responseMediaType": ResponseMediaType = ResponseMediaType::Negotiated;
    "Content type of responses",
    "The standard asks for application/scim+json. OneLogin documents application/json; choose it for a client that does not read the other.";

    /// Whether /Bulk is served
    bulk, "bulk": bool = true;
    "Allow bulk requests",
    "Several changes in one request. Few providers use them.";

    /// Which clients may read the discovery documents
    discovery, "discovery": DiscoveryAccess = DiscoveryAccess::Public;
    "Discovery endpoints",
    "They contain no personal data. Some providers read them before they have a token.";

    /// How passwords that a provider sends are handled
    passwords, "passwords": PasswordHandling = PasswordHandling::Ignore;
    "Passwords",
    "Store hashes only if your application verifies passwords here. Switching back deletes all hashes.";

    /// Resources per page if `count` is absent; at most `pageMax`
    #[schema(minimum = 1, maximum = 1000)]
    page_default, "pageDefault": u32 = 100;
    "Default page size",
    "For requests without count. At most the maximum page size.";

    /// Most resources per page
    #[schema(minimum = 1, maximum = 1000)]
    page_max, "pageMax": u32 = 500;
    "Maximum page size",
    "From 1 to 1000. Smaller pages have faster responses, larger ones need fewer requests.";

    /// Whether ServiceProviderConfig contains members newer than RFC 7643, such as `pagination`
    newer_discovery_members, "newerDiscoveryMembers": bool = true;
    "Advertise newer features",
    "Such as cursor paging. Turn off for clients that reject unknown fields.";

    /// The attributes that are stored, such as `name`, `emails`, the URN of an extension or `URN:attribute`; others are
    /// accepted and discarded. Empty for all. Attributes that identify users and groups are always stored
    stored_attributes as "wanted_attributes", "wantedAttributes": Vec<String> = Vec::new();
    "Stored attributes",
    "Comma-separated, such as name, emails, title; leave empty to store all. Others are discarded. Store no more personal data than your application needs.";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn the_key_is_the_stored_key_in_camel_case() {
        let stored = serde_json::to_value(Switches::default()).unwrap();
        let camel = |name: &str| {
            let mut parts = name.split('_');
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |name, part| name + &part[..1].to_uppercase() + &part[1..])
        };
        let names = stored.as_object().unwrap().keys().filter(|name| *name != "preset");
        let mut expected: Vec<String> = names.map(|name| camel(name)).collect();
        let mut found: Vec<&str> = SWITCHES.iter().map(|row| row.key).collect();
        expected.sort();
        found.sort_unstable();
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
        let days = |days| SwitchChanges { tombstone_days: Some(TombstoneDays::new(days)), ..SwitchChanges::default() };
        assert!(days(366).check().unwrap_err().to_string().contains("tombstoneDays"));
        assert!(days(0).check().is_ok() && days(365).check().is_ok());
        assert!(
            SwitchChanges { page_default: Some(1), page_max: Some(1_000), ..SwitchChanges::default() }.check().is_ok()
        );
    }
}
