//! Who comes in, as tables.

use super::*;

fn agreement() -> Agreement {
    Agreement {
        is_on: true,
        issuer: "https://id.example.com".to_owned(),
        client_id: "rollcall".to_owned(),
        scopes: "email profile".to_owned(),
        label: "Sign in with SSO".to_owned(),
        ..Agreement::default()
    }
}

fn adding() -> Agreement {
    Agreement {
        adds_people: true,
        domains: vec!["example.com".to_owned()],
        default_role: Some("viewer".to_owned()),
        ..agreement()
    }
}

fn mapping() -> Agreement {
    let roles = [("admins", "provisioning-manager"), ("staff", "viewer")];
    Agreement {
        role_claim: "groups".to_owned(),
        roles: roles.map(|(value, role)| (value.to_owned(), role.to_owned())).to_vec(),
        ..agreement()
    }
}

fn identity(email: Option<&str>, is_verified: Option<bool>, groups: &[&str]) -> Identity {
    Identity {
        issuer: "https://id.example.com".to_owned(),
        subject: "u1".to_owned(),
        email: email.map(str::to_owned),
        is_verified,
        name: Some("Ann Example".to_owned()),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
    }
}

fn known(role: &str) -> Known {
    let admin = Admin {
        id: "a1".to_owned(),
        email: "ann@example.com".to_owned(),
        name: "Ann".to_owned(),
        role: role.to_owned(),
        account: None,
        has_totp: false,
        created_at: 0,
        last_sign_in_at: None,
        disabled_at: None,
    };
    Known { admin, is_managed: false, subject: None }
}

fn disabled() -> Known {
    let one = known("viewer");
    Known { admin: Admin { disabled_at: Some(1), ..one.admin }, ..one }
}

fn entered(role: Option<&str>, is_new_link: bool) -> Decision {
    Decision::Enter { admin: "a1".to_owned(), role: role.map(str::to_owned), is_new_link }
}

#[test]
fn somebody_is_known_by_identity_and_at_first_by_a_verified_address() {
    use Refused::{Disabled, NoEmail, Stranger, Taken, Unverified};
    let ann = known("viewer");
    let other = Known { subject: Some("u2".to_owned()), ..ann.clone() };
    let verified = identity(Some("ann@example.com"), Some(true), &[]);
    let refuse = Decision::Refuse;
    for (who, linked, by_email, wanted) in [
        (verified.clone(), Some(&ann), None, entered(None, false)),
        // The address may have changed since; the identity has not.
        (identity(None, None, &[]), Some(&ann), None, entered(None, false)),
        (verified.clone(), None, Some(&ann), entered(None, true)),
        (verified.clone(), None, Some(&other), refuse(Taken)),
        (verified.clone(), None, None, refuse(Stranger)),
        (identity(Some("ann@example.com"), Some(false), &[]), None, Some(&ann), refuse(Unverified)),
        (identity(Some("ann@example.com"), None, &[]), None, Some(&ann), refuse(Unverified)),
        (identity(None, Some(true), &[]), None, None, refuse(NoEmail)),
        (identity(Some("no address"), Some(true), &[]), None, None, refuse(NoEmail)),
        (verified.clone(), Some(&disabled()), None, refuse(Disabled)),
        (verified, None, Some(&disabled()), refuse(Disabled)),
    ] {
        assert_eq!(decide(&agreement(), &who, linked, by_email), wanted, "{who:?}");
    }
}

#[test]
fn an_address_that_is_called_unverified_is_never_trusted() {
    let (ann, trusting) = (known("viewer"), Agreement { trusts_emails: true, ..agreement() });
    let said = |is_verified| identity(Some("ann@example.com"), is_verified, &[]);
    assert_eq!(decide(&trusting, &said(None), None, Some(&ann)), entered(None, true));
    assert_eq!(decide(&trusting, &said(Some(false)), None, Some(&ann)), Decision::Refuse(Refused::Unverified));
}

