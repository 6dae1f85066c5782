//! Preview of a configuration: what the application would receive on going live, and what may be wrong with it. The work
//! is bounded: a preview examines only the first users and groups, and compares only so many addresses of other
//! configurations. It reads page by page, and gives up an old view between two pages.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;

use serde_json::{Map, Value};

use crate::error::{Error, Reason, Result};
use crate::management::configurations;
use crate::model::account::AccountFilter;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::named_enum::named_enum;
use crate::provisioning::Scope;
use crate::provisioning::directory::{self, DirectoryFilter, DirectoryQuery, DirectoryResource, DirectoryScope};
use crate::scim::fold;
use crate::scim::schema::{Attribute, DataType, Mutability, ResourceType};
use crate::store::Snapshot;
use crate::store::tables::configurations as configuration_rows;
use crate::store::tables::{resources, usage};

/// Users that a preview examines at most, in the order of their creation.
pub const USERS_EXAMINED_MAX: usize = if cfg!(test) { 30 } else { 25_000 };
/// Groups that it examines at most, in the order of their creation.
pub const GROUPS_EXAMINED_MAX: usize = if cfg!(test) { 6 } else { 25_000 };
/// E-mail addresses of other configurations that it compares at most.
pub const OTHER_ADDRESSES_MAX: usize = if cfg!(test) { 20 } else { 200_000 };
/// Resources that are read at once.
const RESOURCES_PER_READ: usize = if cfg!(test) { 4 } else { 500 };
/// Addresses that are read at once.
const ADDRESSES_PER_READ: usize = if cfg!(test) { 3 } else { 2_000 };
/// Users in a preview.
pub const SAMPLE_USERS: usize = 10;
/// Groups in a preview, the largest first.
pub const GROUPS_LISTED_MAX: usize = if cfg!(test) { 3 } else { 100 };
/// Items of each problem that a preview names.
pub const ITEMS_MAX: usize = if cfg!(test) { 5 } else { 100 };
/// Configurations that it names for one address.
const CONFIGURATIONS_NAMED_MAX: usize = 10;
/// A domain that at least this share of the users has is expected, in percent.
pub const DOMAIN_SHARE_PERCENT: u64 = 5;
/// Domains that a caller can expect.
pub const DOMAINS_MAX: usize = 100;
/// Longest name of a domain.
const DOMAIN_MAX_CHARS: usize = 253;

named_enum! {
    /// What may be wrong.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum PreviewProblemKind {
        /// Users without an e-mail address.
        UsersWithoutEmail = "usersWithoutEmail",
        /// E-mail addresses that users of other configurations of the account have, too.
        SharedEmails = "sharedEmails",
        /// Groups without members.
        GroupsWithoutMembers = "groupsWithoutMembers",
        /// Domains of e-mail addresses that are not expected.
        UnmappedDomains = "unmappedDomains",
    }
}

/// One thing that a problem is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreviewItem {
    /// Name of the user or group, address, or domain.
    pub name: String,
    /// Id of the user or group.
    pub resource_id: Option<String>,
    /// Number of users with the domain.
    pub users: Option<u64>,
    /// Other configurations with the address, at most ten.
    pub configurations: Vec<OtherConfiguration>,
}

/// Another configuration of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherConfiguration {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl PreviewItem {
    fn named(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewProblem {
    /// What it is.
    pub kind: PreviewProblemKind,
    /// How many users, addresses, groups or domains it concerns.
    pub count: u64,
    /// The first of them.
    pub items: Vec<PreviewItem>,
}

impl PreviewProblem {
    fn new(kind: PreviewProblemKind) -> Self {
        Self { kind, count: 0, items: Vec::new() }
    }

    fn add(&mut self, item: impl FnOnce() -> PreviewItem) {
        self.count += 1;
        if self.items.len() < ITEMS_MAX {
            self.items.push(item());
        }
    }
}

/// How many of the examined users have a value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeFill {
    /// Path of the attribute, such as `name.givenName`.
    pub path: String,
    /// Number of users.
    pub users: u64,
}

/// What was examined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PreviewExtent {
    /// Number of users.
    pub users: u64,
    /// Number of groups.
    pub groups: u64,
    /// Number of addresses of other configurations.
    pub other_addresses: u64,
    /// Whether there are more of any of them.
    pub is_cut: bool,
}

/// What the application would receive.
#[derive(Debug)]
pub struct Preview {
    /// The configuration.
    pub configuration: Configuration,
    /// Its usage: all users, active users, groups and memberships.
    pub used: UsageAmounts,
    /// What was examined for the rest.
    pub examined: PreviewExtent,
    /// The attributes of users, in the order of their schemas.
    pub attributes: Vec<AttributeFill>,
    /// The first users.
    pub sample_users: Vec<DirectoryResource>,
    /// The largest of the examined groups.
    pub groups: Vec<DirectoryResource>,
    /// One entry for each kind.
    pub problems: Vec<PreviewProblem>,
}

