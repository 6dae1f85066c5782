//! The request as a handler sees it: path parameters, query and body. Each part is validated when the handler reads it,
//! and therefore after the caller is authenticated.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::{self, Data, Query};
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Reason, Result};
use crate::scim::json;
use crate::store::Tx;
use crate::web::api::response::ApiError;
use crate::web::body::{self, read_content_type};
use crate::web::limits::{API_BODY_MAX_BYTES, QUERY_MAX_BYTES};
use crate::web::state::AppState;
pub(super) use crate::web::state::read_blocking;

/// A request to the management API.
pub(super) struct ApiRequest {
    pub(super) request: HttpRequest,
    pub(super) state: Data<AppState>,
    payload: web::Payload,
}

impl FromRequest for ApiRequest {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = request.app_data::<Data<AppState>>().cloned();
        let payload = web::Payload::from_request(request, payload).into_inner();
        ready(match (state, payload) {
            (Some(state), Ok(payload)) => Ok(Self { request: request.clone(), state, payload }),
            _ => Err(Reason::ServerNotReady.into()),
        })
    }
}

impl ApiRequest {
    /// Returns a path parameter, percent-decoded. Returns the raw text if the encoding is invalid, and an empty string if
    /// the route has no such parameter.
    pub(super) fn path_parameter(&self, name: &str) -> String {
        let raw = self.request.match_info().get(name).unwrap_or_default();
        crate::scim::percent::decode_percent(raw).unwrap_or_else(|| raw.to_owned())
    }

    /// Deserializes the query string.
    ///
    /// # Errors
    /// 414 if it is longer than [`QUERY_MAX_BYTES`], 400 if a parameter is invalid.
    pub(super) fn query<T: DeserializeOwned>(&self) -> std::result::Result<T, ApiError> {
        let text = self.request.query_string();
        if text.len() > QUERY_MAX_BYTES {
            return Err(Reason::QueryStringTooLong.with("max", QUERY_MAX_BYTES).into());
        }
        let parsed = Query::<T>::from_query(text).map(Query::into_inner);
        parsed.map_err(|problem| Reason::QueryInvalid.with("problem", problem).into())
    }

    /// Deserializes the JSON body. Members unknown to `T` are ignored.
    ///
    /// # Errors
    /// 400 if the body is absent or invalid, 413 if it is too large, 415 if it is not JSON.
    pub(super) async fn body<T: DeserializeOwned>(self) -> std::result::Result<(T, Data<AppState>), ApiError> {
        let state = self.state.clone();
        let value = self.json_body().await?.ok_or(Reason::BodyMissing)?;
        Ok((deserialize_value(value)?, state))
    }

    /// Like [`Self::body`], but returns the default if the body is absent or `null`.
    pub(super) async fn optional_body<T: DeserializeOwned + Default>(
        self,
    ) -> std::result::Result<(T, Data<AppState>), ApiError> {
        let state = self.state.clone();
        // Some clients send `null` instead of an empty body.
        let value = self.json_body().await?.filter(|value| !value.is_null());
        Ok((value.map(deserialize_value).transpose()?.unwrap_or_default(), state))
    }

    async fn json_body(self) -> std::result::Result<Option<Value>, ApiError> {
        let essence = read_content_type(&self.request).to_ascii_lowercase();
        let is_json = essence.is_empty() || essence == "application/json" || essence.ends_with("+json");
        let bytes = body::read_body(&self.request, self.payload, API_BODY_MAX_BYTES).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json {
            return Err(Reason::ContentTypeUnsupported.with("expected", "application/json").into());
        }
        Ok(Some(json::parse_case_exact_json(&bytes)?))
    }
}

/// Deserializes a JSON value. The error names the path of the invalid member.
fn deserialize_value<T: DeserializeOwned>(mut value: Value) -> std::result::Result<T, ApiError> {
    normalize_whole_numbers(&mut value);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner();
        let problem = if path == "." { problem.to_string() } else { format!("{path}: {problem}") };
        Reason::BodyFieldInvalid.with("problem", problem).on_field(path).into()
    })
}

/// Replaces `5.0` with `5`. JSON has one number type, and JSON Schema treats both as integers.
fn normalize_whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0);
            if let Some(whole) = whole.and_then(|float| format!("{float:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize_whole_numbers),
        Value::Object(members) => members.values_mut().for_each(normalize_whole_numbers),
        _ => {}
    }
}

/// Runs one operation on the writer, within a savepoint. If it fails, all its changes are rolled back.
pub(super) async fn run_write<T: Send + 'static>(
    state: &AppState,
    operation: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    state.store.write(operation).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_number_may_have_a_decimal_point() {
        let mut value = json!({"a": [5.0, -2.0, 1.5, 1e300], "b": "5.0"});
        normalize_whole_numbers(&mut value);
        assert_eq!(value, json!({"a": [5, -2, 1.5, 1e300], "b": "5.0"}));
    }
}
