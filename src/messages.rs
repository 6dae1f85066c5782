//! One sentence for each [`Reason`], for callers of the management API, the portal and the command line. A sentence names the
//! field and the fix. `{name}` is a parameter of the error, `{field}` its field.

use crate::error::{Error, ErrorDetail, Reason};

/// The sentence of an error, with its parameters filled in.
pub fn render_message(detail: &ErrorDetail) -> String {
    let mut text = String::new();
    let mut rest = template_of(detail.reason());
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, tail)) = after.split_once('}') else { break };
        let value = if name == "field" { detail.field() } else { detail.param(name) };
        text.push_str(value.unwrap_or_default());
        rest = tail;
    }
    text.push_str(rest);
    text
}

/// The sentence of any error, for the command line and for forms. Details of database errors are for the operator, who may
/// read them on the terminal.
pub fn render_error(error: &Error) -> String {
    match error {
        Error::NotFound(detail) | Error::Conflict(detail) | Error::Refused(detail) => render_message(detail),
        Error::Scim(error) => error.detail.clone(),
        other => other.to_string(),
    }
}

/// The same for a page: with a capital letter and a full stop.
pub fn render_sentence(detail: &ErrorDetail) -> String {
    let text = render_message(detail);
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// The sentence of a reason with its placeholders.
#[expect(clippy::too_many_lines, reason = "a table with one line per reason")]
pub fn template_of(reason: Reason) -> &'static str {
    match reason {
        // Names and values.
        Reason::NameLength => "{field} must have 1 to {max} characters",
        Reason::NameControlCharacters => "{field} must not contain control characters",
        Reason::AdminNameLength => "the name must have 1 to {max} characters",
        Reason::EmailInvalid => "the e-mail address must look like name@example.com",
        Reason::PasswordTooShort => "the password must have at least {min} characters; a sentence is easy to remember",
        Reason::PasswordTooLong => "the password may have at most {max} characters",
        Reason::PasswordTooCommon => "the password is too common; choose another",
        Reason::NoteInvalid => "note must have at most {max} characters and no control characters",
        Reason::NumberOutOfRange => "{field} must be a number from {min} to {max}",
        Reason::SecondsOutOfRange => "{field} must be a number of seconds from {min} to {max}",
        Reason::ExpiryPast => "expiresAt is in the past: give a time in the future",
        Reason::ResponseInvalid => "the request cannot be processed: {problem}",
        // Accounts.
        Reason::AccountIdLength => "an account id has 1 to {max} characters",
        Reason::AccountIdCharacters => {
            "an account id must not contain control characters, or a space at its start or end"
        }
        Reason::AccountIdForeign => "id: frontegg-tenant-id names another account; leave it out",
        Reason::AccountNotFound => "there is no account with this id",
        Reason::AccountExists => "there is an account with this id already",
        Reason::AccountHasConfigurations => "the account has {count} configurations; delete them first",
        Reason::AccountHasLeftovers => {
            "deleted configurations of the account still have users and groups; purge them with the account"
        }
        // Configurations.
        Reason::ConfigurationNotFound => "there is no such configuration: give its id, a UUID in lower case",
        Reason::ConfigurationIdNotFound => "there is no configuration {id}",
        Reason::ConfigurationNoLongerExists => "the configuration no longer exists",
        Reason::ConfigurationNotDeleted => "{id} is not deleted: it has no leftovers",
        Reason::ConnectionNameTaken => "connectionName {name} is taken in this account: choose another",
        Reason::PageDefaultAboveMax => "switches.pageDefault ({default}) must not be above pageMax ({max})",
        Reason::StoredAttributeUnknown => {
            "switches.wantedAttributes: users and groups have no attribute {name} to store"
        }
        Reason::GroupNamesShared => {
            "switches.uniqueGroupNames: several have the same name: {names}; rename or remove them first"
        }
        Reason::PasswordsNotStored => {
            "the configuration does not store passwords: set passwords to verify in its settings; passwords are stored from then on"
        }
        Reason::CallNotFound => "there is no such call in the log of this configuration",
        Reason::ResourceNotFound => "there is no such {resource_type}",
        // Schemas.
        Reason::SchemaNotFound => "the configuration has no schema with this URN",
        Reason::SchemaExists => "the configuration already has a schema {id}",
        Reason::SchemaInUse => "resources have values under {id}; purge them with it, or remove them first",
        Reason::SchemaTooLarge => "a schema may be at most {max} bytes long",
        Reason::TooManySchemas => "a configuration may have at most {max} schemas of its own",
        Reason::ResourceTypeUnknown => "there is no resource type {name}: use User or Group",
        // Tokens and set-up links.
        Reason::TokenNotFound => "the configuration has no live token with this id; list its tokens to see the ids",
        Reason::TokenNotLive => "the token is revoked or expired and cannot be changed: create a new one",
        Reason::LinkNotFound => "the configuration has no such link, or it has ended",
        Reason::LinkNotOpen => "there is no such link, or it has ended",
        Reason::LinkTokenInUse => {
            "a token of this connection is already in use; ask the sender of the link for another"
        }
        Reason::TooManyLinks => "the configuration has {max} live links: revoke one first",
        // API keys and permissions.
        Reason::ApiKeyNotFound => "there is no such API key: give its client id, a UUID in lower case",
        Reason::ApiKeyIdNotFound => "there is no API key {id}",
        Reason::ApiKeyNameInvalid => "name must have 1 to {max} characters and no control characters",
        Reason::PermissionsEmpty => "permissions must name at least one permission",
        // Admins and roles.
        Reason::AdminNotFound => "there is no admin with this id",
        Reason::AdminEmailNotFound => "no admin has this e-mail address",
        Reason::AdminEmailTaken => "another admin already has this e-mail address",
        Reason::AdminExists => {
            "an admin already exists; use `rollcall admin create` or `rollcall admin reset-password`"
        }
        Reason::SetupUrlExpired => "this setup URL is already used or expired",
        Reason::SessionEnded => "the session has ended, so nothing was created; sign in again",
        Reason::LastOwner => "at least one owner who may sign in must remain",
        Reason::RoleNotFound => "there is no role with this id",
        Reason::RoleUnknown => "there is no such role",
        Reason::RoleAccountUnknown => "there is no such account to limit the role to",
        Reason::RoleBuiltIn => "this role is built in and cannot be changed",
        Reason::RoleNameTaken => "a role with this name already exists",
        Reason::RoleInUse => "this role is assigned to an admin or built in",
        // Single sign-on.
        Reason::SsoRoleUnknown => "there is no role “{role}”",
        Reason::SsoOwnerPassword => {
            "set a password for at least one owner first, in case the provider is not available"
        }
        Reason::SsoSecretSealed => "the client secret was encrypted with another key; enter it again",
        Reason::SsoProviderUnusable => "{problem}",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(template: &str) -> BTreeSet<&str> {
        template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn every_sentence_uses_exactly_the_parameters_of_its_reason() {
        for &reason in Reason::ALL {
            let mut used = placeholders(template_of(reason));
            used.remove("field");
            assert_eq!(used, reason.params().iter().copied().collect(), "{}", reason.code());
        }
    }

    #[test]
    fn parameters_and_the_field_are_filled_in() {
        let detail = Reason::NumberOutOfRange.with("min", 1).with("max", 100).on_field("limit");
        assert_eq!(render_message(&detail), "limit must be a number from 1 to 100");
        let detail = ErrorDetail::new(Reason::LastOwner);
        assert_eq!(render_sentence(&detail), "At least one owner who may sign in must remain.");
        assert_eq!(detail.field(), Some("role"));
    }

    #[test]
    fn codes_are_unique() {
        let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
