//! Single sign-on through an OpenID provider: its configuration, and the sign-in of admins.

use serde_json::{Value, json};

use crate::error::{Reason, Result};
use crate::management::admins::{self, AdminDraft};
use crate::model::admin::{Admin, OWNER, normalize_email};
use crate::model::audit_context::{AccountScope, Actor, ActorKind, AuditContext, Authority};
use crate::model::sso::{
    AdminCandidate, PendingLink, ProviderConfiguration, SignInDecision, SsoIdentity, SsoRefusal, check_own_link,
    decide_sign_in,
};
use crate::store::tables::admins as admin_rows;
use crate::store::tables::audit::{self, EntryLimit, NewAuditEntry};
use crate::store::tables::sso as rows;
pub use crate::store::tables::sso::{StoredProvider, find_provider, list_identities};
use crate::store::{Snapshot, Tx};

/// Change of the client secret.
#[derive(Clone)]
pub enum SsoSecretChange {
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
    secret: SsoSecretChange,
) -> Result<()> {
    let named = provider_configuration.default_role.iter().map(|role| ("default_role", role));
    for (field, role) in named.chain(provider_configuration.roles.iter().map(|(_, role)| ("roles", role))) {
        if admin_rows::find_role(tx, role)?.is_none() {
            return Err(Reason::SsoRoleUnknown.with("role", role).on_field(field));
        }
        admins::check_power_over_role(tx, context, role)?;
    }
    if provider_configuration.passwords_for_owners_only && admin_rows::count_owners_with_password(tx)? == 0 {
        return Err(Reason::SsoOwnerPassword.into());
    }
    let before = rows::find_provider(tx)?;
    let (client_secret, secret_change) = match (secret, &before) {
        (SsoSecretChange::Unchanged, Some(before)) => (before.client_secret.clone(), "kept"),
        (SsoSecretChange::New(sealed), _) => (Some(sealed), "new"),
        (SsoSecretChange::Unchanged | SsoSecretChange::None, _) => (None, "none"),
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
    tx.allow_on_full_disk();
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
        Some((admin, is_managed)) => admin_rows::find_credentials_by_id(at, &admin)?.map(|found| AdminCandidate {
            admin: found.admin,
            is_managed,
            subject: Some(identity.subject.clone()),
            has_password: found.password_digest.is_some(),
        }),
        None => None,
    };
    let key = identity.email.as_deref().and_then(|email| normalize_email(email).ok());
    let found = key.map_or(Ok(None), |key| admin_rows::find_credentials_by_email(at, &key))?;
    let by_email = match found {
        Some(found) => {
            let subject = rows::find_subject(at, &identity.issuer, &found.admin.id)?;
            let has_password = found.password_digest.is_some();
            Some(AdminCandidate { admin: found.admin, is_managed: false, subject, has_password })
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
    /// The context of an entry about the admin with this id and name.
    pub fn audit_context(&self, id: &str, name: &str) -> AuditContext {
        AuditContext {
            actor: Actor { kind: ActorKind::Admin, id: id.to_owned(), name: name.to_owned() },
            scope: AccountScope::AllAccounts,
            authority: Authority::UNLIMITED,
            address: self.address.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

/// What became of an identity that the provider authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SsoOutcome {
    /// The admin may sign in.
    SignedIn(Admin),
    /// The admin must confirm the link first.
    Confirm {
        /// Id of the admin.
        admin: String,
        /// The mapped role, if any.
        role: Option<String>,
    },
    /// The sign-in is refused, and the reason is recorded.
    Refused(SsoRefusal),
}

/// Signs in the admin that the provider authenticated. An existing admin who is not linked yet is only named: the link
/// needs a confirmation. `new_id` is the id of an admin that is created.
///
/// # Errors
/// `Conflict` if an admin with the same e-mail address was created at the same time. It can fail after its first change: run it with `Store::write`.
pub fn sign_in(
    tx: &Tx<'_>,
    from: &SignInOrigin,
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    new_id: &str,
) -> Result<SsoOutcome> {
    tx.allow_on_full_disk();
    match evaluate_sign_in(tx, provider_configuration, identity)? {
        SignInDecision::Refuse(why) => {
            let email = identity.email.as_deref().unwrap_or("unknown");
            let name: String = email.chars().filter(|c| !c.is_control()).take(LOGGED_EMAIL_MAX_CHARS).collect();
            record_failure(tx, &from.audit_context("", &name), why.as_str())?;
            Ok(SsoOutcome::Refused(why))
        }
        SignInDecision::ConfirmLink { admin, role } => Ok(SsoOutcome::Confirm { admin, role }),
        SignInDecision::Add { role, email, name } => {
            let context = from.audit_context(new_id, &email);
            let id = new_id.to_owned();
            let created = admins::create_admin(
                tx,
                &context,
                &AdminDraft { id, email, name, role, account: None, password_digest: None },
            )?;
            link_identity(tx, &context, (&identity.issuer, &identity.subject), &created, true)?;
            Ok(SsoOutcome::SignedIn(created))
        }
        SignInDecision::SignIn { admin, role } => {
            let found = admins::find_admin_by_id(tx, &admin)?;
            let context = from.audit_context(&found.id, &found.email);
            if let Some(role) = role {
                assign_role(tx, &context, &found, role)?;
                rows::link_identity(tx, &identity.issuer, &identity.subject, &found.id, true)?;
            }
            Ok(SsoOutcome::SignedIn(found))
        }
    }
}

fn assign_role(tx: &Tx<'_>, context: &AuditContext, admin: &Admin, role: String) -> Result<()> {
    if role == admin.role {
        return Ok(());
    }
    admins::update_admin(tx, context, &Admin { role, ..admin.clone() })
}

/// Links the identity after the admin has confirmed it with the password, and the code if codes are enabled.
///
/// # Errors
/// `Conflict` if the settings of the provider or the links have changed since the decision. It can fail after its first
/// change: run it with `Store::write`.
pub fn confirm_link(tx: &Tx<'_>, from: &SignInOrigin, link: &PendingLink) -> Result<()> {
    let is_current = rows::find_provider(tx)?.map_or(0, |provider| provider.revision) == link.revision;
    let is_free = rows::find_admin_by_identity(tx, &link.issuer, &link.subject)?.is_none()
        && rows::find_subject(tx, &link.issuer, &link.admin)?.is_none();
    if !(is_current && is_free) {
        return Err(Reason::SsoLinkOutdated.into());
    }
    let found = admins::find_admin_by_id(tx, &link.admin)?;
    let context = from.audit_context(&found.id, &found.email);
    let is_managed = link.role.is_some();
    if let Some(role) = link.role.clone().filter(|_| found.role != OWNER) {
        assign_role(tx, &context, &found, role)?;
    }
    link_identity(tx, &context, (&link.issuer, &link.subject), &found, is_managed)
}

/// Links an identity to the signed-in admin who has authenticated with it. Returns the reason if it is refused.
pub fn link_own_identity(
    tx: &Tx<'_>,
    context: &AuditContext,
    provider_configuration: &ProviderConfiguration,
    identity: &SsoIdentity,
    admin: &str,
) -> Result<std::result::Result<(), SsoRefusal>> {
    let holder = rows::find_admin_by_identity(tx, &identity.issuer, &identity.subject)?.map(|(holder, _)| holder);
    let subject = rows::find_subject(tx, &identity.issuer, admin)?;
    let checked = check_own_link(provider_configuration, identity, admin, holder.as_deref(), subject.as_deref());
    if checked.is_ok() && holder.is_none() {
        let found = admins::find_admin_by_id(tx, admin)?;
        link_identity(tx, context, (&identity.issuer, &identity.subject), &found, false)?;
    }
    Ok(checked)
}

/// Entries per reason and hour for refused sign-ins. Further ones are counted in the last entry.
pub const REFUSALS_PER_HOUR: i64 = 10;
/// Maximum length of an unverified e-mail address in the audit log, in characters.
const LOGGED_EMAIL_MAX_CHARS: usize = 254;

fn link_identity(
    tx: &Tx<'_>,
    context: &AuditContext,
    (issuer, subject): (&str, &str),
    admin: &Admin,
    is_managed: bool,
) -> Result<()> {
    rows::link_identity(tx, issuer, subject, &admin.id, is_managed)?;
    let after = Some(json!({"issuer": issuer, "subject": subject}));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "admin.linked", subject_id: Some(&admin.id), after, ..NewAuditEntry::default() },
    )
}

/// Removes the link of an admin to its identity at the provider. The next sign-in with an identity of the same e-mail
/// address needs a confirmation.
pub fn unlink_identity(tx: &Tx<'_>, context: &AuditContext, admin: &str) -> Result<()> {
    tx.allow_on_full_disk();
    if let Some(found) = admin_rows::find_admin_by_id(tx, admin)? {
        admins::check_power_over_role(tx, context, &found.role)?;
    }
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
    let entry = NewAuditEntry { action: "sso.refused", after, ..NewAuditEntry::default() };
    // Any caller can make a sign-in fail, so the number of entries is limited.
    let limit = EntryLimit { subject: reason, entries_per_hour: REFUSALS_PER_HOUR, count: 1 };
    audit::append_limited_entry(tx, context, &entry, &limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::error::ErrorKind;
    use crate::store::Store;

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open_for_command(folder.path()).unwrap(), folder)
    }

    fn write<T: Send + 'static>(store: &Store, job: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
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
        match write(store, move |tx| {
            sign_in(tx, &SignInOrigin::default(), &provider_configuration(), &identity, &clock::new_id())
        }) {
            Ok(SsoOutcome::SignedIn(admin)) => Ok(admin),
            Ok(SsoOutcome::Refused(why)) => Err(why),
            other => panic!("{other:?}"),
        }
    }

    /// Signs in with an identity that is not linked, and confirms the link.
    fn confirm_sign_in(store: &Store, identity: SsoIdentity) -> Result<()> {
        let (issuer, subject) = (identity.issuer.clone(), identity.subject.clone());
        let outcome = write(store, move |tx| {
            sign_in(tx, &SignInOrigin::default(), &provider_configuration(), &identity, &clock::new_id())
        });
        let Ok(SsoOutcome::Confirm { admin, role }) = outcome else { panic!("{outcome:?}") };
        let link = PendingLink { admin, issuer, subject, role, revision: 0 };
        write(store, move |tx| confirm_link(tx, &SignInOrigin::default(), &link))
    }

    fn role_of(store: &Store, id: &str) -> String {
        store.read_inline(|at| admins::find_admin_by_id(at, id)).unwrap().role
    }

    fn actions(store: &Store) -> Vec<String> {
        let found = store
            .read_inline(|at| {
                audit::list_entries(
                    at,
                    &audit::AuditQuery::default(),
                    audit::AuditLimit { count: 50, bytes: usize::MAX },
                )
            })
            .unwrap()
            .0;
        found.into_iter().map(|entry| entry.action).collect()
    }

    #[test]
    fn an_admin_is_linked_once_and_found_by_identity_after_an_address_change() {
        let (store, _folder) = store();
        let ann = create_test_admin(&store, "ann@x.example", "viewer", Some("$argon2id$"));
        confirm_sign_in(&store, identity("u1", "Ann@X.example", "")).unwrap();
        assert_eq!(try_sign_in(&store, identity("u1", "ann@elsewhere.example", "")).unwrap().id, ann.id);
        assert_eq!(try_sign_in(&store, identity("u2", "ann@x.example", "")), Err(SsoRefusal::LinkedElsewhere));
        assert_eq!(actions(&store), ["sso.refused", "admin.linked", "admin.created"]);
        let id = ann.id.clone();
        write(&store, move |tx| unlink_identity(tx, &AuditContext::server(), &id)).unwrap();
        confirm_sign_in(&store, identity("u2", "ann@x.example", "")).unwrap();
        assert_eq!(try_sign_in(&store, identity("u2", "ann@x.example", "")).unwrap().id, ann.id);
    }

    #[test]
    fn an_email_address_alone_links_no_admin() {
        let (store, _folder) = store();
        create_test_admin(&store, "ann@x.example", OWNER, Some("$argon2id$"));
        create_test_admin(&store, "ben@x.example", "viewer", None);
        create_test_admin(&store, "cid@y.example", "viewer", Some("$argon2id$"));
        for (email, expected) in [
            ("ann@x.example", None),
            ("ben@x.example", Some(SsoRefusal::NoPassword)),
            ("cid@y.example", Some(SsoRefusal::DomainNotAllowed)),
        ] {
            let claims = identity("u1", email, "managers");
            let outcome = write(&store, move |tx| {
                sign_in(tx, &SignInOrigin::default(), &provider_configuration(), &claims, &clock::new_id())
            });
            match (outcome.unwrap(), expected) {
                (SsoOutcome::Confirm { .. }, None) => {}
                (SsoOutcome::Refused(why), Some(expected)) => assert_eq!(why, expected, "{email}"),
                other => panic!("{email}: {other:?}"),
            }
        }
        let linked = store.read_inline(|at| rows::find_admin_by_identity(at, "https://id.example.com", "u1"));
        assert_eq!(linked.unwrap(), None);
    }

    #[test]
    fn a_confirmed_link_is_refused_if_the_settings_or_the_links_changed_since() {
        let (store, _folder) = store();
        let ann = create_test_admin(&store, "ann@x.example", "viewer", Some("$argon2id$"));
        let link = |subject: &str, revision| PendingLink {
            admin: ann.id.clone(),
            issuer: "https://id.example.com".to_owned(),
            subject: subject.to_owned(),
            role: None,
            revision,
        };
        let confirm = |link: PendingLink| write(&store, move |tx| confirm_link(tx, &SignInOrigin::default(), &link));
        let is_outdated =
            |result: Result<()>| matches!(result, Err(error) if error.reason() == Reason::SsoLinkOutdated);
        assert!(is_outdated(confirm(link("u1", 7))));
        confirm(link("u1", 0)).unwrap();
        assert!(is_outdated(confirm(link("u1", 0))) && is_outdated(confirm(link("u2", 0))));
    }

    #[test]
    fn a_signed_in_admin_links_an_own_identity_of_an_allowed_domain_only() {
        let (store, _folder) = store();
        let ann = create_test_admin(&store, "ann@y.example", OWNER, None);
        let ben = create_test_admin(&store, "ben@y.example", "viewer", None);
        let link = |admin: &Admin, identity: SsoIdentity| {
            let id = admin.id.clone();
            let linked = write(&store, move |tx| {
                link_own_identity(tx, &AuditContext::server(), &provider_configuration(), &identity, &id)
            });
            linked.unwrap()
        };
        let unverified = SsoIdentity { is_verified: Some(false), ..identity("u1", "ann@x.example", "") };
        assert_eq!(link(&ann, identity("u1", "ann@y.example", "")), Err(SsoRefusal::DomainNotAllowed));
        assert_eq!(link(&ann, unverified), Err(SsoRefusal::Unverified));
        assert_eq!(link(&ann, identity("u1", "other@x.example", "managers")), Ok(()));
        assert_eq!(link(&ann, identity("u1", "other@x.example", "")), Ok(()));
        assert_eq!(link(&ann, identity("u2", "other@x.example", "")), Err(SsoRefusal::LinkedElsewhere));
        assert_eq!(link(&ben, identity("u1", "other@x.example", "")), Err(SsoRefusal::IdentityInUse));
        assert_eq!(role_of(&store, &ann.id), OWNER);
        assert_eq!(try_sign_in(&store, identity("u1", "other@x.example", "")).unwrap().id, ann.id);
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
        let owner = create_test_admin(&store, "o@x.example", OWNER, Some("$argon2id$"));
        confirm_sign_in(&store, identity("u1", "o@x.example", "managers")).unwrap();
        try_sign_in(&store, identity("u1", "o@x.example", "managers")).unwrap();
        assert_eq!(role_of(&store, &owner.id), OWNER);
    }

    #[test]
    fn sso_only_requires_an_owner_with_a_password() {
        let (store, _folder) = store();
        create_test_admin(&store, "o@x.example", OWNER, None);
        let only = ProviderConfiguration { passwords_for_owners_only: true, ..provider_configuration() };
        let changed = only.clone();
        let refused =
            write(&store, move |tx| save_provider(tx, &AuditContext::server(), &changed, SsoSecretChange::None));
        assert!(matches!(refused, Err(error) if error.kind() == ErrorKind::Invalid && error.field() == Some("only")));
        create_test_admin(&store, "p@x.example", OWNER, Some("$argon2id$"));
        write(&store, move |tx| save_provider(tx, &AuditContext::server(), &only, SsoSecretChange::None)).unwrap();
    }

    #[test]
    fn an_unknown_role_is_rejected_and_a_removed_role_is_not_assigned() {
        let (store, _folder) = store();
        let unknown = ProviderConfiguration { default_role: Some("emperor".to_owned()), ..provider_configuration() };
        let refused = write(&store, {
            let unknown = unknown.clone();
            move |tx| save_provider(tx, &AuditContext::server(), &unknown, SsoSecretChange::None)
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
            (SsoSecretChange::New(vec![1]), Some(vec![1])),
            (SsoSecretChange::Unchanged, Some(vec![1])),
            (SsoSecretChange::New(vec![2]), Some(vec![2])),
            (SsoSecretChange::None, None),
        ] {
            write(&store, move |tx| {
                save_provider(tx, &AuditContext::server(), &provider_configuration(), change.clone())
            })
            .unwrap();
            let stored = store.read_inline(rows::find_provider).unwrap().unwrap();
            assert_eq!(stored.client_secret, expected);
            assert_eq!(stored.provider_configuration, provider_configuration());
        }
        write(&store, |tx| remove_provider(tx, &AuditContext::server())).unwrap();
        assert_eq!(store.read_inline(rows::find_provider).unwrap(), None);
    }
}
