//! The scopes of access tokens (RFC 6749 section 3.3), and the rights that they contain.

use crate::error::{Reason, Result};
use crate::model::rights::{AccessRights, ResourceAction, TokenRights};

/// Scopes for whole groups of actions, in the order in which they are listed.
const GENERAL_SCOPES: [(&str, TokenRights); 5] = [
    ("scim", TokenRights::All),
    ("scim.readwrite", TokenRights::All),
    ("scim.read", TokenRights::Read),
    ("scim.users", TokenRights::Users),
    ("scim.groups", TokenRights::Groups),
];
/// Resource types in the scopes of `FusionAuth`, such as `scim:user:create`. The enterprise extension is a part of a user.
const TYPED_SCOPES: [(&str, &str); 3] =
    [("scim:user", "User"), ("scim:enterprise:user", "User"), ("scim:group", "Group")];
/// Scopes for documents that every token can read.
const DISCOVERY_SCOPES: [&str; 3] =
    ["scim:resource-types:read", "scim:schemas:read", "scim:service-provider-config:read"];
/// Longest scope, in bytes.
const SCOPE_MAX_BYTES: usize = 1_000;

/// A scope: names in the order in which they were given, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthScope {
    text: String,
    rights: AccessRights,
}

impl OauthScope {
    /// Parses names with spaces between them.
    ///
    /// # Errors
    /// `Invalid` on `scope` if there is no name, or an unknown one.
    pub fn parse(text: &str) -> Result<Self> {
        let mut names: Vec<&str> = Vec::new();
        let mut rights = AccessRights::NONE.marked_as_scope();
        let unknown = || Reason::OauthScopeUnknown.with("scopes", list_scope_names().join(", "));
        for name in text.split(' ').filter(|name| !name.is_empty()) {
            rights = rights.with(find_rights(name).ok_or_else(unknown)?);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() || text.len() > SCOPE_MAX_BYTES {
            return Err(unknown());
        }
        Ok(Self { text: names.join(" "), rights })
    }

    /// The scope for everything.
    pub fn full() -> Self {
        let (name, rights) = GENERAL_SCOPES[0];
        Self { text: name.to_owned(), rights: AccessRights::from(rights).marked_as_scope() }
    }

    /// The names, with spaces between them.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The rights.
    pub fn rights(&self) -> AccessRights {
        self.rights
    }
}

/// Returns the names of all scopes.
pub fn list_scope_names() -> Vec<String> {
    let general = GENERAL_SCOPES.iter().map(|(name, _)| (*name).to_owned());
    let typed = TYPED_SCOPES
        .iter()
        .flat_map(|(name, _)| ResourceAction::ALL.map(|action| format!("{name}:{}", action.as_str())));
    general.chain(typed).chain(DISCOVERY_SCOPES.map(str::to_owned)).collect()
}

/// Returns the rights of a scope with this name.
fn find_rights(name: &str) -> Option<AccessRights> {
    if let Some((_, rights)) = GENERAL_SCOPES.iter().find(|(general, _)| *general == name) {
        return Some((*rights).into());
    }
    if DISCOVERY_SCOPES.contains(&name) {
        return Some(AccessRights::NONE);
    }
    let (of, action) = name.rsplit_once(':')?;
    let (_, resource_type) = TYPED_SCOPES.iter().find(|(typed, _)| *typed == of)?;
    if action == "*" {
        return Some(AccessRights::of_type(resource_type));
    }
    let action = ResourceAction::ALL.into_iter().find(|known| known.as_str() == action)?;
    Some(AccessRights::of_action(resource_type, action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_contain_rights() {
        for (text, expected, users, groups) in [
            ("scim", "scim", "CRUD", "CRUD"),
            ("scim.readwrite", "scim.readwrite", "CRUD", "CRUD"),
            ("scim.read", "scim.read", "R", "R"),
            ("scim.users", "scim.users", "CRUD", ""),
            ("scim.read  scim.users scim.read", "scim.read scim.users", "CRUD", "R"),
            ("scim:user:create scim:group:read", "scim:user:create scim:group:read", "C", "R"),
            ("scim:group:*", "scim:group:*", "", "CRUD"),
            ("scim:enterprise:user:update", "scim:enterprise:user:update", "U", ""),
            ("scim:schemas:read", "scim:schemas:read", "", ""),
        ] {
            let scope = OauthScope::parse(text).unwrap();
            let allowed = |resource_type| {
                let letters = [('C', ResourceAction::Create), ('R', ResourceAction::Read)]
                    .into_iter()
                    .chain([('U', ResourceAction::Update), ('D', ResourceAction::Delete)]);
                letters
                    .filter(|(_, action)| scope.rights().allows(resource_type, *action))
                    .map(|(letter, _)| letter)
                    .collect::<String>()
            };
            assert_eq!((scope.as_str(), &*allowed("User"), &*allowed("Group")), (expected, users, groups), "{text}");
            assert!(scope.rights().are_from_scope());
            assert!(scope.rights().are_within(OauthScope::full().rights()));
        }
    }

    #[test]
    fn unknown_and_empty_scopes_are_refused() {
        for text in
            ["", " ", "openid", "scim:user", "scim:user:write", "scim:user:", "SCIM", "scim,scim.read", "scim\tscim"]
        {
            assert_eq!(OauthScope::parse(text).unwrap_err().reason(), Reason::OauthScopeUnknown, "{text:?}");
        }
        assert!(OauthScope::parse(&"scim ".repeat(300)).is_err());
        assert!(list_scope_names().iter().all(|name| OauthScope::parse(name).is_ok()));
    }
}
