//! Query parameters that an operation does not have.

use serde_json::Value;

use crate::app::App;
use crate::caller::CONFIGURATIONS;

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Every operation with credentials: method, path with an id for each parameter, and its query parameters.
fn operations(app: &App) -> Vec<(String, String, Vec<String>)> {
    let document = app.anonymous().get("/openapi.json").answered(200).json;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let names = in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
            let path: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { ID } else { part }).collect();
            if operation["security"][0] != Value::Object(serde_json::Map::new()) {
                found.push((method.to_uppercase(), path.join("/"), names));
            }
        }
    }
    found
}

#[test]
fn an_unknown_query_parameter_is_refused_with_the_nearest_name() {
    let app = App::shared();
    let operator = app.operator().for_account("query");
    let compatible = [CONFIGURATIONS.to_owned(), format!("{CONFIGURATIONS}/{ID}")];
    let mut with_account = 0;
    for (method, path, names) in operations(app) {
        let target = format!("{path}?acount=acme");
        if compatible.contains(&path) {
            let reply = operator.request(&method, &target).send();
            assert_ne!(reply.json["errorCode"], "query_parameter_unknown", "{method} {target}");
            continue;
        }
        let refused = operator.request(&method, &target).send().problem(400);
        assert_eq!(refused.text("errorCode"), "query_parameter_unknown", "{method} {target}");
        if names.iter().any(|name| name == "account") {
            let message = refused.text("message");
            assert_eq!(message, "there is no query parameter acount; did you mean account?", "{method} {target}");
            with_account += 1;
        }
        // A parameter that the operation has is not refused with this code.
        for name in names {
            let reply = operator.request(&method, &format!("{path}?{name}=1")).send();
            assert_ne!(reply.json["errorCode"], "query_parameter_unknown", "{method} {path} {name}");
        }
    }
    assert!(with_account >= 4, "{with_account} operations with an account");
}

#[test]
fn an_unknown_query_parameter_of_a_caller_without_credentials_is_not_examined() {
    let app = App::shared();
    app.anonymous().get("/directory/resources/v1/users?acount=acme").problem(401);
    app.anonymous().get("/openapi.json?v=1").answered(200);
    let client = app.configuration("other");
    client.get("/Users?acount=acme").answered(200);
}

#[test]
fn an_empty_account_header_is_refused_instead_of_selecting_all_accounts() {
    let app = App::shared();
    let callers = [app.operator(), app.account_key("empty-header", &[])];
    for (method, path, _) in operations(app).into_iter().filter(|(method, ..)| method == "GET") {
        for caller in &callers {
            let reply = caller.for_account("").request(&method, &path).send();
            if reply.status != 403 {
                assert_eq!((reply.status, &reply.json["errorCode"]), (400, &"account_header_invalid".into()), "{path}");
            }
        }
    }
    let body = serde_json::json!({"source": "okta"});
    assert_eq!(callers[0].for_account("").post(CONFIGURATIONS, &body).status, 400);
}
