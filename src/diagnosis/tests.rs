//! A logged call for each rule, and its explanation.

use serde_json::{Value, json};

use super::*;
use crate::error::{Error, Reason, ScimType};
use crate::messages::render_message;
use crate::model::request::{FailureCause, TokenRefusal};
use crate::providers::find_provider;

/// A logged call with its context.
struct Case {
    call: LoggedCall,
    below: &'static str,
    filter: Option<&'static str>,
    request: Option<Value>,
    response: Option<Value>,
    name: Option<&'static str>,
    is_secure: bool,
}

fn case(method: &str, below: &'static str, status: u16) -> Case {
    let call = LoggedCall { method: method.to_owned(), status, failed: status >= 400, ..LoggedCall::default() };
    Case { call, below, filter: None, request: None, response: None, name: None, is_secure: true }
}

impl Case {
    /// The call failed with this error.
    fn refused(mut self, error: impl Into<Error>) -> Self {
        let error = error.into();
        self.call.scim_type = error.scim_type().map(|scim_type| scim_type.as_str().to_owned());
        self.call.reason = Some(error.reason());
        self.call.reason_field = error.field().map(str::to_owned);
        self.call.detail = Some(render_message(&error));
        self
    }

    fn noted(mut self, note: &str) -> Self {
        self.call.notes.push(note.to_owned());
        self
    }

    fn facts(&self) -> CallContext<'_> {
        CallContext {
            call: &self.call,
            relative_path: self.below,
            filter: self.filter,
            request: self.request.as_ref(),
            response: self.response.as_ref(),
            name: self.name,
            is_secure: self.is_secure,
        }
    }

    fn explained(&self) -> Vec<&'static str> {
        explain_call(&self.facts(), find_provider("okta").unwrap()).iter().map(|one| one.id).collect()
    }
}

fn unknown_attribute(path: &str) -> Error {
    Reason::PathAttributeUnknown.with("path", path).with("resource_type", "User")
}

fn token(refusal: &str) -> Case {
    let mut case = case("GET", "/Users", 401).refused(Reason::ScimTokenRequired);
    case.call.refusal = Some(refusal.to_owned());
    case
}

/// Logged calls by the id of the rule that applies.
fn fixtures() -> Vec<(&'static str, Case)> {
    let mut all = token_and_url_cases();
    all.extend(access_token_cases());
    all.extend(document_cases());
    all.extend(lookup_and_version_cases());
    all
}

/// Tokens and URLs.
fn token_and_url_cases() -> Vec<(&'static str, Case)> {
    vec![
        ("unknown-token", token("unknown_token")),
        ("foreign-token", token("foreign_token")),
        ("revoked-token", token("revoked_token")),
        ("expired-token", token("expired_token")),
        ("other-connection", token("other_configuration")),
        ("double-bearer", token("double_bearer")),
        ("no-bearer", token("malformed")),
        ("no-bearer", token("no_scheme")),
        ("plain-http", token("no_token")),
        ("no-token", Case { is_secure: false, ..token("no_token") }),
        ("users-in-base", case("GET", "/Users/Users", 404).refused(Reason::ScimResourceNotFound)),
        ("users-in-base", case("GET", "/Groups/ServiceProviderConfig", 404)),
        ("doubled-path", case("GET", "/scim/Users", 404).refused(Reason::ScimPathUnknown)),
        ("wrong-base-path", case("GET", "/employees", 404).refused(Reason::ScimPathUnknown)),
        ("old-version", case("GET", "/v1/Users", 400).refused(Reason::ScimVersionUnsupported)),
    ]
}

