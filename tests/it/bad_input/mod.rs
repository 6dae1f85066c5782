//! Bad input: each refused request gets a SCIM error with the reason, and changes nothing.

mod documents;
mod filters;
mod limits;
mod patches;
mod surface;

use serde_json::{Value, json};

use crate::app::{App, Client};
use crate::sample::{ENTERPRISE, group, user_with};

/// A configuration with one user and one group that contains the user.
struct Populated {
    client: Client,
    user: String,
    group: String,
}

impl Populated {
    fn new() -> Self {
        let client = App::shared().configuration("other");
        let document = user_with(
            "ada@example.com",
            &json!({
                "displayName": "Ada", "title": "Countess", "active": true, "externalId": "e1",
                "name": {"givenName": "Ada", "familyName": "Lovelace"},
                "emails": [
                    {"value": "ada@work.example", "type": "work", "primary": true},
                    {"value": "ada@home.example", "type": "home"}
                ],
                ENTERPRISE: {"department": "Engines", "employeeNumber": "1"}
            }),
        );
        let user = client.created("/Users", &document);
        let group = client.created("/Groups", &group("Analysts", &[&user]));
        Self { client, user, group }
    }

    /// Everything a client can read.
    fn state(&self) -> (Value, Value) {
        (self.client.get("/Users").answered(200).json, self.client.get("/Groups").answered(200).json)
    }

    /// Runs requests that must be refused, and asserts that nothing changed.
    #[track_caller]
    fn assert_unchanged(&self, refused: impl FnOnce(&Self)) {
        let before = self.state();
        refused(self);
        assert_eq!(self.state(), before, "a refused request left a trace");
    }
}
