//! What owners do in the portal: accounts, leftovers, settings, admins, roles, keys, the audit log, and their own
//! profile.

use serde_json::json;

use crate::app::App;
use crate::portal::browser::{Browser, PASSWORD, add_admin, own_app};
use crate::sample;

const OTHER_PASSWORD: &str = "another lamp on the short table";

#[test]
fn an_account_is_added_renamed_and_deleted() {
    let mut owner = Browser::owner(App::shared());
    let id = format!("a/b & <c> {}", owner.email);
    let path = format!("/accounts/{}", sample::encode(&id));
    let page = owner.submit("/accounts/new", &[("id", &id), ("name", "First")]).answered(200);
    assert!(page.at.starts_with(&path), "{} {path}", page.at);
    assert!(page.contains("<h1>First</h1>"), "{}", page.text);
    assert!(!page.contains("<c>"), "an id is written as markup");
    owner.submit("/accounts/new", &[("id", &id)]).answered(422);
    owner.submit("/accounts/new", &[("id", "")]).answered(422);
    owner.submit(&path, &[("name", "")]).answered(422);
    assert!(owner.submit(&path, &[("name", "Second")]).answered(200).contains("<h1>Second</h1>"));
    owner.submit(&format!("{path}/delete"), &[("id", "something else")]).answered(422);
    let page = owner.submit(&format!("{path}/delete"), &[("id", &id)]).answered(200);
    assert!(page.contains("Customer deleted"), "{}", page.text);
    owner.get(&path).answered(404);
}

#[test]
fn leftovers_are_purged_only_with_the_name_of_the_connection() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of(&owner.email, "okta");
    client.created("/Users", &json!({"schemas": [sample::USER], "userName": "left@running.example"}));
    let name = owner.get(&format!("/connections/{}", client.id)).between("<h1>", "</h1>").to_owned();
    owner.submit(&format!("/connections/{}/delete", client.id), &[("name", &name)]).answered(200);
    let path = format!("/connections/deleted/{}", client.id);
    assert!(owner.get("/connections/deleted").contains(&path));
    owner.submit(&path, &[("name", "wrong")]).answered(422);
    owner.submit(&path, &[("name", &name)]).answered(200);
    assert!(!owner.get("/connections/deleted").contains(&path));
    owner.get(&path).answered(404);
}

#[test]
fn settings_of_a_connection_take_effect_and_wrong_ones_do_not() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of(&owner.email, "other");
    let path = format!("/connections/{}/settings", client.id);
    let page = owner.submit(&path, &[("part", "name"), ("name", "Renamed"), ("provider", "onelogin")]).answered(200);
    assert!(page.contains("Settings · Renamed") && page.contains("value=\"onelogin\""), "{}", page.text);
    owner.submit(&path, &[("part", "name"), ("name", "")]).answered(422);
    let preview = owner.submit_only(&path, &[("part", "preset"), ("preset", "strict")]).answered(200);
    assert!(preview.contains("Non-standard input: <del>Accept and log</del> → <ins>Reject</ins>"), "{}", preview.text);
    let unchanged = owner.get(&path).answered(200);
    assert!(unchanged.contains("<option value=\"lenient\" selected>"), "{}", unchanged.text);
    let confirmed = [("part", "preset"), ("preset", "strict"), ("confirmed", "on")];
    let page = owner.submit(&path, &confirmed).answered(200);
    assert!(page.contains("<option value=\"strict\" selected>Reject</option>"), "{}", page.text);
    assert!(!page.contains("Changed from preset"), "{}", page.text);
    let choices = [
        ("part", "switches"),
        ("input", "lenient"),
        ("unknownMembers", "skip"),
        ("patchResponse", "empty"),
        ("discovery", "token"),
        ("passwords", "ignore"),
        ("pageDefault", "7"),
        ("pageMax", "9"),
        ("wantedAttributes", "name,emails active"),
    ];
    let page = owner.submit(&path, &choices).answered(200);
    assert!(page.contains("value=\"name, emails, active\""), "{}", page.text);
    assert!(page.contains("Changed from preset"), "{}", page.text);
    for name in ["one", "two"] {
        client.created("/Users", &json!({"schemas": [sample::USER], "userName": format!("{name}@running.example")}));
    }
    assert_eq!(client.get("/Users?count=50").answered(200).json["itemsPerPage"], 2);
    let mut wrong = choices;
    wrong[6].1 = "10";
    assert!(owner.submit(&path, &wrong).answered(422).contains("must not be above"));
    wrong[6].1 = "many";
    owner.submit(&path, &wrong).answered(422);
}

