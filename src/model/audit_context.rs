//! The actor of a management change: its identity, network address and account scope.

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
    Account(String),
}

impl AccountScope {
    /// Returns whether the account is in the scope.
    pub fn covers(&self, account: &str) -> bool {
        self.account().is_none_or(|own| own == account)
    }

    /// Returns the account if the scope is limited to one.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::AllAccounts => None,
            Self::Account(own) => Some(own),
        }
    }
}

/// Actor, account scope and origin of a management call. Every function that changes data takes one, and the audit log
/// records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditContext {
    /// The caller.
    pub actor: Actor,
    /// Accounts that the call may access; all others behave as if they did not exist.
    pub scope: AccountScope,
    /// Network address, if there is one.
    pub address: Option<String>,
    /// Id of the request, if there is one.
    pub request_id: Option<String>,
}

impl AuditContext {
    /// Context of a command on the server machine. `user` is the name of the operating system user.
    pub fn command_line(user: String) -> Self {
        let actor = Actor { kind: ActorKind::CommandLine, id: user.clone(), name: user };
        Self { actor, scope: AccountScope::AllAccounts, address: None, request_id: None }
    }

    /// Context of scheduled and background work of the server.
    pub fn server() -> Self {
        let actor = Actor { kind: ActorKind::Server, id: "rollcall".to_owned(), name: "rollcall".to_owned() };
        Self { actor, scope: AccountScope::AllAccounts, address: None, request_id: None }
    }
}