/// Returns the domains in a comma-separated list, normalized for comparison.
///
/// # Errors
/// `DomainsInvalid` if there are too many, or if an entry is no domain.
pub fn parse_domains(list: &str) -> Result<Vec<String>> {
    let is_foreign = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '@';
    let is_name = |domain: &&str| domain.chars().count() <= DOMAIN_MAX_CHARS && !domain.contains(is_foreign);
    let domains: Vec<&str> = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if domains.len() > DOMAINS_MAX || !domains.iter().all(is_name) {
        return Err(Reason::DomainsInvalid.with("max", DOMAINS_MAX));
    }
    Ok(domains.into_iter().map(|domain| fold::fold_case(domain).into_owned()).collect())
}

/// Reads the preview of a configuration in its current state. `domains` are those that are expected; without any, those
/// are expected that at least 5 % of the users with an address have, or that users of other configurations have.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn read_preview(at: &Snapshot<'_>, scope: &AccountScope, id: &str, domains: &[String]) -> Result<Preview> {
    let configuration = configurations::find_configuration(at, scope, id)?;
    let used = usage::load_usage(at, configuration.key)?.configuration.used;
    let types = Scope::load(at, configuration.clone())?.types;
    let users = types.iter().find(|one| one.name == "User").map(|one| UserScan::new(one));
    let mut users = users.unwrap_or_default();
    let mut groups = GroupScan::default();
    let ends = [
        scan_resources(at, &configuration, ("User", USERS_EXAMINED_MAX), |found| users.add(found))?,
        scan_resources(at, &configuration, ("Group", GROUPS_EXAMINED_MAX), |found| groups.add(found))?,
    ];
    let others = OtherAddresses::read(at, &configuration, &users.addresses)?;
    let examined = PreviewExtent {
        users: users.examined,
        groups: groups.examined,
        other_addresses: others.examined,
        is_cut: ends.contains(&ScanEnd::Cut) || others.is_cut,
    };
    let unmapped = users.find_unmapped_domains(domains, &others.domains);
    let problems = vec![users.without_email, others.into_problem(), groups.empty, unmapped];
    let attributes = users.fills.into_iter().map(|(position, users)| AttributeFill { path: position.path, users });
    Ok(Preview {
        configuration,
        used,
        examined,
        attributes: attributes.collect(),
        sample_users: users.sample,
        groups: sort_by_size(groups.largest),
        problems,
    })
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanEnd {
    Complete,
    Cut,
}

/// Visits the first resources of a type, page by page.
fn scan_resources(
    at: &Snapshot<'_>,
    configuration: &Configuration,
    (resource_type, max): (&str, usize),
    mut visit: impl FnMut(DirectoryResource) -> Result<()>,
) -> Result<ScanEnd> {
    let selection = DirectoryScope { account: None, configuration: Some(configuration.id.clone()) };
    let filter = DirectoryFilter::default();
    let (mut cursor, mut left) = (None, max);
    loop {
        let limit = RESOURCES_PER_READ.min(left);
        let query = DirectoryQuery { resource_type, filter: &filter, cursor: cursor.as_ref(), limit };
        let page = directory::list_current(at, &selection, &query)?;
        left = left.saturating_sub(page.items.len());
        page.items.into_iter().try_for_each(&mut visit)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(ScanEnd::Complete);
        }
        if left == 0 {
            return Ok(ScanEnd::Cut);
        }
        at.renew_if_due()?;
    }
}

fn parse_document(found: &DirectoryResource) -> Result<Map<String, Value>> {
    let stored = &found.stored;
    serde_json::from_str(&stored.body)
        .map_err(|problem| Error::undecodable(format_args!("stored text of {}", stored.id), problem))
}

/// Where an attribute is in the document of a user.
#[derive(Debug)]
struct FillPosition {
    path: String,
    extension: Option<String>,
    name: String,
    sub: Option<String>,
}

impl FillPosition {
    fn new(extension: Option<&str>, attribute: &Attribute, sub: Option<&Attribute>) -> Self {
        let prefix = extension.map_or_else(String::new, |urn| format!("{urn}:"));
        let suffix = sub.map_or_else(String::new, |sub| format!(".{}", sub.name));
        Self {
            path: format!("{prefix}{}{suffix}", attribute.name),
            extension: extension.map(str::to_owned),
            name: attribute.name.to_string(),
            sub: sub.map(|sub| sub.name.to_string()),
        }
    }

