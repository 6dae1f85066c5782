//! Customers, and requests about the personal data of a user.

use crate::error::Error;
use crate::messages::render_message;

pub(crate) const ACCOUNTS: &str = "Customers";
pub(crate) const ADD_ACCOUNT: &str = "Add a customer";
pub(crate) const ACCOUNT_ID_IN_USE: &str = "There is already a customer with this ID.";

pub(crate) fn say_name_length(max: usize) -> String {
    format!("The name must have 1 to {max} characters.")
}

pub(crate) fn title_deletion(name: &str) -> String {
    format!("Delete · {name}")
}

pub(crate) fn say_id_differs(id: &str) -> String {
    format!("Type the ID exactly: {id}")
}

pub(crate) fn say_not_deleted(error: &Error) -> String {
    format!("Not deleted: {}.", render_message(error))
}

pub(crate) const PERSONAL_DATA: &str = "Personal data";
pub(crate) const ERASE_PERSONAL_DATA: &str = "Erase personal data";
pub(crate) const EXPORT: &str = "Export";
pub(crate) const ERASURE: &str = "Erasure";
pub(crate) const ERASED_ADDRESS: &str = "an erased address";
pub(crate) const ENTER_USER: &str = "Enter the ID of a user, or an e-mail address such as name@example.com.";
pub(crate) const ENTER_ACCOUNT: &str = "Enter the customer ID.";
pub(crate) const TYPE_USER_AGAIN: &str = "Type exactly the same ID or e-mail address again.";
pub(crate) const EXPORT_INCOMPLETE: &str = "The export is not complete yet.";

/// `kind` is [`EXPORT`] or [`ERASURE`].
pub(crate) fn title_request(kind: &str) -> String {
    format!("{kind} of personal data")
}

/// What a request has found.
pub(crate) const DELETED_USERS: &str = "Deleted users and references in them";
pub(crate) const HELD_STATES: &str = "States held by a pause";
pub(crate) const EVENTS: &str = "Events";
pub(crate) const PROVIDER_REQUESTS: &str = "Requests of identity providers";
pub(crate) const AUDIT_ENTRIES: &str = "Entries of the audit log";
pub(crate) const WEBHOOK_ANSWERS: &str = "Answers of webhooks";
pub(crate) const EXPORTS: &str = "Exports";
