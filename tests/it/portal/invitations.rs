//! Invitations of admins: created by an owner, accepted once with a link.

use crate::app::App;
use crate::portal::browser::{Browser, PASSWORD, Page, own_app};

const OTHER_PASSWORD: &str = "a red boat under the bridge";

/// Invites an address; returns the page of the invitation and the path of its link.
#[track_caller]
fn invite(owner: &mut Browser, email: &str, role: &str) -> (Page, String) {
    let page = owner.submit("/settings/people/new", &[("email", email), ("role", role)]).answered(200);
    let secret = page.between("/invite/", "\"").to_owned();
    (page, format!("/invite/{secret}"))
}

#[test]
fn an_invited_admin_chooses_name_and_password_and_is_signed_in() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (page, link) = invite(&mut owner, "Mara@invite.example", "provisioning-manager");
    let mail = "href=\"mailto:Mara%40invite.example?subject=Your%20invitation";
    assert!(page.contains(mail) && page.contains("can’t be shown again after five minutes"), "{}", page.text);
    assert!(owner.get("/settings/people").contains("Mara@invite.example"));
    assert!(!Browser::owner(&app).get(&page.at).answered(200).contains(&link), "another admin sees the link");
    let mut guest = Browser::anonymous(&app);
    let form = guest.get(&link).answered(200);
    assert!(form.contains("Mara@invite.example") && form.contains("Provisioning manager"), "{}", form.text);
    assert_eq!(form.header("referrer-policy"), Some("strict-origin"));
    let short = guest.submit(&link, &[("name", ""), ("password", "short")]).answered(422);
    assert!(short.contains("Use at least 12 characters."), "{}", short.text);
    let fields = [("name", "Mara Lind"), ("password", PASSWORD), ("email", "other@x.example"), ("role", "owner")];
    let profile = guest.submit(&link, &fields).answered(200);
    assert!(profile.contains("Mara Lind") && profile.contains("Provisioning manager"), "{}", profile.text);
    assert!(profile.contains("Set up two-step sign-in") && profile.contains("Mara@invite.example"));
    assert_eq!(guest.get("/settings/people").status, 403);
    // The link works once, also with the same browser.
    let again = guest.get(&link).answered(410);
    assert!(again.contains("This invitation has ended") && !again.contains("Go to the home page"), "{}", again.text);
    guest.submit(&link, &[("name", "Second"), ("password", OTHER_PASSWORD)]).answered(410);
    let mut later = Browser::anonymous(&app);
    later.email = "mara@invite.example".to_owned();
    later.sign_in().answered(200);
    let log = owner.get("/audit/export.json").answered(200);
    for action in ["admin.invited", "admin.invite_accepted", "admin.created"] {
        assert!(log.contains(action), "{action}");
    }
    assert!(!log.contains(link.rsplit('/').next().unwrap()), "the secret is in the audit log");
}

#[test]
fn a_replaced_revoked_or_unknown_invitation_is_not_accepted() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let email = format!("invited-{}", owner.email);
    let (_, first) = invite(&mut owner, &email, "viewer");
    let (page, second) = invite(&mut owner, &email, "viewer");
    let mut guest = Browser::anonymous(app);
    guest.get(&first).answered(410);
    guest.get(&second).answered(200);
    owner.submit(&format!("{}/revoke", page.at), &[]).answered(200);
    guest.get(&second).answered(410);
    owner.submit(&format!("{}/revoke", page.at), &[]).answered(404);
    let unknown = guest.get("/invite/unknown").answered(404);
    assert!(unknown.contains("Invitation not found"), "{}", unknown.text);
    guest.submit(&second, &[("name", "Late"), ("password", PASSWORD)]).answered(410);
    owner.submit("/settings/people/new", &[("email", &email), ("role", "nothing")]).answered(422);
    let unknown_account = [("email", email.as_str()), ("role", "viewer"), ("account", "no-such-account")];
    owner.submit("/settings/people/new", &unknown_account).answered(422);
}

#[test]
fn an_invitation_ends_with_the_power_of_its_inviter() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let mut inviter = Browser::owner(&app);
    let (_, link) = invite(&mut inviter, "late@invite.example", "owner");
    let mut guest = Browser::anonymous(&app);
    guest.get(&link).answered(200);
    let list = owner.get("/settings/people");
    let (before, _) = list.text.split_once(&format!("<span class=\"sub\">{}</span>", inviter.email)).unwrap();
    let id = before.rsplit_once("/settings/people/").unwrap().1.split('"').next().unwrap().to_owned();
    owner.submit(&format!("/settings/people/{id}/active"), &[("active", "off")]).answered(200);
    guest.get(&link).answered(410);
    guest.submit(&link, &[("name", "Late"), ("password", PASSWORD)]).answered(410);
}

#[test]
fn an_invitation_to_one_account_ends_with_the_account() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let account = format!("invite-{}", owner.email);
    owner.submit("/accounts/new", &[("id", &account)]).answered(200);
    let email = format!("customer-{}", owner.email);
    let fields = [("email", email.as_str()), ("role", "viewer"), ("account", account.as_str())];
    let page = owner.submit("/settings/people/new", &fields).answered(200);
    let link = format!("/invite/{}", page.between("/invite/", "\""));
    let mut guest = Browser::anonymous(app);
    assert!(guest.get(&link).answered(200).contains(&account));
    owner.submit(&format!("/accounts/{}/delete", crate::sample::encode(&account)), &[("id", &account)]).answered(200);
    guest.get(&link).answered(410);
}