    fn has_value(&self, document: &Map<String, Value>) -> bool {
        let found = match &self.extension {
            None => document.get(&self.name),
            Some(urn) => document.get(urn).and_then(|values| values.get(&self.name)),
        };
        let found = match &self.sub {
            None => found,
            Some(sub) => found.and_then(|value| value.get(sub)),
        };
        found.is_some_and(is_filled)
    }
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(parts) => !parts.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The attributes that users can have, in the order of the schemas. An attribute with parts has one entry for each part.
fn list_positions(of: &ResourceType) -> Vec<FillPosition> {
    let is_readable =
        |attribute: &&Attribute| !matches!(attribute.mutability, Mutability::ReadOnly | Mutability::WriteOnly);
    let mut positions = Vec::new();
    let common = of.attribute("externalId").into_iter().map(|attribute| (None, attribute));
    let base = of.schema.attributes.iter().map(|attribute| (None, attribute));
    let extended = of.extensions.iter().flat_map(|extension| {
        extension.schema.attributes.iter().map(|attribute| (Some(&*extension.schema.id), attribute))
    });
    for (extension, attribute) in common.chain(base).chain(extended).filter(|(_, attribute)| is_readable(attribute)) {
        let has_parts = attribute.kind == DataType::Complex && !attribute.multi_valued;
        if has_parts && extension.is_none() {
            let parts = attribute.sub_attributes.iter().filter(is_readable);
            positions.extend(parts.map(|sub| FillPosition::new(extension, attribute, Some(sub))));
        } else {
            positions.push(FillPosition::new(extension, attribute, None));
        }
    }
    positions
}

/// The e-mail addresses of a user, the primary one or else the first one in front. A text without `@` is no address.
fn list_addresses(document: &Map<String, Value>) -> Vec<String> {
    let items = document.get("emails").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut addresses = Vec::new();
    for item in items {
        let address = item.get("value").and_then(Value::as_str).map(str::trim).filter(|text| text.contains('@'));
        let Some(address) = address.map(|address| fold::fold_case(address).into_owned()) else { continue };
        if item.get("primary") == Some(&Value::Bool(true)) {
            addresses.insert(0, address);
        } else {
            addresses.push(address);
        }
    }
    addresses
}

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

/// What was found out about the users.
#[derive(Debug)]
struct UserScan {
    examined: u64,
    with_email: u64,
    fills: Vec<(FillPosition, u64)>,
    sample: Vec<DirectoryResource>,
    addresses: HashSet<String>,
    /// Number of users by the domain of their first address.
    domains: HashMap<String, u64>,
    without_email: PreviewProblem,
}

impl Default for UserScan {
    fn default() -> Self {
        Self {
            examined: 0,
            with_email: 0,
            fills: Vec::new(),
            sample: Vec::new(),
            addresses: HashSet::new(),
            domains: HashMap::new(),
            without_email: PreviewProblem::new(PreviewProblemKind::UsersWithoutEmail),
        }
    }
}

impl UserScan {
    fn new(of: &ResourceType) -> Self {
        Self { fills: list_positions(of).into_iter().map(|position| (position, 0)).collect(), ..Self::default() }
    }

    fn add(&mut self, found: DirectoryResource) -> Result<()> {
        let document = parse_document(&found)?;
        self.examined += 1;
        for (position, count) in &mut self.fills {
            *count += u64::from(position.has_value(&document));
        }
        let addresses = list_addresses(&document);
        match addresses.first() {
            Some(first) => {
                self.with_email += 1;
                *self.domains.entry(domain_of(first).to_owned()).or_default() += 1;
            }
            None => self.without_email.add(|| name_resource(&found, &document, "userName")),
        }
        self.addresses.extend(addresses);
        if self.sample.len() < SAMPLE_USERS {
            self.sample.push(found);
        }
        Ok(())
    }

