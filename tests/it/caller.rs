//! Callers of the management API.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, Request};

/// Where the configurations are.
pub(crate) const CONFIGURATIONS: &str = "/directory/resources/v1/configurations/scim2";

/// Somebody with one credential, or none. Paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    /// What is sent as bearer token.
    pub(crate) credential: Option<String>,
    /// What is sent as `frontegg-tenant-id`.
    pub(crate) account: Option<String>,
}

impl App {
    /// Somebody without credentials.
    pub(crate) fn stranger(&self) -> Caller {
        Caller { address: self.address, credential: None, account: None }
    }

    /// The operator, with a new API key that may do everything.
    pub(crate) fn operator(&self) -> Caller {
        self.keyed(&[])
    }

    /// Somebody with a new API key of one account that has these permissions.
    pub(crate) fn account_key(&self, account: &str, permissions: &[&str]) -> Caller {
        let mut flags = vec!["--account", account];
        flags.extend(permissions.iter().flat_map(|permission| ["--permission", *permission]));
        self.keyed(&flags)
    }

    /// Somebody with a new API key that is made with these flags.
    pub(crate) fn keyed(&self, flags: &[&str]) -> Caller {
        let mut arguments = vec!["api-key", "create", "--name", "test", "--output", "json"];
        arguments.extend(flags);
        let made: Value = serde_json::from_slice(&self.succeeds(&arguments)).unwrap();
        let secret = made["secret"].as_str().unwrap_or_else(|| panic!("secret in {made}")).to_owned();
        Caller { credential: Some(secret), ..self.stranger() }
    }
}

impl Caller {
    /// The same caller, who speaks of that account.
    pub(crate) fn of(&self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self.clone() }
    }

    /// The same address with another credential.
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

    /// A new configuration of that account, made by this caller, and its identity provider.
    #[track_caller]
    pub(crate) fn configuration(&self, account: &str, source: &str) -> Client {
        let made = self.of(account).post(CONFIGURATIONS, &json!({"source": source})).answered(201);
        let id = made.text("id");
        let base = format!("/directory/resources/scim/v2.0/{id}");
        let url = format!("http://{}{base}", self.address);
        Client { address: self.address, token: made.text("token"), id, base, url }
    }
}