/// Requests for access tokens.
fn access_token_cases() -> Vec<(&'static str, Case)> {
    let refused = |error: Error| case("POST", "/oauth2/token", 401).refused(error);
    let claim = |reason: Reason| refused(reason.with("expected", "a").with("found", "b"));
    let mut expired = case("POST", "/oauth2/token", 401);
    expired.call.refusal = Some("expired_secret".to_owned());
    vec![
        ("wrong-token-url", Case { below: "/oauth/token", ..token("no_token") }),
        ("wrong-token-url", Case { below: "/token", ..token("malformed") }),
        ("wrong-token-url", case("POST", "/oauth2/v1/token", 404).refused(Reason::ScimPathUnknown)),
        ("unknown-client", refused(Reason::OauthClientUnknown.into())),
        ("client-disabled", refused(Reason::OauthClientDisabled.into())),
        ("wrong-client-secret", refused(Reason::ClientSecretWrong.into())),
        ("expired-client-secret", refused(Reason::ClientSecretExpired.into())),
        ("expired-client-secret", expired),
        ("other-authentication", refused(Reason::ClientAuthenticationOther.with("authentication", "federated"))),
        ("client-credentials-missing", refused(Reason::ClientCredentialsTwice.into())),
        ("wrong-issuer", claim(Reason::AssertionIssuerWrong)),
        ("wrong-subject", claim(Reason::AssertionSubjectWrong)),
        ("wrong-audience", claim(Reason::AssertionAudienceWrong)),
        ("unknown-key", refused(Reason::AssertionKeyUnknown.with("kid", "1"))),
        ("unknown-key", refused(Reason::AssertionSignatureWrong.into())),
        ("expired-assertion", refused(Reason::AssertionExpired.with("seconds", 90))),
        ("clock-difference", refused(Reason::AssertionNotYetValid.with("seconds", 90))),
        ("invalid-assertion", refused(Reason::AssertionIdMissing.into())),
        ("keys-unreachable", refused(Reason::IssuerKeysUnavailable.with("problem", "no answer"))),
        ("unsupported-grant", refused(Reason::GrantTypeUnsupported.with("grants", "client_credentials"))),
        ("scope-refused", refused(Reason::OauthScopeRefused.with("scope", "scim.read"))),
        (
            "insufficient-scope",
            case("POST", "/Users", 403)
                .refused(Reason::ScopeInsufficient.with("action", "create").with("endpoint", "/Users")),
        ),
        (
            "too-many-access-tokens",
            case("POST", "/oauth2/token", 429).refused(Reason::AccessTokensLimited.with("max", 60)),
        ),
        ("invalid-token-request", refused(Reason::TokenRequestInvalid.with("problem", "a form is needed"))),
    ]
}

/// Request bodies.
fn document_cases() -> Vec<(&'static str, Case)> {
    vec![
        ("bad-json", case("POST", "/Users", 400).refused(Reason::JsonInvalid.with("line", 1).with("column", 9))),
        ("schemas-missing", case("POST", "/Users", 400).refused(Reason::SchemasIncomplete.with("schema", "urn:x"))),
        ("schemas-assumed", case("POST", "/Users", 201).noted("base_schema_assumed")),
        ("user-name-missing", case("POST", "/Users", 400).refused(Reason::AttributeRequired.on_field("userName"))),
        ("user-name-taken", case("POST", "/Users", 409).refused(Reason::UserNameTaken)),
        (
            "email-shape",
            case("POST", "/Users", 400)
                .refused(Reason::ValueTypeWrong.on_field("emails").with("expected", "an object").with("found", "text")),
        ),
        (
            "boolean-as-text",
            case("PATCH", "/Users/7", 400)
                .refused(Reason::BooleanWrong.on_field("active").with("found", "text").within("Operations[0]")),
        ),
        ("boolean-as-text-accepted", case("PATCH", "/Users/7", 200).noted("boolean_as_text active")),
    ]
}

