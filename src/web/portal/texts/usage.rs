//! The usage of quotas, and the form for the limits.

use crate::model::quota::QuotaKind;

use super::formats::choose_form;
use super::labels::{CONNECTIONS, GROUPS, USERS};

pub(crate) const NO_LIMIT: &str = "no limit";

pub(crate) fn label_quota(kind: QuotaKind) -> &'static str {
    match kind {
        QuotaKind::Configurations => CONNECTIONS,
        QuotaKind::Users => USERS,
        QuotaKind::ActiveUsers => "Active users",
        QuotaKind::Groups => GROUPS,
        QuotaKind::Members => "Group memberships",
        QuotaKind::Bytes => "Storage",
        QuotaKind::RequestLogBytes => "Request log",
    }
}

/// The label of a field whose numbers are in this unit.
pub(crate) fn add_unit_mib(label: &str) -> String {
    format!("{label} (MiB)")
}

pub(crate) fn say_limit_reached(label: &str, limit: &str, amount: &str) -> String {
    format!("{label}: the limit of {limit} is reached ({amount}). Requests that add more are rejected.")
}

pub(crate) fn say_limit_near(label: &str, percent: u64, amount: &str, limit: &str) -> String {
    format!("{label}: {percent} % of the limit are used ({amount} of {limit}).")
}

/// `count` is the number of requests, and `digits` its text. `ago` is the time since the last one.
pub(crate) fn say_users_rejected(count: u64, digits: &str, ago: &str) -> String {
    choose_form(
        &count,
        format!("1 request was rejected because of the limit of active users, {ago}."),
        format!("{digits} requests were rejected because of the limit of active users, the last {ago}."),
    )
}

pub(crate) fn say_limit_invalid(most: u64) -> String {
    format!("Write a whole number up to {most}, 0 for no limit, or nothing for the default.")
}
