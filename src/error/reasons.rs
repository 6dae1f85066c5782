//! Every reason for which a management call can be refused, one row each. The codes are part of the management API: they are
//! listed in `docs/errors.md`, and a published code never changes its meaning.

use std::fmt;

use super::ErrorDetail;

/// Class of a reason. It decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An argument is not valid: 400.
    Invalid,
    /// The name or id does not exist: 404.
    NotFound,
    /// The state does not allow it, or a unique name is in use: 409.
    Conflict,
}

/// One row: `Variant "code" Kind ["field"] (parameters)`. The field is the one that the reason is usually about.
macro_rules! reasons {
    ($($variant:ident $code:literal $kind:ident $([$field:literal])? ($($param:literal),*);)+) => {
        /// Why an operation was refused. `messages` has the sentence of each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = concat!("`", $code, "`")] $variant,)+
        }

        impl Reason {
            /// All reasons, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The class.
            pub fn kind(self) -> ErrorKind {
                match self { $(Self::$variant => ErrorKind::$kind),+ }
            }

            /// The argument that the reason is usually about, in the spelling of the management API.
            pub fn field(self) -> Option<&'static str> {
                match self { $(Self::$variant => [$($field,)? ""].first().copied().filter(|field| !field.is_empty())),+ }
            }

            /// Names of the parameters of its message.
            pub fn params(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($param),*]),+ }
            }
        }
    };
}

reasons! {
    // Names and values.
    NameLength "name_length" Invalid ("max");
    NameControlCharacters "name_control_characters" Invalid ();
    AdminNameLength "admin_name_length" Invalid ["name"] ("max");
    EmailInvalid "email_invalid" Invalid ["email"] ();
    PasswordTooShort "password_too_short" Invalid ["password"] ("min");
    PasswordTooLong "password_too_long" Invalid ["password"] ("max");
    PasswordTooCommon "password_too_common" Invalid ["password"] ();
    NoteInvalid "note_invalid" Invalid ["note"] ("max");
    NumberOutOfRange "number_out_of_range" Invalid ("min", "max");
    SecondsOutOfRange "seconds_out_of_range" Invalid ("min", "max");
    ExpiryPast "expiry_past" Conflict ["expiresAt"] ();
    ResponseInvalid "response_invalid" Invalid ("problem");
    // Accounts.
    AccountIdLength "account_id_length" Invalid ["id"] ("max");
    AccountIdCharacters "account_id_characters" Invalid ["id"] ();
    AccountIdForeign "account_id_foreign" Invalid ["id"] ();
    AccountNotFound "account_not_found" NotFound ();
    AccountExists "account_exists" Conflict ["id"] ();
    AccountHasConfigurations "account_has_configurations" Conflict ("count");
    AccountHasLeftovers "account_has_leftovers" Conflict ["purge"] ();
    // Configurations.
    ConfigurationNotFound "configuration_not_found" NotFound ();
    ConfigurationIdNotFound "configuration_id_not_found" NotFound ("id");
    ConfigurationNoLongerExists "configuration_no_longer_exists" NotFound ();
    ConfigurationNotDeleted "configuration_not_deleted" NotFound ("id");
    ConnectionNameTaken "connection_name_taken" Conflict ["connectionName"] ("name");
    PageDefaultAboveMax "page_default_above_max" Conflict ["switches.pageDefault"] ("default", "max");
    StoredAttributeUnknown "stored_attribute_unknown" Conflict ["switches.wantedAttributes"] ("name");
    GroupNamesShared "group_names_shared" Conflict ["switches.uniqueGroupNames"] ("names");
    PasswordsNotStored "passwords_not_stored" Conflict ();
    CallNotFound "call_not_found" NotFound ();
    ResourceNotFound "resource_not_found" NotFound ("resource_type");
    // Schemas.
    SchemaNotFound "schema_not_found" NotFound ();
    SchemaExists "schema_exists" Conflict ("id");
    SchemaInUse "schema_in_use" Conflict ["purge"] ("id");
    SchemaTooLarge "schema_too_large" Invalid ("max");
    TooManySchemas "too_many_schemas" Invalid ("max");
    ResourceTypeUnknown "resource_type_unknown" Invalid ["resourceType"] ("name");
    // Tokens and set-up links.
    TokenNotFound "token_not_found" NotFound ();
    TokenNotLive "token_not_live" Conflict ();
    LinkNotFound "link_not_found" NotFound ();
    LinkNotOpen "link_not_open" NotFound ();
    LinkTokenInUse "link_token_in_use" Conflict ();
    TooManyLinks "too_many_links" Conflict ("max");
    // API keys and permissions.
    ApiKeyNotFound "api_key_not_found" NotFound ();
    ApiKeyIdNotFound "api_key_id_not_found" NotFound ("id");
    ApiKeyNameInvalid "api_key_name_invalid" Invalid ["name"] ("max");
    PermissionsEmpty "permissions_empty" Invalid ["permissions"] ();
    // Admins and roles.
    AdminNotFound "admin_not_found" NotFound ();
    AdminEmailNotFound "admin_email_not_found" NotFound ["email"] ();
    AdminEmailTaken "admin_email_taken" Conflict ["email"] ();
    AdminExists "admin_exists" Conflict ();
    SetupUrlExpired "setup_url_expired" NotFound ();
    SessionEnded "session_ended" NotFound ();
    LastOwner "last_owner" Conflict ["role"] ();
    RoleNotFound "role_not_found" NotFound ();
    RoleUnknown "role_unknown" Invalid ["role"] ();
    RoleAccountUnknown "role_account_unknown" Invalid ["account"] ();
    RoleBuiltIn "role_built_in" Conflict ["name"] ();
    RoleNameTaken "role_name_taken" Conflict ["name"] ();
    RoleInUse "role_in_use" Conflict ["name"] ();
    // Single sign-on.
    SsoRoleUnknown "sso_role_unknown" Invalid ("role");
    SsoOwnerPassword "sso_owner_password" Invalid ["only"] ();
    SsoSecretSealed "sso_secret_sealed" Invalid ["client_secret"] ();
    SsoProviderUnusable "sso_provider_unusable" Invalid ("problem");
}

impl Reason {
    /// A detail with one parameter: `Reason::TooManyLinks.with("max", 20)`.
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> ErrorDetail {
        ErrorDetail::new(self).with(name, value)
    }

    /// A detail about a field: `Reason::NameControlCharacters.on_field("label")`.
    pub fn on_field(self, field: impl Into<String>) -> ErrorDetail {
        ErrorDetail::new(self).on_field(field)
    }
}
