//! What a handler gets of its request: parameters, query and body, each checked when it is asked for, and so after the
//! caller is known.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::{self, Data, Query};
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Refusal;
use crate::error::{Error, Result};
use crate::scim::json;
use crate::store::{Tx, Undo};
pub(super) use crate::web::aside::read_aside;
use crate::web::body::{self, content_type};
use crate::web::limits::{API_BODY_MAX_BYTES, QUERY_MAX_BYTES};
use crate::web::state::State;

/// A request to the management API.
pub(super) struct Call {
    pub(super) request: HttpRequest,
    pub(super) state: Data<State>,
    payload: web::Payload,
}

impl FromRequest for Call {
    type Error = Refusal;
    type Future = Ready<std::result::Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = request.app_data::<Data<State>>().cloned();
        let payload = web::Payload::from_request(request, payload).into_inner();
        ready(match (state, payload) {
            (Some(state), Ok(payload)) => Ok(Self { request: request.clone(), state, payload }),
            _ => Err(Refusal::new(503, "the server is not ready")),
        })
    }
}

impl Call {
    /// A part of the path, percent-decoded.
    pub(super) fn part(&self, name: &str) -> String {
        let raw = self.request.match_info().get(name).unwrap_or_default();
        crate::scim::percent::decoded(raw).unwrap_or_else(|| raw.to_owned())
    }

    /// The query as `T`.
    pub(super) fn query<T: DeserializeOwned>(&self) -> std::result::Result<T, Refusal> {
        let text = self.request.query_string();
        if text.len() > QUERY_MAX_BYTES {
            return Err(Refusal::new(414, format!("the query is longer than {QUERY_MAX_BYTES} bytes")));
        }
        let read = Query::<T>::from_query(text).map(Query::into_inner);
        read.map_err(|refused| Refusal::bad(format!("the query cannot be used: {refused}")))
    }

    /// The body as `T`; members that `T` does not have are passed over.
    pub(super) async fn body<T: DeserializeOwned>(self) -> std::result::Result<(T, Data<State>), Refusal> {
        let state = self.state.clone();
        let value = self.value().await?.ok_or_else(|| Refusal::bad("the request needs a JSON body"))?;
        Ok((typed(value)?, state))
    }

    /// The same where there may be no body at all, or null.
    pub(super) async fn body_if_any<T: DeserializeOwned + Default>(
        self,
    ) -> std::result::Result<(T, Data<State>), Refusal> {
        let state = self.state.clone();
        // `null` is what some clients send for no body.
        let value = self.value().await?.filter(|value| !value.is_null());
        Ok((value.map(typed).transpose()?.unwrap_or_default(), state))
    }

    async fn value(self) -> std::result::Result<Option<Value>, Refusal> {
        let essence = content_type(&self.request).to_ascii_lowercase();
        let is_json = essence.is_empty() || essence == "application/json" || essence.ends_with("+json");
        let bytes = body::read(&self.request, self.payload, API_BODY_MAX_BYTES).await.map_err(Error::from)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json {
            return Err(Refusal::new(415, "the content type must be application/json"));
        }
        Ok(Some(json::read_case_exact(&bytes).map_err(Error::from)?))
    }
}

/// The value as `T`; the error names the member.
fn typed<T: DeserializeOwned>(mut value: Value) -> std::result::Result<T, Refusal> {
    make_whole(&mut value);
    serde_path_to_error::deserialize(value).map_err(|refused| {
        let path = refused.path().to_string();
        let problem = refused.into_inner();
        Refusal::bad(if path == "." { problem.to_string() } else { format!("{path}: {problem}") })
    })
}

/// Writes `5.0` as `5`: JSON has one kind of number, and for JSON Schema both are integers.
fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0);
            if let Some(whole) = whole.and_then(|float| format!("{float:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(members) => members.values_mut().for_each(make_whole),
        _ => {}
    }
}

/// One operation in one transaction, undone whole where it fails.
pub(super) async fn write<T: Send + 'static>(
    state: &State,
    job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    state.store.write(Undo::Savepoint, job).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let mut value = json!({"a": [5.0, -2.0, 1.5, 1e300], "b": "5.0"});
        make_whole(&mut value);
        assert_eq!(value, json!({"a": [5, -2, 1.5, 1e300], "b": "5.0"}));
    }
}
