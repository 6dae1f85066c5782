//! Who changes something in the management of the server, from where, and how far the change may reach.

/// The kind of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// A credential of the operator or of an account.
    ApiKey,
    /// A person, known by a token of the operator's own identity system.
    User,
    /// A person in the portal.
    Admin,
    /// Whoever holds a set-up link.
    SetupLink,
    /// Somebody on the machine itself.
    CommandLine,
    /// The server, which keeps house.
    Server,
}

impl ActorKind {
    /// The word in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::User => "user",
            Self::Admin => "admin",
            Self::SetupLink => "setup_link",
            Self::CommandLine => "command_line",
            Self::Server => "server",
        }
    }
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// Its id: of the key, the `sub` of the token, the name of the system's user.
    pub id: String,
    /// What people call it; may be the id.
    pub name: String,
}

/// Which accounts a call may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of them.
    Everywhere,
    /// This one.
    Account(String),
}

impl Reach {
    /// Whether things of that account are within reach.
    pub fn covers(&self, account: &str) -> bool {
        self.account().is_none_or(|own| own == account)
    }

    /// The one account, where there is only one.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Everywhere => None,
            Self::Account(own) => Some(own),
        }
    }
}

/// By whom, from where, and within which reach a management call is made. Every function that changes something takes one,
/// and the audit log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// What may be touched; the rest behaves as if it were not there.
    pub reach: Reach,
    /// Network address, where there is one.
    pub address: Option<String>,
    /// Id of the request, where there is one.
    pub request_id: Option<String>,
}

impl By {
    /// Somebody at the machine's own command line, under the name of the system's user.
    pub fn command_line(user: String) -> Self {
        let actor = Actor { kind: ActorKind::CommandLine, id: user.clone(), name: user };
        Self { actor, reach: Reach::Everywhere, address: None, request_id: None }
    }

    /// The server itself.
    pub fn server() -> Self {
        let actor = Actor { kind: ActorKind::Server, id: "rollcall".to_owned(), name: "rollcall".to_owned() };
        Self { actor, reach: Reach::Everywhere, address: None, request_id: None }
    }
}
