//! The OpenID provider that people of the portal sign in through, where it is not named on the portal's own page.

use clap::Args;

use super::trusted_url;

/// The flags of `serve` about single sign-on.
#[derive(Debug, Clone, Args)]
pub struct SsoArgs {
    /// Issuer of the OpenID provider that people of the portal sign in through; with it, the portal's page no longer names one
    #[arg(
        id = "oidc_issuer",
        long = "oidc-issuer",
        value_name = "URL",
        env = "ROLLCALL_OIDC_ISSUER",
        value_parser = issuer,
        requires = "oidc_client_id"
    )]
    issuer: Option<String>,

    /// Id of this server at that provider
    #[arg(
        id = "oidc_client_id",
        long = "oidc-client-id",
        value_name = "TEXT",
        env = "ROLLCALL_OIDC_CLIENT_ID",
        value_parser = super::said,
        requires = "oidc_issuer"
    )]
    client_id: Option<String>,

    /// Secret of this server at that provider; a public client has none
    #[arg(
        id = "oidc_client_secret",
        long = "oidc-client-secret",
        value_name = "TEXT",
        env = "ROLLCALL_OIDC_CLIENT_SECRET",
        hide_env_values = true,
        value_parser = super::said,
        requires = "oidc_issuer"
    )]
    client_secret: Option<String>,
}

/// A provider that the settings name.
#[derive(Clone)]
pub struct SsoSettings {
    /// Its `issuer`, to the letter.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// What proves that it is us; none for a public client.
    pub client_secret: Option<String>,
}

impl std::fmt::Debug for SsoSettings {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("SsoSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl SsoArgs {
    /// The provider, where the settings name one. That they are whole has been checked with the flags.
    pub(super) fn provider(&self) -> Option<SsoSettings> {
        Some(SsoSettings {
            issuer: self.issuer.clone()?,
            client_id: self.client_id.clone()?,
            client_secret: self.client_secret.clone(),
        })
    }
}

/// An issuer is compared to the letter, so nothing of it is changed.
fn issuer(text: &str) -> Result<String, String> {
    if text.contains(['?', '#']) {
        return Err("it must not have a query or a fragment (? or #)".into());
    }
    trusted_url(text).map(|_| text.to_owned())
}
