//! Single sign-on of portal admins through the operator's OpenID provider: its configuration, and the decision which
//! identities may sign in.

use serde::{Deserialize, Serialize};

use super::admin::{Admin, OWNER, normalize_email};
use crate::error::{Error, Reason};
use crate::named_enum::named_enum;

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
    /// Domains of the e-mail addresses of admins who may be added or linked. Without one, no admin is added, and
    /// addresses of any domain may be linked.
    pub domains: Vec<String>,
    /// Accepted values of the `acr` claim; empty if any is accepted.
    pub required_acr: Vec<String>,
    /// Values that the `amr` claim must contain; empty if none is required.
    pub required_amr: Vec<String>,
    /// Id of the role of added admins; without one, only identities with a role in the mapping may sign in.
    pub default_role: Option<String>,
    /// The claim that the role mapping reads.
    pub role_claim: String,
    /// Role mapping: claim value and role id. The first match applies.
    pub roles: Vec<(String, String)>,
}

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
    pub fn field_errors(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut check = |is_valid: bool, error: Error| {
            if !is_valid {
                errors.push(error);
            }
        };
        let is_plain = |text: &str| text.len() <= TEXT_MAX_BYTES && !text.chars().any(char::is_control);
        check(is_plain_issuer(&self.issuer), Reason::SsoIssuerInvalid.into());
        check(is_plain(&self.issuer), Reason::SsoTextTooLong.on_field("issuer"));
        check(!self.client_id.is_empty() && is_plain(&self.client_id), Reason::SsoClientIdMissing.into());
        let is_label = (1..=LABEL_MAX_CHARS).contains(&self.label.chars().count()) && is_plain(&self.label);
        check(is_label, Reason::SsoLabelLength.with("max", LABEL_MAX_CHARS));
        check(are_scopes(&self.scopes), Reason::SsoScopesInvalid.into());
        check(is_plain(&self.role_claim), Reason::SsoTextTooLong.on_field("role_claim"));
        let are_domains = self.domains.len() <= LINES_MAX && self.domains.iter().all(|domain| is_domain(domain));
        check(are_domains, Reason::SsoDomainsInvalid.with("max", LINES_MAX));
        check(!self.adds_admins || !self.domains.is_empty(), Reason::SsoDomainMissing.into());
        for (field, values) in [("required_acr", &self.required_acr), ("required_amr", &self.required_amr)] {
            let are_values = values.len() <= LINES_MAX && values.iter().all(|value| is_claim_value(value));
            check(are_values, Reason::SsoClaimValuesInvalid.with("max", LINES_MAX).on_field(field));
        }
        let is_owner = |role: &str| role == OWNER;
        check(!self.default_role.as_deref().is_some_and(is_owner), Reason::SsoOwnerRole.on_field("default_role"));
        check(!self.roles.iter().any(|(_, role)| is_owner(role)), Reason::SsoOwnerRole.on_field("roles"));
        check(self.roles.len() <= LINES_MAX, Reason::SsoTooManyRoles.with("max", LINES_MAX));
        check(self.roles.is_empty() || !self.role_claim.is_empty(), Reason::SsoRoleClaimMissing.into());
        let has_role = self.default_role.is_some() || !self.roles.is_empty();
        check(!self.adds_admins || has_role, Reason::SsoRoleMissing.into());
        errors
    }

    /// Returns the mapped role of these claim values.
    fn mapped_role(&self, groups: &[String]) -> Option<&str> {
        let mapped = self.roles.iter().find(|(value, _)| groups.iter().any(|group| group == value));
        mapped.map(|(_, role)| role.as_str())
    }

    /// Whether an admin with this e-mail address may be linked.
    fn allows_link(&self, key: &str) -> bool {
        self.domains.is_empty() || self.allows_domain(key)
    }

    fn allows_domain(&self, key: &str) -> bool {
        let domain = key.rsplit_once('@').map(|(_, domain)| domain);
        domain.is_some_and(|domain| self.domains.iter().any(|allowed| allowed == domain))
    }
}

/// OpenID Connect Discovery 1.0, section 2: a scheme, a host, and optionally a port and a path.
fn is_plain_issuer(issuer: &str) -> bool {
    let authority = issuer.split_once("://").and_then(|(_, rest)| rest.split(['/', '\\']).next());
    !issuer.contains(['?', '#']) && authority.is_none_or(|authority| !authority.contains('@'))
}

/// RFC 6749 section 3.3.
fn are_scopes(text: &str) -> bool {
    text.len() <= TEXT_MAX_BYTES && text.chars().all(|c| c == ' ' || (c.is_ascii_graphic() && c != '"' && c != '\\'))
}

/// A value of the `acr` or `amr` claim (OpenID Connect Core 1.0 section 2); the request separates values by spaces.
fn is_claim_value(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_MAX_BYTES && text.chars().all(|c| c.is_ascii_graphic())
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
    /// Whether the admin has a password, which confirms a link.
    pub has_password: bool,
}

named_enum! {
    /// Why an identity may not sign in.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SsoRefusal {
        /// The identity has no usable e-mail address.
        NoEmail = "no_email",
        /// The e-mail address is not verified.
        Unverified = "email_not_verified",
        /// No admin has this address, and admins are not added on sign-in.
        UnknownAdmin = "unknown_person",
        /// The address is in none of the allowed domains.
        DomainNotAllowed = "domain_not_allowed",
        /// The admin is linked to another identity of the same provider.
        LinkedElsewhere = "linked_to_another_identity",
        /// The identity is linked to another admin.
        IdentityInUse = "identity_of_another_admin",
        /// The identity is not linked, and the admin with its e-mail address has no password to confirm a link.
        NoPassword = "no_password_to_confirm_link",
        /// The admin is disabled.
        Disabled = "disabled",
        /// No role is mapped to the groups.
        NoRole = "no_role",
    }
}

