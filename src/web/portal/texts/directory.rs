//! Users and groups: their attributes and history, the search, events, attributes that are not stored, and the preview.

use crate::error::Error;
use crate::messages::render_message;
use crate::provisioning::directory::preview::{
    DOMAIN_SHARE_PERCENT, GROUPS_EXAMINED_MAX, OTHER_ADDRESSES_MAX, PreviewProblemKind, USERS_EXAMINED_MAX,
};

use super::formats::{choose_form, count_connections, count_groups, count_members};
use super::labels::{ACTIVE, EMAIL};

pub(crate) const ATTRIBUTES_NOT_STORED: &str = "Attributes that are not stored";
pub(crate) const CORE_ATTRIBUTES: &str = "Core attributes";
pub(crate) const ENTERPRISE_ATTRIBUTES: &str = "Enterprise attributes";

/// Labels of attributes whose names are not words: path, and label.
pub(crate) const ATTRIBUTE_LABELS: [(&str, &str); 24] = [
    ("userName", "User name"),
    ("externalId", "External ID"),
    ("displayName", "Display name"),
    ("nickName", "Nickname"),
    ("profileUrl", "Profile URL"),
    ("userType", "User type"),
    ("preferredLanguage", "Language"),
    ("timezone", "Time zone"),
    ("active", ACTIVE),
    ("name.formatted", "Full name"),
    ("name.givenName", "First name"),
    ("name.familyName", "Last name"),
    ("name.middleName", "Middle name"),
    ("name.honorificPrefix", "Prefix"),
    ("name.honorificSuffix", "Suffix"),
    ("emails", EMAIL),
    ("phoneNumbers", "Phone"),
    ("ims", "Instant messaging"),
    ("x509Certificates", "Certificate"),
    ("employeeNumber", "Employee number"),
    ("costCenter", "Cost center"),
    ("manager.value", "Manager ID"),
    ("manager.displayName", "Manager"),
    ("manager.$ref", "Manager URL"),
];

/// A sub-attribute that is false.
pub(crate) fn negate_sub_attribute(name: &str) -> String {
    format!("not {name}")
}

pub(crate) const EMPTY_VALUE: &str = "empty";

/// The type of a value with several elements of this type.
pub(crate) fn name_list_type(kind: &str) -> String {
    format!("list of {kind}")
}

pub(crate) fn say_nothing_declared(error: &Error) -> String {
    format!("Nothing was declared: {}.", render_message(error))
}

pub(crate) const CREATED: &str = "Created";
pub(crate) const UPDATED: &str = "Updated";
pub(crate) const ACTIVATED: &str = "Activated";
pub(crate) const DELETED: &str = "Deleted";
pub(crate) const RESTORED: &str = "Restored";

pub(crate) fn say_members_added(count: usize) -> String {
    format!("{} added", count_members(count))
}

pub(crate) fn say_members_removed(count: usize) -> String {
    format!("{} removed", count_members(count))
}

pub(crate) fn name_event(seq: i64) -> String {
    format!("Event {seq}")
}

pub(crate) const SEARCH: &str = "Search";
pub(crate) const REQUEST: &str = "Request";
pub(crate) const CONNECTION: &str = "Connection";
pub(crate) const NAME: &str = "Name";
pub(crate) const LAST_CHANGE: &str = "Last change";
pub(crate) const ACCOUNT: &str = "Customer";

/// What is compared with the text of a search: these have an index.
const SEARCHED_NAMES: &str =
    "User name, display name, e-mail address and external ID are searched by their beginning, an ID as a whole.";

/// Where a user is. `ago` is the time since the last change.
pub(crate) fn locate_user(name: &str, connection: &str, is_active: bool, groups: usize, ago: &str) -> String {
    let state = if is_active { "active" } else { "deactivated" };
    let groups = if groups == 0 { "in no group".to_owned() } else { format!("in {}", count_groups(groups)) };
    format!("{name} is in {connection}: {state}, {groups}, last changed {ago}.")
}

/// `text` is what was searched, here and below.
pub(crate) fn say_user_deleted(text: &str, ago: &str) -> String {
    format!("{text} was deleted {ago}.")
}

pub(crate) fn say_other_results(text: &str) -> String {
    format!("No user matches {text}. The results below do.")
}

