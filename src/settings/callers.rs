//! Who may call besides our own credentials: users with tokens of the operator's identity system, and browser pages of
//! other origins.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use reqwest::Url;

use super::said;

/// The flags of `serve` about callers.
#[derive(Debug, Clone, Args)]
pub struct CallerArgs {
    /// Address of the public keys (JWK set) of the identity system whose user tokens are taken
    #[arg(
        long = "user-token-jwks-url",
        value_name = "URL",
        env = "ROLLCALL_USER_TOKEN_JWKS_URL",
        value_parser = trusted_url,
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
        value_parser = said,
        requires = "user_token_keys"
    )]
    user_token_issuer: Option<String>,

    /// The `aud` that user tokens must have; may be given several times, any of them will do
    #[arg(
        long = "user-token-audience",
        value_name = "TEXT",
        env = "ROLLCALL_USER_TOKEN_AUDIENCE",
        value_delimiter = ',',
        value_parser = said,
        requires = "user_token_keys"
    )]
    user_token_audiences: Vec<String>,

    /// The signature algorithms that are taken
    #[arg(
        long = "user-token-algorithms",
        value_name = "LIST",
        env = "ROLLCALL_USER_TOKEN_ALGORITHMS",
        value_delimiter = ',',
        default_value = "RS256,ES256,EdDSA",
        value_parser = algorithm,
        requires = "user_token_keys"
    )]
    user_token_algorithms: Vec<Algorithm>,

    /// The claim that holds the user's account
    #[arg(
        long = "user-token-account-claim",
        value_name = "NAME",
        env = "ROLLCALL_USER_TOKEN_ACCOUNT_CLAIM",
        default_value = "tenantId",
        value_parser = said,
        requires = "user_token_keys"
    )]
    user_token_account_claim: String,

    /// The claim that holds the list of all the user's accounts
    #[arg(
        long = "user-token-accounts-claim",
        value_name = "NAME",
        env = "ROLLCALL_USER_TOKEN_ACCOUNTS_CLAIM",
        default_value = "tenantIds",
        value_parser = said,
        requires = "user_token_keys"
    )]
    user_token_accounts_claim: String,

    /// The claim that holds the user's permissions
    #[arg(
        long = "user-token-permissions-claim",
        value_name = "NAME",
        env = "ROLLCALL_USER_TOKEN_PERMISSIONS_CLAIM",
        default_value = "permissions",
        value_parser = said,
        requires = "user_token_keys"
    )]
    user_token_permissions_claim: String,

    /// Origin whose pages may call the management API from a browser; may be given several times
    #[arg(
        long = "allowed-origin",
        value_name = "ORIGIN",
        env = "ROLLCALL_ALLOWED_ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    pub(super) allowed_origins: Vec<String>,
}

/// Where the keys of user tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWK set at this address.
    Url(Url),
    /// A file with a JWK set or one public key in PEM.
    File(PathBuf),
}

/// The claims that say what the specification of tokens leaves to the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user's account.
    pub account: String,
    /// All of them.
    pub accounts: String,
    /// What the user may do.
    pub permissions: String,
}

/// Which tokens of users are taken.
#[derive(Debug, Clone)]
pub struct UserTokenSettings {
    /// Where their keys are.
    pub keys: KeySource,
    /// Their `iss`.
    pub issuer: String,
    /// One of these is in their `aud`.
    pub audiences: Vec<String>,
    /// Their algorithms, asymmetric ones only.
    pub algorithms: Vec<Algorithm>,
    /// What their claims are called.
    pub claims: ClaimNames,
}

impl CallerArgs {
    /// The settings of user tokens, where somebody wants them. That they are whole has been checked with the flags.
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

/// Keys come by https: whoever can change them on the way can let anybody in. On the machine itself there is no way.
///
/// # Errors
/// Any other address, with the fix.
pub fn trusted_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|problem| format!("{problem}; write https://host/path"))?;
    let is_here = match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err("it must begin with https://; http:// is taken for this machine itself (127.0.0.1) only".into()),
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let known = text.trim().parse::<Algorithm>().ok().filter(|known| known.family() != AlgorithmFamily::Hmac);
    known.ok_or_else(|| {
        "use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA; secrets that are shared and unsigned \
         tokens are not taken"
            .into()
    })
}