/// Paths, filters, members, versions and limits.
fn lookup_and_version_cases() -> Vec<(&'static str, Case)> {
    let patch = |path: &str| json!({"Operations": [{"op": "replace", "path": path, "value": "x"}]});
    vec![
        ("unknown-patch-path", case("PATCH", "/Users/7", 400).refused(unknown_attribute("shoe"))),
        (
            "unknown-operation",
            case("PATCH", "/Users/7", 400).refused(Error::from(Reason::OpUnknown).within("Operations[0]")),
        ),
        ("no-target", case("PATCH", "/Users/7", 400).refused(Reason::PathSelectsNothing)),
        ("remove-without-path", case("PATCH", "/Users/7", 400).refused(Reason::RemoveWithoutPath)),
        ("content-type", case("POST", "/Users", 415).refused(Reason::ContentTypeUnsupported.with("expected", "json"))),
        ("changed-missing", case("PUT", "/Users/7", 404).refused(Reason::ScimResourceNotFound)),
        ("changed-missing", case("PATCH", "/Groups/7", 404).refused(Reason::ScimResourceNotFound)),
        ("single-quotes", Case { filter: Some("userName eq 'bob'"), ..case("GET", "/Users", 200) }),
        (
            "single-quotes",
            Case { request: Some(patch("emails[type eq 'work'].value")), ..case("PATCH", "/Users/7", 200) },
        ),
        ("invalid-filter", case("GET", "/Users", 400).refused(Reason::FilterEmpty)),
        (
            "unknown-filter-attribute",
            case("GET", "/Users", 400).refused(unknown_attribute("shoe").as_scim_type(ScimType::InvalidFilter)),
        ),
        ("member-not-found", case("PATCH", "/Groups/7", 400).refused(Reason::MemberUnknown.with("id", "\"9\""))),
        ("member-skipped", case("PATCH", "/Groups/7", 200).noted("unknown_member_skipped")),
        ("stale-version", case("PUT", "/Users/7", 412).refused(Reason::VersionMismatch.with("version", "W/\"3\""))),
        ("too-large", case("POST", "/Users", 413).refused(Reason::BodyTooLarge.with("max", 1_048_576))),
        (
            "quota-exceeded",
            case("POST", "/Users", 403)
                .refused(Reason::QuotaExceeded.with("owner", "connection").with("limit", 5).with("quota", "users")),
        ),
        (
            "active-user-limit",
            case("POST", "/Users", 403)
                .refused(Reason::ActiveUserLimitReached.with("owner", "account").with("limit", 5)),
        ),
        ("rate-limited", case("GET", "/Users", 429)),
    ]
}

#[test]
fn each_rule_applies_to_its_case_only() {
    let fixtures = fixtures();
    for (id, case) in &fixtures {
        assert_eq!(case.explained(), [*id], "{:?} {}", case.call, case.below);
    }
    for rule in list_rules() {
        assert!(fixtures.iter().any(|(id, _)| *id == rule.id), "{} has no fixture", rule.id);
    }
}

#[test]
fn successful_calls_have_no_explanation() {
    let filter = Some("userName eq \"o'brien\"");
    for case in [
        case("GET", "/Users", 200),
        Case { filter, ..case("GET", "/Users", 200) },
        case("POST", "/Users", 201),
        case("GET", "/Users/7", 404).refused(Reason::ScimResourceNotFound),
    ] {
        assert_eq!(case.explained(), [""; 0], "{} {}", case.call.method, case.below);
    }
}

#[test]
fn the_location_depends_on_the_provider() {
    let case = token("revoked_token");
    let location = |provider: &str| explain_call(&case.facts(), find_provider(provider).unwrap())[0].location;
    assert!(location("okta").contains("API Token") && location("entra").contains("Secret Token"));
    assert!(location("custom").contains("Authorization: Bearer"));
    let all: Vec<&str> = crate::providers::PROVIDERS.iter().map(|provider| location(provider.key)).collect();
    let mut distinct = all.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), all.len(), "one location for each provider");
}

#[track_caller]
fn assert_sentences<const N: usize>(cases: [(&str, Case); N]) {
    for (sentence, case) in cases {
        assert_eq!(super::summarize_call(&case.facts()), sentence);
    }
}

#[test]
fn a_call_is_summarized_in_one_sentence() {
    let name = Some("alice");
    let found = |count: u32| Some(json!({"totalResults": count}));
    assert_sentences([
        ("Created alice", Case { name, ..case("POST", "/Users", 201) }),
        ("Deleted a user", case("DELETE", "/Users/7", 204)),
        ("Read alice", Case { name, ..case("GET", "/Users/7", 200) }),
        (
            "Deactivated alice (PUT)",
            Case { name, request: Some(json!({"active": false})), ..case("PUT", "/Users/7", 200) },
        ),
        ("Listed groups", case("GET", "/Groups", 200)),
        (
            "Searched users: userName eq \"x\" (no match)",
            Case { filter: Some("userName eq \"x\""), response: found(0), ..case("GET", "/Users", 200) },
        ),
        ("Read the SCIM configuration", case("GET", "/ServiceProviderConfig", 200)),
        ("User not found", case("GET", "/Users/7", 404)),
        ("User not found", case("GET", "/Users/<i>x</i>", 404).refused(Reason::ScimResourceNotFound)),
        ("Rejected: userName is taken", case("POST", "/Users", 409).refused(Reason::UserNameTaken)),
        (
            "Rejected: title must be text, found a number",
            case("POST", "/Users", 400)
                .refused(Reason::ValueTypeWrong.on_field("title").with("expected", "text").with("found", "a number")),
        ),
        ("Failed: status 503", case("POST", "/Users", 503)),
        (
            "Bulk request, 2 operations",
            Case { request: Some(json!({"Operations": [{}, {}]})), ..case("POST", "/Bulk", 200) },
        ),
    ]);
}

