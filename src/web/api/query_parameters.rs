//! The query parameters of each operation, from the same table as the `OpenAPI` document. A parameter that the operation does
//! not have is refused: without this, a typing error in a filter would return the data of all accounts.

use actix_web::HttpRequest;
use actix_web::http::Method;
use url::form_urlencoded;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};

use crate::error::{Error, Reason, Result};
use crate::settings::find_similar_name;
use crate::web::limits::QUERY_MAX_BYTES;

/// Operations of the compatible configuration API. They ignore unknown parameters, as their clients expect.
const LENIENT_PATHS: [&str; 2] =
    ["/directory/resources/v1/configurations/scim2", "/directory/resources/v1/configurations/scim2/{id}"];

/// The query parameters of each method of a route.
#[derive(Debug, Clone, Default)]
pub(super) struct AcceptedQueryParameters(Vec<(Method, Vec<String>)>);

impl AcceptedQueryParameters {
    /// Adds the parameters of an operation, unless it ignores unknown ones.
    pub(super) fn add_operation(&mut self, path: &str, method: &Method, operation: &Operation) {
        if LENIENT_PATHS.contains(&path) {
            return;
        }
        let parameters = operation.parameters.iter().flatten();
        let names = parameters.filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
            _ => None,
        });
        self.0.push((method.clone(), names.collect()));
    }

    fn find_names(&self, method: &Method) -> Option<&[String]> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.iter().find(|(known, _)| known == method).map(|(_, names)| names.as_slice())
    }
}

/// Checks that the operation has all query parameters of the request.
///
/// # Errors
/// 400 for an unknown parameter, 414 if the query is too long.
pub(super) fn check_query(request: &HttpRequest) -> Result<()> {
    let query = request.query_string();
    let known = request.app_data::<AcceptedQueryParameters>().and_then(|known| known.find_names(request.method()));
    let (false, Some(known)) = (query.is_empty(), known) else { return Ok(()) };
    if query.len() > QUERY_MAX_BYTES {
        return Err(Reason::QueryStringTooLong.with("max", QUERY_MAX_BYTES));
    }
    let is_unknown = |name: &str| !name.is_empty() && !known.iter().any(|known| known == name);
    match form_urlencoded::parse(query.as_bytes()).find(|(name, _)| is_unknown(name)) {
        Some((name, _)) => Err(describe_unknown(&name, known)),
        None => Ok(()),
    }
}

/// The name is repeated only if it is similar to a known one. Otherwise it could be a secret in the wrong part of the URL.
fn describe_unknown(name: &str, known: &[String]) -> Error {
    match find_similar_name(name, known.iter().map(String::as_str)) {
        Some(similar) => {
            Reason::QueryParameterUnknown.with("name", name).with("fix", format_args!("did you mean {similar}?"))
        }
        None if known.is_empty() => {
            Reason::QueryParameterUnknown.with("name", "here").with("fix", "this operation has none")
        }
        None => {
            let fix = format!("this operation has {}", known.join(", "));
            Reason::QueryParameterUnknown.with("name", "with this name").with("fix", fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::render_message;

    #[test]
    fn an_unknown_parameter_is_answered_with_the_nearest_name() {
        let known = ["account", "configuration", "limit"].map(str::to_owned);
        let describe = |name: &str, known: &[String]| render_message(&describe_unknown(name, known));
        assert_eq!(describe("acount", &known), "there is no query parameter acount; did you mean account?");
        assert_eq!(
            describe("rct_secret", &known),
            "there is no query parameter with this name; this operation has account, configuration, limit"
        );
        assert_eq!(describe("x", &[]), "there is no query parameter here; this operation has none");
    }
}