#[test]
fn a_schema_is_pasted_and_removed() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of(&owner.email, "other");
    let path = format!("/connections/{}/schemas", client.id);
    let urn = "urn:example:params:scim:schemas:extension:portal:2.0:User";
    let document = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": urn, "name": "Portal",
        "attributes": [{"name": "badge", "type": "string", "multiValued": false}]})
    .to_string();
    assert!(
        owner.submit(&path, &[("document", "{"), ("resource_type", "User")]).answered(422).contains("not valid JSON")
    );
    let page = owner.submit(&path, &[("document", &document), ("resource_type", "User")]).answered(200);
    assert!(page.contains(urn), "{}", page.text);
    assert!(client.get("/Schemas").answered(200).json.to_string().contains(urn));
    owner.submit(&path, &[("document", &document), ("resource_type", "User")]).answered(422);
    let page = owner.submit(&format!("{path}/remove"), &[("urn", urn)]).answered(200);
    assert!(!page.contains(urn), "{}", page.text);
}

#[test]
fn undeclared_attributes_are_listed_and_an_admin_declares_them() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let client = app.configuration_of(&owner.email, "azure-ad");
    let urn = "urn:ietf:params:scim:schemas:extension:Portal:2.0:User";
    let body = sample::user_with("ada", &json!({"deskColour": "red", urn: {"tag": "secret-value", "<b>": 1}}));
    let path = format!("/Users/{}", client.created("/Users", &body));
    let connection = format!("/connections/{}", client.id);
    let page = owner.get(&connection).answered(200);
    for text in [&*format!("{urn}:tag"), "deskColour", "Declare attributes", "no schema of this connection declares"] {
        assert!(page.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.contains("secret-value") && !page.contains("<b>"), "{}", page.text);
    let form = format!("{connection}/undeclared");
    let page = owner.get(&form).answered(200);
    assert!(page.contains("name=\"pick-0\"") && page.contains("cannot have an attribute"), "{}", page.text);
    let mut viewer = Browser::with_role(app, "viewer", None);
    let seen = viewer.get(&form).answered(200);
    assert!(seen.contains("deskColour") && !seen.contains("pick-0"), "{}", seen.text);
    viewer.submit_only(&form, &[("pick-0", "on"), ("name-0", "deskColour"), ("of-0", "User")]).answered(403);
    assert!(owner.submit(&form, &[("schema", "x")]).answered(422).contains("at least one attribute"));
    let tag = format!("{urn}:tag");
    let fields = [
        ("pick-0", "on"),
        ("name-0", "deskColour"),
        ("of-0", "User"),
        ("kind-0", "string"),
        ("pick-1", "on"),
        ("name-1", &*tag),
        ("of-1", "User"),
        ("kind-1", "string"),
        ("list-1", "on"),
        ("schema", "urn:ietf:params:scim:schemas:core:2.0:User"),
    ];
    let page = owner.submit(&form, &fields).answered(422);
    assert!(page.contains("standard schema or message") && page.contains("checked"), "{}", page.text);
    let fields: Vec<_> =
        fields.iter().map(|&(name, value)| if name == "schema" { (name, urn) } else { (name, value) }).collect();
    let page = owner.submit(&form, &fields).answered(200);
    assert!(page.contains("The attributes are declared") && !page.contains("deskColour"), "{}", page.text);
    client.put(&path, &body).answered(200);
    let stored = client.get(&path).answered(200).json;
    assert_eq!(stored[urn], json!({"deskColour": "red", "tag": ["secret-value"]}));
}

