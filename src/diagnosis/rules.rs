//! The list of known problems with identity providers: how to detect each in the request log, and its explanation.

use serde_json::Value;

use super::CallContext;
use crate::error::Reason;
use crate::providers::SettingLocation;
use crate::scim::dialect::NoteCode;

/// One known problem.
#[derive(Debug)]
pub struct ExplanationRule {
    /// Id of the rule.
    pub id: &'static str,
    /// Why the call was refused, shown after "Refused: "; empty if the call was not refused.
    pub refusal_reason: &'static str,
    /// What the identity provider did.
    pub what: &'static str,
    /// How to fix it.
    pub advice: &'static str,
    /// Where to fix it.
    pub location: SettingLocation,
    /// Returns whether the rule applies to a call.
    pub applies: fn(&CallContext<'_>) -> bool,
}

/// All rules. If several explain why a call was refused, the first one is reported.
pub const EXPLANATION_RULES: &[ExplanationRule] = &[
    // The path is checked before the token, so its mistakes come first.
    ExplanationRule {
        id: "users-in-base",
        refusal_reason: "“/Users” is part of the URL",
        what: "The URL that was entered ends in /Users or /Groups, and the provider appends its own.",
        advice: "Remove /Users or /Groups from the end of the URL.",
        location: SettingLocation::Url,
        applies: |facts| facts.call.status >= 400 && has_endpoint_twice(facts.relative_path),
    },
    ExplanationRule {
        id: "doubled-path",
        refusal_reason: "the URL was entered twice",
        what: "The path contains the provisioning URL twice.",
        advice: "Enter the provisioning URL in one field only, exactly as it is shown.",
        location: SettingLocation::Url,
        applies: |facts| {
            let has_both = split_segments(facts.relative_path).any(|part| part == "scim");
            facts.call.status >= 400 && has_both && !facts.is_token_path()
        },
    },
    ExplanationRule {
        id: "old-version",
        refusal_reason: "it uses version 1 of SCIM",
        what: "It called a path of SCIM 1.1. This server supports SCIM 2.0.",
        advice: "Choose SCIM 2.0 in the provider.",
        location: SettingLocation::Url,
        applies: |facts| {
            let is_version_1 =
                ["v1", "v1.0", "v1.1"].contains(&split_segments(facts.relative_path).next().unwrap_or_default());
            facts.failed_for(&[Reason::ScimVersionUnsupported]) || facts.call.status >= 400 && is_version_1
        },
    },
    ExplanationRule {
        id: "unknown-token",
        refusal_reason: "the token is unknown",
        what: "It sent a token in the format of this server, but the token does not exist: it is truncated, mistyped, or belongs to another server.",
        advice: "Paste the complete token of this connection again, without spaces. If it is lost, create a new one.",
        location: SettingLocation::Token,
        applies: |facts| facts.is_token_refused_as("unknown_token"),
    },
    ExplanationRule {
        id: "foreign-token",
        refusal_reason: "the token was not issued by this server",
        what: "It sent a token that this server did not issue.",
        advice: "Enter the token or the OAuth client that was created for this connection, not a password or a token of the identity provider itself.",
        location: SettingLocation::Token,
        applies: |facts| facts.is_token_refused_as("foreign_token"),
    },
    ExplanationRule {
        id: "revoked-token",
        refusal_reason: "the token was revoked",
        what: "It still uses a token that was revoked.",
        advice: "Paste the current token. If it is lost, create a new one.",
        location: SettingLocation::Token,
        applies: |facts| facts.is_token_refused_as("revoked_token"),
    },
    ExplanationRule {
        id: "expired-token",
        refusal_reason: "the token has expired",
        what: "It still uses a token that has expired.",
        advice: "Create a new token, without an expiry date if you cannot replace it regularly, and paste it.",
        location: SettingLocation::Token,
        applies: |facts| facts.is_token_refused_as("expired_token"),
    },
    ExplanationRule {
        id: "other-connection",
        refusal_reason: "the token belongs to another connection",
        what: "The token is valid, but for another connection: URL and token do not match.",
        advice: "Copy both URL and token from the same connection.",
        location: SettingLocation::Token,
        applies: |facts| facts.is_token_refused_as("other_configuration"),
    },
    ExplanationRule {
        id: "double-bearer",
        refusal_reason: "the token begins with “Bearer”",
        what: "“Bearer” was entered in the token field, so it was sent twice.",
        advice: "Paste only the token. The identity provider adds “Bearer”.",
        location: SettingLocation::Token,
        applies: |facts| facts.is_token_refused_as("double_bearer"),
    },
    ExplanationRule {
        id: "no-bearer",
        refusal_reason: "the header does not contain a bearer token",
        what: "It sent an Authorization header without a bearer token, such as a user name and password, or a token without “Bearer”.",
        advice: "Choose HTTP header or bearer token as the authentication method, not basic authentication.",
        location: SettingLocation::Token,
        applies: |facts| {
            let is_malformed = facts.is_token_refused_as("malformed") || facts.is_token_refused_as("no_scheme");
            is_malformed && !facts.is_wrong_token_path()
        },
    },
    ExplanationRule {
        id: "plain-http",
        refusal_reason: "there was no token",
        what: "It sent no token. This happens if the URL was entered with http:// – the redirect to https:// drops the token – or if the token field is empty.",
        advice: "Enter the URL with https:// and paste the token again.",
        location: SettingLocation::Url,
        applies: |facts| lacks_token(facts) && facts.is_secure,
    },
    ExplanationRule {
        id: "no-token",
        refusal_reason: "there was no token",
        what: "It sent no token.",
        advice: "Paste the token of this connection.",
        location: SettingLocation::Token,
        applies: |facts| lacks_token(facts) && !facts.is_secure,
    },
    ExplanationRule {
        id: "wrong-base-path",
        refusal_reason: "the URL does not exist",
        what: "It called a path that does not exist under the provisioning URL. Most often something was added to the URL, or a part of it was entered twice.",
        advice: "Copy the provisioning URL exactly, with nothing after it.",
        location: SettingLocation::Url,
        applies: |facts| {
            let is_explained = has_endpoint_twice(facts.relative_path)
                || split_segments(facts.relative_path).any(|part| part == "scim")
                || facts.is_wrong_token_path();
            facts.failed_for(&[Reason::ScimPathUnknown, Reason::ProvisioningUrlUnknown]) && !is_explained
        },
    },
    ExplanationRule {
        id: "bad-json",
        refusal_reason: "the body is not valid JSON",
        what: "The request body is not valid JSON.",
        advice: "If a template creates the body, look for a missing quote or an extra comma near the reported line and column.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.failed_for(&[Reason::JsonInvalid]),
    },
    ExplanationRule {
        id: "schemas-missing",
        refusal_reason: "“schemas” is missing or wrong",
        what: "The member “schemas” did not name the schema of the resource.",
        advice: "Let the template name the schema of the resource, such as urn:ietf:params:scim:schemas:core:2.0:User.",
        location: SettingLocation::Mapping,
        applies: |facts| {
            let of_schemas = [
                Reason::SchemasInvalid,
                Reason::SchemasNotUris,
                Reason::SchemasForeign,
                Reason::SchemasIncomplete,
                Reason::SchemasImmutable,
            ];
            facts.failed_for(&of_schemas)
        },
    },
    ExplanationRule {
        id: "schemas-assumed",
        refusal_reason: "",
        what: "The member “schemas” did not name the schema of the resource. The schema was derived from the path.",
        advice: "No action is required. A template can name the schema.",
        location: SettingLocation::Client,
        applies: |facts| facts.has_note(NoteCode::BaseSchemaAssumed) || facts.has_note(NoteCode::PatchOpAssumed),
    },
    ExplanationRule {
        id: "user-name-missing",
        refusal_reason: "userName is missing",
        what: "It sent a user without a userName, or with an empty one.",
        advice: "Map an attribute that every user has, such as the e-mail address, to userName, and set it for this user.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.failed_on(&[Reason::AttributeRequired], "userName"),
    },
    ExplanationRule {
        id: "user-name-taken",
        refusal_reason: "userName is taken",
        what: "Another user of this connection already has this userName. The comparison is case-insensitive.",
        advice: "Check whether it is the same user: then the provider should match the user by userName instead of adding it. Otherwise change the userName of one of the two.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.failed_for(&[Reason::UserNameTaken]),
    },
    ExplanationRule {
        id: "email-shape",
        refusal_reason: "the e-mail addresses have the wrong format",
        what: "The e-mail addresses were not sent as a list of objects with a value.",
        advice: "Map the address to emails[type eq \"work\"].value, or send {\"emails\": [{\"value\": \"…\", \"type\": \"work\"}]}.",
        location: SettingLocation::Mapping,
        applies: |facts| {
            facts.failed_for(&[Reason::ValueTypeWrong]) && facts.call.reason_field.as_deref() == Some("emails")
        },
    },
    ExplanationRule {
        id: "boolean-as-text",
        refusal_reason: "true or false is required",
        what: "It sent another value, such as the text \"yes\", where true or false is required.",
        advice: "Map a boolean, or convert the value to a boolean in the mapping.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.failed_for(&[Reason::BooleanWrong]),
    },
    ExplanationRule {
        id: "boolean-as-text-accepted",
        refusal_reason: "",
        what: "It sent \"True\" or \"False\" as text. The text was read as true or false.",
        advice: "No action is required. Entra ID and OneLogin often send this.",
        location: SettingLocation::Client,
        applies: |facts| facts.has_note(NoteCode::BooleanAsText),
    },
    ExplanationRule {
        id: "unknown-patch-path",
        refusal_reason: "it changes an attribute that does not exist",
        what: "It tried to change an attribute that is in no schema of this connection, or the path is not valid.",
        advice: "Correct the name in the mapping, remove the mapping, or add the attribute here as a schema extension.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.call.method != "GET" && facts.is_refused_as("invalidPath"),
    },
    ExplanationRule {
        id: "unknown-operation",
        refusal_reason: "the operation is not add, replace or remove",
        what: "A PATCH request has an operation whose “op” is missing, or is not one of add, replace and remove.",
        advice: "Let the template send add, replace or remove as “op” of each operation.",
        location: SettingLocation::Client,
        applies: |facts| facts.failed_for(&[Reason::OpMissing, Reason::OpUnknown]),
    },
    ExplanationRule {
        id: "no-target",
        refusal_reason: "there is no value at the path",
        what: "It tried to replace or remove a value that the user or group does not have: nothing matches the filter in the path.",
        advice: "Let it add the value first, with the operation add. Or turn on “Create missing values on PATCH replace” in the settings of this connection.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.failed_for(&[Reason::PathSelectsNothing]),
    },
    ExplanationRule {
        id: "remove-without-path",
        refusal_reason: "it removes without a path",
        what: "A PATCH request has a remove operation that does not name what to remove.",
        advice: "Let the template send the attribute as “path” of the remove operation.",
        location: SettingLocation::Client,
        applies: |facts| facts.failed_for(&[Reason::RemoveWithoutPath]),
    },
    ExplanationRule {
        id: "content-type",
        refusal_reason: "the content type is not JSON",
        what: "The body has a content type or an encoding that this server does not read. It reads application/scim+json and application/json, not compressed.",
        advice: "Let the client send the header Content-Type: application/scim+json, and the body without compression.",
        location: SettingLocation::Client,
        applies: |facts| facts.failed_for(&[Reason::ContentTypeUnsupported, Reason::BodyCompressed]),
    },
    ExplanationRule {
        id: "changed-missing",
        refusal_reason: "the user or group does not exist here",
        what: "It tried to change a user or group that does not exist here. It was deleted on this server, or it belongs to another connection.",
        advice: "Remove the user from the app and assign it again, or restart provisioning, so that the provider creates it again.",
        location: SettingLocation::Assignments,
        applies: |facts| {
            let is_change = matches!(&*facts.call.method, "PUT" | "PATCH");
            is_change && facts.failed_for(&[Reason::ScimResourceNotFound]) && !has_endpoint_twice(facts.relative_path)
        },
    },
    ExplanationRule {
        id: "single-quotes",
        refusal_reason: "a filter uses single quotes",
        what: "A filter has text in single quotes; the standard requires double quotes.",
        advice: "Use double quotes: emails[type eq \"work\"]. In most cases both are accepted.",
        location: SettingLocation::Mapping,
        applies: |facts| {
            let in_filter = facts.filter.is_some_and(has_single_quotes);
            in_filter || list_paths(facts.request).any(has_single_quotes)
        },
    },
    ExplanationRule {
        id: "unknown-filter-attribute",
        refusal_reason: "it filters by an attribute that does not exist",
        what: "It searched by an attribute that is in no schema of this connection.",
        advice: "Match users by userName or externalId.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.is_refused_as("invalidFilter") && is_unknown_attribute(facts),
    },
    ExplanationRule {
        id: "invalid-filter",
        refusal_reason: "the filter is not valid",
        what: "It sent a filter that is not valid. The error message names the position or the attribute.",
        advice: "Match users by userName or externalId, with eq and text in double quotes.",
        location: SettingLocation::Mapping,
        applies: |facts| facts.is_refused_as("invalidFilter") && !is_unknown_attribute(facts),
    },
    ExplanationRule {
        id: "member-not-found",
        refusal_reason: "a member of the group does not exist",
        what: "It added a member to a group, and the member does not exist on this server.",
        advice: "Assign the member to the application as well, so that it is provisioned before the group, or let this connection skip unknown members.",
        location: SettingLocation::Assignments,
        applies: |facts| facts.failed_for(&[Reason::MemberUnknown]),
    },
    ExplanationRule {
        id: "member-skipped",
        refusal_reason: "",
        what: "It added a member to a group, and the member does not exist on this server. The member was skipped.",
        advice: "Assign the member to the application as well, then push the group again.",
        location: SettingLocation::Assignments,
        applies: |facts| facts.has_note(NoteCode::UnknownMemberSkipped),
    },
    ExplanationRule {
        id: "stale-version",
        refusal_reason: "the resource has changed in the meantime",
        what: "It tried to change a version that is no longer current (If-Match).",
        advice: "No action is required: most clients read the resource again and repeat the change. If this client does not, switch If-Match off there.",
        location: SettingLocation::Client,
        applies: |facts| facts.call.status == 412,
    },
    ExplanationRule {
        id: "too-large",
        refusal_reason: "the request is too large",
        what: "The request, or a part of it, is larger than the limit.",
        advice: "Send large groups in several steps: add members with PATCH, a few thousand at a time.",
        location: SettingLocation::Client,
        applies: |facts| matches!(facts.call.status, 413 | 414),
    },
    ExplanationRule {
        id: "quota-exceeded",
        refusal_reason: "a limit is reached",
        what: "It would store more than a limit of this connection or of its customer allows.",
        advice: "Remove users, groups or memberships that are not needed, or ask the operator for a higher limit. Deletions and changes that add nothing still work.",
        location: SettingLocation::Assignments,
        applies: |facts| facts.failed_for(&[Reason::QuotaExceeded]),
    },
    ExplanationRule {
        id: "active-user-limit",
        refusal_reason: "the limit of active users is reached",
        what: "It would activate more users than the limit of this connection or of its customer allows.",
        advice: "Deactivate or delete users that are not needed, or ask the operator for a higher limit. The provider got the sentence of the operator as the answer.",
        location: SettingLocation::Assignments,
        applies: |facts| facts.failed_for(&[Reason::ActiveUserLimitReached]),
    },
    ExplanationRule {
        id: "rate-limited",
        refusal_reason: "too many requests at once",
        what: "It sends more requests than the limit of a connection, so it was asked to retry later.",
        advice: "No action is required: providers retry automatically. If it continues, find out what sends so many requests, or ask the operator for a higher limit (rate_limit).",
        location: SettingLocation::Client,
        applies: |facts| facts.call.status == 429 && !facts.failed_for(&[Reason::AccessTokensLimited]),
    },
];

/// Returns whether a call without a token failed that is no request for an access token.
fn lacks_token(facts: &CallContext<'_>) -> bool {
    facts.is_token_refused_as("no_token") && !facts.is_wrong_token_path()
}

fn is_unknown_attribute(facts: &CallContext<'_>) -> bool {
    facts.failed_for(&[Reason::PathAttributeUnknown, Reason::PathSubAttributeUnknown])
}

fn split_segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// Returns whether an endpoint name follows a collection name: `/Users/Users`, `/Groups/ServiceProviderConfig`.
pub fn has_endpoint_twice(below: &str) -> bool {
    let mut parts = split_segments(below);
    let in_collection = parts.next().is_some_and(|first| matches!(first, "Users" | "Groups"));
    let endpoints = ["Users", "Groups", "ServiceProviderConfig", "Schemas", "ResourceTypes", "Bulk", "Me"];
    in_collection && parts.next().is_some_and(|second| endpoints.contains(&second))
}

/// Returns whether a comparison in a filter has its text in single quotes.
fn has_single_quotes(filter: &str) -> bool {
    ["eq", "ne", "co", "sw", "ew"].iter().any(|operator| {
        filter
            .to_ascii_lowercase()
            .split(operator)
            .skip(1)
            .any(|rest| rest.starts_with(' ') && rest.trim_start().starts_with('\''))
    })
}

/// Returns the paths of a PATCH body.
fn list_paths(request: Option<&Value>) -> impl Iterator<Item = &str> {
    let operations = request.and_then(|body| body.get("Operations")).and_then(Value::as_array);
    operations.into_iter().flatten().filter_map(|operation| operation.get("path").and_then(Value::as_str))
}
