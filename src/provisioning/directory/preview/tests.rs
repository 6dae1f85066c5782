//! Previews of small configurations, with the limits of the tests.

use serde_json::json;

use super::*;
use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration, delete_configuration};
use crate::model::audit_context::AuditContext;
use crate::model::configuration::InitialSync;
use crate::provisioning::tests::{create_in_store, open_store_with_configuration};
use crate::scim::schema::{GROUP_TYPE, USER_TYPE};
use crate::store::Store;

struct Fixture {
    store: Store,
    scope: Scope,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (folder, store, scope) = open_store_with_configuration();
        Self { store, scope, _folder: folder }
    }

    /// Another configuration of an account.
    fn add_configuration(&self, account: &str) -> Scope {
        let new = NewConfiguration { sync: InitialSync::Staged, ..NewConfiguration::sample(account) };
        let created = self
            .store
            .write_blocking(move |tx| Scope::load(tx, create_configuration(tx, &AuditContext::server(), &new)?));
        created.unwrap()
    }

    fn user_in(&self, scope: &Scope, name: &str, more: &Value) -> String {
        let mut body = json!({"schemas": [USER_TYPE.schema.id], "userName": name});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        create_in_store(&self.store, scope, &USER_TYPE, &body).unwrap()
    }

    fn user(&self, name: &str, more: &Value) -> String {
        self.user_in(&self.scope, name, more)
    }

    fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let body = json!({"schemas": [GROUP_TYPE.schema.id], "displayName": name, "members": members});
        create_in_store(&self.store, &self.scope, &GROUP_TYPE, &body).unwrap()
    }

    fn preview(&self, domains: &str) -> Preview {
        let domains = parse_domains(domains).unwrap();
        let id = self.scope.configuration_id.to_string();
        self.store.read_pooled(|at| read_preview(at, &AccountScope::AllAccounts, &id, &domains)).unwrap()
    }
}

fn email(address: &str) -> Value {
    json!({"emails": [{"value": address}]})
}

fn names(problem: &PreviewProblem) -> Vec<&str> {
    problem.items.iter().map(|item| item.name.as_str()).collect()
}

fn problem(preview: &Preview, kind: PreviewProblemKind) -> &PreviewProblem {
    preview.problems.iter().find(|problem| problem.kind == kind).unwrap()
}

#[test]
fn an_empty_configuration_has_no_problem() {
    let preview = Fixture::new().preview("");
    assert_eq!(preview.examined, PreviewExtent::default());
    assert!(preview.problems.iter().all(|problem| problem.count == 0) && preview.problems.len() == 4);
    assert!(preview.attributes.iter().all(|fill| preview.percent(fill.users) == 0));
    let paths: Vec<&str> = preview.attributes.iter().map(|fill| fill.path.as_str()).collect();
    assert_eq!(paths[..3], ["externalId", "userName", "name.formatted"]);
    let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
    assert!(paths.contains(&department) && paths.contains(&"emails"), "{paths:?}");
    assert!(!paths.contains(&"groups") && !paths.contains(&"password"), "{paths:?}");
}

#[test]
fn attributes_groups_and_problems_are_counted() {
    let fixture = Fixture::new();
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let ada = fixture.user(
        "ada",
        &json!({"emails": [{"value": "home@x.example"}, {"value": "ADA@acme.example", "primary": true}],
            "name": {"givenName": "Ada"}, enterprise: {"department": "R"}}),
    );
    let bob = fixture.user("bob", &json!({"active": false, "emails": [{"value": "no address"}]}));
    let eve = fixture.user("eve", &email("eve@acme.example"));
    let (large, small) = (fixture.group("Large", &[&ada, &bob, &eve]), fixture.group("Small", &[&eve]));
    let empty = fixture.group("Empty", &[]);
    let preview = fixture.preview("");
    let counts = [QuotaKind::Users, QuotaKind::ActiveUsers, QuotaKind::Groups, QuotaKind::Members];
    assert_eq!(counts.map(|kind| preview.count(kind)), [3, 2, 3, 4]);
    assert_eq!(preview.examined, PreviewExtent { users: 3, groups: 3, other_addresses: 0, is_cut: false });
    let users = |path: &str| preview.attributes.iter().find(|fill| fill.path == path).unwrap().users;
    assert_eq!((users("userName"), users("name.givenName"), users("name.familyName")), (3, 1, 0));
    assert_eq!((users("emails"), users("active"), users(&format!("{enterprise}:department"))), (3, 3, 1));
    assert_eq!(preview.percent(1), 33);
    let ids: Vec<&str> = preview.groups.iter().map(|group| group.stored.id.as_str()).collect();
    assert_eq!(ids, [large.as_str(), &small, &empty]);
    let ids: Vec<&str> = preview.sample_users.iter().map(|user| user.stored.id.as_str()).collect();
    assert_eq!(ids, [ada.as_str(), &bob, &eve]);
    let without = problem(&preview, PreviewProblemKind::UsersWithoutEmail);
    assert_eq!((without.count, names(without)), (1, vec!["bob"]));
    assert_eq!(without.items[0].resource_id.as_ref(), Some(&bob));
    let groups = problem(&preview, PreviewProblemKind::GroupsWithoutMembers);
    assert_eq!((groups.count, names(groups)), (1, vec!["Empty"]));
    assert_eq!(problem(&preview, PreviewProblemKind::UnmappedDomains).count, 0);
}

