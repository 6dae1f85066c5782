//! What is known of the user of a request: ids, addresses, and the values of its attributes in each configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::scim::fold::fold_case;

/// Shortest value that identifies the user where it stands alone.
const IDENTITY_MIN_CHARS: usize = 3;
/// Most values of one kind per configuration. A user with more has a document of many hundred attributes.
const VALUES_MAX: usize = 2_000;

/// Attributes whose values name the user, in lower case.
const IDENTITY_ATTRIBUTES: [&str; 8] =
    ["username", "externalid", "displayname", "nickname", "formatted", "employeenumber", "emails", "phonenumbers"];
/// Attributes whose values say nothing about the user, in lower case.
const GENERAL_ATTRIBUTES: [&str; 9] =
    ["schemas", "type", "$ref", "op", "locale", "timezone", "preferredlanguage", "usertype", "meta"];

/// Values of the user in one configuration, normalized for comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationValues {
    /// Values of `userName`.
    pub user_names: BTreeSet<String>,
    /// Values of `externalId`.
    pub external_ids: BTreeSet<String>,
    /// Values that name the user, with those above.
    pub identity: BTreeSet<String>,
    /// All other texts.
    pub others: BTreeSet<String>,
}

/// The user of a request, as it was found in all configurations of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureSubject {
    /// Ids of users, with the key of their configuration.
    pub users: BTreeMap<String, i64>,
    /// Addresses by which the users of all configurations are found, normalized for comparison.
    pub selectors: BTreeSet<String>,
    /// Addresses that are replaced wherever they stand, normalized for comparison.
    pub addresses: BTreeSet<String>,
    /// Values in each configuration.
    pub configurations: BTreeMap<i64, ConfigurationValues>,
}

impl ErasureSubject {
    /// Adds the values of a document of the user.
    pub fn add_document(&mut self, configuration: i64, document: &Map<String, Value>) {
        let values = self.configurations.entry(configuration).or_default();
        let text = |name: &str| find_member(document, name).and_then(Value::as_str);
        if let Some(name) = text("userName") {
            insert_value(&mut values.user_names, name);
        }
        if let Some(id) = text("externalId") {
            insert_value(&mut values.external_ids, id);
        }
        for (name, value) in document {
            collect_texts(values, name, value, false);
        }
    }

    /// Whether a document of a user has one of the addresses of the request.
    pub fn is_selected(&self, document: &Map<String, Value>) -> bool {
        list_addresses(document).iter().any(|address| self.selectors.contains(address))
    }

    /// Whether this is an id of the user.
    pub fn has_id(&self, id: &str) -> bool {
        self.users.contains_key(id)
    }
}

fn collect_texts(values: &mut ConfigurationValues, name: &str, value: &Value, is_identity: bool) {
    let name = name.to_ascii_lowercase();
    if GENERAL_ATTRIBUTES.contains(&name.as_str()) {
        return;
    }
    let is_identity = is_identity || IDENTITY_ATTRIBUTES.contains(&name.as_str());
    match value {
        Value::String(text) if is_identity => insert_value(&mut values.identity, text),
        Value::String(text) => insert_value(&mut values.others, text),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(values, &name, item, is_identity)),
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| collect_texts(values, name, member, is_identity));
        }
        _ => {}
    }
}

fn insert_value(into: &mut BTreeSet<String>, text: &str) {
    let text = fold_case(text.trim());
    if text.chars().count() >= IDENTITY_MIN_CHARS && into.len() < VALUES_MAX {
        into.insert(text.into_owned());
    }
}

/// Returns a member of a document. Names are compared without case, because logged bodies are as they were sent.
pub(super) fn find_member<'d>(document: &'d Map<String, Value>, name: &str) -> Option<&'d Value> {
    document
        .get(name)
        .or_else(|| document.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// Returns all addresses of a user: `userName` and the values of `emails`, normalized for comparison.
pub fn list_addresses(document: &Map<String, Value>) -> BTreeSet<String> {
    let emails = find_member(document, "emails").and_then(Value::as_array);
    let emails = emails.into_iter().flatten().filter_map(read_email);
    let name = find_member(document, "userName").and_then(Value::as_str);
    name.into_iter()
        .chain(emails)
        .filter(|text| is_address(text))
        .map(|text| fold_case(text.trim()).into_owned())
        .collect()
}

/// Returns the addresses that only this user has: `userName`, and the primary e-mail address or the only one.
pub fn list_own_addresses(document: &Map<String, Value>) -> BTreeSet<String> {
    let emails = find_member(document, "emails").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_primary = |email: &&Value| email.get("primary") == Some(&Value::Bool(true));
    let main = emails.iter().find(is_primary).or_else(|| emails.first().filter(|_| emails.len() == 1));
    let name = find_member(document, "userName").and_then(Value::as_str);
    let texts = name.into_iter().chain(main.and_then(read_email));
    texts.filter(|text| is_address(text)).map(|text| fold_case(text.trim()).into_owned()).collect()
}

fn read_email(email: &Value) -> Option<&str> {
    email.as_str().or_else(|| find_member(email.as_object()?, "value")?.as_str())
}

fn is_address(text: &str) -> bool {
    text.trim().split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}
