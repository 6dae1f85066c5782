//! Signing in through the operator's own OpenID provider: what is agreed with it, and who of those it vouches for may
//! come in.

use serde::{Deserialize, Serialize};

use super::admin::{Admin, OWNER, email_key};

/// Longest of the texts that are asked for, in bytes.
const TEXT_MAX_BYTES: usize = 512;
/// Longest label of the button, in characters.
const LABEL_MAX_CHARS: usize = 40;
/// Most domains, and most lines of the table of roles.
const LINES_MAX: usize = 50;

/// What is agreed with the provider. The client's secret is kept apart from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Agreement {
    /// Whether people may sign in this way.
    pub is_on: bool,
    /// The provider's `issuer`, to the letter.
    pub issuer: String,
    /// Our own id there.
    pub client_id: String,
    /// What is asked for besides `openid`, with blanks between.
    pub scopes: String,
    /// What the button says.
    pub label: String,
    /// Whether passwords are for owners only, in need.
    pub only: bool,
    /// Whether an e-mail address counts as verified where the provider says nothing of it.
    pub trusts_emails: bool,
    /// Whether people are added who are not known yet.
    pub adds_people: bool,
    /// Domains of the e-mail addresses of people who are added.
    pub domains: Vec<String>,
    /// Id of the role of people who are added; without one, only those are let in whom the table gives one.
    pub default_role: Option<String>,
    /// The claim that the table of roles reads.
    pub role_claim: String,
    /// A value of the claim, and the id of the role it stands for; the first that fits counts.
    pub roles: Vec<(String, String)>,
}

/// Something that cannot be agreed on, and the field of the form.
pub type Problem = (&'static str, String);

impl Agreement {
    /// What is suggested where nothing was agreed yet.
    pub fn suggested() -> Self {
        Self {
            scopes: "email profile".to_owned(),
            label: "Sign in with SSO".to_owned(),
            default_role: Some("viewer".to_owned()),
            ..Self::default()
        }
    }

    /// What keeps it from being kept; that the issuer is an address, and that roles exist, is checked elsewhere.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |is_wrong: bool, field: &'static str, sentence: &str| {
            if is_wrong {
                problems.push((field, sentence.to_owned()));
            }
        };
        let is_plain = |text: &str| text.len() <= TEXT_MAX_BYTES && !text.chars().any(char::is_control);
        refuse(self.issuer.contains(['?', '#']), "issuer", "The issuer has no query and no fragment.");
        refuse(!is_plain(&self.issuer), "issuer", "The issuer is too long.");
        let has_id = !self.client_id.is_empty() && is_plain(&self.client_id);
        refuse(!has_id, "client_id", "Give the client id that the provider shows.");
        let is_label = (1..=LABEL_MAX_CHARS).contains(&self.label.chars().count()) && is_plain(&self.label);
        refuse(!is_label, "label", "The button needs a text of 1 to 40 characters.");
        refuse(!are_scopes(&self.scopes), "scopes", "Scopes are words of ASCII with blanks between.");
        refuse(!is_plain(&self.role_claim), "role_claim", "The name of the claim is too long.");
        let are_domains = self.domains.len() <= LINES_MAX && self.domains.iter().all(|domain| is_domain(domain));
        refuse(!are_domains, "domains", "Write domains such as example.com, at most 50, with blanks between.");
        let is_open = self.adds_people && self.domains.is_empty();
        refuse(is_open, "domains", "Name the domains whose people are added; without any, nobody would be.");
        let is_owner = |role: &str| role == OWNER;
        let sentence = "Nobody becomes an owner by signing in; make owners under People.";
        refuse(self.default_role.as_deref().is_some_and(is_owner), "default_role", sentence);
        refuse(self.roles.iter().any(|(_, role)| is_owner(role)), "roles", sentence);
        refuse(self.roles.len() > LINES_MAX, "roles", "The table has at most 50 lines.");
        let reads_nothing = !self.roles.is_empty() && self.role_claim.is_empty();
        refuse(reads_nothing, "role_claim", "Name the claim that the table of roles reads.");
        let gives_none = self.adds_people && self.default_role.is_none() && self.roles.is_empty();
        refuse(gives_none, "default_role", "Choose the role of people who are added.");
        problems
    }

    /// The role that the table gives for these values of the claim.
    fn role_of(&self, groups: &[String]) -> Option<&str> {
        let given = self.roles.iter().find(|(value, _)| groups.iter().any(|group| group == value));
        given.map(|(_, role)| role.as_str())
    }

    fn admits(&self, key: &str) -> bool {
        let domain = key.rsplit_once('@').map(|(_, domain)| domain);
        domain.is_some_and(|domain| self.domains.iter().any(|known| known == domain))
    }
}

/// RFC 6749 section 3.3.
fn are_scopes(text: &str) -> bool {
    text.len() <= TEXT_MAX_BYTES && text.chars().all(|c| c == ' ' || (c.is_ascii_graphic() && c != '"' && c != '\\'))
}

fn is_domain(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '-');
    text.len() <= TEXT_MAX_BYTES && text.split('.').all(is_part)
}

