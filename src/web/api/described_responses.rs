//! Parts of the `OpenAPI` document about responses that are the same for all operations: headers, and examples of errors.

use serde_json::{Map, Value, json};

use crate::error::{Error, Reason};
use crate::messages::render_message;
use crate::web::api::response::describe_error;

/// Start of a reference to a header.
const HEADERS: &str = "#/components/headers/";

/// Describes the headers and the errors of each response.
pub(super) fn describe_responses(document: &mut Value) {
    document["components"]["headers"] = build_headers();
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let has_body = operation.get("requestBody").is_some();
            for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                response["headers"] = list_headers(method, status);
                let error = response.pointer_mut("/content/application~1json").and_then(Value::as_object_mut);
                if let (Some(error), Some(example)) = (error, build_error_example(status, has_body)) {
                    error.insert("example".to_owned(), example);
                }
            }
        }
    }
}

fn build_headers() -> Value {
    let header = |description: &str, is_required: bool, schema: Value| json!({"description": description, "required": is_required, "schema": schema});
    let text = json!({"type": "string"});
    json!({
        "RequestId": header("Id of the request, also in the log of the server", true, text.clone()),
        "RetryAfter": header(
            "Seconds after which the request can be repeated", false, json!({"type": "integer", "format": "int64"}),
        ),
        "IdempotentReplayed": header(
            "`true` if this is the response to an earlier request with the same Idempotency-Key", false, text.clone(),
        ),
        "Authenticate": header("The scheme of the credentials that the request needs: `Bearer`", false, text),
    })
}

fn list_headers(method: &str, status: &str) -> Value {
    let reference = |name: &str| json!({"$ref": format!("{HEADERS}{name}")});
    let mut headers = json!({"X-Request-Id": reference("RequestId")});
    match status {
        "401" => headers["WWW-Authenticate"] = reference("Authenticate"),
        "429" | "503" => headers["Retry-After"] = reference("RetryAfter"),
        _ if method == "post" && status.starts_with('2') => {
            headers["Idempotent-Replayed"] = reference("IdempotentReplayed");
        }
        _ => {}
    }
    headers
}

/// Returns a typical error with this status; `None` if the status is no error.
fn build_error_example(status: &str, has_body: bool) -> Option<Value> {
    let error: Error = match status {
        "400" if has_body => Reason::BodyMissing.into(),
        "400" => Reason::CursorNotIssued.into(),
        "401" => Reason::CredentialRequired.into(),
        "403" => Reason::PermissionMissing.with("permission", "directory.read"),
        "404" => Reason::ConfigurationNotFound.with("id", "01890a5d-ac96-774b-bcce-b302099a8057"),
        "408" => Reason::BodyTimeout.into(),
        "409" => Reason::ConnectionNameTaken.with("name", "Okta"),
        "410" => Reason::EventPositionUnknown.with("restartFrom", "AQ2Kq0rDlZ5yAAAAAAAAAAA"),
        "413" => Reason::BodyTooLarge.with("max", 1_048_576),
        "415" => Reason::ContentTypeUnsupported.with("expected", "application/json"),
        "422" => Reason::IdempotencyKeyReused.into(),
        "429" => Reason::WrongCredentialsLimited.into(),
        "503" => Reason::ServerBusy.into(),
        "507" => Reason::DiskFull.into(),
        _ => return None,
    };
    debug_assert_eq!(error.status().to_string(), status, "{}", render_message(&error));
    serde_json::to_value(describe_error(&error)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_response_has_its_headers_and_each_error_an_example() {
        let content = json!({"content": {"application/json": {"schema": {}}}});
        let mut document = json!({"components": {}, "paths": {"/v1/items": {"post": {
            "responses": {"201": content, "204": {}, "410": content, "503": content},
        }}}});
        describe_responses(&mut document);
        let responses = &document["paths"]["/v1/items"]["post"]["responses"];
        let headers =
            |status: &str| responses[status]["headers"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(headers("201"), ["X-Request-Id", "Idempotent-Replayed"]);
        assert_eq!(headers("410"), ["X-Request-Id"]);
        assert_eq!(headers("503"), ["X-Request-Id", "Retry-After"]);
        let example = |status: &str| &responses[status]["content"]["application/json"]["example"];
        assert!(example("201").is_null());
        assert_eq!(example("410")["errorCode"], "event_position_unknown");
        assert_eq!(example("410")["restartFrom"], "AQ2Kq0rDlZ5yAAAAAAAAAAA");
        assert_eq!(example("503")["statusCode"], 503);
        assert!(responses["204"].get("content").is_none());
    }
}
