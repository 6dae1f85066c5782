//! Tables of sign-in decisions.

use super::*;

fn provider_configuration() -> ProviderConfiguration {
    ProviderConfiguration {
        is_on: true,
        issuer: "https://id.example.com".to_owned(),
        client_id: "rollcall".to_owned(),
        scopes: "email profile".to_owned(),
        label: "Sign in with SSO".to_owned(),
        ..ProviderConfiguration::default()
    }
}

fn adding() -> ProviderConfiguration {
    ProviderConfiguration {
        adds_admins: true,
        domains: vec!["example.com".to_owned()],
        default_role: Some("viewer".to_owned()),
        ..provider_configuration()
    }
}

fn mapping() -> ProviderConfiguration {
    let roles = [("admins", "provisioning-manager"), ("staff", "viewer")];
    ProviderConfiguration {
        role_claim: "groups".to_owned(),
        roles: roles.map(|(value, role)| (value.to_owned(), role.to_owned())).to_vec(),
        ..provider_configuration()
    }
}

fn identity(email: Option<&str>, is_verified: Option<bool>, groups: &[&str]) -> SsoIdentity {
    SsoIdentity {
        issuer: "https://id.example.com".to_owned(),
        subject: "u1".to_owned(),
        email: email.map(str::to_owned),
        is_verified,
        name: Some("Ann Example".to_owned()),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
    }
}

fn candidate(role: &str) -> AdminCandidate {
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
    AdminCandidate { admin, is_managed: false, subject: None, has_password: true }
}

fn disabled() -> AdminCandidate {
    let one = candidate("viewer");
    AdminCandidate { admin: Admin { disabled_at: Some(1), ..one.admin }, ..one }
}

fn entered(role: Option<&str>) -> SignInDecision {
    SignInDecision::SignIn { admin: "a1".to_owned(), role: role.map(str::to_owned) }
}

fn must_confirm() -> SignInDecision {
    SignInDecision::ConfirmLink { admin: "a1".to_owned(), role: None }
}

#[test]
fn an_admin_is_matched_by_identity_and_a_verified_address_needs_a_confirmation() {
    use SsoRefusal::{Disabled, LinkedElsewhere, NoEmail, NoPassword, UnknownAdmin, Unverified};
    let ann = candidate("viewer");
    let other = AdminCandidate { subject: Some("u2".to_owned()), ..ann.clone() };
    let without_password = AdminCandidate { has_password: false, ..ann.clone() };
    let verified = identity(Some("ann@example.com"), Some(true), &[]);
    let refuse = SignInDecision::Refuse;
    for (claims, linked, by_email, expected) in [
        (verified.clone(), Some(&ann), None, entered(None)),
        // The address may have changed since; the identity has not.
        (identity(None, None, &[]), Some(&ann), None, entered(None)),
        (verified.clone(), None, Some(&ann), must_confirm()),
        (verified.clone(), None, Some(&candidate(OWNER)), must_confirm()),
        (verified.clone(), None, Some(&without_password), refuse(NoPassword)),
        (verified.clone(), None, Some(&other), refuse(LinkedElsewhere)),
        (verified.clone(), None, None, refuse(UnknownAdmin)),
        (identity(Some("ann@example.com"), Some(false), &[]), None, Some(&ann), refuse(Unverified)),
        (identity(Some("ann@example.com"), None, &[]), None, Some(&ann), refuse(Unverified)),
        (identity(None, Some(true), &[]), None, None, refuse(NoEmail)),
        (identity(Some("no address"), Some(true), &[]), None, None, refuse(NoEmail)),
        (verified.clone(), Some(&disabled()), None, refuse(Disabled)),
        (verified, None, Some(&disabled()), refuse(Disabled)),
    ] {
        assert_eq!(decide_sign_in(&provider_configuration(), &claims, linked, by_email), expected, "{claims:?}");
    }
}

#[test]
fn the_domains_apply_to_links_too() {
    let ann = candidate("viewer");
    let elsewhere = identity(Some("ann@evil.example"), Some(true), &[]);
    let refused = SignInDecision::Refuse(SsoRefusal::DomainNotAllowed);
    assert_eq!(decide_sign_in(&adding(), &elsewhere, None, Some(&ann)), refused);
    assert_eq!(decide_sign_in(&provider_configuration(), &elsewhere, None, Some(&ann)), must_confirm());
    // A link that exists stays valid.
    assert_eq!(decide_sign_in(&adding(), &elsewhere, Some(&ann), None), entered(None));
}

#[test]
fn an_unverified_address_is_never_trusted() {
    let (ann, trusting) =
        (candidate("viewer"), ProviderConfiguration { trusts_emails: true, ..provider_configuration() });
    let unconfirmed = |is_verified| identity(Some("ann@example.com"), is_verified, &[]);
    assert_eq!(decide_sign_in(&trusting, &unconfirmed(None), None, Some(&ann)), must_confirm());
    assert_eq!(
        decide_sign_in(&trusting, &unconfirmed(Some(false)), None, Some(&ann)),
        SignInDecision::Refuse(SsoRefusal::Unverified)
    );
}

