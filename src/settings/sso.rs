//! Settings of single sign-on in the portal. Without them, the provider is configured on a portal page.

use clap::Args;

use super::parse_trusted_url;

/// Flags of `serve` for single sign-on.
#[derive(Debug, Clone, Args)]
pub struct SsoArgs {
    /// Issuer of the OpenID provider for signing in to the portal; replaces the provider of the portal's settings page
    #[arg(
        id = "oidc_issuer",
        long = "oidc-issuer",
        value_name = "URL",
        env = "ROLLCALL_OIDC_ISSUER",
        value_parser = parse_issuer,
        requires = "oidc_client_id"
    )]
    issuer: Option<String>,

    /// Client ID of this server at the OpenID provider
    #[arg(
        id = "oidc_client_id",
        long = "oidc-client-id",
        value_name = "TEXT",
        env = "ROLLCALL_OIDC_CLIENT_ID",
        value_parser = super::parse_non_empty,
        requires = "oidc_issuer"
    )]
    client_id: Option<String>,

    /// Client secret of this server at the OpenID provider; a public client has none
    #[arg(
        id = "oidc_client_secret",
        long = "oidc-client-secret",
        value_name = "TEXT",
        env = "ROLLCALL_OIDC_CLIENT_SECRET",
        hide_env_values = true,
        value_parser = super::parse_non_empty,
        requires = "oidc_issuer"
    )]
    client_secret: Option<String>,
}

/// OpenID provider of the settings.
#[derive(Clone)]
pub struct SsoSettings {
    /// Its `issuer`, compared as an exact string.
    pub issuer: String,
    /// Client ID of this server.
    pub client_id: String,
    /// Client secret; `None` for a public client.
    pub client_secret: Option<String>,
}

impl std::fmt::Debug for SsoSettings {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("SsoSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl SsoArgs {
    /// Returns the provider, or `None` if it is not set. clap has checked that the flags are complete.
    pub(super) fn provider(&self) -> Option<SsoSettings> {
        Some(SsoSettings {
            issuer: self.issuer.clone()?,
            client_id: self.client_id.clone()?,
            client_secret: self.client_secret.clone(),
        })
    }
}

/// Validates an issuer. It is compared as an exact string, so it is not normalized.
fn parse_issuer(text: &str) -> Result<String, String> {
    if text.contains(['?', '#']) {
        return Err("it must not have a query or a fragment (? or #)".into());
    }
    parse_trusted_url(text).map(|_| text.to_owned())
}
