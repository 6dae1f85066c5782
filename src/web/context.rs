//! The request context that the management API and the portal share: path parameters, query, body, read and write. Each
//! part is validated when the handler reads it, and therefore after the caller is authenticated.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev;
use actix_web::web::{BytesMut, Data, Payload};
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

use crate::clock::{self, StartDoubt};
use crate::error::{Reason, Result};
use crate::management::instance;
use crate::model::audit_context::AuditContext;
use crate::scim::{json, percent};
use crate::store::{Snapshot, Tx};
use crate::web::blocking::read_blocking;
use crate::web::body::{self, BodyLimit, ReservedText, read_content_type};
use crate::web::limits::{API_BODY_MAX_BYTES, QUERY_MAX_BYTES};
use crate::web::network::run_while_connected;
use crate::web::request_owner::find_request_owner;
use crate::web::state::AppState;

/// A request of an edge whose handlers fail with `E`.
pub(super) struct RequestContext<E> {
    pub(super) request: HttpRequest,
    pub(super) state: Data<AppState>,
    payload: Cell<Option<Payload>>,
    error: PhantomData<E>,
}

impl<E: From<Reason> + Into<actix_web::Error> + 'static> FromRequest for RequestContext<E> {
    type Error = E;
    type Future = Ready<std::result::Result<Self, E>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let payload = Cell::new(Payload::from_request(request, payload).into_inner().ok());
        let state = request.app_data::<Data<AppState>>().cloned().ok_or(Reason::ServerNotReady);
        ready(match state {
            Ok(state) => Ok(Self { request: request.clone(), state, payload, error: PhantomData }),
            Err(reason) => Err(reason.into()),
        })
    }
}

impl<E> RequestContext<E> {
    /// Returns a path parameter, percent-decoded. Returns the raw text if the encoding is invalid, and an empty string if
    /// the route has no such parameter.
    pub(super) fn path_parameter(&self, name: &str) -> String {
        let raw = self.request.match_info().get(name).unwrap_or_default();
        percent::decode_percent(raw).unwrap_or_else(|| raw.to_owned())
    }

    /// Deserializes the query string.
    ///
    /// # Errors
    /// 414 if it is longer than [`QUERY_MAX_BYTES`], 400 if a parameter is invalid.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T> {
        let text = self.request.query_string();
        if text.len() > QUERY_MAX_BYTES {
            return Err(Reason::QueryStringTooLong.with("max", QUERY_MAX_BYTES));
        }
        deserialize_pairs(text).map_err(|problem| Reason::QueryInvalid.with("problem", problem))
    }

    /// Deserializes the JSON body. Members unknown to `T` are ignored.
    ///
    /// # Errors
    /// 400 if the body is absent or invalid, 413 if it is too large, 415 if it is not JSON.
    pub(super) async fn body<T: DeserializeOwned>(&self) -> Result<T> {
        deserialize_value(self.json_body().await?.ok_or(Reason::BodyMissing)?)
    }

    /// Like [`Self::body`], but returns the default if the body is absent or `null`.
    ///
    /// # Errors
    /// Those of [`Self::body`], except for an absent body.
    pub(super) async fn optional_body<T: DeserializeOwned + Default>(&self) -> Result<T> {
        // Some clients send `null` instead of an empty body.
        let value = self.json_body().await?.filter(|value| !value.is_null());
        Ok(value.map(deserialize_value).transpose()?.unwrap_or_default())
    }

    async fn json_body(&self) -> Result<Option<Value>> {
        let essence = read_content_type(&self.request).to_ascii_lowercase();
        let is_json = essence.is_empty() || essence == "application/json" || essence.ends_with("+json");
        let bytes = self.body_bytes(API_BODY_MAX_BYTES).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json {
            return Err(Reason::ContentTypeUnsupported.with("expected", "application/json"));
        }
        let mut reserved = ReservedText::new(&self.request, bytes.freeze());
        let layout = reserved.reserve_document();
        let text = reserved.store_reservation(&self.request);
        let value = match layout? {
            Some(layout) => json::parse_measured_case_exact_json(&text, &layout),
            None => json::parse_case_exact_json(&text),
        };
        value.map(Some)
    }

    /// Reads a body of at most `max` bytes, or fewer if the caller has no valid credential. A second call returns an empty
    /// body.
    ///
    /// # Errors
    /// Those of [`body::read_body`].
    pub(super) async fn body_bytes(&self, max: usize) -> Result<BytesMut> {
        match self.payload.take() {
            Some(payload) => body::read_body(&self.request, payload, BodyLimit::of_caller(&self.request, max)).await,
            None => Ok(BytesMut::new()),
        }
    }

    /// Reads a few rows on the event loop.
    ///
    /// # Errors
    /// Errors of the store and of `read`.
    pub(super) fn read_inline<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.state.store.read_inline(read)
    }

    /// Runs a longer read off the event loop, until the client disconnects.
    ///
    /// # Errors
    /// Those of [`read_blocking`] and [`run_while_connected`].
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run_while_connected(&self.request, read_blocking(&self.state.store, find_request_owner(&self.request), read))
            .await
    }

    /// Runs one operation on the writer, within a savepoint. If it fails, all its changes are rolled back.
    ///
    /// # Errors
    /// Errors of the store and of `operation`.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.state.store.write_as(find_request_owner(&self.request), operation).await
    }

    /// Makes the server follow the time of the machine, because an admin accepts it: a leap, or the time at the start. It
    /// has no effect if there is nothing to accept.
    ///
    /// # Errors
    /// Errors of the store. Nothing is accepted then.
    pub(super) async fn accept_machine_time(&self, context: AuditContext) -> Result<()> {
        let (leap, doubt) = (clock::find_held_leap(), clock::find_start_doubt());
        let difference = leap.map(|leap| leap.difference).or_else(|| doubt.map(StartDoubt::difference));
        let Some(difference) = difference else { return Ok(()) };
        self.write(move |tx| instance::record_acceptance(tx, &context, difference, leap.is_some())).await?;
        clock::confirm_system_clock().log();
        Ok(())
    }
}

/// Deserializes `name=value` pairs, of a query or of a form.
///
/// # Errors
/// The name of the invalid parameter, and what is wrong with its value.
pub(super) fn deserialize_pairs<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| match error.path().to_string() {
        path if path == "." => error.into_inner().to_string(),
        path => format!("{path}: {}", error.into_inner()),
    })
}

/// Deserializes a JSON value. The error names the path of the invalid member.
fn deserialize_value<T: DeserializeOwned>(mut value: Value) -> Result<T> {
    // A list would be read into the fields of a struct by position.
    if value.is_array() {
        return Err(Reason::BodyNotObject.into());
    }
    normalize_whole_numbers(&mut value);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner();
        let problem = if path == "." { problem.to_string() } else { format!("{path}: {problem}") };
        Reason::BodyFieldInvalid.with("problem", problem).on_field(path)
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