#[test]
fn addresses_of_other_configurations_of_the_account_are_reported() {
    let fixture = Fixture::new();
    let (second, foreign) = (fixture.add_configuration("acme"), fixture.add_configuration("other"));
    let gone = fixture.add_configuration("acme");
    fixture.user("ada", &email("ada@acme.example"));
    fixture.user("bob", &json!({"emails": [{"value": "bob@acme.example"}, {"value": "b@x.example"}]}));
    for scope in [&second, &foreign, &gone] {
        fixture.user_in(scope, "ada", &email("ADA@ACME.example"));
    }
    fixture.user_in(&second, "bert", &email("b@x.example"));
    fixture.user_in(&foreign, "bob", &email("bob@acme.example"));
    fixture.user_in(&gone, "bob", &email("bob@acme.example"));
    let id = gone.configuration_id.to_string();
    fixture.store.write_blocking(move |tx| delete_configuration(tx, &AuditContext::server(), &id)).unwrap();
    let preview = fixture.preview("");
    let shared = problem(&preview, PreviewProblemKind::SharedEmails);
    assert_eq!((shared.count, names(shared)), (2, vec!["ada@acme.example", "b@x.example"]));
    assert!(shared.items.iter().all(|item| item.configurations[0].id == *second.configuration_id), "{shared:?}");
    assert_eq!((preview.examined.other_addresses, preview.examined.is_cut), (2, false));
}

#[test]
fn a_domain_is_unmapped_if_it_is_rare_and_no_other_configuration_has_it() {
    let fixture = Fixture::new();
    let second = fixture.add_configuration("acme");
    for number in 0..25 {
        fixture.user(&format!("u{number}"), &email(&format!("u{number}@acme.example")));
    }
    fixture.user("guest", &email("guest@Mail.example"));
    fixture.user("partner", &email("partner@partner.example"));
    let unmapped = |preview: &Preview| {
        let found = problem(preview, PreviewProblemKind::UnmappedDomains);
        found.items.iter().map(|item| (item.name.clone(), item.users.unwrap())).collect::<Vec<_>>()
    };
    let one = |name: &str| (name.to_owned(), 1);
    assert_eq!(unmapped(&fixture.preview("")), [one("mail.example"), one("partner.example")]);
    fixture.user_in(&second, "other", &email("other@partner.example"));
    assert_eq!(unmapped(&fixture.preview("")), [one("mail.example")]);
    // A list replaces the rule.
    let listed = unmapped(&fixture.preview(" Mail.example , other.example"));
    assert_eq!(listed, [("acme.example".to_owned(), 25), one("partner.example")]);
}

#[test]
fn the_work_and_the_answer_are_limited() {
    let fixture = Fixture::new();
    let second = fixture.add_configuration("acme");
    for number in 0..USERS_EXAMINED_MAX + 3 {
        fixture.user(&format!("u{number:02}"), &json!({}));
    }
    for number in 0..=GROUPS_EXAMINED_MAX {
        fixture.group(&format!("g{number}"), &[]);
    }
    let preview = fixture.preview("");
    assert_eq!(preview.examined, PreviewExtent { users: 30, groups: 6, other_addresses: 0, is_cut: true });
    assert_eq!(preview.count(QuotaKind::Users), 33);
    let without = problem(&preview, PreviewProblemKind::UsersWithoutEmail);
    assert_eq!((without.count, names(without)), (30, vec!["u00", "u01", "u02", "u03", "u04"]));
    assert_eq!(problem(&preview, PreviewProblemKind::GroupsWithoutMembers).count, 6);
    assert_eq!((preview.groups.len(), preview.sample_users.len()), (GROUPS_LISTED_MAX, SAMPLE_USERS));

    let fixture = Fixture { scope: second, ..fixture };
    fixture.user("ada", &email("a0@x.example"));
    let third = fixture.add_configuration("acme");
    for number in 0..OTHER_ADDRESSES_MAX {
        fixture.user_in(&third, &format!("t{number:02}"), &email(&format!("a{number}@x.example")));
    }
    let exact = fixture.preview("").examined;
    assert_eq!((exact.other_addresses, exact.is_cut), (20, false));
    fixture.user_in(&third, "more", &email("more@x.example"));
    let cut = fixture.preview("").examined;
    assert_eq!((cut.other_addresses, cut.is_cut), (20, true));
}

#[test]
fn a_list_of_domains_is_checked() {
    assert_eq!(parse_domains("A.example, b.example,,").unwrap(), ["a.example", "b.example"]);
    assert!(parse_domains("").unwrap().is_empty());
    let many = "a,".repeat(DOMAINS_MAX);
    assert_eq!(parse_domains(&many).unwrap().len(), DOMAINS_MAX);
    for wrong in ["a@b", "a b", "a\nb", &format!("{many}a"), &"x".repeat(254)] {
        assert_eq!(parse_domains(wrong).unwrap_err().reason(), Reason::DomainsInvalid, "{wrong}");
    }
}
