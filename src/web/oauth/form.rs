//! The form of a request of an OAuth client: its parameters and its credentials (RFC 6749 section 2.3).

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use url::form_urlencoded;

use crate::error::{Error, Reason, Result};
use crate::web::body::{self, BodyLimit, read_content_type};

const FORM: &str = "application/x-www-form-urlencoded";
/// Largest form. An assertion of an identity provider has about 2 KiB.
const FORM_MAX_BYTES: usize = 32 * 1024;
/// Type of a client assertion (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Parameters whose values are shown in the request log.
const VISIBLE_PARAMETERS: [&str; 5] = ["grant_type", "client_id", "scope", "client_assertion_type", "token_type_hint"];
/// Longest client id.
const CLIENT_ID_MAX_BYTES: usize = 200;

/// The parameters of a form. An empty value counts as absent (RFC 6749 section 3.2).
#[derive(Debug, Default)]
pub(super) struct OauthForm(Vec<(String, String)>);

impl OauthForm {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// Another content type; the errors of the body; a parameter that occurs twice.
    pub(super) async fn read(request: &HttpRequest, payload: Payload) -> Result<Self> {
        if !read_content_type(request).eq_ignore_ascii_case(FORM) {
            return Err(report_invalid(format!("the content type must be {FORM}")));
        }
        let bytes = body::read_body(request, payload, BodyLimit::of_form(FORM_MAX_BYTES)).await?;
        let pairs = form_urlencoded::parse(&bytes).filter(|(_, value)| !value.is_empty());
        Self::from_pairs(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self> {
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let name: String = twice[0].chars().filter(|c| !c.is_control()).take(50).collect();
            return Err(report_invalid(format!("the parameter {name} occurs twice")));
        }
        Ok(Self(pairs))
    }

    /// Returns the value of a parameter.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Returns the form without secrets, for the request log.
    pub(super) fn redact(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            let is_visible = VISIBLE_PARAMETERS.contains(&name.as_str());
            text.append_pair(name, if is_visible { value } else { "***" });
        }
        text.finish()
    }
}

/// The credentials of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientCredentials {
    /// Id of the client.
    pub(super) client_id: String,
    /// What proves it.
    pub(super) proof: PresentedProof,
    /// Whether they are in the header `Authorization`.
    pub(super) is_basic: bool,
}

/// What proves the identity of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PresentedProof {
    /// A secret, in the forms in which it can be meant.
    Secret(Vec<String>),
    /// An assertion of the client, or of its identity provider.
    Assertion(String),
}

/// Returns the credentials of a request.
///
/// # Errors
/// `ClientCredentialsMissing`, `ClientCredentialsTwice`, or what is wrong with them.
pub(super) fn read_credentials(request: &HttpRequest, form: &OauthForm) -> Result<ClientCredentials> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let header = headers.next().map(|value| value.to_str().unwrap_or("?").trim());
    if headers.next().is_some() {
        return Err(Reason::ClientCredentialsTwice.into());
    }
    collect_credentials(header.filter(|header| !header.is_empty()), form)
}

fn collect_credentials(header: Option<&str>, form: &OauthForm) -> Result<ClientCredentials> {
    let (secret, assertion) = (form.find("client_secret"), form.find("client_assertion"));
    // The assertion of another grant is a credential too.
    if [header, secret, assertion, form.find("assertion")].into_iter().flatten().count() > 1 {
        return Err(Reason::ClientCredentialsTwice.into());
    }
    let client_id = form.find("client_id");
    if client_id.is_some_and(|id| id.len() > CLIENT_ID_MAX_BYTES) {
        return Err(Reason::OauthClientUnknown.into());
    }
    let missing = || Error::from(Reason::ClientCredentialsMissing);
    if let Some(header) = header {
        return read_basic(header, client_id);
    }
    let (client_id, proof) = match (secret, assertion) {
        (Some(secret), _) => {
            (client_id.ok_or_else(missing)?.to_owned(), PresentedProof::Secret(vec![secret.to_owned()]))
        }
        (None, Some(assertion)) => {
            if form.find("client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(report_invalid(format!("client_assertion_type must be {ASSERTION_TYPE}")));
            }
            let client_id = client_id.map(str::to_owned).or_else(|| find_unverified_subject(assertion));
            (client_id.ok_or_else(missing)?, PresentedProof::Assertion(assertion.to_owned()))
        }
        (None, None) => return Err(missing()),
    };
    Ok(ClientCredentials { client_id, proof, is_basic: false })
}

/// Returns the assertion of a grant (RFC 7523 section 2.1), which is the only credential of its request.
///
/// # Errors
/// `ClientCredentialsTwice`, or the parameter that is missing.
pub(super) fn read_grant(request: &HttpRequest, form: &OauthForm) -> Result<ClientCredentials> {
    let others = ["client_secret", "client_assertion", "client_assertion_type"];
    if request.headers().contains_key(AUTHORIZATION) || others.into_iter().any(|name| form.find(name).is_some()) {
        return Err(Reason::ClientCredentialsTwice.into());
    }
    let missing = |name: &str| report_invalid(format!("the parameter {name} is missing"));
    let assertion = form.find("assertion").ok_or_else(|| missing("assertion"))?;
    let client_id = form.find("client_id").ok_or_else(|| missing("client_id"))?;
    let proof = PresentedProof::Assertion(assertion.to_owned());
    Ok(ClientCredentials { client_id: client_id.to_owned(), proof, is_basic: false })
}