/// An origin as browsers send it (RFC 6454 section 6.2).
fn origin(text: &str) -> Result<String, String> {
    let fix = "write a scheme and a host, such as https://app.example.com; * and null are not taken";
    let url = Url::parse(text.trim()).map_err(|_| fix)?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let is_web = matches!(url.scheme(), "http" | "https");
    if !is_bare || !is_web { Err(fix.into()) } else { Ok(url.origin().ascii_serialization()) }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn parsed(words: &[&str]) -> Result<CallerArgs, String> {
        let command = CallerArgs::augment_args(Command::new("serve").no_binary_name(true));
        let found = command.try_get_matches_from(words).map_err(|refused| refused.to_string())?;
        CallerArgs::from_arg_matches(&found).map_err(|refused| refused.to_string())
    }

    const WHOLE: [&str; 6] = [
        "--user-token-jwks-url",
        "https://id.example.com/jwks",
        "--user-token-issuer",
        "https://id.example.com",
        "--user-token-audience",
        "rollcall",
    ];

    #[test]
    fn nothing_said_means_no_user_tokens_and_no_foreign_pages() {
        let parsed = parsed(&[]).unwrap();
        assert!(parsed.allowed_origins.is_empty());
        assert!(parsed.user_tokens().is_none());
    }

    #[test]
    fn what_is_whole_is_taken_with_the_usual_names_and_algorithms() {
        let settings = parsed(&WHOLE).unwrap().user_tokens().unwrap();
        assert_eq!(settings.algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
        assert_eq!(settings.claims.account, "tenantId");
        assert_eq!(settings.claims.accounts, "tenantIds");
        assert_eq!(settings.claims.permissions, "permissions");
        assert_eq!(settings.audiences, ["rollcall"]);
        assert!(matches!(settings.keys, KeySource::Url(_)));
    }

    #[test]
    fn half_of_it_is_refused_and_the_missing_flag_named() {
        for (words, missing) in [
            (&WHOLE[..2], "--user-token-issuer"),
            (&WHOLE[..4], "--user-token-audience"),
            (&WHOLE[2..4], "--user-token-jwks-url"),
            (&WHOLE[4..], "--user-token-jwks-url"),
            (&["--user-token-key-file", "x"], "--user-token-issuer"),
            (&["--user-token-algorithms", "RS256"], "--user-token-jwks-url"),
            (&["--user-token-account-claim", "org"], "--user-token-jwks-url"),
        ] {
            let refused = parsed(words).unwrap_err();
            assert!(refused.contains(missing), "{words:?}: {refused}");
        }
        let both: Vec<&str> = WHOLE.iter().copied().chain(["--user-token-key-file", "x"]).collect();
        assert!(parsed(&both).unwrap_err().contains("--user-token-key-file"));
    }

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for good in ["https://id.example.com/jwks", "http://127.0.0.1:1/x", "http://[::1]:1/x", "http://localhost/x"] {
            assert!(trusted_url(good).is_ok(), "{good}");
        }
        for bad in ["", "id.example.com", "http://id.example.com/jwks", "http://10.0.0.1/", "file:///etc/passwd"] {
            assert!(trusted_url(bad).unwrap_err().contains("https://"), "{bad}");
        }
    }

    #[test]
    fn only_asymmetric_algorithms_can_be_named() {
        assert_eq!(algorithm("PS256"), Ok(Algorithm::PS256));
        for bad in ["HS256", "HS512", "none", "", "rs256", "RS1"] {
            assert!(algorithm(bad).unwrap_err().contains("ES256"), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host_as_browsers_write_it() {
        for (given, kept) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(origin(given).as_deref(), Ok(kept));
        }
        for bad in
            ["", "*", "null", "app.example.com", "https://app.example.com/x", "https://a.example/?q", "file:///x"]
        {
            assert!(origin(bad).unwrap_err().contains("https://"), "{bad}");
        }
    }
}
