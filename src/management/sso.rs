//! Single sign-on through an OpenID provider: its configuration, and the sign-in of admins.

use serde_json::{Value, json};

use crate::error::{Reason, Result};
use crate::management::admins::{self, AdminDraft};
use crate::model::admin::{Admin, normalize_email};
use crate::model::audit_context::{AccountScope, Actor, ActorKind, AuditContext};
use crate::model::sso::{
    AdminCandidate, ProviderConfiguration, SignInDecision, SsoIdentity, SsoRefusal, decide_sign_in,
};
use crate::store::tables::admins as admin_rows;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::sso as rows;
pub use crate::store::tables::sso::{StoredProvider, find_provider, list_identities};
use crate::store::{Snapshot, Tx};

/// Change of the client secret.
#[derive(Clone)]
pub enum ClientSecret {
    /// The secret is unchanged.
    Unchanged,
    /// A new secret, sealed.
    New(Vec<u8>),
    /// No secret: the client is public.
    None,
}

/// Stores the configuration of the provider.
///
/// # Errors
/// `Invalid` if no owner could sign in with a password any more, or if a role does not exist. The message starts with
/// the field.
pub fn save_provider(
    tx: &Tx<'_>,
    context: &AuditContext,
    provider_configuration: &ProviderConfiguration,
    secret: ClientSecret,
) -> Result<()> {
    let named = provider_configuration.default_role.iter().map(|role| ("default_role", role));
    for (field, role) in named.chain(provider_configuration.roles.iter().map(|(_, role)| ("roles", role))) {
        if admin_rows::find_role(tx, role)?.is_none() {
            return Err(Reason::SsoRoleUnknown.with("role", role).on_field(field));
        }
    }
    if provider_configuration.passwords_for_owners_only && admin_rows::count_owners_with_password(tx)? == 0 {
        return Err(Reason::SsoOwnerPassword.into());
    }
    let before = rows::find_provider(tx)?;
    let (client_secret, secret_change) = match (secret, &before) {
        (ClientSecret::Unchanged, Some(before)) => (before.client_secret.clone(), "kept"),
        (ClientSecret::New(sealed), _) => (Some(sealed), "new"),
        (ClientSecret::Unchanged | ClientSecret::None, _) => (None, "none"),
    };
    rows::save_provider(tx, provider_configuration, client_secret.as_deref())?;
    let mut after = describe_provider_configuration(provider_configuration);
    after["clientSecret"] = secret_change.into();
    let before = before.map(|before| describe_provider_configuration(&before.provider_configuration));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "sso.updated", before, after: Some(after), ..NewAuditEntry::default() },
    )
}

/// Removes the provider. Admins without a password cannot sign in afterwards.
pub fn remove_provider(tx: &Tx<'_>, context: &AuditContext) -> Result<()> {
    let Some(before) = rows::find_provider(tx)? else { return Ok(()) };
    rows::delete_provider(tx)?;
    let before = Some(describe_provider_configuration(&before.provider_configuration));
    audit::append_entry(tx, context, &NewAuditEntry { action: "sso.removed", before, ..NewAuditEntry::default() })
}

fn describe_provider_configuration(provider_configuration: &ProviderConfiguration) -> Value {
    serde_json::to_value(provider_configuration).unwrap_or_default()
}

/// Returns the decision for a sign-in with this identity, without a change.
pub fn evaluate_sign_in(
    at: &Snapshot<'_>,
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
) -> Result<SignInDecision> {
    let linked = match rows::find_admin_by_identity(at, &identity.issuer, &identity.subject)? {
        Some((admin, is_managed)) => admin_rows::find_admin_by_id(at, &admin)?.map(|admin| AdminCandidate {
            admin,
            is_managed,
            subject: Some(identity.subject.clone()),
        }),
        None => None,
    };
    let key = identity.email.as_deref().and_then(|email| normalize_email(email).ok());
    let found = key.map_or(Ok(None), |key| admin_rows::find_credentials_by_email(at, &key))?;
    let by_email = match found {
        Some(found) => {
            let subject = rows::find_subject(at, &identity.issuer, &found.admin.id)?;
            Some(AdminCandidate { admin: found.admin, is_managed: false, subject })
        }
        None => None,
    };
    Ok(decide_sign_in(
        &without_removed_roles(at, provider_configuration)?,
        identity,
        linked.as_ref(),
        by_email.as_ref(),
    ))
}

