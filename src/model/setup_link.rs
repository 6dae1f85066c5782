//! What a setup link is for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::named_enum::named_enum;

named_enum! {
    /// What a setup link is for
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "kebab-case")]
    pub enum LinkPurpose {
        /// Set up the configuration: the steps at the identity provider, and a credential.
        #[default]
        Setup = "setup",
        /// Only replace the credential of a configuration that is set up: its token, or the secret of an OAuth client.
        ReplaceToken = "replace-token",
    }
}

impl LinkPurpose {
    /// Display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Setup => "Set up the connection",
            Self::ReplaceToken => "Replace the token",
        }
    }
}