/// Whether a request has credentials of HTTP Basic, valid or not.
pub(super) fn has_basic(request: &HttpRequest) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.is_some_and(|header| header.split(' ').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")))
}

/// Reads the credentials of HTTP Basic. RFC 6749 section 2.3.1 encodes both parts like a form; many clients do not.
fn read_basic(header: &str, client_id: Option<&str>) -> Result<ClientCredentials> {
    let invalid = || report_invalid("the header Authorization must be Basic with a client id and a secret".to_owned());
    let (scheme, encoded) = header.split_once(' ').ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(invalid());
    }
    let text =
        STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(invalid)?;
    let (id, secret) = text.split_once(':').ok_or_else(invalid)?;
    let id = decode_form_value(id);
    if id.is_empty() || secret.is_empty() || id.len() > CLIENT_ID_MAX_BYTES {
        return Err(Reason::ClientCredentialsMissing.into());
    }
    if client_id.is_some_and(|other| other != id) {
        return Err(report_invalid("client_id differs from the one in the header Authorization".to_owned()));
    }
    let mut secrets = vec![secret.to_owned()];
    secrets.extend(Some(decode_form_value(secret)).filter(|decoded| decoded != secret));
    Ok(ClientCredentials { client_id: id, proof: PresentedProof::Secret(secrets), is_basic: true })
}

fn decode_form_value(text: &str) -> String {
    let pair = format!("x={}", text.replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Returns `sub` of an assertion whose signature is not verified: a client with its own keys names itself there.
fn find_unverified_subject(assertion: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let subject = claims.get("sub")?.as_str()?;
    (!subject.is_empty() && subject.len() <= CLIENT_ID_MAX_BYTES).then(|| subject.to_owned())
}

/// An error that says what is wrong with the request.
pub(super) fn report_invalid(problem: String) -> Error {
    Reason::TokenRequestInvalid.with("problem", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> OauthForm {
        OauthForm::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
            .unwrap()
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    fn reason(header: Option<&str>, pairs: &[(&str, &str)]) -> Reason {
        collect_credentials(header, &form(pairs)).unwrap_err().reason()
    }

    #[test]
    fn a_secret_is_in_the_header_or_in_the_form() {
        for (text, client, secrets) in [
            ("id:secret", "id", vec!["secret"]),
            ("i%64:se%63ret", "id", vec!["se%63ret", "secret"]),
            ("id:a+b", "id", vec!["a+b", "a b"]),
            ("id:a:b&c=%25", "id", vec!["a:b&c=%25", "a:b&c=%"]),
        ] {
            let found = collect_credentials(Some(&basic(text)), &form(&[("client_id", client)])).unwrap();
            let expected = PresentedProof::Secret(secrets.into_iter().map(str::to_owned).collect());
            assert_eq!((found.client_id.as_str(), &found.proof, found.is_basic), (client, &expected, true), "{text}");
        }
        let found = collect_credentials(None, &form(&[("client_id", "id"), ("client_secret", "s")])).unwrap();
        assert_eq!(found.proof, PresentedProof::Secret(vec!["s".to_owned()]));
        assert!(!found.is_basic);
    }

    #[test]
    fn there_is_exactly_one_credential() {
        let header = basic("id:secret");
        assert_eq!(reason(Some(&header), &[("client_secret", "s")]), Reason::ClientCredentialsTwice);
        assert_eq!(reason(Some(&header), &[("client_assertion", "a.b.c")]), Reason::ClientCredentialsTwice);
        let both = [("client_id", "id"), ("client_secret", "s"), ("client_assertion", "a.b.c")];
        assert_eq!(reason(None, &both), Reason::ClientCredentialsTwice);
        assert_eq!(reason(Some(&header), &[("client_id", "other")]), Reason::TokenRequestInvalid);
        assert_eq!(reason(None, &[("client_id", "id")]), Reason::ClientCredentialsMissing);
        assert_eq!(reason(None, &[("client_secret", "s")]), Reason::ClientCredentialsMissing);
        for header in ["Bearer x", "Basic", "Basic !", &basic("id"), "x"] {
            assert_eq!(reason(Some(header), &[]), Reason::TokenRequestInvalid, "{header}");
        }
        assert_eq!(reason(Some(&basic("id:")), &[]), Reason::ClientCredentialsMissing);
    }

    #[test]
    fn an_assertion_names_its_client_if_the_form_does_not() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"rcc_1"}"#);
        let assertion = format!("e30.{payload}.x");
        let given = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())];
        assert_eq!(collect_credentials(None, &form(&given)).unwrap().client_id, "rcc_1");
        let named = [given[0], given[1], ("client_id", "rcc_2")];
        assert_eq!(collect_credentials(None, &form(&named)).unwrap().client_id, "rcc_2");
        assert_eq!(reason(None, &given[1..]), Reason::TokenRequestInvalid);
        let broken = [given[0], ("client_assertion", "x")];
        assert_eq!(reason(None, &broken), Reason::ClientCredentialsMissing);
    }

    #[test]
    fn the_log_has_no_secret_and_a_parameter_occurs_once() {
        let text = form(&[("grant_type", "x"), ("client_secret", "top"), ("assertion", "a"), ("other", "b")]).redact();
        assert_eq!(text, "grant_type=x&client_secret=***&assertion=***&other=***");
        let twice = vec![("scope".to_owned(), "a".to_owned()), ("scope".to_owned(), "a".to_owned())];
        assert_eq!(OauthForm::from_pairs(twice).unwrap_err().reason(), Reason::TokenRequestInvalid);
    }
}