impl SsoRefusal {
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
            Self::IdentityInUse => "The identity is linked to another admin.",
            Self::NoPassword => {
                "The admin with this e-mail address is not linked, and has no password to confirm the link. Set one \
                 under People, and give it to the admin."
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
    },
    /// An existing admin has the e-mail address of the identity. The identity is linked after the admin has confirmed it
    /// with the password, and the one-time code if codes are enabled.
    ConfirmLink {
        /// Id of the admin.
        admin: String,
        /// The mapped role, if any.
        role: Option<String>,
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

/// A link that the admin has still to confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLink {
    /// Id of the admin.
    pub admin: String,
    /// Issuer of the identity.
    pub issuer: String,
    /// The `sub` claim of the identity.
    pub subject: String,
    /// The mapped role, if any.
    pub role: Option<String>,
    /// Revision of the provider settings that the decision is based on.
    pub revision: i64,
}

/// Decides whether an identity may sign in. `linked` is the admin that the identity is linked to, `by_email` the admin
/// with its e-mail address.
pub fn decide_sign_in(
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    linked: Option<&AdminCandidate>,
    by_email: Option<&AdminCandidate>,
) -> SignInDecision {
    try_decide_sign_in(provider_configuration, identity, linked, by_email).unwrap_or_else(SignInDecision::Refuse)
}

fn try_decide_sign_in(
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    linked: Option<&AdminCandidate>,
    by_email: Option<&AdminCandidate>,
) -> Result<SignInDecision, SsoRefusal> {
    if let Some(candidate) = linked {
        let role = accept_admin(provider_configuration, identity, candidate)?;
        return Ok(SignInDecision::SignIn { admin: candidate.admin.id.clone(), role });
    }
    let email = identity.email.as_deref().ok_or(SsoRefusal::NoEmail)?;
    let key = normalize_email(email).map_err(|_| SsoRefusal::NoEmail)?;
    if !identity.is_verified.unwrap_or(provider_configuration.trusts_emails) {
        return Err(SsoRefusal::Unverified);
    }
    if let Some(candidate) = by_email {
        if candidate.subject.is_some() {
            return Err(SsoRefusal::LinkedElsewhere);
        }
        let role = accept_admin(provider_configuration, identity, candidate)?;
        if !provider_configuration.allows_link(&key) {
            return Err(SsoRefusal::DomainNotAllowed);
        }
        // An e-mail address alone proves nothing: the provider may assign it to another user.
        return if candidate.has_password {
            Ok(SignInDecision::ConfirmLink { admin: candidate.admin.id.clone(), role })
        } else {
            Err(SsoRefusal::NoPassword)
        };
    }
    if !provider_configuration.adds_admins {
        return Err(SsoRefusal::UnknownAdmin);
    }
    if !provider_configuration.allows_domain(&key) {
        return Err(SsoRefusal::DomainNotAllowed);
    }
    let role = provider_configuration
        .mapped_role(&identity.groups)
        .or(provider_configuration.default_role.as_deref())
        .ok_or(SsoRefusal::NoRole)?;
    let name = identity.name.as_deref().map(str::trim).filter(|name| super::admin::check_name(name).is_ok());
    let name = name.unwrap_or_else(|| key.split('@').next().unwrap_or(&key)).chars().take(100).collect();
    Ok(SignInDecision::Add { role: role.to_owned(), email: email.trim().to_owned(), name })
}

fn accept_admin(
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    candidate: &AdminCandidate,
) -> Result<Option<String>, SsoRefusal> {
    if candidate.admin.disabled_at.is_some() {
        return Err(SsoRefusal::Disabled);
    }
    role_on_sign_in(provider_configuration, identity, candidate)
}

/// Checks whether a signed-in admin may be linked to an identity. `holder` is the admin that the identity is linked to,
/// `subject` the linked `sub` of the signed-in admin `own`. The address of the identity need not be that of the admin.
///
/// # Errors
/// The reason for the refusal.
pub fn check_own_link(
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    own: &str,
    holder: Option<&str>,
    subject: Option<&str>,
) -> Result<(), SsoRefusal> {
    if holder.is_some_and(|holder| holder != own) {
        return Err(SsoRefusal::IdentityInUse);
    }
    if subject.is_some_and(|subject| subject != identity.subject) {
        return Err(SsoRefusal::LinkedElsewhere);
    }
    if provider_configuration.domains.is_empty() {
        return Ok(());
    }
    let key = identity.email.as_deref().and_then(|email| normalize_email(email).ok()).ok_or(SsoRefusal::NoEmail)?;
    if !identity.is_verified.unwrap_or(provider_configuration.trusts_emails) {
        return Err(SsoRefusal::Unverified);
    }
    if provider_configuration.allows_link(&key) { Ok(()) } else { Err(SsoRefusal::DomainNotAllowed) }
}

/// Returns the role to assign. A mapped role ends with the group that it was mapped from. The owner role never changes;
/// a role that an admin assigned changes only if the mapping has a match.
fn role_on_sign_in(
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    candidate: &AdminCandidate,
) -> Result<Option<String>, SsoRefusal> {
    if provider_configuration.roles.is_empty() || candidate.admin.role == OWNER {
        return Ok(None);
    }
    if let Some(role) = provider_configuration.mapped_role(&identity.groups) {
        return Ok(Some(role.to_owned()));
    }
    if !candidate.is_managed {
        return Ok(None);
    }
    provider_configuration.default_role.clone().map(Some).ok_or(SsoRefusal::NoRole)
}

#[cfg(test)]
mod tests;