#[test]
fn the_audit_log_is_filtered_paged_and_exported_without_formulas() {
    let mut owner = Browser::owner(App::shared());
    let actor = owner.email.clone();
    let account = format!("=1+1,\"{actor}\"");
    owner.submit("/accounts/new", &[("id", &account)]).answered(200);
    for round in 0..51 {
        let name = format!("Name {round}");
        owner.submit_only(&format!("/accounts/{}", sample::encode(&account)), &[("name", &name)]).answered(303);
    }
    let filter = format!("actor={}&account={}", sample::encode(&actor), sample::encode(&account));
    let page = owner.get(&format!("/audit?{filter}")).answered(200);
    assert!(page.contains("Name 50") && !page.contains("account.created"), "{}", page.text);
    let next = page.between("<nav class=\"pages\"", "</nav>").split("href=\"").nth(1).unwrap().to_owned();
    let next = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert!(owner.get(&next).answered(200).contains("account.created"), "{next}");
    assert!(owner.get(&format!("/audit?{filter}&until=2020-01-01")).contains("No change fits"));
    let csv = owner.get(&format!("/audit/export.csv?{filter}&action=account.created")).answered(200);
    assert!(csv.header("content-disposition").unwrap().starts_with("attachment"));
    assert!(csv.contains(&format!("\"'=1+1,\"\"{actor}\"\"\"")), "{}", csv.text);
    assert!(csv.contains(",customer,account,connection_id,") && csv.contains("\"Name 50\""), "{}", csv.text);
    assert_eq!(csv.text.matches("\r\n").count(), 2, "{}", csv.text);
    let file = owner.get(&format!("/audit/export.json?{filter}")).answered(200);
    let items: serde_json::Value = serde_json::from_str(&file.text).unwrap();
    assert_eq!(items.as_array().unwrap().len(), 52);
    assert_eq!(items[0]["accountId"], account);
}

#[test]
fn the_last_owner_stays() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let mut owner = Browser::owner(&app);
    let own = owner.get("/settings/people").between("<th scope=\"row\"><a href=\"", "\"").to_owned();
    let page = owner.submit(&format!("{own}/active"), &[("active", "off")]).answered(422);
    assert!(page.contains("at least one owner"), "{}", page.text);
    let fields = [("name", "Owner"), ("role", "viewer"), ("account", "")];
    assert!(owner.submit(&own, &fields).answered(422).contains("at least one owner"));
    owner.get("/settings/people").answered(200);
}

#[test]
fn an_admin_is_added_changed_disabled_and_enabled_again() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let email = format!("added-{}", owner.email);
    owner.submit("/settings/people/new", &[("email", "not-an-address"), ("role", "viewer")]).answered(422);
    add_admin(app, &email, "viewer", None);
    // The address of an admin cannot be invited.
    owner.submit("/settings/people/new", &[("email", &email), ("role", "viewer")]).answered(422);
    let page = owner.get("/settings/people");
    let row = page.text.split("<tr>").find(|row| row.contains(&email)).unwrap();
    let path = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut added = Browser::anonymous(app);
    added.email.clone_from(&email);
    added.sign_in().answered(200);
    owner.submit(&path, &[("name", "Added"), ("role", "provisioning-manager")]).answered(200);
    assert!(added.get("/connections").at.starts_with("/login"), "another role does not sign out");
    owner.submit(&format!("{path}/active"), &[("active", "off")]).answered(200);
    added.sign_in().answered(401);
    owner.submit(&format!("{path}/active"), &[("active", "on")]).answered(200);
    owner.submit(&format!("{path}/password"), &[("password", "short")]).answered(422);
    owner.submit(&format!("{path}/password"), &[("password", OTHER_PASSWORD)]).answered(200);
    added.sign_in().answered(401);
    added.submit("/login", &[("email", &email), ("password", OTHER_PASSWORD)]).answered(200);
}