/// The configuration without roles that have been removed: they are not assigned.
fn without_removed_roles(
    at: &Snapshot<'_>,
    provider_configuration: &ProviderConfiguration,
) -> Result<ProviderConfiguration> {
    let roles = admin_rows::list_roles(at)?;
    let mut provider_configuration = provider_configuration.clone();
    let is_present = |id: &String| roles.iter().any(|role| role.id == *id);
    // The mapping stays with an empty value, so that a role it assigned is removed.
    provider_configuration.default_role = provider_configuration.default_role.filter(is_present);
    for (value, role) in &mut provider_configuration.roles {
        if !is_present(role) {
            value.clear();
        }
    }
    Ok(provider_configuration)
}

/// Origin of a sign-in.
#[derive(Debug, Clone, Default)]
pub struct SignInOrigin {
    /// IP address.
    pub address: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
}

impl SignInOrigin {
    fn audit_context(&self, id: &str, name: &str) -> AuditContext {
        AuditContext {
            actor: Actor { kind: ActorKind::Admin, id: id.to_owned(), name: name.to_owned() },
            scope: AccountScope::AllAccounts,
            address: self.address.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

/// Signs in the admin that the provider authenticated. Returns the admin, or the reason for the refusal. `new_id` is
/// the id of an admin that is created.
///
/// # Errors
/// `Conflict` if an admin with the same e-mail address was created at the same time. It can fail after its first change: run it with `Store::write`.
pub fn sign_in(
    tx: &Tx<'_>,
    from: &SignInOrigin,
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    new_id: &str,
) -> Result<std::result::Result<Admin, SsoRefusal>> {
    match evaluate_sign_in(tx, provider_configuration, identity)? {
        SignInDecision::Refuse(why) => {
            let email = identity.email.as_deref().unwrap_or("unknown");
            let name: String = email.chars().filter(|c| !c.is_control()).take(LOGGED_EMAIL_MAX_CHARS).collect();
            record_failure(tx, &from.audit_context("", &name), why.as_str())?;
            Ok(Err(why))
        }
        SignInDecision::Add { role, email, name } => {
            let context = from.audit_context(new_id, &email);
            let id = new_id.to_owned();
            let created = admins::create_admin(
                tx,
                &context,
                &AdminDraft { id, email, name, role, account: None, password_digest: None },
            )?;
            link_identity(tx, &context, identity, &created, true)?;
            Ok(Ok(created))
        }
        SignInDecision::SignIn { admin, role, is_new_link } => {
            let found = admins::find_admin_by_id(tx, &admin)?;
            let context = from.audit_context(&found.id, &found.email);
            let assigns_role = role.is_some();
            if let Some(role) = role.filter(|role| *role != found.role) {
                admins::update_admin(tx, &context, &Admin { role, ..found.clone() })?;
            }
            if is_new_link {
                link_identity(tx, &context, identity, &found, assigns_role)?;
            } else if assigns_role {
                rows::link_identity(tx, &identity.issuer, &identity.subject, &found.id, true)?;
            }
            Ok(Ok(found))
        }
    }
}

/// Maximum length of an unverified e-mail address in the audit log, in characters.
const LOGGED_EMAIL_MAX_CHARS: usize = 254;

fn link_identity(
    tx: &Tx<'_>,
    context: &AuditContext,
    identity: &SsoIdentity,
    admin: &Admin,
    is_managed: bool,
) -> Result<()> {
    rows::link_identity(tx, &identity.issuer, &identity.subject, &admin.id, is_managed)?;
    let after = Some(json!({"issuer": identity.issuer, "subject": identity.subject}));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "admin.linked", subject_id: Some(&admin.id), after, ..NewAuditEntry::default() },
    )
}

/// Removes the link of an admin to its identity at the provider. At the next sign-in the e-mail address is matched
/// again.
pub fn unlink_identity(tx: &Tx<'_>, context: &AuditContext, admin: &str) -> Result<()> {
    if rows::delete_identities(tx, admin)? == 0 {
        return Ok(());
    }
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "admin.unlinked", subject_id: Some(admin), ..NewAuditEntry::default() },
    )
}

