//! The actor of a management change: its identity, network address and account scope.

use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::model::account::{AccountFilter, AccountRef};
use crate::model::permission::Permissions;
use crate::named_enum::named_enum;

named_enum! {
    /// The kind of an actor.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ActorKind {
        /// An API key of the operator or of an account.
        ApiKey = "api_key",
        /// A user of the operator's own identity system, authenticated by its token.
        User = "user",
        /// An admin in the portal.
        Admin = "admin",
        /// The holder of a setup link.
        SetupLink = "setup_link",
        /// A user of the command line on the server machine.
        CommandLine = "command_line",
        /// The server itself, in scheduled and background work.
        Server = "server",
    }
}

/// The caller that makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Kind of the actor.
    pub kind: ActorKind,
    /// Id of the API key, `sub` of the user token, or name of the operating system user.
    pub id: String,
    /// Display name; may equal the id.
    pub name: String,
}

/// The accounts that a call may access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountScope {
    /// All accounts.
    AllAccounts,
    /// One account.
    Account(AccountRef),
}

impl AccountScope {
    /// Returns whether the account is in the scope.
    pub fn covers(&self, account: &AccountRef) -> bool {
        self.account().is_none_or(|own| own.is_same(account))
    }

    /// Returns whether the scope allows a filter on accounts with this id.
    pub fn covers_id(&self, id: &str) -> bool {
        self.account().is_none_or(|own| own.id == id)
    }

    /// Returns the account if the scope is limited to one.
    pub fn account(&self) -> Option<&AccountRef> {
        match self {
            Self::AllAccounts => None,
            Self::Account(own) => Some(own),
        }
    }

    /// Returns the id of the account if the scope is limited to one.
    pub fn account_id(&self) -> Option<&str> {
        self.account().map(|own| own.id.as_str())
    }

    /// Returns the filter for rows of the scope. `id` is a filter of the caller, which must be covered by the scope.
    pub fn filter(&self, id: Option<String>) -> Option<AccountFilter> {
        match self {
            Self::AllAccounts => id.map(AccountFilter::WithId),
            Self::Account(own) => Some(AccountFilter::Only(own.clone())),
        }
    }
}

/// The permissions of a caller and their end. A credential, role or admin that the caller creates, changes or revokes
/// never has more permissions, and what it creates never lasts longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    /// Permissions of the caller.
    pub permissions: Permissions,
    /// When the credential of the caller expires. `None` for never, and for the session of an admin or a user: a session
    /// proves who the caller is, and the caller can start another one.
    pub expires_at: Option<Millis>,
}

impl Authority {
    /// The authority of the server itself and of the command line.
    pub const UNLIMITED: Self = Self { permissions: Permissions::ALL, expires_at: None };

    /// Returns the latest expiry that the caller can give: `requested`, else its own.
    pub fn limit_expiry(&self, requested: Option<Millis>) -> Option<Millis> {
        requested.or(self.expires_at)
    }

    /// Checks the expiry of a credential that the caller creates or prolongs. `None` is never.
    ///
    /// # Errors
    /// 403 if the credential would be valid longer than that of the caller.
    pub fn check_expiry(&self, expires_at: Option<Millis>) -> Result<()> {
        match self.expires_at {
            Some(own) if expires_at.is_none_or(|end| end > own) => Err(Reason::ExpiryBeyondCaller.into()),
            _ => Ok(()),
        }
    }

    /// Checks the permissions of a role, an admin or an API key that the caller changes or revokes.
    ///
    /// # Errors
    /// 403 if it has a permission that the caller lacks.
    pub fn check_power_over(&self, permissions: Permissions) -> Result<()> {
        if self.permissions.contains_all(permissions) { Ok(()) } else { Err(Error::new(Reason::AuthorityExceeded)) }
    }
}

/// Actor, account scope, authority and origin of a management call. Every function that changes data takes one, and the audit log
/// records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditContext {
    /// The caller.
    pub actor: Actor,
    /// Accounts that the call may access; all others behave as if they did not exist.
    pub scope: AccountScope,
    /// What the caller can pass on to others.
    pub authority: Authority,
    /// Network address, if there is one.
    pub address: Option<String>,
    /// Id of the request, if there is one.
    pub request_id: Option<String>,
}

impl AuditContext {
    fn unlimited(actor: Actor) -> Self {
        let (scope, authority) = (AccountScope::AllAccounts, Authority::UNLIMITED);
        Self { actor, scope, authority, address: None, request_id: None }
    }

    /// Context of a command on the server machine. `user` is the name of the operating system user.
    pub fn command_line(user: String) -> Self {
        let actor = Actor { kind: ActorKind::CommandLine, id: user.clone(), name: user };
        Self::unlimited(actor)
    }

    /// Context of scheduled and background work of the server.
    pub fn server() -> Self {
        let actor = Actor { kind: ActorKind::Server, id: "rollcall".to_owned(), name: "rollcall".to_owned() };
        Self::unlimited(actor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::permission::Permission;

    #[test]
    fn an_authority_ends_and_covers_only_its_own_permissions() {
        let permissions = Permissions::from_iter([Permission::AuditRead]);
        let own = Authority { permissions, expires_at: Some(10) };
        for (end, accepted) in [(None, false), (Some(9), true), (Some(10), true), (Some(11), false)] {
            assert_eq!(own.check_expiry(end).is_ok(), accepted, "{end:?}");
            assert!(Authority::UNLIMITED.check_expiry(end).is_ok());
        }
        assert_eq!((own.limit_expiry(None), own.limit_expiry(Some(11))), (Some(10), Some(11)));
        assert!(own.check_power_over(permissions).is_ok() && own.check_power_over(Permissions::NONE).is_ok());
        assert!(own.check_power_over(Permissions::ALL).is_err());
        assert!(Authority::UNLIMITED.check_power_over(Permissions::ALL).is_ok());
    }
}
