//! Signing in through an OpenID provider: what is agreed with it, and who comes in.

use serde_json::{Value, json};

use super::admins::{self, Person};
use crate::error::{Error, Result};
use crate::model::actor::{Actor, ActorKind, By, Reach};
use crate::model::admin::{Admin, email_key};
use crate::model::sso::{Agreement, Decision, Identity, Known, Refused, decide};
use crate::store::audit::{self, Entry};
use crate::store::sso as rows;
use crate::store::{Snapshot, Tx, admins as people};

/// What becomes of the client's secret.
#[derive(Clone)]
pub enum ClientSecret {
    /// It stays as it is.
    Kept,
    /// This one, sealed, takes its place.
    New(Vec<u8>),
    /// There is none: the client is a public one.
    None,
}

/// Keeps what is agreed with the provider.
///
/// # Errors
/// `Refused` where nobody could sign in with a password any more, or a role is none of those that there are; the text
/// begins with the field.
pub fn keep(tx: &Tx<'_>, by: &By, agreement: &Agreement, secret: ClientSecret) -> Result<()> {
    let named = agreement.default_role.iter().map(|role| ("default_role", role));
    for (field, role) in named.chain(agreement.roles.iter().map(|(_, role)| ("roles", role))) {
        if people::role(tx, role)?.is_none() {
            return Err(Error::Refused(format!("{field}: there is no role “{role}”")));
        }
    }
    if agreement.only && people::owners_with_password(tx)? == 0 {
        return Err(Error::Refused(
            "only: give an owner a password first, for the day on which the provider does not answer".to_owned(),
        ));
    }
    let before = rows::provider(tx)?;
    let (kept, said) = match (secret, &before) {
        (ClientSecret::Kept, Some(before)) => (before.client_secret.clone(), "kept"),
        (ClientSecret::New(sealed), _) => (Some(sealed), "new"),
        (ClientSecret::Kept | ClientSecret::None, _) => (None, "none"),
    };
    rows::keep_provider(tx, agreement, kept.as_deref())?;
    let mut after = described(agreement);
    after["clientSecret"] = said.into();
    let before = before.map(|before| described(&before.agreement));
    audit::append(tx, by, &Entry { action: "sso.updated", before, after: Some(after), ..Entry::default() })
}

/// Forgets the provider. Who has no password cannot sign in then.
///
/// # Errors
/// Of the store only.
pub fn remove(tx: &Tx<'_>, by: &By) -> Result<()> {
    let Some(before) = rows::provider(tx)? else { return Ok(()) };
    rows::remove_provider(tx)?;
    let before = Some(described(&before.agreement));
    audit::append(tx, by, &Entry { action: "sso.removed", before, ..Entry::default() })
}

fn described(agreement: &Agreement) -> Value {
    serde_json::to_value(agreement).unwrap_or_default()
}

/// What signing in would come to.
///
/// # Errors
/// Of the store only.
pub fn outlook(at: &Snapshot<'_>, agreement: &Agreement, identity: &Identity) -> Result<Decision> {
    let linked = match rows::person(at, &identity.issuer, &identity.subject)? {
        Some((admin, is_managed)) => {
            people::by_id(at, &admin)?.map(|admin| Known { admin, is_managed, subject: Some(identity.subject.clone()) })
        }
        None => None,
    };
    let key = identity.email.as_deref().and_then(|email| email_key(email).ok());
    let found = key.map_or(Ok(None), |key| people::by_email_key(at, &key))?;
    let by_email = match found {
        Some(found) => {
            let subject = rows::subject(at, &identity.issuer, &found.admin.id)?;
            Some(Known { admin: found.admin, is_managed: false, subject })
        }
        None => None,
    };
    Ok(decide(&with_present_roles(at, agreement)?, identity, linked.as_ref(), by_email.as_ref()))
}

/// A role that was removed since is given to nobody.
fn with_present_roles(at: &Snapshot<'_>, agreement: &Agreement) -> Result<Agreement> {
    let roles = people::roles(at)?;
    let mut agreement = agreement.clone();
    let is_present = |id: &String| roles.iter().any(|role| role.id == *id);
    // The line stays, so that what it gave is taken away.
    agreement.default_role = agreement.default_role.filter(is_present);
    for (value, role) in &mut agreement.roles {
        if !is_present(role) {
            value.clear();
        }
    }
    Ok(agreement)
}

/// Where somebody signs in from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Network address.
    pub address: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
}