/// Records why a sign-in failed before the identity was determined.
pub fn record_failed_attempt(tx: &Tx<'_>, from: &SignInOrigin, reason: &str) -> Result<()> {
    record_failure(tx, &from.audit_context("", "unknown"), reason)
}

fn record_failure(tx: &Tx<'_>, context: &AuditContext, reason: &str) -> Result<()> {
    let after = Some(json!({"reason": reason}));
    audit::append_entry(tx, context, &NewAuditEntry { action: "sso.refused", after, ..NewAuditEntry::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::error::ErrorKind;
    use crate::model::admin::OWNER;
    use crate::store::Store;

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open_for_command(folder.path()).unwrap(), folder)
    }

    fn write<T: Send + 'static>(store: &Store, job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        store.write_blocking(job)
    }

    fn create_test_admin(store: &Store, email: &str, role: &str, password: Option<&str>) -> Admin {
        let new = AdminDraft {
            id: clock::new_id(),
            email: email.to_owned(),
            name: "Test Admin".to_owned(),
            role: role.to_owned(),
            account: None,
            password_digest: password.map(str::to_owned),
        };
        write(store, move |tx| admins::create_admin(tx, &AuditContext::server(), &new)).unwrap()
    }

    fn provider_configuration() -> ProviderConfiguration {
        ProviderConfiguration {
            adds_admins: true,
            domains: vec!["x.example".to_owned()],
            default_role: Some("viewer".to_owned()),
            role_claim: "groups".to_owned(),
            roles: vec![("managers".to_owned(), "provisioning-manager".to_owned())],
            ..ProviderConfiguration::default()
        }
    }

    fn identity(subject: &str, email: &str, group: &str) -> SsoIdentity {
        SsoIdentity {
            issuer: "https://id.example.com".to_owned(),
            subject: subject.to_owned(),
            email: Some(email.to_owned()),
            is_verified: Some(true),
            name: None,
            groups: vec![group.to_owned()],
        }
    }

    fn try_sign_in(store: &Store, identity: SsoIdentity) -> std::result::Result<Admin, SsoRefusal> {
        write(store, move |tx| {
            sign_in(tx, &SignInOrigin::default(), &provider_configuration(), &identity, &clock::new_id())
        })
        .unwrap()
    }

    fn role_of(store: &Store, id: &str) -> String {
        store.read_inline(|at| admins::find_admin_by_id(at, id)).unwrap().role
    }

    fn actions(store: &Store) -> Vec<String> {
        let found = store.read_inline(|at| audit::list_entries(at, &audit::AuditQuery::default(), 50)).unwrap();
        found.into_iter().map(|entry| entry.action).collect()
    }

    #[test]
    fn an_admin_is_linked_once_and_found_by_identity_after_an_address_change() {
        let (store, _folder) = store();
        let ann = create_test_admin(&store, "ann@y.example", "viewer", None);
        assert_eq!(try_sign_in(&store, identity("u1", "Ann@Y.example", "")).unwrap().id, ann.id);
        assert_eq!(try_sign_in(&store, identity("u1", "ann@elsewhere.example", "")).unwrap().id, ann.id);
        assert_eq!(try_sign_in(&store, identity("u2", "ann@y.example", "")), Err(SsoRefusal::LinkedElsewhere));
        assert_eq!(actions(&store), ["sso.refused", "admin.linked", "admin.created"]);
        let id = ann.id.clone();
        write(&store, move |tx| unlink_identity(tx, &AuditContext::server(), &id)).unwrap();
        assert_eq!(try_sign_in(&store, identity("u2", "ann@y.example", "")).unwrap().id, ann.id);
    }

    #[test]
    fn a_new_admin_is_created_and_the_role_follows_the_group() {
        let (store, _folder) = store();
        create_test_admin(&store, "o@x.example", OWNER, None);
        let bob = try_sign_in(&store, identity("u1", "bob@x.example", "managers")).unwrap();
        assert_eq!(role_of(&store, &bob.id), "provisioning-manager");
        try_sign_in(&store, identity("u1", "bob@x.example", "")).unwrap();
        assert_eq!(role_of(&store, &bob.id), "viewer");
    }

    #[test]
    fn an_owner_stays_owner_regardless_of_groups() {
        let (store, _folder) = store();
        let owner = create_test_admin(&store, "o@x.example", OWNER, None);
        try_sign_in(&store, identity("u1", "o@x.example", "managers")).unwrap();
        assert_eq!(role_of(&store, &owner.id), OWNER);
    }

    #[test]
    fn sso_only_requires_an_owner_with_a_password() {
        let (store, _folder) = store();
        create_test_admin(&store, "o@x.example", OWNER, None);
        let only = ProviderConfiguration { passwords_for_owners_only: true, ..provider_configuration() };
        let changed = only.clone();
        let refused = write(&store, move |tx| save_provider(tx, &AuditContext::server(), &changed, ClientSecret::None));
        assert!(matches!(refused, Err(error) if error.kind() == ErrorKind::Invalid && error.field() == Some("only")));
        create_test_admin(&store, "p@x.example", OWNER, Some("$argon2id$"));
        write(&store, move |tx| save_provider(tx, &AuditContext::server(), &only, ClientSecret::None)).unwrap();
    }

    #[test]
    fn an_unknown_role_is_rejected_and_a_removed_role_is_not_assigned() {
        let (store, _folder) = store();
        let unknown = ProviderConfiguration { default_role: Some("emperor".to_owned()), ..provider_configuration() };
        let refused = write(&store, {
            let unknown = unknown.clone();
            move |tx| save_provider(tx, &AuditContext::server(), &unknown, ClientSecret::None)
        });
        assert!(
            matches!(refused, Err(error) if error.kind() == ErrorKind::Invalid && error.field() == Some("default_role"))
        );
        let decision =
            store.read_inline(|at| evaluate_sign_in(at, &unknown, &identity("u1", "bob@x.example", ""))).unwrap();
        assert_eq!(decision, SignInDecision::Refuse(SsoRefusal::NoRole));
    }

    #[test]
    fn the_client_secret_stays_until_it_is_replaced() {
        let (store, _folder) = store();
        for (change, expected) in [
            (ClientSecret::New(vec![1]), Some(vec![1])),
            (ClientSecret::Unchanged, Some(vec![1])),
            (ClientSecret::New(vec![2]), Some(vec![2])),
            (ClientSecret::None, None),
        ] {
            write(&store, move |tx| save_provider(tx, &AuditContext::server(), &provider_configuration(), change))
                .unwrap();
            let stored = store.read_inline(rows::find_provider).unwrap().unwrap();
            assert_eq!(stored.client_secret, expected);
            assert_eq!(stored.provider_configuration, provider_configuration());
        }
        write(&store, |tx| remove_provider(tx, &AuditContext::server())).unwrap();
        assert_eq!(store.read_inline(rows::find_provider).unwrap(), None);
    }
}