/// Somebody as the provider vouches for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// The person's id there, which never goes to somebody else.
    pub subject: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the provider says that the address is theirs; nothing where it says neither.
    pub is_verified: Option<bool>,
    /// What they are called.
    pub name: Option<String>,
    /// The values of the claim that roles are read from.
    pub groups: Vec<String>,
}

/// A person of the portal who might be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The person.
    pub admin: Admin,
    /// Whether the role was given by signing in, and not by somebody.
    pub is_managed: bool,
    /// The person's id at this provider, where it is known.
    pub subject: Option<String>,
}

/// Why somebody whom the provider vouches for does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no e-mail address to know them by.
    NoEmail,
    /// The address may be somebody else's.
    Unverified,
    /// Nobody with that address is known, and nobody is added.
    Stranger,
    /// The address is of none of the domains.
    Domain,
    /// The person belongs to another identity of the same provider.
    Taken,
    /// The person may not sign in.
    Disabled,
    /// None of the groups has a role here.
    NoRole,
}

impl Refused {
    /// The word in the logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEmail => "no_email",
            Self::Unverified => "email_not_verified",
            Self::Stranger => "unknown_person",
            Self::Domain => "domain_not_allowed",
            Self::Taken => "linked_to_another_identity",
            Self::Disabled => "disabled",
            Self::NoRole => "no_role",
        }
    }

    /// The same for people who may know.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoEmail => "The provider sent no e-mail address. Allow the scope email there, or add the claim.",
            Self::Unverified => "The provider does not say that the e-mail address is verified.",
            Self::Stranger => "Nobody under People has this e-mail address, and people are not added by signing in.",
            Self::Domain => "The e-mail address is of none of the domains whose people are added.",
            Self::Taken => "The person with this e-mail address is linked to another identity of this provider.",
            Self::Disabled => "The person is disabled under People.",
            Self::NoRole => "None of the person’s groups stands for a role here.",
        }
    }
}

/// What signing in comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The person comes in.
    Enter {
        /// Its id.
        admin: String,
        /// The role that the table gives, where it gives one.
        role: Option<String>,
        /// Whether the identity becomes theirs with it.
        is_new_link: bool,
    },
    /// Somebody is added, with that role.
    Add {
        /// Id of the role.
        role: String,
        /// E-mail address.
        email: String,
        /// What they are called.
        name: String,
    },
    /// Nobody comes in.
    Refuse(Refused),
}

/// Decides who comes in: `linked` is the person whose identity this is, `by_email` the one with the address.
pub fn decide(
    agreement: &Agreement,
    identity: &Identity,
    linked: Option<&Known>,
    by_email: Option<&Known>,
) -> Decision {
    decided(agreement, identity, linked, by_email).unwrap_or_else(Decision::Refuse)
}

fn decided(
    agreement: &Agreement,
    identity: &Identity,
    linked: Option<&Known>,
    by_email: Option<&Known>,
) -> Result<Decision, Refused> {
    if let Some(known) = linked {
        return enter(agreement, identity, known, false);
    }
    let email = identity.email.as_deref().ok_or(Refused::NoEmail)?;
    let key = email_key(email).map_err(|_| Refused::NoEmail)?;
    if !identity.is_verified.unwrap_or(agreement.trusts_emails) {
        return Err(Refused::Unverified);
    }
    if let Some(known) = by_email {
        return if known.subject.is_some() { Err(Refused::Taken) } else { enter(agreement, identity, known, true) };
    }
    if !agreement.adds_people {
        return Err(Refused::Stranger);
    }
    if !agreement.admits(&key) {
        return Err(Refused::Domain);
    }
    let role = agreement.role_of(&identity.groups).or(agreement.default_role.as_deref()).ok_or(Refused::NoRole)?;
    let name = identity.name.as_deref().map(str::trim).filter(|name| super::admin::check_name(name).is_ok());
    let name = name.unwrap_or_else(|| key.split('@').next().unwrap_or(&key)).chars().take(100).collect();
    Ok(Decision::Add { role: role.to_owned(), email: email.trim().to_owned(), name })
}

fn enter(agreement: &Agreement, identity: &Identity, known: &Known, is_new_link: bool) -> Result<Decision, Refused> {
    if known.admin.disabled_at.is_some() {
        return Err(Refused::Disabled);
    }
    let role = role_at_entry(agreement, identity, known)?;
    Ok(Decision::Enter { admin: known.admin.id.clone(), role, is_new_link })
}

/// A role that the table gave goes with the group; owners, and roles that somebody gave, stay unless the table says more.
fn role_at_entry(agreement: &Agreement, identity: &Identity, known: &Known) -> Result<Option<String>, Refused> {
    if agreement.roles.is_empty() || known.admin.role == OWNER {
        return Ok(None);
    }
    if let Some(role) = agreement.role_of(&identity.groups) {
        return Ok(Some(role.to_owned()));
    }
    if !known.is_managed {
        return Ok(None);
    }
    agreement.default_role.clone().map(Some).ok_or(Refused::NoRole)
}

#[cfg(test)]
mod tests;