#[test]
fn an_admin_cannot_exceed_own_permissions() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let name = format!("Clerk {}", owner.email);
    let ticked = [("name", name.as_str()), ("system.admin", "on"), ("provisioning.read", "on")];
    owner.submit("/settings/roles/new", &ticked).answered(200);
    let page = owner.get("/settings/roles");
    let before = page.text.split(&name).next().unwrap();
    let role = before.rsplit("/settings/roles/").next().unwrap().split('"').next().unwrap().to_owned();
    let mut clerk = Browser::with_role(app, &role, None);
    let page = owner.get("/settings/people");
    let before = page.text.split(&format!("<span class=\"sub\">{}</span>", owner.email)).next().unwrap();
    let boss = before.rsplit("href=\"").next().unwrap().split('"').next().unwrap().to_owned();
    let fields = [("email", "puppet@portal.example"), ("name", "Puppet"), ("role", "owner")];
    clerk.submit("/settings/people/new", &fields).answered(403);
    clerk.submit(&format!("{boss}/password"), &[("password", OTHER_PASSWORD)]).answered(403);
    clerk.submit(&format!("{boss}/active"), &[("active", "off")]).answered(403);
    clerk.submit(&boss, &[("name", "Boss"), ("role", "viewer")]).answered(403);
    let more = [("name", name.as_str()), ("system.admin", "on"), ("provisioning.delete", "on")];
    clerk.submit(&format!("/settings/roles/{role}"), &more).answered(403);
    // A permission that the creator lacks is not on the form, and a form that has it is refused as a whole.
    assert!(!clerk.get("/settings/keys/new").answered(200).contains("name=\"directory.read\""));
    let more = [("name", "k"), ("directory.read", "on"), ("provisioning.read", "on")];
    let refused = clerk.submit("/settings/keys/new", &more).answered(403);
    assert!(refused.contains("A key can only have permissions that you have."), "{}", refused.text);
    let key = clerk.submit("/settings/keys/new", &[("name", "k"), ("provisioning.read", "on")]).answered(200);
    assert!(key.contains("<dd>View connections</dd>"), "{}", key.text);
    owner.submit(&format!("/settings/roles/{role}/remove"), &[]).answered(422);
}

#[test]
fn an_api_key_works_until_it_is_revoked_and_only_its_creator_sees_the_secret() {
    let app = App::shared();
    let (mut owner, mut other) = (Browser::owner(app), Browser::owner(app));
    let page = owner.submit("/settings/keys/new", &[("name", "program"), ("provisioning.read", "on")]).answered(200);
    let secret = page.between("id=\"secret\" type=\"text\" readonly value=\"", "\"").to_owned();
    let caller = app.anonymous().with(&secret);
    caller.get(crate::caller::CONFIGURATIONS).answered(200);
    assert!(!other.get(&page.at).answered(200).contains(&secret));
    owner.submit(&format!("{}/revoke", page.at), &[]).answered(200);
    caller.get(crate::caller::CONFIGURATIONS).answered(401);
    owner.submit("/settings/keys/new", &[("name", "nothing")]).answered(422);
    let late = [("name", "late"), ("provisioning.read", "on"), ("expires", "2020-01-01")];
    owner.submit("/settings/keys/new", &late).answered(422);
}

#[test]
fn a_new_password_asks_for_the_present_one_and_ends_the_other_sessions() {
    // Other tests enter wrong passwords from this address, which are limited.
    let (app, _folder) = own_app();
    let mut here = Browser::owner(&app);
    let mut there = Browser::anonymous(&app);
    there.email.clone_from(&here.email);
    there.sign_in().answered(200);
    let (wrong, right) =
        ([("present", "wrong"), ("password", OTHER_PASSWORD)], [("present", PASSWORD), ("password", OTHER_PASSWORD)]);
    here.submit("/profile/password", &wrong).answered(422);
    there.get("/profile").answered(200);
    here.submit("/profile/password", &[("present", PASSWORD), ("password", "short")]).answered(422);
    here.submit("/profile/password", &right).answered(200);
    assert!(there.get("/profile").at.starts_with("/login"));
    here.get("/profile").answered(200);
}

