//! Management of webhooks over the API.

use serde_json::{Value, json};

use super::receiver::Response;
use super::{ALLOW_LOOPBACK, Fixture, WEBHOOKS};
use crate::app::{App, wait_until};
use crate::sample::user;

#[test]
fn a_webhook_is_created_read_changed_and_deleted() {
    let fixture = Fixture::new();
    let url = "https://u:p4ss@hook.example.com/in?key=s3cret";
    let created = fixture
        .create(
            &json!({"url": url, "description": "main", "kinds": ["user.*"], "headers": {"Authorization": "Bearer x1"},
            "rateLimit": 5, "batchSize": 10}),
        )
        .answered(201);
    let id = created.id();
    assert!(created.json["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("{WEBHOOKS}/{id}");
    let found = fixture.operator.get(&path).answered(200).json;
    assert_eq!(found["url"], "https://***@hook.example.com/in?***");
    assert_eq!(found["headers"], json!({"authorization": "***"}));
    assert_eq!(
        (&found["kinds"], &found["state"], &found["rateLimit"]),
        (&json!(["user.*"]), &json!("active"), &json!(5))
    );
    assert_eq!(found.get("secret"), None);
    let changed =
        fixture.operator.patch(&path, &json!({"kinds": null, "rateLimit": null, "description": "d"})).answered(200);
    assert_eq!((&changed.json["kinds"], &changed.json["rateLimit"]), (&Value::Null, &Value::Null));
    assert_eq!((&changed.json["description"], &changed.json["batchSize"]), (&json!("d"), &json!(10)));
    let list = fixture.operator.get(WEBHOOKS).answered(200).json;
    assert_eq!(list["items"], json!([changed.json]));
    fixture.operator.delete(&path).answered(204);
    assert_eq!(fixture.operator.get(&path).problem(404).json["errorCode"], "webhook_not_found");
    let audit = fixture.operator.get("/directory/resources/v1/audit").answered(200);
    let text = String::from_utf8_lossy(&audit.answer.body).into_owned();
    for secret in ["s3cret", "p4ss", "x1", "whsec_"] {
        assert!(!text.contains(secret), "{secret}");
    }
    for action in ["webhook.created", "webhook.updated", "webhook.deleted"] {
        assert!(text.contains(action), "{action}");
    }
}

#[test]
fn invalid_webhooks_are_refused_with_the_field() {
    let fixture = Fixture::new();
    let check = |more: &Value, code: &str| {
        let reply = fixture.create(more).problem(400);
        assert_eq!(reply.json["errorCode"], code, "{more}");
        reply.json["message"].as_str().unwrap().to_owned()
    };
    for address in
        ["https://10.0.0.1/", "http://8.8.8.8/", "https://[::1]/", "https://2130706434/", "https://127.0.0.2/"]
    {
        let message = check(&json!({"url": address}), "webhook_url_refused");
        assert!(message.contains("--outgoing-allow-networks"), "{message}");
    }
    let invalid = ["", "hook.example.com", "ftp://hook.example.com/", "https://a.example.com/#x", "https:///x"];
    for url in invalid.into_iter().chain(["https://a.example.com:0/", "https://a b.example.com/", "https://"]) {
        check(&json!({"url": url}), "webhook_url_invalid");
    }
    check(&json!({"kinds": ["user"]}), "event_kind_unknown");
    check(&json!({"kinds": []}), "event_kind_unknown");
    check(&json!({"batchSize": 0}), "number_out_of_range");
    check(&json!({"rateLimit": 0}), "number_out_of_range");
    check(&json!({"headers": {"Host": "x"}}), "webhook_header_name");
    check(&json!({"headers": {"x-a": "a\r\nb: c"}}), "webhook_header_value");
    check(&json!({"start": 99}), "number_out_of_range");
    check(&json!({"start": 0, "backfill": true}), "webhook_backfill_start");
    check(&json!({"format": "xml"}), "body_field_invalid");
    check(&json!({"start": "now"}), "body_field_invalid");
    fixture.create(&json!({"accountId": "unknown"})).problem(404);
    fixture.create(&json!({"url": "https://name.invalid/"})).answered(201);
}

#[test]
fn an_address_that_a_name_resolves_to_is_refused_at_the_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let operator = app.operator();
    let created = operator.post(WEBHOOKS, &json!({"url": "https://localhost:9/"})).answered(201);
    let path = format!("{WEBHOOKS}/{}", created.id());
    let tested = operator.post(&format!("{path}/test"), &json!({})).answered(200).json;
    assert_eq!((&tested["success"], &tested["status"]), (&json!(false), &Value::Null));
    assert!(tested["error"].as_str().unwrap().contains("--outgoing-allow-networks"), "{tested}");
    let attempts = operator.get(&format!("{path}/attempts")).answered(200).json;
    assert_eq!(attempts["items"][0]["configurationId"], Value::Null);
}

#[test]
fn a_test_is_signed_and_its_result_is_returned() {
    let fixture = Fixture::new();
    let (id, secret) = fixture.webhook(&json!({}));
    fixture.receiver.respond(|_| Response { body: "x".repeat(5_000), ..Response::status(418) });
    let tested = fixture.operator.post(&format!("{WEBHOOKS}/{id}/test"), &json!({})).answered(200).json;
    assert_eq!((&tested["success"], &tested["status"]), (&json!(false), &json!(418)));
    assert_eq!(tested["response"].as_str().unwrap().len(), 1_024);
    let received = fixture.receiver.received();
    assert_eq!(received[0].json()["type"], "webhook.test");
    assert_eq!(received[0].count_valid_signatures(&secret), 1);
    assert_eq!(fixture.attempts(&id)[0]["response"].as_str().unwrap().len(), 1_024);
}

#[test]
fn during_a_rotation_both_keys_sign() {
    let fixture = Fixture::new();
    let (id, first) = fixture.webhook(&json!({}));
    let path = format!("{WEBHOOKS}/{id}");
    let rotated = fixture.operator.post(&format!("{path}/secrets"), &json!({"overlap": "1h"})).answered(201);
    let second = rotated.text("secret");
    fixture.operator.configuration("acme", "okta");
    let received = fixture.receiver.wait_for("a request", |received| received.len() == 1);
    let signatures: Vec<&str> = received[0].header("webhook-signature").split(' ').collect();
    assert_eq!(signatures.len(), 2);
    assert_eq!((received[0].count_valid_signatures(&first), received[0].count_valid_signatures(&second)), (1, 1));
    let keys = fixture.operator.get(&path).answered(200).json["keys"].clone();
    assert_eq!((&keys[0]["expiresAt"], keys[0]["id"].as_str()), (&Value::Null, Some(rotated.id().as_str())));
    assert!(keys[1]["expiresAt"].is_string());
    fixture.operator.delete(&format!("{path}/secrets/{}", keys[1]["id"].as_str().unwrap())).answered(204);
    let last = fixture.operator.delete(&format!("{path}/secrets/{}", keys[0]["id"].as_str().unwrap()));
    assert_eq!(last.problem(409).json["errorCode"], "webhook_last_key");
    let third =
        fixture.operator.post(&format!("{path}/secrets"), &json!({"overlap": "0"})).answered(201).text("secret");
    fixture.operator.post(&format!("{path}/test"), &json!({})).answered(200);
    let received = fixture.receiver.received();
    let test = received.last().unwrap();
    assert_eq!((test.count_valid_signatures(&third), test.count_valid_signatures(&second)), (1, 0));
    for overlap in ["8d", "1w", "-1h", ""] {
        let reply = fixture.operator.post(&format!("{path}/secrets"), &json!({"overlap": overlap}));
        assert_eq!(reply.problem(400).json["errorCode"], "webhook_overlap_invalid", "{overlap}");
    }
}

#[test]
fn a_lane_can_skip_what_waits_and_the_audit_log_says_how_much() {
    let fixture = Fixture::new();
    fixture.receiver.respond(|_| Response::status(500));
    let (id, _) = fixture.webhook(&json!({}));
    let client = fixture.operator.configuration("acme", "okta");
    client.created("/Users", &user("ada"));
    wait_until("a failed attempt", || fixture.lane(&id, &client.id)["state"] == "retrying");
    let resume = format!("{WEBHOOKS}/{id}/lanes/{}/resume", client.id);
    fixture.operator.post(&resume, &json!({"from": 99_999})).problem(400);
    let lane = fixture.operator.post(&resume, &json!({"from": "latest"})).answered(200).json;
    assert_eq!((&lane["state"], &lane["waiting"], &lane["failures"]), (&json!("idle"), &json!(0), &json!(0)));
    let audit = fixture.operator.get("/directory/resources/v1/audit").answered(200).json;
    let entry = audit["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "webhook.lane_resumed");
    assert_eq!(entry.unwrap()["after"]["skippedEvents"], 2);
    fixture.receiver.respond(|_| Response::status(204));
    client.created("/Users", &user("bob"));
    wait_until("the next user", || {
        fixture.receiver.received().last().unwrap().events().iter().any(|one| one["data"]["after"]["userName"] == "bob")
    });
    let unknown = format!("{WEBHOOKS}/{id}/lanes/unknown/resume");
    fixture.operator.post(&unknown, &json!({})).problem(404);
}

#[test]
fn accounts_manage_their_own_webhooks_if_the_operator_allows_it() {
    let fixture = Fixture::new();
    let client = fixture.operator.configuration("acme", "okta");
    let account = fixture.app.account_key("acme", &["webhooks.manage"]);
    let body = json!({"url": fixture.receiver.url()});
    assert_eq!(account.post(WEBHOOKS, &body).problem(403).json["errorCode"], "account_webhooks_off");
    account.get(WEBHOOKS).problem(403);
    let settings = "/directory/resources/v1/settings";
    assert_eq!(fixture.operator.get(settings).answered(200).json["accountWebhooks"], false);
    let on = fixture.operator.patch(settings, &json!({"accountWebhooks": true})).answered(200).json;
    assert_eq!((&on["accountWebhooks"], &on["selfService"]), (&json!(true), &json!(true)));
    let (foreign, _) = fixture.webhook(&json!({}));
    let own = account.post(WEBHOOKS, &body).answered(201);
    assert_eq!(own.json["accountId"], "acme");
    assert_eq!(account.get(WEBHOOKS).answered(200).json["items"].as_array().unwrap().len(), 1);
    account.get(&format!("{WEBHOOKS}/{foreign}")).problem(404);
    let other = json!({"url": fixture.receiver.url(), "accountId": "zeta"});
    account.post(WEBHOOKS, &other).problem(403);
    let weak = fixture.app.account_key("acme", &["directory.read"]);
    weak.get(WEBHOOKS).problem(403);
    // Without the permission of the operator, the webhooks of accounts are paused, and those of the operator are not.
    let (of_operator, _) = fixture.webhook(&json!({"accountId": "acme"}));
    let state_of = |id: &str| {
        let found = fixture.operator.get(&format!("{WEBHOOKS}/{id}")).answered(200).json;
        (found["state"].clone(), found["disabledReason"].clone())
    };
    let active = (json!("active"), Value::Null);
    fixture.operator.patch(settings, &json!({"accountWebhooks": false})).answered(200);
    assert_eq!(state_of(&own.id()), (json!("paused"), json!("account_webhooks_off")));
    assert_eq!((state_of(&of_operator), state_of(&foreign)), (active.clone(), active.clone()));
    account.post(&format!("{WEBHOOKS}/{}/resume", own.id()), &json!({})).problem(403);
    fixture.operator.patch(settings, &json!({"accountWebhooks": true})).answered(200);
    assert_eq!(state_of(&own.id()), active);
    // The webhook ends with its account.
    fixture.operator.delete(&format!("{}/{}", crate::caller::CONFIGURATIONS, client.id)).answered(204);
    fixture.operator.delete("/directory/resources/v1/accounts/acme?purge=true").answered(204);
    fixture.operator.get(&format!("{WEBHOOKS}/{}", own.id())).problem(404);
}

#[test]
fn a_repeated_create_call_has_one_effect() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &ALLOW_LOOPBACK);
    let operator = app.operator();
    let create = || {
        let body = json!({"url": "https://hook.example.com/"});
        let request = operator.request("POST", WEBHOOKS).json(&body).header("Content-Type", "application/json");
        request.header("Idempotency-Key", "one-two-three").send().answered(201)
    };
    assert_eq!(create().json, create().json);
    assert_eq!(operator.get(WEBHOOKS).answered(200).json["items"].as_array().unwrap().len(), 1);
}
