//! Known problems with requests for access tokens.

use super::CallContext;
use super::rules::ExplanationRule;
use crate::error::Reason;
use crate::providers::SettingLocation;

/// A rule that applies to requests for access tokens that fail for one of these reasons.
macro_rules! token_rule {
    ($id:literal, [$($reason:ident),+], $refusal:literal, $what:literal, $advice:literal) => {
        ExplanationRule {
            id: $id,
            refusal_reason: $refusal,
            what: $what,
            advice: $advice,
            location: SettingLocation::Token,
            applies: |facts: &CallContext<'_>| facts.failed_for(&[$(Reason::$reason),+]),
        }
    };
}

/// The rules of requests for access tokens.
pub const OAUTH_RULES: &[ExplanationRule] = &[
    ExplanationRule {
        id: "wrong-token-url",
        refusal_reason: "the token URL is wrong",
        what: "It requested an access token at a path that is not the token URL.",
        advice: "Copy the token URL exactly as the Credentials page shows it. It ends in /oauth2/token.",
        location: SettingLocation::Url,
        applies: |facts| facts.call.status >= 400 && facts.is_wrong_token_path(),
    },
    token_rule!(
        "unknown-client",
        [OauthClientUnknown],
        "the client id is unknown",
        "It sent a client id that does not exist at this token URL: it is mistyped, belongs to another connection, or the client was deleted.",
        "Copy the client id from the Credentials page of this connection again."
    ),
    token_rule!(
        "client-disabled",
        [OauthClientDisabled],
        "the client is disabled",
        "The OAuth client is disabled.",
        "Enable the client on the Credentials page, or enter another one."
    ),
    token_rule!(
        "wrong-client-secret",
        [ClientSecretWrong],
        "the client secret is wrong",
        "The client id is right, and the client secret is not: it is truncated, mistyped, or was deleted.",
        "Paste the complete secret again, without spaces. If it is lost, add a new one on the Credentials page."
    ),
    ExplanationRule {
        id: "expired-client-secret",
        refusal_reason: "the client secret has expired",
        what: "The client secret was right and has expired.",
        advice: "Add a new secret on the Credentials page and enter it at the provider.",
        location: SettingLocation::Token,
        applies: |facts| {
            facts.failed_for(&[Reason::ClientSecretExpired]) || facts.is_token_refused_as("expired_secret")
        },
    },
    token_rule!(
        "other-authentication",
        [ClientAuthenticationOther],
        "the client authenticates in another way",
        "It sent a secret for a client with assertions, or an assertion for a client with a secret.",
        "Choose the same method at the provider and on the Credentials page, or create another client."
    ),
    token_rule!(
        "client-credentials-missing",
        [ClientCredentialsMissing, ClientCredentialsTwice],
        "the client credentials are not complete",
        "It sent no client credentials, or more than one.",
        "Enter the client id and one credential: the client secret, or the settings of the assertion."
    ),
    token_rule!(
        "wrong-issuer",
        [AssertionIssuerWrong],
        "the issuer of the assertion is wrong",
        "The issuer of the assertion is not the one that the client expects.",
        "Copy the issuer from the provider into the client, exactly, with or without a slash at the end as it is shown there."
    ),
    token_rule!(
        "wrong-subject",
        [AssertionSubjectWrong],
        "the subject of the assertion is wrong",
        "The subject of the assertion is not the one that the client expects. At Entra ID, it is the object id of the service principal, not the application id.",
        "Copy the subject from the provider into the client."
    ),
    token_rule!(
        "wrong-audience",
        [AssertionAudienceWrong],
        "the audience of the assertion is wrong",
        "The audience of the assertion is not the one that the client expects.",
        "Copy the audience from the provider into the client. A client with its own keys uses the token URL as audience."
    ),
    token_rule!(
        "unknown-key",
        [AssertionKeyUnknown, AssertionSignatureWrong],
        "the key of the assertion is unknown",
        "No key at the JWKS URL matches the signature of the assertion.",
        "Check that the JWKS URL belongs to the issuer. After a change of keys, it can take ten seconds until the new one is used."
    ),
    token_rule!(
        "expired-assertion",
        [AssertionExpired, AssertionUsed],
        "the assertion has expired",
        "The assertion has expired, or was used before although each works once.",
        "Most providers create a new one for each request. If this continues, compare the clocks of both servers."
    ),
    token_rule!(
        "clock-difference",
        [AssertionNotYetValid, AssertionTooLong],
        "the clocks differ",
        "The assertion is valid only in the future, or for more than 24 hours.",
        "Compare the clocks of both servers: they may differ by 60 seconds."
    ),
    token_rule!(
        "invalid-assertion",
        [AssertionMalformed, AssertionIdMissing],
        "the assertion is not valid",
        "The assertion is not a signed JWT that can be used. The error message says what is wrong.",
        "Let the provider sign with RS256, PS256, ES256 or EdDSA, with exp, and with jti if the client has its own keys."
    ),
    token_rule!(
        "keys-unreachable",
        [IssuerKeysUnavailable],
        "the keys of the issuer cannot be fetched",
        "The keys at the JWKS URL could not be fetched, so the assertion cannot be verified.",
        "Open the JWKS URL in a browser: it must show a JWK set. A private address needs --outgoing-allow-networks of the operator."
    ),
    token_rule!(
        "unsupported-grant",
        [GrantTypeUnsupported],
        "the grant type is not supported",
        "It requested an access token with a grant type other than client_credentials.",
        "Choose client credentials (OAuth 2.0, machine to machine) at the provider, not authorization code or password."
    ),
    token_rule!(
        "scope-refused",
        [OauthScopeRefused, OauthScopeUnknown],
        "the scope is not allowed",
        "It requested a scope that does not exist, or more than the client may have.",
        "Leave the scope empty at the provider, or enter one that the client allows, such as scim."
    ),
    token_rule!(
        "insufficient-scope",
        [ScopeInsufficient],
        "the scope of the access token is too small",
        "The access token is valid, and its scope does not include this request.",
        "Extend the scope of the client on the Credentials page, and request it at the provider."
    ),
    token_rule!(
        "too-many-access-tokens",
        [AccessTokensLimited],
        "too many access tokens were requested",
        "It requested a new access token too often.",
        "Let the provider use an access token until it expires, instead of requesting one for each request."
    ),
    token_rule!(
        "invalid-token-request",
        [TokenRequestInvalid],
        "the token request is not valid",
        "The request for an access token has the wrong form. The error message says what is wrong.",
        "Check the token settings of the provider: it must send a form (application/x-www-form-urlencoded)."
    ),
];
