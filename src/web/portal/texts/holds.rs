//! A connection that is held after a mass removal, and the undo of changes.

use crate::model::hold::HoldReason;

pub(crate) const HOLD: &str = "Hold";
pub(crate) const CHOOSE_DECISION: &str = "Choose what happens with the changes";
pub(crate) const ENTER_MINUTES: &str = "Enter a number of minutes from 1 to 1440";

/// What a provider has removed.
pub(crate) fn describe_removals(reason: HoldReason, provider: &str, count: i64, minutes: u32) -> String {
    let (action, subject) = match reason {
        HoldReason::Protected => return format!("{provider} has deactivated or deleted a protected user."),
        HoldReason::Users => ("deactivated or deleted", "users"),
        HoldReason::Memberships => ("removed", "memberships"),
        HoldReason::Groups => ("removed", "groups"),
    };
    format!("{provider} has {action} {count} {subject} within {minutes} minutes.")
}

/// Why a change cannot be undone.
pub(crate) const RESOURCE_NOT_STORED: &str = "the earlier state is not stored any more";
pub(crate) const NAME_IN_USE: &str = "its name is in use again";
pub(crate) const LIMIT_OF_CONNECTION: &str = "it does not fit into a limit of this connection";

pub(crate) const DELETED_RESOURCES: &str = "Deleted users and groups";
pub(crate) const REVERSAL: &str = "Undo";
pub(crate) const ENTER_TIME: &str = "Enter a date and a time, such as 2026-07-14T09:30";
pub(crate) const COUNT_RESTORED: &str = "Deleted users and groups that return";
pub(crate) const COUNT_ACTIVATED: &str = "Users that are active again";
pub(crate) const COUNT_DEACTIVATED: &str = "Users that are inactive again";
pub(crate) const COUNT_JOINED: &str = "Memberships that return";
pub(crate) const COUNT_LEFT: &str = "Memberships that end again";
pub(crate) const COUNT_CONFLICTS: &str = "Changes that cannot be undone";
pub(crate) const RETURNS: &str = "returns";
pub(crate) const IS_ACTIVE_AGAIN: &str = "is active again";
pub(crate) const IS_INACTIVE_AGAIN: &str = "is inactive again";
pub(crate) const IS_MEMBER_AGAIN: &str = "is a member again";
pub(crate) const IS_NO_MEMBER: &str = "is no member any more";
pub(crate) const SINCE: &str = "Since";
pub(crate) const STARTED: &str = "Started";