#[test]
fn people_are_added_from_the_domains_that_are_named() {
    let add = |role: &str, email: &str, name: &str| Decision::Add {
        role: role.to_owned(),
        email: email.to_owned(),
        name: name.to_owned(),
    };
    let who = |email| identity(Some(email), Some(true), &["admins"]);
    let wordless = Identity { name: None, ..who("Bob@Example.com") };
    let nobody = Agreement { default_role: None, ..adding() };
    let mapped = Agreement { roles: mapping().roles, role_claim: "groups".to_owned(), ..nobody.clone() };
    for (agreement, who, wanted) in [
        (adding(), who("ann@example.com"), add("viewer", "ann@example.com", "Ann Example")),
        (adding(), wordless, add("viewer", "Bob@Example.com", "bob")),
        (mapped, who("ann@example.com"), add("provisioning-manager", "ann@example.com", "Ann Example")),
        (nobody, who("ann@example.com"), Decision::Refuse(Refused::NoRole)),
        (adding(), who("ann@evil.example"), Decision::Refuse(Refused::Domain)),
        (adding(), who("ann@sub.example.com"), Decision::Refuse(Refused::Domain)),
        (adding(), who("ann@evilexample.com"), Decision::Refuse(Refused::Domain)),
        (adding(), who("ann@example.com@evil.example"), Decision::Refuse(Refused::Domain)),
    ] {
        assert_eq!(decide(&agreement, &who, None, None), wanted, "{who:?}");
    }
}

#[test]
fn roles_follow_the_table_and_owners_stay_what_they_are() {
    let managed = Known { is_managed: true, ..known("provisioning-manager") };
    let defaulting = Agreement { default_role: Some("viewer".to_owned()), ..mapping() };
    for (agreement, groups, person, wanted) in [
        (mapping(), vec!["staff", "admins"], known("viewer"), entered(Some("provisioning-manager"), false)),
        (mapping(), vec!["staff"], managed.clone(), entered(Some("viewer"), false)),
        (mapping(), vec!["others"], known("viewer"), entered(None, false)),
        (mapping(), vec!["admins"], known(OWNER), entered(None, false)),
        (mapping(), vec![], managed.clone(), Decision::Refuse(Refused::NoRole)),
        (defaulting, vec![], managed.clone(), entered(Some("viewer"), false)),
        (agreement(), vec!["admins"], managed, entered(None, false)),
    ] {
        let who = identity(None, None, &groups);
        assert_eq!(decide(&agreement, &who, Some(&person), None), wanted, "{groups:?}");
    }
}

#[test]
fn what_cannot_be_agreed_on_names_its_field() {
    assert_eq!(agreement().problems(), []);
    assert_eq!(adding().problems(), []);
    assert_eq!(mapping().problems(), []);
    let owner = || vec![("admins".to_owned(), OWNER.to_owned())];
    for (field, wrong) in [
        ("issuer", Agreement { issuer: "https://id.example.com/?x=1".to_owned(), ..agreement() }),
        ("client_id", Agreement { client_id: String::new(), ..agreement() }),
        ("label", Agreement { label: String::new(), ..agreement() }),
        ("label", Agreement { label: "x".repeat(41), ..agreement() }),
        ("scopes", Agreement { scopes: "email\nprofile".to_owned(), ..agreement() }),
        ("domains", Agreement { domains: Vec::new(), ..adding() }),
        ("domains", Agreement { domains: vec!["@example.com".to_owned()], ..adding() }),
        ("default_role", Agreement { default_role: Some(OWNER.to_owned()), ..adding() }),
        ("default_role", Agreement { default_role: None, ..adding() }),
        ("roles", Agreement { roles: owner(), ..mapping() }),
        ("role_claim", Agreement { role_claim: String::new(), ..mapping() }),
    ] {
        let fields: Vec<&str> = wrong.problems().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, [field], "{wrong:?}");
    }
}
