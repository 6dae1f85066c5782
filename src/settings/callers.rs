//! Settings of external callers: users with tokens of the operator's identity system, and browser pages of other
//! origins.

use std::path::PathBuf;

use clap::Args;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use url::Url;

use super::{host_of_url, is_loopback_host, parse_non_empty};

/// Flags of `serve` for external callers.
#[derive(Debug, Clone, Args)]
pub struct CallerArgs {
    /// URL of the public keys (JWK set) of the identity system whose user tokens are accepted
    #[arg(
        long = "user-token-jwks-url",
        value_name = "URL",
        env = "ROLLCALL_USER_TOKEN_JWKS_URL",
        value_parser = parse_trusted_url,
        group = "user_token_keys",
        requires = "user_token_issuer",
        requires = "user_token_audiences"
    )]
    user_token_jwks_url: Option<Url>,

    /// The same keys in a file: a JWK set, or one public key in PEM
    #[arg(
        long = "user-token-key-file",
        value_name = "FILE",
        env = "ROLLCALL_USER_TOKEN_KEY_FILE",
        group = "user_token_keys",
        requires = "user_token_issuer",
        requires = "user_token_audiences"
    )]
    user_token_key_file: Option<PathBuf>,

    /// The `iss` that user tokens must have
    #[arg(
        long = "user-token-issuer",
        value_name = "TEXT",
        env = "ROLLCALL_USER_TOKEN_ISSUER",
        value_parser = parse_non_empty,
        requires = "user_token_keys"
    )]
    user_token_issuer: Option<String>,

    /// The `aud` that user tokens must have; may be given several times, one match is enough
    #[arg(
        long = "user-token-audience",
        value_name = "TEXT",
        env = "ROLLCALL_USER_TOKEN_AUDIENCE",
        value_delimiter = ',',
        value_parser = parse_non_empty,
        requires = "user_token_keys"
    )]
    user_token_audiences: Vec<String>,

    /// The signature algorithms that are accepted
    #[arg(
        long = "user-token-algorithms",
        value_name = "LIST",
        env = "ROLLCALL_USER_TOKEN_ALGORITHMS",
        value_delimiter = ',',
        default_value = "RS256,ES256,EdDSA",
        value_parser = parse_algorithm,
        requires = "user_token_keys"
    )]
    user_token_algorithms: Vec<Algorithm>,

    /// The claim that contains the user's account
    #[arg(
        long = "user-token-account-claim",
        value_name = "NAME",
        env = "ROLLCALL_USER_TOKEN_ACCOUNT_CLAIM",
        default_value = "tenantId",
        value_parser = parse_non_empty,
        requires = "user_token_keys"
    )]
    user_token_account_claim: String,

    /// The claim that contains the list of all accounts of the user
    #[arg(
        long = "user-token-accounts-claim",
        value_name = "NAME",
        env = "ROLLCALL_USER_TOKEN_ACCOUNTS_CLAIM",
        default_value = "tenantIds",
        value_parser = parse_non_empty,
        requires = "user_token_keys"
    )]
    user_token_accounts_claim: String,

    /// The claim that contains the user's permissions
    #[arg(
        long = "user-token-permissions-claim",
        value_name = "NAME",
        env = "ROLLCALL_USER_TOKEN_PERMISSIONS_CLAIM",
        default_value = "permissions",
        value_parser = parse_non_empty,
        requires = "user_token_keys"
    )]
    user_token_permissions_claim: String,

    /// Origin whose pages may call the management API from a browser; may be given several times
    #[arg(
        long = "allowed-origin",
        value_name = "ORIGIN",
        env = "ROLLCALL_ALLOWED_ORIGIN",
        value_delimiter = ',',
        value_parser = parse_origin
    )]
    pub(super) allowed_origins: Vec<String>,
}

/// Source of the keys for user tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWK set at this URL.
    Url(Url),
    /// A file with a JWK set or one public key in PEM.
    File(PathBuf),
}

/// Names of the claims that no specification defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Claim with the user's account.
    pub account: String,
    /// Claim with the list of all accounts of the user.
    pub accounts: String,
    /// Claim with the user's permissions.
    pub permissions: String,
}

/// Which user tokens are accepted.
#[derive(Debug, Clone)]
pub struct UserTokenSettings {
    /// Source of their keys.
    pub keys: KeySource,
    /// Required `iss`.
    pub issuer: String,
    /// `aud` must contain one of these.
    pub audiences: Vec<String>,
    /// Accepted algorithms, all of them asymmetric.
    pub algorithms: Vec<Algorithm>,
    /// Names of their claims.
    pub claims: ClaimNames,
}

impl CallerArgs {
    /// Returns the settings of user tokens, or `None` if they are not set. clap has checked that they are complete.
    pub(super) fn user_tokens(self) -> Option<UserTokenSettings> {
        let url = self.user_token_jwks_url.map(KeySource::Url);
        Some(UserTokenSettings {
            keys: url.or(self.user_token_key_file.map(KeySource::File))?,
            issuer: self.user_token_issuer?,
            audiences: self.user_token_audiences,
            algorithms: self.user_token_algorithms,
            claims: ClaimNames {
                account: self.user_token_account_claim,
                accounts: self.user_token_accounts_claim,
                permissions: self.user_token_permissions_claim,
            },
        })
    }
}

