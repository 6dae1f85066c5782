//! Clients of the management API.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, Request};

/// Path of the configurations.
pub(crate) const CONFIGURATIONS: &str = "/directory/resources/v1/configurations/scim2";

/// A client with one credential, or none. Paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    /// Sent as bearer token.
    pub(crate) credential: Option<String>,
    /// Sent as `frontegg-tenant-id`.
    pub(crate) account: Option<String>,
}

impl App {
    /// A client without credentials.
    pub(crate) fn anonymous(&self) -> Caller {
        Caller { address: self.address, credential: None, account: None }
    }

    /// The operator, with a new API key that has all permissions.
    pub(crate) fn operator(&self) -> Caller {
        self.keyed(&[])
    }

    /// A client with a new API key of one account with these permissions.
    pub(crate) fn account_key(&self, account: &str, permissions: &[&str]) -> Caller {
        let mut flags = vec!["--account", account];
        flags.extend(permissions.iter().flat_map(|permission| ["--permission", *permission]));
        self.keyed(&flags)
    }

    /// A client with a new API key that is created with these flags.
    pub(crate) fn keyed(&self, flags: &[&str]) -> Caller {
        let mut arguments = vec!["api-key", "create", "--name", "test", "--output", "json"];
        arguments.extend(flags);
        let made: Value = serde_json::from_slice(&self.succeeds(&arguments)).unwrap();
        let secret = made["secret"].as_str().unwrap_or_else(|| panic!("secret in {made}")).to_owned();
        Caller { credential: Some(secret), ..self.anonymous() }
    }
}

impl Caller {
    /// The same client with that account in the tenant header.
    pub(crate) fn for_account(&self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self.clone() }
    }

    /// A client of the same server with another credential.
    pub(crate) fn with(&self, credential: &str) -> Self {
        Self { credential: Some(credential.to_owned()), ..self.clone() }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let mut request = Request::new(self.address, method, path);
        if let Some(credential) = &self.credential {
            request = request.header("Authorization", &format!("Bearer {credential}"));
        }
        if let Some(account) = &self.account {
            request = request.header("frontegg-tenant-id", account);
        }
        request
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path).json(body).header("Content-Type", "application/json").send()
    }

    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.request("PATCH", path).json(body).header("Content-Type", "application/json").send()
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send()
    }

    /// A new configuration of that account, created by this client, and the SCIM client of its identity provider.
    #[track_caller]
    pub(crate) fn configuration(&self, account: &str, source: &str) -> Client {
        let made = self.for_account(account).post(CONFIGURATIONS, &json!({"source": source})).answered(201);
        let id = made.text("id");
        let base = format!("/directory/resources/scim/v2.0/{id}");
        let url = format!("http://{}{base}", self.address);
        Client { address: self.address, token: made.text("token"), id, base, url }
    }
}
