//! Signing in through an OpenID provider, at a browser without scripts.

mod answers;
mod people;
mod provider;
mod settings;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::App;
use crate::portal::browser::{Browser, Page};
use crate::sample;
use provider::{CLIENT_ID, CLIENT_SECRET, Provider};

const BACK: &str = "/login/sso/callback";

/// A server whose people sign in through a provider of their own.
struct House {
    app: App,
    owner: Browser,
    provider: Provider,
    _folder: tempfile::TempDir,
}

impl House {
    /// With fields of the settings over the usual ones.
    fn new(fields: &[(&str, &str)]) -> Self {
        Self::with_flags(&[], fields)
    }

    fn with_flags(flags: &[&str], fields: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::start_with(folder.path(), flags);
        let owner = Browser::owner(&app);
        let mut house = Self { app, owner, provider: Provider::new(), _folder: folder };
        let page = house.agree(fields).answered(200);
        assert!(page.says("Your changes were saved."), "{}", page.text);
        house
    }

    fn agree(&mut self, fields: &[(&str, &str)]) -> Page {
        let issuer = self.provider.issuer.clone();
        let all = agreement(&issuer, fields);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.owner.submit("/settings/sso", &all)
    }

    /// Adds somebody under People.
    #[track_caller]
    fn add(&mut self, email: &str, role: &str) {
        let fields = [("email", email), ("name", "Somebody"), ("role", role)];
        self.owner.submit("/settings/people/new", &fields).answered(200);
    }

    /// Signs somebody in at the provider, who is vouched for with these claims over the usual ones.
    #[track_caller]
    fn sign_in(&self, browser: &mut Browser, other: &Value) -> Page {
        let sent = send(browser, "/login/sso");
        self.vouch(&sent, other);
        come_back(browser, &sent)
    }

    fn vouch(&self, sent: &Sent, other: &Value) {
        let claims = self.provider.claims(&sent["nonce"], other);
        self.provider.gives(&json!({"id_token": self.provider.signer.sign(&claims), "access_token": "at"}));
    }

    /// What the audit log says of attempts that failed, the latest first.
    fn reasons(&mut self) -> Vec<String> {
        let page = self.owner.get("/audit/export.json?action=sso.refused").answered(200);
        let found: Value = serde_json::from_str(&page.text).unwrap_or_else(|_| panic!("{}", page.text));
        let entries = found.as_array().or_else(|| found["items"].as_array()).unwrap_or_else(|| panic!("{found}"));
        entries.iter().map(|entry| entry["after"]["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// The fields of the form: those given over the usual ones.
fn agreement<'f>(issuer: &str, fields: &[(&'f str, &str)]) -> BTreeMap<&'f str, String> {
    let usual = [
        ("is_on", "on"),
        ("issuer", issuer),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scopes", "email profile"),
        ("label", "Sign in with Example"),
    ];
    usual.iter().chain(fields).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// What a browser is sent to the provider with.
type Sent = BTreeMap<String, String>;

/// Follows the button as far as the provider.
#[track_caller]
fn send(browser: &mut Browser, path: &str) -> Sent {
    let page = browser.send(&browser.request("GET", path), path).answered(303);
    let (_, query) = page.header("location").unwrap().split_once('?').unwrap();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decode(value)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// Comes back from the provider with a code.
#[track_caller]
fn come_back(browser: &mut Browser, sent: &Sent) -> Page {
    come_back_with(browser, &format!("code=c1&state={}", sample::encode(&sent["state"])))
}

#[track_caller]
fn come_back_with(browser: &mut Browser, query: &str) -> Page {
    let path = format!("{BACK}?{query}");
    browser.send(&browser.request("GET", &path), &path)
}

/// Whether the browser is signed in.
fn is_in(browser: &mut Browser) -> bool {
    !browser.get("/profile").at.starts_with("/login")
}
