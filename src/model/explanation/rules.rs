//! What goes wrong between identity providers and us, as a list: how each case is told by what was logged, and what is said.

use serde_json::Value;

use super::Facts;
use super::places::Place;

/// One case.
#[derive(Debug)]
pub struct Rule {
    /// Its word.
    pub id: &'static str,
    /// Why the call was refused, to stand behind "Refused: "; empty where the case is no refusal.
    pub short: &'static str,
    /// What the identity provider did.
    pub what: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// Where.
    pub place: Place,
    /// Whether a call is such a case.
    pub applies: fn(&Facts<'_>) -> bool,
}

/// All cases. Of two that say why a call was refused, the earlier one is told.
pub const RULES: &[Rule] = &[
    Rule {
        id: "unknown-token",
        short: "the token is not known",
        what: "It sent a token that looks like one of ours, but is none: it was cut off, mistyped, or belongs to another server.",
        advice: "Paste the token of this connection again, whole and without blanks. If it is lost, make a new one.",
        place: Place::Token,
        applies: |facts| facts.token_was("unknown_token"),
    },
    Rule {
        id: "foreign-token",
        short: "the token is not one of ours",
        what: "It sent a token that this server did not make.",
        advice: "Put the token of this connection into the field, not a password or a token of the identity provider itself.",
        place: Place::Token,
        applies: |facts| facts.token_was("foreign_token"),
    },
    Rule {
        id: "revoked-token",
        short: "the token was revoked",
        what: "It still uses a token that was revoked here.",
        advice: "Paste the token that is in use now. If nobody has it any more, make a new one.",
        place: Place::Token,
        applies: |facts| facts.token_was("revoked_token"),
    },
    Rule {
        id: "expired-token",
        short: "the token has expired",
        what: "It still uses a token whose time is over.",
        advice: "Make a new token, without an end if the provider cannot be reminded, and paste it.",
        place: Place::Token,
        applies: |facts| facts.token_was("expired_token"),
    },
    Rule {
        id: "other-connection",
        short: "the token belongs to another connection",
        what: "The token is right, but for another connection: address and token do not belong together.",
        advice: "Copy both, address and token, from the same connection.",
        place: Place::Token,
        applies: |facts| facts.token_was("other_configuration"),
    },
    Rule {
        id: "double-bearer",
        short: "the token begins with “Bearer”",
        what: "The word Bearer was typed into the field for the token, so it was sent twice.",
        advice: "Paste the token alone. The identity provider puts the word Bearer before it.",
        place: Place::Token,
        applies: |facts| facts.token_was("double_bearer"),
    },
    Rule {
        id: "no-bearer",
        short: "the header holds no bearer token",
        what: "It sent an Authorization header that is no bearer token, such as a name and password, or a token without the word Bearer.",
        advice: "Choose HTTP header or bearer token as the way to sign in, not basic authentication.",
        place: Place::Token,
        applies: |facts| facts.token_was("malformed") || facts.token_was("no_scheme"),
    },
    Rule {
        id: "plain-http",
        short: "there was no token",
        what: "It sent no token. This happens where the address was typed with http:// – the way on to https:// loses the token – and where the field for the token is empty.",
        advice: "Write the address with https:// and paste the token again.",
        place: Place::Address,
        applies: |facts| facts.token_was("no_token") && facts.is_secure,
    },
    Rule {
        id: "no-token",
        short: "there was no token",
        what: "It sent no token.",
        advice: "Paste the token of this connection.",
        place: Place::Token,
        applies: |facts| facts.token_was("no_token") && !facts.is_secure,
    },
    Rule {
        id: "users-in-base",
        short: "“/Users” is part of the address",
        what: "The address that was typed ends in /Users or /Groups, and the provider appends its own.",
        advice: "Take /Users or /Groups off the end of the address.",
        place: Place::Address,
        applies: |facts| facts.call.status >= 400 && has_endpoint_twice(facts.below),
    },
    Rule {
        id: "wrong-base-path",
        short: "there is no such address",
        what: "It called an address that does not exist below the provisioning URL. Most often something was added to the URL, or a part of it stands there twice.",
        advice: "Copy the provisioning URL as it is, with nothing behind it.",
        place: Place::Address,
        applies: |facts| {
            let detail = facts.detail();
            let is_lost = detail.starts_with("no endpoint has this path") || facts.is_refused_as("invalidVers");
            (is_lost || detail.starts_with("no provisioning URL")) && !has_endpoint_twice(facts.below)
        },
    },
    Rule {
        id: "bad-json",
        short: "the body is no JSON",
        what: "What it sent is not valid JSON.",
        advice: "If a template makes the body, look for a missing quote or a comma too many near the place that is named.",
        place: Place::Mapping,
        applies: |facts| facts.detail().contains("is not valid JSON"),
    },
    Rule {
        id: "schemas-missing",
        short: "“schemas” is missing or wrong",
        what: "The member “schemas” did not name the schema of what was sent.",
        advice: "Let the template name the schema of the resource, such as urn:ietf:params:scim:schemas:core:2.0:User.",
        place: Place::Mapping,
        applies: |facts| {
            let is_about_schemas =
                facts.detail().starts_with("schemas must") || facts.detail().starts_with("schemas names");
            facts.call.status >= 400 && is_about_schemas
        },
    },
    Rule {
        id: "schemas-assumed",
        short: "",
        what: "The member “schemas” did not name the schema of what was sent. We took it for what the address says.",
        advice: "Nothing has to be done. A template can name it.",
        place: Place::Client,
        applies: |facts| facts.notes("base schema assumed") || facts.notes("PatchOp assumed"),
    },
    Rule {
        id: "user-name-missing",
        short: "userName is missing",
        what: "A user came without a userName, or with an empty one.",
        advice: "Map an attribute that every user has, such as the e-mail address, to userName, and fill it for this user.",
        place: Place::Mapping,
        applies: |facts| facts.detail().contains("userName is required"),
    },
    Rule {
        id: "user-name-taken",
        short: "userName is taken",
        what: "Another user of this connection has that userName already. Upper and lower case do not count.",
        advice: "Look whether the person is here already: then the provider should match them by userName instead of adding them. Otherwise give one of the two another name.",
        place: Place::Mapping,
        applies: |facts| facts.is_refused_as("uniqueness") && facts.detail().contains("userName"),
    },
    Rule {
        id: "email-shape",
        short: "the e-mail addresses have the wrong shape",
        what: "The e-mail addresses were not sent as a list of objects with a value.",
        advice: "Map the address to emails[type eq \"work\"].value, or send {\"emails\": [{\"value\": \"…\", \"type\": \"work\"}]}.",
        place: Place::Mapping,
        applies: |facts| {
            facts.call.status == 400 && facts.detail().contains("emails") && facts.detail().contains(" must be ")
        },
    },
    Rule {
        id: "boolean-as-text",
        short: "a yes or no came as text",
        what: "It sent a text, such as \"yes\", where true or false is wanted.",
        advice: "Map a boolean, or make one of the text in the mapping.",
        place: Place::Mapping,
        applies: |facts| facts.detail().contains("must be true or false"),
    },
    Rule {
        id: "boolean-as-text-mended",
        short: "",
        what: "It sent \"True\" or \"False\" as text. We read it as true or false.",
        advice: "Nothing has to be done. Entra ID and OneLogin are known for it.",
        place: Place::Client,
        applies: |facts| facts.notes("text read as a boolean"),
    },
    Rule {
        id: "unknown-patch-path",
        short: "it changes an attribute that does not exist",
        what: "It wants to change an attribute that no schema of this connection has, or names it in a way that cannot be read.",
        advice: "Correct the name in the mapping, take the row out, or add the attribute here as a schema extension.",
        place: Place::Mapping,
        applies: |facts| facts.is_refused_as("invalidPath"),
    },
    Rule {
        id: "single-quotes",
        short: "a filter uses single quotes",
        what: "A filter puts its text into single quotes, where the standard wants double ones.",
        advice: "Write it with double quotes: emails[type eq \"work\"]. Most of the time we understand both.",
        place: Place::Mapping,
        applies: |facts| {
            let in_filter = facts.filter.is_some_and(has_single_quotes);
            in_filter || paths(facts.request).any(has_single_quotes)
        },
    },
    Rule {
        id: "unknown-filter-attribute",
        short: "it filters by an attribute that does not exist",
        what: "It looks resources up by an attribute that no schema of this connection has, or with a filter that cannot be read.",
        advice: "Match users by userName or externalId.",
        place: Place::Mapping,
        applies: |facts| facts.is_refused_as("invalidFilter"),
    },
    Rule {
        id: "member-not-found",
        short: "a member of the group is not here",
        what: "It put somebody into a group who is not here.",
        advice: "Assign the person to the application as well, so that they come before the group, or let this connection skip members that it does not know.",
        place: Place::Assignments,
        applies: |facts| facts.detail().contains("is no user or group of this configuration"),
    },
    Rule {
        id: "member-skipped",
        short: "",
        what: "It put somebody into a group who is not here. We left them out of it.",
        advice: "Assign the person to the application as well, then push the group again.",
        place: Place::Assignments,
        applies: |facts| facts.notes("unknown id skipped"),
    },
    Rule {
        id: "stale-version",
        short: "the resource has changed meanwhile",
        what: "It wanted to change a version that is no longer the current one (If-Match).",
        advice: "Nothing has to be done: a good client reads the resource again and repeats the change. If it does not, switch If-Match off there.",
        place: Place::Client,
        applies: |facts| facts.call.status == 412,
    },
    Rule {
        id: "too-large",
        short: "the request is too large",
        what: "The request, or a part of it, is larger than we take.",
        advice: "Send large groups in several steps: add members with PATCH, some thousands at a time.",
        place: Place::Client,
        applies: |facts| matches!(facts.call.status, 413 | 414),
    },
    Rule {
        id: "rate-limited",
        short: "too many calls came at once",
        what: "It calls more often than one connection may, so it was told to wait a moment.",
        advice: "Nothing has to be done: providers come again by themselves. If it goes on, find out what calls so often, or ask the operator for a higher limit (rate_limit).",
        place: Place::Client,
        applies: |facts| facts.call.status == 429,
    },
];

/// Whether the name of an endpoint follows the name of a collection: `/Users/Users`, `/Groups/ServiceProviderConfig`.
fn has_endpoint_twice(below: &str) -> bool {
    let mut parts = below.split('/').filter(|part| !part.is_empty());
    let in_collection = parts.next().is_some_and(|first| matches!(first, "Users" | "Groups"));
    let endpoints = ["Users", "Groups", "ServiceProviderConfig", "Schemas", "ResourceTypes"];
    in_collection && parts.next().is_some_and(|second| endpoints.contains(&second))
}

/// Whether a comparison in a filter has its text in single quotes.
fn has_single_quotes(filter: &str) -> bool {
    ["eq", "ne", "co", "sw", "ew"].iter().any(|operator| {
        filter
            .to_ascii_lowercase()
            .split(operator)
            .skip(1)
            .any(|rest| rest.starts_with(' ') && rest.trim_start().starts_with('\''))
    })
}

/// The paths of a PATCH body.
fn paths(request: Option<&Value>) -> impl Iterator<Item = &str> {
    let operations = request.and_then(|body| body.get("Operations")).and_then(Value::as_array);
    operations.into_iter().flatten().filter_map(|operation| operation.get("path").and_then(Value::as_str))
}