#[test]
fn admins_are_added_from_the_allowed_domains() {
    let add = |role: &str, email: &str, name: &str| SignInDecision::Add {
        role: role.to_owned(),
        email: email.to_owned(),
        name: name.to_owned(),
    };
    let identity_of = |email| identity(Some(email), Some(true), &["admins"]);
    let nameless = SsoIdentity { name: None, ..identity_of("Bob@Example.com") };
    let without_default = ProviderConfiguration { default_role: None, ..adding() };
    let mapped =
        ProviderConfiguration { roles: mapping().roles, role_claim: "groups".to_owned(), ..without_default.clone() };
    for (provider_configuration, claims, expected) in [
        (adding(), identity_of("ann@example.com"), add("viewer", "ann@example.com", "Ann Example")),
        (adding(), nameless, add("viewer", "Bob@Example.com", "bob")),
        (mapped, identity_of("ann@example.com"), add("provisioning-manager", "ann@example.com", "Ann Example")),
        (without_default, identity_of("ann@example.com"), SignInDecision::Refuse(SsoRefusal::NoRole)),
        (adding(), identity_of("ann@evil.example"), SignInDecision::Refuse(SsoRefusal::DomainNotAllowed)),
        (adding(), identity_of("ann@sub.example.com"), SignInDecision::Refuse(SsoRefusal::DomainNotAllowed)),
        (adding(), identity_of("ann@evilexample.com"), SignInDecision::Refuse(SsoRefusal::DomainNotAllowed)),
        (adding(), identity_of("ann@example.com@evil.example"), SignInDecision::Refuse(SsoRefusal::DomainNotAllowed)),
    ] {
        assert_eq!(decide_sign_in(&provider_configuration, &claims, None, None), expected, "{claims:?}");
    }
}

#[test]
fn roles_follow_the_mapping_and_owners_keep_their_role() {
    let managed = AdminCandidate { is_managed: true, ..candidate("provisioning-manager") };
    let defaulting = ProviderConfiguration { default_role: Some("viewer".to_owned()), ..mapping() };
    for (provider_configuration, groups, admin, expected) in [
        (mapping(), vec!["staff", "admins"], candidate("viewer"), entered(Some("provisioning-manager"))),
        (mapping(), vec!["staff"], managed.clone(), entered(Some("viewer"))),
        (mapping(), vec!["others"], candidate("viewer"), entered(None)),
        (mapping(), vec!["admins"], candidate(OWNER), entered(None)),
        (mapping(), vec![], managed.clone(), SignInDecision::Refuse(SsoRefusal::NoRole)),
        (defaulting, vec![], managed.clone(), entered(Some("viewer"))),
        (provider_configuration(), vec!["admins"], managed, entered(None)),
    ] {
        let claims = identity(None, None, &groups);
        assert_eq!(decide_sign_in(&provider_configuration, &claims, Some(&admin), None), expected, "{groups:?}");
    }
}

#[test]
fn each_invalid_value_names_its_field() {
    assert_eq!(provider_configuration().field_errors(), []);
    assert_eq!(adding().field_errors(), []);
    assert_eq!(mapping().field_errors(), []);
    let owner = || vec![("admins".to_owned(), OWNER.to_owned())];
    for (field, wrong) in [
        (
            "issuer",
            ProviderConfiguration { issuer: "https://id.example.com/?x=1".to_owned(), ..provider_configuration() },
        ),
        (
            "issuer",
            ProviderConfiguration { issuer: "https://ada@id.example.com".to_owned(), ..provider_configuration() },
        ),
        ("client_id", ProviderConfiguration { client_id: String::new(), ..provider_configuration() }),
        ("label", ProviderConfiguration { label: String::new(), ..provider_configuration() }),
        ("label", ProviderConfiguration { label: "x".repeat(41), ..provider_configuration() }),
        ("scopes", ProviderConfiguration { scopes: "email\nprofile".to_owned(), ..provider_configuration() }),
        ("domains", ProviderConfiguration { domains: Vec::new(), ..adding() }),
        ("domains", ProviderConfiguration { domains: vec!["@example.com".to_owned()], ..adding() }),
        ("default_role", ProviderConfiguration { default_role: Some(OWNER.to_owned()), ..adding() }),
        ("default_role", ProviderConfiguration { default_role: None, ..adding() }),
        ("roles", ProviderConfiguration { roles: owner(), ..mapping() }),
        ("required_acr", ProviderConfiguration { required_acr: vec!["two words".to_owned()], ..adding() }),
        ("required_amr", ProviderConfiguration { required_amr: vec![String::new()], ..adding() }),
        ("role_claim", ProviderConfiguration { role_claim: String::new(), ..mapping() }),
    ] {
        let errors = wrong.field_errors();
        let fields: Vec<&str> = errors.iter().filter_map(Error::field).collect();
        assert_eq!(fields, [field], "{wrong:?}");
    }
}
