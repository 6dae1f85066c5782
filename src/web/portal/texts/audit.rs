//! The audit log: what an actor did, as the words between the name of the actor and the object.

pub(crate) const ACCOUNT_CREATED: &str = "created the customer";
pub(crate) const ACCOUNT_DELETED: &str = "deleted the customer";
pub(crate) const ACCOUNT_QUOTAS_CHANGED: &str = "changed the limits of the customer";
pub(crate) const ACCOUNT_UPDATED: &str = "renamed the customer";
pub(crate) const ADMIN_CODES_BLOCKED: &str = "entered too many wrong one-time codes for";
pub(crate) const ADMIN_CREATED: &str = "created the account of";
pub(crate) const ADMIN_INVITE_ACCEPTED: &str = "accepted an invitation";
pub(crate) const ADMIN_INVITE_REVOKED: &str = "revoked the invitation of";
pub(crate) const ADMIN_INVITED: &str = "invited";
pub(crate) const ADMIN_LINKED: &str = "linked a single sign-on identity";
pub(crate) const ADMIN_PASSWORD_CHANGED: &str = "changed a password";
pub(crate) const ADMIN_UNLINKED: &str = "unlinked a single sign-on identity";
pub(crate) const ADMIN_UPDATED: &str = "changed the account of";
pub(crate) const API_KEY_CREATED: &str = "created the API key";
pub(crate) const API_KEY_REVOKED: &str = "revoked the API key";
pub(crate) const BACKUP_CREATED: &str = "created a backup";
pub(crate) const BACKUP_DOWNLOADED: &str = "downloaded a backup";
pub(crate) const BACKUP_VERIFIED: &str = "verified a backup";
pub(crate) const BRANDING_UPDATED: &str = "changed the branding";
pub(crate) const CLOCK_ACCEPTED: &str = "accepted the time of the machine";
pub(crate) const CONFIGURATION_CREATED: &str = "created";
pub(crate) const CONFIGURATION_DELETED: &str = "deleted";
pub(crate) const CONFIGURATION_EXPORTED: &str = "exported the data of";
pub(crate) const CONFIGURATION_HELD: &str = "held the changes of";
pub(crate) const CONFIGURATION_HOLD_DECIDED: &str = "decided on the hold of";
pub(crate) const CONFIGURATION_QUOTAS_CHANGED: &str = "changed the limits of";
pub(crate) const CONFIGURATION_TESTED: &str = "sent a test event of";
pub(crate) const CONFIGURATION_UNDONE: &str = "undid changes of";
pub(crate) const CONFIGURATION_UPDATED: &str = "changed";
pub(crate) const LINK_CREATED: &str = "created a setup link of";
pub(crate) const LINK_ENDED: &str = "finished the setup of";
pub(crate) const LINK_OPENED: &str = "was opened for";
pub(crate) const LINK_REVOKED: &str = "revoked a setup link of";
pub(crate) const OAUTH_CLIENT_CREATED: &str = "added an OAuth client to";
pub(crate) const OAUTH_CLIENT_DELETED: &str = "deleted an OAuth client of";
pub(crate) const OAUTH_CLIENT_TOKENS_REVOKED: &str = "revoked access tokens of an OAuth client of";
pub(crate) const OAUTH_CLIENT_UPDATED: &str = "changed an OAuth client of";
pub(crate) const OAUTH_SECRET_CREATED: &str = "added a client secret to";
pub(crate) const OAUTH_SECRET_DELETED: &str = "deleted a client secret of";
pub(crate) const PERSONAL_DATA_COMPLETED: &str = "completed a request about personal data";
pub(crate) const PERSONAL_DATA_DOWNLOADED: &str = "downloaded personal data";
pub(crate) const PERSONAL_DATA_REQUESTED: &str = "requested an export or erasure of personal data";
pub(crate) const REQUESTS_EMPTIED: &str = "emptied the request log of";
pub(crate) const REQUESTS_REPLAYED: &str = "sent a request again for";
pub(crate) const RESOURCE_RESTORED: &str = "restored a user or group of";
pub(crate) const ROLE_CREATED: &str = "created the role";
pub(crate) const ROLE_REMOVED: &str = "deleted the role";
pub(crate) const ROLE_UPDATED: &str = "changed the role";
pub(crate) const SCHEMA_ADDED: &str = "added a schema to";
pub(crate) const SCHEMA_EXTENDED: &str = "declared attributes of";
pub(crate) const SCHEMA_REMOVED: &str = "removed a schema of";
pub(crate) const SESSION_ENDED: &str = "signed out";
pub(crate) const SETTINGS_UPDATED: &str = "changed the settings";
pub(crate) const SIGN_IN_FAILED: &str = "failed to sign in";
pub(crate) const SIGN_IN_SUCCEEDED: &str = "signed in";
pub(crate) const SSO_REFUSED: &str = "was rejected at single sign-on";
pub(crate) const SSO_REMOVED: &str = "removed single sign-on";
pub(crate) const SSO_UPDATED: &str = "changed single sign-on";
pub(crate) const TOKEN_CREATED: &str = "created a token of";
pub(crate) const TOKEN_REVOKED: &str = "revoked a token of";
pub(crate) const TOKEN_UPDATED: &str = "changed a token of";
pub(crate) const USERS_EXPORTED: &str = "exported the users of all connections";
pub(crate) const WEBHOOK_CREATED: &str = "created the webhook";
pub(crate) const WEBHOOK_DELETED: &str = "deleted the webhook";
pub(crate) const WEBHOOK_DISABLED: &str = "paused the webhook";
pub(crate) const WEBHOOK_KEY_DELETED: &str = "removed a signing key of the webhook";
pub(crate) const WEBHOOK_KEY_ROTATED: &str = "rotated the signing key of the webhook";
pub(crate) const WEBHOOK_LANE_RESUMED: &str = "resumed deliveries of the webhook";
/// A token was created that replaces another.
pub(crate) const TOKEN_ROTATED: &str = "rotated the token of";

pub(crate) const AUDIT_LOG: &str = "Audit log";
pub(crate) const ACTOR: &str = "Actor";
pub(crate) const ACTION: &str = "Action";
pub(crate) const ACTOR_API_KEY: &str = "API key";
pub(crate) const ACTOR_USER_TOKEN: &str = "User token";
pub(crate) const ACTOR_SETUP_LINK: &str = "Setup link";
pub(crate) const ACTOR_COMMAND_LINE: &str = "Command line";

pub(crate) fn say_day_invalid(text: &str) -> String {
    format!("“{text}” is not a valid day. Write it like 2026-07-14.")
}
