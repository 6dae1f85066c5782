//! Single sign-on of portal admins through the operator's OpenID provider: its configuration, and the decision which
//! identities may sign in.

use serde::{Deserialize, Serialize};

use super::admin::{Admin, OWNER, normalize_email};

/// Longest text field, in bytes.
const TEXT_MAX_BYTES: usize = 512;
/// Longest label of the sign-in button, in characters.
const LABEL_MAX_CHARS: usize = 40;
/// Most domains, and most entries of the role mapping.
const LINES_MAX: usize = 50;

/// Configuration of the OpenID provider. The client secret is stored separately.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProviderConfiguration {
    /// Whether single sign-on is enabled.
    pub is_on: bool,
    /// The `issuer` of the provider; compared exactly.
    pub issuer: String,
    /// Our client id at the provider.
    pub client_id: String,
    /// Scopes in addition to `openid`, separated by spaces.
    pub scopes: String,
    /// Text of the sign-in button.
    pub label: String,
    /// Whether only owners may still sign in with a password.
    #[serde(rename = "only")]
    pub passwords_for_owners_only: bool,
    /// Whether an e-mail address counts as verified if the provider sends no `email_verified` claim.
    pub trusts_emails: bool,
    /// Whether unknown admins are added when they sign in.
    #[serde(rename = "addsPeople")]
    pub adds_admins: bool,
    /// Domains of the e-mail addresses of admins who may be added.
    pub domains: Vec<String>,
    /// Id of the role of added admins; without one, only identities with a role in the mapping may sign in.
    pub default_role: Option<String>,
    /// The claim that the role mapping reads.
    pub role_claim: String,
    /// Role mapping: claim value and role id. The first match applies.
    pub roles: Vec<(String, String)>,
}

/// Form field and sentence of an invalid value.
pub type FieldError = (&'static str, String);

impl ProviderConfiguration {
    /// Default values of the form before anything is stored.
    pub fn defaults() -> Self {
        Self {
            scopes: "email profile".to_owned(),
            label: "Sign in with SSO".to_owned(),
            default_role: Some("viewer".to_owned()),
            ..Self::default()
        }
    }

    /// Returns the invalid fields. That the issuer is a URL and that the roles exist is checked elsewhere.
    pub fn field_errors(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        let mut refuse = |is_wrong: bool, field: &'static str, sentence: &str| {
            if is_wrong {
                problems.push((field, sentence.to_owned()));
            }
        };
        let is_plain = |text: &str| text.len() <= TEXT_MAX_BYTES && !text.chars().any(char::is_control);
        refuse(self.issuer.contains(['?', '#']), "issuer", "The issuer must not have a query or a fragment.");
        refuse(!is_plain(&self.issuer), "issuer", "The issuer is too long.");
        let has_id = !self.client_id.is_empty() && is_plain(&self.client_id);
        refuse(!has_id, "client_id", "Enter the client id that the provider shows.");
        let is_label = (1..=LABEL_MAX_CHARS).contains(&self.label.chars().count()) && is_plain(&self.label);
        refuse(!is_label, "label", "The button needs a text of 1 to 40 characters.");
        refuse(!are_scopes(&self.scopes), "scopes", "Enter scopes in ASCII, separated by spaces.");
        refuse(!is_plain(&self.role_claim), "role_claim", "The name of the claim is too long.");
        let are_domains = self.domains.len() <= LINES_MAX && self.domains.iter().all(|domain| is_domain(domain));
        refuse(!are_domains, "domains", "Enter at most 50 domains such as example.com, separated by spaces.");
        let is_open = self.adds_admins && self.domains.is_empty();
        refuse(is_open, "domains", "Enter the e-mail domains of admins to add; without a domain, no admin is added.");
        let is_owner = |role: &str| role == OWNER;
        let sentence = "The owner role cannot be assigned on sign-in; assign it in the list of admins.";
        refuse(self.default_role.as_deref().is_some_and(is_owner), "default_role", sentence);
        refuse(self.roles.iter().any(|(_, role)| is_owner(role)), "roles", sentence);
        refuse(self.roles.len() > LINES_MAX, "roles", "The table has at most 50 lines.");
        let reads_nothing = !self.roles.is_empty() && self.role_claim.is_empty();
        refuse(reads_nothing, "role_claim", "Enter the claim that the table of roles reads.");
        let has_no_role = self.adds_admins && self.default_role.is_none() && self.roles.is_empty();
        refuse(has_no_role, "default_role", "Choose the role of added admins.");
        problems
    }

    /// Returns the mapped role of these claim values.
    fn mapped_role(&self, groups: &[String]) -> Option<&str> {
        let mapped = self.roles.iter().find(|(value, _)| groups.iter().any(|group| group == value));
        mapped.map(|(_, role)| role.as_str())
    }

    fn allows_domain(&self, key: &str) -> bool {
        let domain = key.rsplit_once('@').map(|(_, domain)| domain);
        domain.is_some_and(|domain| self.domains.iter().any(|allowed| allowed == domain))
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

/// An identity that the provider has verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SsoIdentity {
    /// Issuer of the identity.
    pub issuer: String,
    /// The `sub` claim: unique at the issuer, never reassigned.
    pub subject: String,
    /// E-mail address.
    pub email: Option<String>,
    /// The `email_verified` claim, if present.
    pub is_verified: Option<bool>,
    /// Display name.
    pub name: Option<String>,
    /// Values of the role claim.
    pub groups: Vec<String>,
}

/// An existing admin who may match an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminCandidate {
    /// The admin.
    pub admin: Admin,
    /// Whether the role was assigned by the role mapping, not by another admin.
    pub is_managed: bool,
    /// Linked `sub` at this provider, if any.
    pub subject: Option<String>,
}