    /// The domains that are not expected, those of most users first.
    fn find_unmapped_domains(&mut self, expected: &[String], of_others: &HashSet<String>) -> PreviewProblem {
        let is_common = |count: u64| count * 100 >= self.with_email * DOMAIN_SHARE_PERCENT;
        let is_expected = |domain: &String, count: u64| {
            if expected.is_empty() { is_common(count) || of_others.contains(domain) } else { expected.contains(domain) }
        };
        let domains = mem::take(&mut self.domains);
        let mut unmapped: Vec<(String, u64)> =
            domains.into_iter().filter(|(domain, count)| !is_expected(domain, *count)).collect();
        unmapped.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let mut problem = PreviewProblem::new(PreviewProblemKind::UnmappedDomains);
        for (domain, users) in unmapped {
            problem.add(|| PreviewItem { users: Some(users), ..PreviewItem::named(domain) });
        }
        problem
    }
}

/// The item of a user or group: its name, or its id without one.
fn name_resource(found: &DirectoryResource, document: &Map<String, Value>, attribute: &str) -> PreviewItem {
    let id = found.stored.id.clone();
    let name = document.get(attribute).and_then(Value::as_str).filter(|name| !name.is_empty());
    PreviewItem { resource_id: Some(id.clone()), ..PreviewItem::named(name.map_or(id, str::to_owned)) }
}

/// What was found out about the groups.
#[derive(Debug)]
struct GroupScan {
    examined: u64,
    largest: Vec<DirectoryResource>,
    empty: PreviewProblem,
}

impl Default for GroupScan {
    fn default() -> Self {
        let empty = PreviewProblem::new(PreviewProblemKind::GroupsWithoutMembers);
        Self { examined: 0, largest: Vec::new(), empty }
    }
}

impl GroupScan {
    fn add(&mut self, found: DirectoryResource) -> Result<()> {
        self.examined += 1;
        if found.stored.member_count == 0 {
            let document = parse_document(&found)?;
            self.empty.add(|| name_resource(&found, &document, "displayName"));
        }
        self.largest.push(found);
        if self.largest.len() >= 2 * GROUPS_LISTED_MAX {
            self.largest = sort_by_size(mem::take(&mut self.largest));
        }
        Ok(())
    }
}

/// The largest groups, in the order of their size.
fn sort_by_size(mut groups: Vec<DirectoryResource>) -> Vec<DirectoryResource> {
    groups.sort_by_key(|group| (-group.stored.member_count, group.stored.key));
    groups.truncate(GROUPS_LISTED_MAX);
    groups
}

/// What was found out about the addresses of the other configurations of the account.
#[derive(Debug, Default)]
struct OtherAddresses {
    examined: u64,
    is_cut: bool,
    domains: HashSet<String>,
    /// Configurations by address.
    shared: BTreeMap<String, Vec<OtherConfiguration>>,
}

impl OtherAddresses {
    /// Compares the addresses of the other configurations that are not deleted with these.
    fn read(at: &Snapshot<'_>, own: &Configuration, addresses: &HashSet<String>) -> Result<Self> {
        let mut others = Self::default();
        if addresses.is_empty() {
            return Ok(others);
        }
        let filter = AccountFilter::Only(own.account.clone());
        for other in configuration_rows::list_configurations(at, Some(&filter))? {
            if other.key == own.key {
                continue;
            }
            others.add_configuration(at, &other, addresses)?;
            if others.is_cut {
                break;
            }
        }
        Ok(others)
    }

    fn add_configuration(&mut self, at: &Snapshot<'_>, other: &Configuration, own: &HashSet<String>) -> Result<()> {
        let mut after = String::new();
        loop {
            at.renew_if_due()?;
            let left = OTHER_ADDRESSES_MAX.saturating_sub(usize::try_from(self.examined).unwrap_or(usize::MAX));
            // One more than may be compared shows whether there are more.
            let limit = ADDRESSES_PER_READ.min(left + 1);
            let keys = resources::list_value_keys(at, other.key, ("emails.value", &after), limit)?;
            let is_last = keys.len() < limit;
            for key in keys {
                if self.examined >= OTHER_ADDRESSES_MAX as u64 {
                    self.is_cut = true;
                    return Ok(());
                }
                self.examined += 1;
                after.clone_from(&key);
                self.add_address(key, other, own);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn add_address(&mut self, key: String, other: &Configuration, own: &HashSet<String>) {
        if !key.contains('@') {
            return;
        }
        let domain = domain_of(&key);
        if !self.domains.contains(domain) {
            self.domains.insert(domain.to_owned());
        }
        if own.contains(&key) {
            let named = self.shared.entry(key).or_default();
            if named.len() < CONFIGURATIONS_NAMED_MAX {
                named.push(OtherConfiguration { id: other.id.clone(), name: other.connection_name.clone() });
            }
        }
    }

    fn into_problem(self) -> PreviewProblem {
        let mut problem = PreviewProblem::new(PreviewProblemKind::SharedEmails);
        for (address, configurations) in self.shared {
            problem.add(|| PreviewItem { configurations, ..PreviewItem::named(address) });
        }
        problem
    }
}

impl Preview {
    /// The number of users, active users, groups or memberships.
    pub fn count(&self, kind: QuotaKind) -> u64 {
        self.used.get(kind).max(0).unsigned_abs()
    }

    /// The share of the examined users with this many, in whole percent.
    pub fn percent(&self, users: u64) -> u64 {
        (users * 100).checked_div(self.examined.users).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