impl Origin {
    fn by(&self, id: &str, name: &str) -> By {
        By {
            actor: Actor { kind: ActorKind::Admin, id: id.to_owned(), name: name.to_owned() },
            reach: Reach::Everywhere,
            address: self.address.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

/// Lets somebody in for whom the provider vouches: the person, or why it is nobody. `fresh` is the id of whoever is added.
///
/// # Errors
/// `Conflict` where somebody was added at the same time. Run it with `Undo::Savepoint`.
pub fn enter(
    tx: &Tx<'_>,
    from: &Origin,
    agreement: &Agreement,
    identity: &Identity,
    fresh: &str,
) -> Result<std::result::Result<Admin, Refused>> {
    match outlook(tx, agreement, identity)? {
        Decision::Refuse(why) => {
            let email = identity.email.as_deref().unwrap_or("somebody");
            let who: String = email.chars().filter(|c| !c.is_control()).take(EMAIL_SHOWN_MAX_CHARS).collect();
            note_failure(tx, &from.by("", &who), why.as_str())?;
            Ok(Err(why))
        }
        Decision::Add { role, email, name } => {
            let by = from.by(fresh, &email);
            let id = fresh.to_owned();
            let made =
                admins::create(tx, &by, &Person { id, email, name, role, account: None, password_digest: None })?;
            link(tx, &by, identity, &made, true)?;
            Ok(Ok(made))
        }
        Decision::Enter { admin, role, is_new_link } => {
            let found = admins::by_id(tx, &admin)?;
            let by = from.by(&found.id, &found.email);
            let gives = role.is_some();
            if let Some(role) = role.filter(|role| *role != found.role) {
                admins::change(tx, &by, &Admin { role, ..found.clone() })?;
            }
            if is_new_link {
                link(tx, &by, identity, &found, gives)?;
            } else if gives {
                rows::link(tx, &identity.issuer, &identity.subject, &found.id, true)?;
            }
            Ok(Ok(found))
        }
    }
}

/// Longest name of a stranger in the audit log.
const EMAIL_SHOWN_MAX_CHARS: usize = 254;

fn link(tx: &Tx<'_>, by: &By, identity: &Identity, of: &Admin, is_managed: bool) -> Result<()> {
    rows::link(tx, &identity.issuer, &identity.subject, &of.id, is_managed)?;
    let after = Some(json!({"issuer": identity.issuer, "subject": identity.subject}));
    audit::append(tx, by, &Entry { action: "admin.linked", subject_id: Some(&of.id), after, ..Entry::default() })
}

/// Forgets who the person is at any provider; the next time the e-mail address decides.
///
/// # Errors
/// Of the store only.
pub fn unlink(tx: &Tx<'_>, by: &By, admin: &str) -> Result<()> {
    if rows::unlink(tx, admin)? == 0 {
        return Ok(());
    }
    audit::append(tx, by, &Entry { action: "admin.unlinked", subject_id: Some(admin), ..Entry::default() })
}

/// Notes why signing in did not work, before it was clear for whom.
///
/// # Errors
/// Of the store only.
pub fn note_failed_attempt(tx: &Tx<'_>, from: &Origin, reason: &str) -> Result<()> {
    note_failure(tx, &from.by("", "somebody"), reason)
}

fn note_failure(tx: &Tx<'_>, by: &By, reason: &str) -> Result<()> {
    let after = Some(json!({"reason": reason}));
    audit::append(tx, by, &Entry { action: "sso.refused", after, ..Entry::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::model::admin::OWNER;
    use crate::store::{Access, Store, Undo};

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open(folder.path(), Access::Command).unwrap(), folder)
    }

    fn write<T: Send + 'static>(store: &Store, job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        store.write_blocking(Undo::Savepoint, job)
    }

    fn person(store: &Store, email: &str, role: &str, password: Option<&str>) -> Admin {
        let new = Person {
            id: clock::new_id(),
            email: email.to_owned(),
            name: "Somebody".to_owned(),
            role: role.to_owned(),
            account: None,
            password_digest: password.map(str::to_owned),
        };
        write(store, move |tx| admins::create(tx, &By::server(), &new)).unwrap()
    }

    fn agreement() -> Agreement {
        Agreement {
            adds_people: true,
            domains: vec!["x.example".to_owned()],
            default_role: Some("viewer".to_owned()),
            role_claim: "groups".to_owned(),
            roles: vec![("managers".to_owned(), "provisioning-manager".to_owned())],
            ..Agreement::default()
        }
    }

    fn identity(subject: &str, email: &str, group: &str) -> Identity {
        Identity {
            issuer: "https://id.example.com".to_owned(),
            subject: subject.to_owned(),
            email: Some(email.to_owned()),
            is_verified: Some(true),
            name: None,
            groups: vec![group.to_owned()],
        }
    }

    fn entered(store: &Store, who: Identity) -> std::result::Result<Admin, Refused> {
        write(store, move |tx| enter(tx, &Origin::default(), &agreement(), &who, &clock::new_id())).unwrap()
    }

    fn role_of(store: &Store, id: &str) -> String {
        store.read_inline(|at| admins::by_id(at, id)).unwrap().role
    }

    fn actions(store: &Store) -> Vec<String> {
        let found = store.read_inline(|at| audit::page(at, &audit::Wanted::default(), 50)).unwrap();
        found.into_iter().map(|entry| entry.action).collect()
    }

    #[test]
    fn somebody_is_linked_once_and_keeps_the_identity_under_another_address() {
        let (store, _folder) = store();
        let ann = person(&store, "ann@y.example", "viewer", None);
        assert_eq!(entered(&store, identity("u1", "Ann@Y.example", "")).unwrap().id, ann.id);
        assert_eq!(entered(&store, identity("u1", "ann@elsewhere.example", "")).unwrap().id, ann.id);
        assert_eq!(entered(&store, identity("u2", "ann@y.example", "")), Err(Refused::Taken));
        assert_eq!(actions(&store), ["sso.refused", "admin.linked", "admin.created"]);
        let id = ann.id.clone();
        write(&store, move |tx| unlink(tx, &By::server(), &id)).unwrap();
        assert_eq!(entered(&store, identity("u2", "ann@y.example", "")).unwrap().id, ann.id);
    }

    #[test]
    fn somebody_new_is_added_and_the_role_follows_the_group() {
        let (store, _folder) = store();
        person(&store, "o@x.example", OWNER, None);
        let bob = entered(&store, identity("u1", "bob@x.example", "managers")).unwrap();
        assert_eq!(role_of(&store, &bob.id), "provisioning-manager");
        entered(&store, identity("u1", "bob@x.example", "")).unwrap();
        assert_eq!(role_of(&store, &bob.id), "viewer");
    }

    #[test]
    fn an_owner_stays_one_whatever_the_groups_say() {
        let (store, _folder) = store();
        let owner = person(&store, "o@x.example", OWNER, None);
        entered(&store, identity("u1", "o@x.example", "managers")).unwrap();
        assert_eq!(role_of(&store, &owner.id), OWNER);
    }

    #[test]
    fn passwords_are_given_up_only_while_an_owner_has_one() {
        let (store, _folder) = store();
        person(&store, "o@x.example", OWNER, None);
        let only = Agreement { only: true, ..agreement() };
        let kept = only.clone();
        let refused = write(&store, move |tx| keep(tx, &By::server(), &kept, ClientSecret::None));
        assert!(matches!(refused, Err(Error::Refused(why)) if why.starts_with("only:")));
        person(&store, "p@x.example", OWNER, Some("$argon2id$"));
        write(&store, move |tx| keep(tx, &By::server(), &only, ClientSecret::None)).unwrap();
    }

    #[test]
    fn a_role_that_does_not_exist_cannot_be_agreed_on_and_one_that_is_gone_is_given_to_nobody() {
        let (store, _folder) = store();
        let unknown = Agreement { default_role: Some("emperor".to_owned()), ..agreement() };
        let refused = write(&store, {
            let unknown = unknown.clone();
            move |tx| keep(tx, &By::server(), &unknown, ClientSecret::None)
        });
        assert!(matches!(refused, Err(Error::Refused(why)) if why.starts_with("default_role:")));
        let decision = store.read_inline(|at| outlook(at, &unknown, &identity("u1", "bob@x.example", ""))).unwrap();
        assert_eq!(decision, Decision::Refuse(Refused::NoRole));
    }

    #[test]
    fn the_secret_of_the_client_stays_until_another_takes_its_place() {
        let (store, _folder) = store();
        for (given, wanted) in [
            (ClientSecret::New(vec![1]), Some(vec![1])),
            (ClientSecret::Kept, Some(vec![1])),
            (ClientSecret::New(vec![2]), Some(vec![2])),
            (ClientSecret::None, None),
        ] {
            write(&store, move |tx| keep(tx, &By::server(), &agreement(), given)).unwrap();
            let kept = store.read_inline(rows::provider).unwrap().unwrap();
            assert_eq!(kept.client_secret, wanted);
            assert_eq!(kept.agreement, agreement());
        }
        write(&store, |tx| remove(tx, &By::server())).unwrap();
        assert_eq!(store.read_inline(rows::provider).unwrap(), None);
    }
}