/// Why an identity may not sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SsoRefusal {
    /// The identity has no usable e-mail address.
    NoEmail,
    /// The e-mail address is not verified.
    Unverified,
    /// No admin has this address, and admins are not added on sign-in.
    UnknownAdmin,
    /// The address is in none of the allowed domains.
    DomainNotAllowed,
    /// The admin is linked to another identity of the same provider.
    LinkedElsewhere,
    /// The admin is disabled.
    Disabled,
    /// No role is mapped to the groups.
    NoRole,
}

impl SsoRefusal {
    /// The value in the logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEmail => "no_email",
            Self::Unverified => "email_not_verified",
            Self::UnknownAdmin => "unknown_person",
            Self::DomainNotAllowed => "domain_not_allowed",
            Self::LinkedElsewhere => "linked_to_another_identity",
            Self::Disabled => "disabled",
            Self::NoRole => "no_role",
        }
    }

    /// The reason as a sentence, for admins who manage single sign-on.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoEmail => "The provider sent no e-mail address. Allow the scope email there, or add the claim.",
            Self::Unverified => "The provider did not confirm that the e-mail address is verified.",
            Self::UnknownAdmin => "No admin has this e-mail address, and admins are not added on sign-in.",
            Self::DomainNotAllowed => "The e-mail address is not in an allowed domain.",
            Self::LinkedElsewhere => {
                "The admin with this e-mail address is linked to another identity of this provider."
            }
            Self::Disabled => "The admin is disabled.",
            Self::NoRole => "None of the groups in the claim is mapped to a role.",
        }
    }
}

/// Result of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInDecision {
    /// An existing admin signs in.
    SignIn {
        /// Id of the admin.
        admin: String,
        /// The mapped role, if any.
        role: Option<String>,
        /// Whether the identity is linked to the admin now.
        is_new_link: bool,
    },
    /// A new admin is added.
    Add {
        /// Id of the role.
        role: String,
        /// E-mail address.
        email: String,
        /// Display name.
        name: String,
    },
    /// The sign-in is refused.
    Refuse(SsoRefusal),
}

/// Decides whether an identity may sign in. `linked` is the admin that the identity is linked to, `by_email` the admin
/// with its e-mail address.
pub fn decide_sign_in(
    agreement: &ProviderConfiguration,
    identity: &SsoIdentity,
    linked: Option<&AdminCandidate>,
    by_email: Option<&AdminCandidate>,
) -> SignInDecision {
    try_decide_sign_in(agreement, identity, linked, by_email).unwrap_or_else(SignInDecision::Refuse)
}

fn try_decide_sign_in(
    agreement: &ProviderConfiguration,
    identity: &SsoIdentity,
    linked: Option<&AdminCandidate>,
    by_email: Option<&AdminCandidate>,
) -> Result<SignInDecision, SsoRefusal> {
    if let Some(candidate) = linked {
        return accept_admin(agreement, identity, candidate, false);
    }
    let email = identity.email.as_deref().ok_or(SsoRefusal::NoEmail)?;
    let key = normalize_email(email).map_err(|_| SsoRefusal::NoEmail)?;
    if !identity.is_verified.unwrap_or(agreement.trusts_emails) {
        return Err(SsoRefusal::Unverified);
    }
    if let Some(candidate) = by_email {
        return if candidate.subject.is_some() {
            Err(SsoRefusal::LinkedElsewhere)
        } else {
            accept_admin(agreement, identity, candidate, true)
        };
    }
    if !agreement.adds_admins {
        return Err(SsoRefusal::UnknownAdmin);
    }
    if !agreement.allows_domain(&key) {
        return Err(SsoRefusal::DomainNotAllowed);
    }
    let role =
        agreement.mapped_role(&identity.groups).or(agreement.default_role.as_deref()).ok_or(SsoRefusal::NoRole)?;
    let name = identity.name.as_deref().map(str::trim).filter(|name| super::admin::check_name(name).is_ok());
    let name = name.unwrap_or_else(|| key.split('@').next().unwrap_or(&key)).chars().take(100).collect();
    Ok(SignInDecision::Add { role: role.to_owned(), email: email.trim().to_owned(), name })
}

fn accept_admin(
    agreement: &ProviderConfiguration,
    identity: &SsoIdentity,
    candidate: &AdminCandidate,
    is_new_link: bool,
) -> Result<SignInDecision, SsoRefusal> {
    if candidate.admin.disabled_at.is_some() {
        return Err(SsoRefusal::Disabled);
    }
    let role = role_on_sign_in(agreement, identity, candidate)?;
    Ok(SignInDecision::SignIn { admin: candidate.admin.id.clone(), role, is_new_link })
}

/// Returns the role to assign. A mapped role ends with the group that it was mapped from. The owner role never changes;
/// a role that an admin assigned changes only if the mapping has a match.
fn role_on_sign_in(
    agreement: &ProviderConfiguration,
    identity: &SsoIdentity,
    candidate: &AdminCandidate,
) -> Result<Option<String>, SsoRefusal> {
    if agreement.roles.is_empty() || candidate.admin.role == OWNER {
        return Ok(None);
    }
    if let Some(role) = agreement.mapped_role(&identity.groups) {
        return Ok(Some(role.to_owned()));
    }
    if !candidate.is_managed {
        return Ok(None);
    }
    agreement.default_role.clone().map(Some).ok_or(SsoRefusal::NoRole)
}

#[cfg(test)]
mod tests;
