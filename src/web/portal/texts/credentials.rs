//! The credentials of a connection: tokens, OAuth clients and their secrets.

pub(crate) const AFTER_30_DAYS: &str = "After 30 days";
pub(crate) const AFTER_90_DAYS: &str = "After 90 days";
pub(crate) const AFTER_180_DAYS: &str = "After 180 days";
pub(crate) const AFTER_A_YEAR: &str = "After a year";
pub(crate) const AFTER_2_YEARS: &str = "After 2 years";
pub(crate) const AFTER_3_YEARS: &str = "After 3 years";
pub(crate) const NEVER_EXPIRES: &str = "Never";
pub(crate) const CHOOSE_EXPIRY: &str = "Choose when it expires.";

pub(crate) const REVOKED: &str = "Revoked";
pub(crate) const NEW_TOKEN: &str = "New token";
pub(crate) const REVOKE_TOKEN: &str = "Revoke a token";
pub(crate) const CHOOSE_SCOPE: &str = "Choose the scope.";
/// Label of the token with which a connection is created.
pub(crate) const FIRST_TOKEN: &str = "first token";

/// Suggested label of a token or secret. `day` is such as `2026-07-14`.
pub(crate) fn label_new_credential(day: &str) -> String {
    format!("Created on {day}")
}

pub(crate) const NO_VALID_SECRET: &str = "No valid secret";
pub(crate) const NOT_USED_YET: &str = "Not used yet";
pub(crate) const ISSUER: &str = "Issuer";
pub(crate) const JWKS_URL: &str = "JWKS URL";
pub(crate) const SUBJECT: &str = "Subject";
pub(crate) const AUDIENCE: &str = "Audience";
pub(crate) const JWK_SET: &str = "JWK set";
pub(crate) const SCOPE_ALL: &str = "everything";
pub(crate) const SCOPE_READ: &str = "read only";
pub(crate) const SCOPE_USERS: &str = "users only";
pub(crate) const SCOPE_GROUPS: &str = "groups only";
pub(crate) const CONFIRM_CLIENT_DELETION: &str = "Check this to delete the OAuth client.";
pub(crate) const CHOOSE_TOKEN_LIFETIME: &str = "Choose how long an access token is valid.";
pub(crate) const ENTER_KEYS_OR_URL: &str = "Enter the URL of the keys, or the keys themselves.";
pub(crate) const NOT_KEYS_AND_URL: &str = "Enter the URL or the keys, not both.";
pub(crate) const WRITE_WHOLE_URL: &str = "Enter the whole URL, beginning with https://.";

/// `label` is that of a client.
pub(crate) fn title_change(label: &str) -> String {
    format!("Change {label}")
}

pub(crate) fn title_deletion(label: &str) -> String {
    format!("Delete {label}")
}

/// `names` are the suggested scopes.
pub(crate) fn ask_for_scopes(names: &str) -> String {
    format!("Enter scopes of this server, separated by spaces, such as {names}.")
}

/// `name` is that of a claim, such as `issuer`.
pub(crate) fn ask_for_claim(name: &str) -> String {
    format!("Copy the {name} from the console of the provider.")
}

pub(crate) const CHOOSE_SECRET_END: &str = "Choose when the secret expires.";
pub(crate) const DELETE_SECRET: &str = "Delete a secret";
/// Label of the secret with which a client is created.
pub(crate) const FIRST_SECRET: &str = "first secret";

pub(crate) fn title_new_secret(client: &str) -> String {
    format!("New secret of {client}")
}

/// `end` is relative, such as `2 days ago`.
pub(crate) fn warn_secret_ended(client: &str, end: &str) -> String {
    format!("The secret of “{client}” expired {end}. It gets no access tokens, so provisioning has stopped.")
}

pub(crate) fn warn_secret_ends(client: &str, end: &str) -> String {
    format!("The secret of “{client}” expires {end}. From then on it gets no access tokens, and provisioning stops.")
}
