//! Webhooks: what the application of the operator receives.

mod api;
mod changes;
mod consumers;
mod delivery;
mod examples;
mod formats;
mod order;
pub(crate) mod receiver;

use serde_json::{Value, json};

use self::receiver::Receiver;
use crate::app::{App, Reply};
use crate::caller::Caller;

pub(crate) const WEBHOOKS: &str = "/directory/resources/v1/webhooks";
/// Allows receivers on this machine.
pub(crate) const ALLOW_LOOPBACK: [&str; 2] = ["--outgoing-allow-networks", "127.0.0.1/32"];

/// A server that may call receivers on this machine, and the operator.
pub(crate) struct Fixture {
    pub(crate) app: App,
    pub(crate) operator: Caller,
    pub(crate) receiver: Receiver,
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::start_with(folder.path(), &ALLOW_LOOPBACK);
        let operator = app.operator();
        Self { app, operator, receiver: Receiver::start(), folder }
    }

    /// Kills the server and starts it again.
    pub(crate) fn restart(self) -> Self {
        let Self { app, operator, receiver, folder } = self;
        app.kill();
        let app = App::start_with(folder.path(), &ALLOW_LOOPBACK);
        let operator = Caller { address: app.address, ..operator };
        Self { app, operator, receiver, folder }
    }

    /// Creates a webhook to the receiver, with more members. Returns its id and its secret.
    #[track_caller]
    pub(crate) fn webhook(&self, more: &Value) -> (String, String) {
        let reply = self.create(more).answered(201);
        (reply.id(), reply.json["secret"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn create(&self, more: &Value) -> Reply {
        let mut body = json!({"url": self.receiver.url()});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.operator.post(WEBHOOKS, &body)
    }

    /// The lane of a configuration.
    #[track_caller]
    pub(crate) fn lane(&self, webhook: &str, configuration: &str) -> Value {
        let lanes = self.operator.get(&format!("{WEBHOOKS}/{webhook}/lanes?limit=1000")).answered(200);
        let items = lanes.json["items"].as_array().unwrap().clone();
        items.into_iter().find(|lane| lane["configurationId"] == configuration).unwrap()
    }

    /// The attempts, newest first.
    #[track_caller]
    pub(crate) fn attempts(&self, webhook: &str) -> Vec<Value> {
        let page = self.operator.get(&format!("{WEBHOOKS}/{webhook}/attempts")).answered(200);
        page.json["items"].as_array().unwrap().clone()
    }
}