/// Parses a URL of an identity system: `https`, or `http` on a loopback address. Over plain HTTP a third party could
/// replace the keys and thereby sign in as any user.
///
/// # Errors
/// Any other URL; the sentence contains the fix.
pub fn parse_trusted_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|problem| format!("{problem}; write https://host/path"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not contain a user name or password".into());
    }
    let is_loopback = is_loopback_host(&host_of_url(url.as_str()));
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err("it must begin with https://; http:// is accepted only for this machine (127.0.0.1)".into()),
    }
}

fn parse_algorithm(text: &str) -> Result<Algorithm, String> {
    let algorithm = text.trim().parse::<Algorithm>().ok().filter(|parsed| parsed.family() != AlgorithmFamily::Hmac);
    algorithm.ok_or_else(|| {
        "use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA; shared secrets and unsigned tokens are \
         not accepted"
            .into()
    })
}

/// Parses an origin as browsers send it (RFC 6454 section 6.2).
fn parse_origin(text: &str) -> Result<String, String> {
    let fix = "write a scheme and a host, such as https://app.example.com; * and null are not accepted";
    let url = Url::parse(text.trim()).map_err(|_| fix)?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let is_web = matches!(url.scheme(), "http" | "https");
    if !is_bare || !is_web { Err(fix.into()) } else { Ok(url.origin().ascii_serialization()) }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn parse_args(args: &[&str]) -> Result<CallerArgs, String> {
        let command = CallerArgs::augment_args(Command::new("serve").no_binary_name(true));
        let found = command.try_get_matches_from(args).map_err(|error| error.to_string())?;
        CallerArgs::from_arg_matches(&found).map_err(|error| error.to_string())
    }

    const COMPLETE: [&str; 6] = [
        "--user-token-jwks-url",
        "https://id.example.com/jwks",
        "--user-token-issuer",
        "https://id.example.com",
        "--user-token-audience",
        "rollcall",
    ];

    #[test]
    fn without_flags_there_are_no_user_tokens_and_no_allowed_origins() {
        let parsed = parse_args(&[]).unwrap();
        assert!(parsed.allowed_origins.is_empty());
        assert!(parsed.user_tokens().is_none());
    }

    #[test]
    fn complete_settings_use_the_default_names_and_algorithms() {
        let settings = parse_args(&COMPLETE).unwrap().user_tokens().unwrap();
        assert_eq!(settings.algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
        assert_eq!(settings.claims.account, "tenantId");
        assert_eq!(settings.claims.accounts, "tenantIds");
        assert_eq!(settings.claims.permissions, "permissions");
        assert_eq!(settings.audiences, ["rollcall"]);
        assert!(matches!(settings.keys, KeySource::Url(_)));
    }

    #[test]
    fn incomplete_settings_are_rejected_and_the_absent_flag_is_named() {
        for (args, absent) in [
            (&COMPLETE[..2], "--user-token-issuer"),
            (&COMPLETE[..4], "--user-token-audience"),
            (&COMPLETE[2..4], "--user-token-jwks-url"),
            (&COMPLETE[4..], "--user-token-jwks-url"),
            (&["--user-token-key-file", "x"], "--user-token-issuer"),
            (&["--user-token-algorithms", "RS256"], "--user-token-jwks-url"),
            (&["--user-token-account-claim", "org"], "--user-token-jwks-url"),
        ] {
            let error = parse_args(args).unwrap_err();
            assert!(error.contains(absent), "{args:?}: {error}");
        }
        let both: Vec<&str> = COMPLETE.iter().copied().chain(["--user-token-key-file", "x"]).collect();
        assert!(parse_args(&both).unwrap_err().contains("--user-token-key-file"));
    }

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for good in ["https://id.example.com/jwks", "http://127.0.0.1:1/x", "http://[::1]:1/x", "http://localhost/x"] {
            assert!(parse_trusted_url(good).is_ok(), "{good}");
        }
        for bad in ["", "id.example.com", "http://id.example.com/jwks", "http://10.0.0.1/", "file:///etc/passwd"] {
            assert!(parse_trusted_url(bad).unwrap_err().contains("https://"), "{bad}");
        }
        for bad in ["https://ada@id.example.com/jwks", "https://:secret@id.example.com/jwks"] {
            assert!(parse_trusted_url(bad).unwrap_err().contains("user name"), "{bad}");
        }
    }

    #[test]
    fn only_asymmetric_algorithms_can_be_named() {
        assert_eq!(parse_algorithm("PS256"), Ok(Algorithm::PS256));
        for bad in ["HS256", "HS512", "none", "", "rs256", "RS1"] {
            assert!(parse_algorithm(bad).unwrap_err().contains("ES256"), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host_as_browsers_write_it() {
        for (given, normalized) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(parse_origin(given).as_deref(), Ok(normalized));
        }
        for bad in
            ["", "*", "null", "app.example.com", "https://app.example.com/x", "https://a.example/?q", "file:///x"]
        {
            assert!(parse_origin(bad).unwrap_err().contains("https://"), "{bad}");
        }
    }
}