#[test]
fn the_summary_of_a_patch_names_the_changed_attributes() {
    let name = Some("alice");
    let patch = |operations: Value| Some(json!({"Operations": operations}));
    assert_sentences([
        (
            "Deactivated alice",
            Case {
                name,
                request: patch(json!([{"op": "Replace", "path": "active", "value": "False"}])),
                ..case("PATCH", "/Users/7", 200)
            },
        ),
        (
            "Activated alice",
            Case {
                name,
                request: patch(json!([{"op": "replace", "value": {"active": true}}])),
                ..case("PATCH", "/Users/7", 200)
            },
        ),
        (
            "Updated title, name.givenName of alice",
            Case {
                name,
                request: patch(
                    json!([{"op": "replace", "path": "title", "value": "x"}, {"op": "add", "path": "name.givenName", "value": "y"}]),
                ),
                ..case("PATCH", "/Users/7", 200)
            },
        ),
        (
            "Updated emails, department of a user",
            Case {
                request: patch(json!([
                    {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "x"},
                    {"op": "add", "value": {"urn:x:2.0:User:department": "y"}},
                ])),
                ..case("PATCH", "/Users/7", 200)
            },
        ),
        (
            "Added 2 members to Staff",
            Case {
                name: Some("Staff"),
                request: patch(json!([{"op": "add", "path": "members", "value": [{"value": "1"}, {"value": "2"}]}])),
                ..case("PATCH", "/Groups/7", 204)
            },
        ),
        (
            "Removed 1 member from a group",
            Case {
                request: patch(json!([{"op": "remove", "path": "members[value eq \"1\"]"}])),
                ..case("PATCH", "/Groups/7", 204)
            },
        ),
    ]);
}

#[test]
fn a_change_without_effect_is_summarized_as_such() {
    let answer = |changed: &str| Some(json!({"meta": {"lastModified": changed}}));
    let patch = |changed: &str| {
        let mut patch = case("PATCH", "/Users/7", 200);
        patch.call.at = 1_000;
        Case { name: Some("alice"), response: answer(changed), ..patch }
    };
    let put =
        Case { call: LoggedCall { method: "PUT".to_owned(), ..patch("").call }, ..patch("1970-01-01T00:00:00.999Z") };
    assert_sentences([
        ("Updated alice", patch("1970-01-01T00:00:01.000Z")),
        ("No change to alice", patch("1970-01-01T00:00:00.999Z")),
        ("No change to alice: foo ignored", patch("1970-01-01T00:00:00.1Z").noted("unknown_attribute_ignored foo")),
        ("No change to alice", put),
        ("Updated alice", patch("***")),
    ]);
}

#[test]
fn the_cause_of_the_last_failure_is_described() {
    let describe = super::describe_cause;
    assert_eq!(describe(FailureCause::Token(TokenRefusal::RevokedToken)), Some("the token was revoked"));
    assert_eq!(describe(FailureCause::Reason(Reason::UserNameTaken)), Some("userName is taken"));
    assert_eq!(describe(FailureCause::Reason(Reason::DiskFull)), None);
    for refusal in TokenRefusal::ALL {
        assert!(describe(FailureCause::Token(refusal)).is_some(), "{refusal}");
    }
}

#[test]
fn the_path_is_relative_to_the_provisioning_url() {
    for (path, expected) in [
        ("/directory/resources/scim/v2.0/7/Users", "/Users"),
        ("/scim/v2/Users/9", "/Users/9"),
        ("/api/scim/resource/v2/Groups", "/Groups"),
        ("/elsewhere", "/elsewhere"),
    ] {
        assert_eq!(relative_path(path, "7"), expected);
    }
}