#[test]
fn sessions_are_ended_from_the_profile() {
    let app = App::shared();
    let mut here = Browser::owner(app);
    let mut there = here.clone();
    there.cookies.clear();
    there.sign_in().answered(200);
    let page = here.get("/profile");
    let id = page.between("name=\"session\" value=\"", "\"").to_owned();
    // A session of another admin cannot be ended.
    Browser::owner(app).submit("/profile/sessions", &[("session", &id)]).answered(200);
    there.get("/profile").answered(200);
    here.submit("/profile/sessions", &[("session", &id)]).answered(200);
    assert!(there.get("/profile").at.starts_with("/login"));
    there.sign_in().answered(200);
    here.submit("/profile/sessions", &[("session", "others")]).answered(200);
    assert!(there.get("/profile").at.starts_with("/login"));
    here.get("/profile").answered(200);
    let audit = here.get(&format!("/audit?action=session.ended&actor={}", here.email)).answered(200);
    assert_eq!(audit.text.matches("sessionsEnded").count(), 2, "{}", audit.text);
}

#[test]
fn an_account_has_a_page_whatever_its_id_is() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for id in ["new", ".", "..", "~", "~new", "a/b", "?", "delete"] {
        app.configuration_of(id, "okta");
        let list = owner.get("/accounts").answered(200);
        let path = list.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        let is_of = |path: &String| {
            let end = path.strip_prefix("/accounts/").map(|end| end.strip_prefix('~').unwrap_or(end).to_owned());
            end.is_some_and(|end| end == sample::encode(id)) && path != "/accounts/new"
        };
        let path = path.into_iter().find(is_of).unwrap_or_else(|| panic!("{id}: {}", list.text));
        assert!(!path.split('/').any(|part| part == "." || part == ".."), "{path}");
        owner.submit(&path, &[("name", &format!("Name of {id}"))]).answered(200);
        assert!(owner.get(&path).answered(200).contains(&format!("<h1>Name of {id}</h1>")), "{id}");
        assert!(owner.get(&format!("{path}/delete")).answered(200).contains("Delete · Name of"), "{id}");
    }
}

#[test]
fn the_color_theme_is_stored_in_the_browser() {
    let mut owner = Browser::owner(App::shared());
    assert!(
        owner
            .submit("/profile/theme", &[("theme", "dark")])
            .answered(200)
            .contains("<html lang=\"en\" class=\"dark\">")
    );
    assert!(owner.submit("/profile/theme", &[("theme", "\"><b>")]).answered(200).contains("class=\"auto\""));
}

#[test]
fn self_service_is_switched_for_all_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let mut owner = Browser::owner(&app);
    let key = app.account_key("acme", &[]);
    key.get(crate::caller::CONFIGURATIONS).answered(200);
    owner.submit("/settings/server/self-service", &[]).answered(200);
    key.get(crate::caller::CONFIGURATIONS).answered(403);
    owner.submit("/settings/server/self-service", &[("self_service", "on")]).answered(200);
    key.get(crate::caller::CONFIGURATIONS).answered(200);
}

#[test]
fn a_new_key_or_role_begins_with_the_least_permission_and_templates_add_to_it() {
    let app = App::shared();
    let mut owner = Browser::owner(app);
    let permissions = [
        "provisioning.read",
        "provisioning.create",
        "provisioning.delete",
        "provisioning.tokens",
        "directory.read",
        "requests.read",
        "audit.read",
        "system.admin",
        "webhooks.manage",
    ];
    for form in ["/settings/keys/new", "/settings/roles/new"] {
        let mut checked = |template: &str| {
            let page = owner.get(&format!("{form}{template}")).answered(200);
            let is_checked = |one: &&&str| page.contains(&format!("name=\"{one}\" value=\"on\" checked"));
            permissions.iter().filter(is_checked).copied().collect::<Vec<_>>()
        };
        assert_eq!(checked(""), ["provisioning.read"], "{form}");
        assert_eq!(checked("?template=unknown"), ["provisioning.read"], "{form}");
        assert_eq!(checked("?template=event-reader"), ["directory.read"], "{form}");
        assert_eq!(checked("?template=provisioning"), permissions[..5], "{form}");
        assert_eq!(checked("?template=admin"), permissions, "{form}");
        let page = owner.get(form).answered(200);
        assert!(page.contains(&format!("href=\"{form}?template=admin\"")), "{}", page.text);
    }
}