/// `searched` is the sentence of [`describe_search`], or empty.
pub(crate) fn say_no_user(text: &str, searched: &str) -> String {
    format!(
        "No user matches {text}. {SEARCHED_NAMES} {searched} If the identity provider should have sent the user, check that the \
         user is assigned to the application there."
    )
}

/// `request` is a sentence without its full stop.
pub(crate) fn say_last_request_failed(text: &str, request: &str) -> String {
    format!("No user matches {text}. {SEARCHED_NAMES} The last request that mentions this text failed. {request}.")
}

pub(crate) fn say_last_request(text: &str, request: &str) -> String {
    format!("No user matches {text}. {SEARCHED_NAMES} The last request that mentions this text: {request}.")
}

/// `count` users match, or more if `is_more`; with their beginning only, if `is_prefix`.
pub(crate) fn say_several_users(text: &str, count: usize, is_more: bool, is_prefix: bool) -> String {
    let more = if is_more { " or more" } else { "" };
    let relation = if is_prefix { "have a name or an address that begins with" } else { "match" };
    format!("{count}{more} users {relation} {text}.")
}

/// What a search without a result has covered: connections, of which only the first 1,000 if `is_truncated`; failed requests
/// of them; and the last requests of the newest connections.
pub(crate) fn describe_search(
    connections: usize,
    is_truncated: bool,
    failures: u32,
    (calls, newest): (u32, usize),
) -> String {
    let limit = if is_truncated { " (the first 1,000)" } else { "" };
    format!(
        "The search covered the users and deleted users of {}{limit}, their last {failures} failed requests, and the last {calls} \
         requests of the newest {}.",
        count_connections(connections),
        count_connections(newest),
    )
}

pub(crate) const PREVIEW: &str = "Preview";
pub(crate) const DATA_CHECK: &str = "Data check";

pub(crate) fn say_partly_examined(users: u64, groups: u64, other_addresses: u64) -> String {
    format!(
        "Only a part was examined: {users} users, {groups} groups and {other_addresses} addresses of other connections. A preview \
         examines at most {USERS_EXAMINED_MAX} users, {GROUPS_EXAMINED_MAX} groups and {OTHER_ADDRESSES_MAX} addresses. The numbers \
         above are complete."
    )
}

/// The heading of a problem that `count` users, addresses, groups or domains have.
pub(crate) fn describe_problem(kind: PreviewProblemKind, count: u64) -> String {
    let what = match kind {
        PreviewProblemKind::UsersWithoutEmail => {
            choose_form(&count, "user has no e-mail address", "users have no e-mail address")
        }
        PreviewProblemKind::SharedEmails => choose_form(
            &count,
            "e-mail address is also in another connection",
            "e-mail addresses are also in other connections",
        ),
        PreviewProblemKind::GroupsWithoutMembers => {
            choose_form(&count, "group has no members", "groups have no members")
        }
        PreviewProblemKind::UnmappedDomains => {
            choose_form(&count, "e-mail domain is not expected", "e-mail domains are not expected")
        }
    };
    format!("{count} {what}")
}

/// What a problem means, and what to do.
pub(crate) fn explain_problem(kind: PreviewProblemKind) -> String {
    match kind {
        PreviewProblemKind::UsersWithoutEmail => {
            "Map an address at the identity provider if your application needs one.".to_owned()
        }
        PreviewProblemKind::SharedEmails => "Users of other connections of this customer have them as well: the same \
             user may be provisioned twice. Remove the users from one of the connections, if it is the same user."
            .to_owned(),
        PreviewProblemKind::GroupsWithoutMembers => {
            "Assign the members at the identity provider, too, or do not push these groups.".to_owned()
        }
        PreviewProblemKind::UnmappedDomains => format!(
            "Fewer than {DOMAIN_SHARE_PERCENT} % of the users with an address have them, and no other connection of this \
             customer has them. With a list of domains, all others are named here. Guests and test users are often among them."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_sentences_with_their_number() {
        for kind in PreviewProblemKind::ALL {
            let describe = |count| describe_problem(kind, count);
            assert!(describe(1).starts_with("1 ") && describe(2).starts_with("2 "), "{}", describe(1));
            assert!(explain_problem(kind).ends_with('.'));
        }
    }
}
