//! What comes back from a provider, right and wrong: whatever is wrong lets nobody in, and says no more than that.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::provider::{CLIENT_ID, CLIENT_SECRET};
use super::{House, come_back, come_back_with, decode, is_in, send};
use crate::identity::{Signer, now};
use crate::portal::browser::{Browser, Page};
use crate::sample;

/// The text of the page without what differs by address.
fn said(page: &Page) -> String {
    page.between("<main", "</main>").to_owned()
}

#[test]
fn the_way_there_and_back_is_bound_to_the_browser_and_the_attempt() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let mut browser = Browser::stranger(&house.app);
    assert!(browser.get("/login").says("Sign in with Example"));
    let sent = send(&mut browser, "/login/sso?next=/connections");
    let back = format!("http://{}/login/sso/callback", house.app.address);
    for (name, wanted) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", back.as_str()),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent[name], wanted);
    }
    assert!(sent["state"].len() >= 43 && sent["nonce"].len() >= 43 && sent["state"] != sent["nonce"]);
    house.vouch(&sent, &json!({}));
    let page = come_back(&mut browser, &sent).answered(303);
    assert_eq!(page.header("location"), Some("/connections"));
    assert!(is_in(&mut browser));
    let asked = house.provider.asked("/token");
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let pair = "rollcall%20portal:hush%2Fhush%3A5Zk2%26mQ";
    assert!(head.contains(&format!("Basic {}", STANDARD.encode(pair))), "{head}");
    let field = |name: &str| {
        let value = body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        decode(value.unwrap_or_else(|| panic!("{name} in {body}")))
    };
    assert_eq!((field("code").as_str(), field("redirect_uri")), ("c1", back));
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))), sent["code_challenge"]);
    // It works once: the browser has forgotten the attempt, and a new session was begun.
    come_back(&mut browser, &sent).answered(403);
    assert_eq!(house.reasons(), ["no_such_attempt"]);
}

#[test]
fn the_cookie_of_an_attempt_is_kept_from_scripts_and_dies_with_it() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let mut browser = Browser::stranger(&house.app);
    let page = browser.send(&browser.request("GET", "/login/sso"), "/login/sso").answered(303);
    let cookie = page.header("set-cookie").unwrap();
    for flag in ["rc_sso=", "HttpOnly", "SameSite=Lax", "Max-Age=600"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    browser.cookies.insert("rc".to_owned(), "chosen-by-somebody-else".to_owned());
    house.sign_in(&mut browser, &json!({})).answered(303);
    assert!(!browser.cookies.contains_key("rc_sso"));
    assert_ne!(browser.cookies["rc"], "chosen-by-somebody-else");
}

#[test]
fn behind_https_the_cookie_is_never_sent_in_clear_and_the_provider_sends_back_there() {
    let mut house = House::with_flags(&["--public-url", "https://portal.example"], &[]);
    house.add("ann@sso.example", "viewer");
    let mut browser = Browser::stranger(&house.app);
    let page = browser.send(&browser.request("GET", "/login/sso"), "/login/sso").answered(303);
    assert!(page.header("set-cookie").unwrap().contains("Secure"));
    let sent = send(&mut browser, "/login/sso");
    assert_eq!(sent["redirect_uri"], "https://portal.example/login/sso/callback");
    house.vouch(&sent, &json!({}));
    let page = come_back(&mut browser, &sent).answered(303);
    assert!(page.headers.iter().any(|(_, cookie)| cookie.starts_with("__Host-rc=") && cookie.contains("Secure")));
}

#[test]
fn signing_in_leads_to_our_own_pages_only() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    for next in ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"] {
        let mut browser = Browser::stranger(&house.app);
        let sent = send(&mut browser, &format!("/login/sso?next={}", sample::encode(next)));
        house.vouch(&sent, &json!({}));
        assert_eq!(come_back(&mut browser, &sent).answered(303).header("location"), Some("/"), "{next}");
    }
}

#[test]
fn what_belongs_to_no_attempt_of_this_browser_is_refused() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let mut other = Browser::stranger(&house.app);
    let others = send(&mut other, "/login/sso");
    let mut texts = Vec::new();
    let issuer = sample::encode(&house.provider.issuer);
    for (why, wanted) in [
        ("code=c1", "no_such_attempt"),
        ("code=c1&state=", "no_such_attempt"),
        ("code=c1&state=guessed", "no_such_attempt"),
        (&*format!("code=c1&state={}", others["state"]), "no_such_attempt"),
        ("code=c1&state={state}&state={state}", "no_such_attempt"),
        ("state={state}", "no_such_attempt"),
        ("code=c1&state={state}&iss=https%3A%2F%2Fevil.example", "no_such_attempt"),
        ("error=access_denied&state={state}", "declined_by_provider"),
        ("error=%3Cb%3E&error_description=%3Cscript%3E&state={state}", "declined_by_provider"),
    ] {
        let mut browser = Browser::stranger(&house.app);
        let sent = send(&mut browser, "/login/sso");
        house.vouch(&sent, &json!({}));
        let page = come_back_with(&mut browser, &why.replace("{state}", &sent["state"])).answered(403);
        assert!(!is_in(&mut browser), "{why}");
        assert_eq!(house.reasons()[0], wanted, "{why}");
        texts.push(said(&page));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let mut browser = Browser::stranger(&house.app);
    let sent = send(&mut browser, "/login/sso");
    house.vouch(&sent, &json!({}));
    let query = format!("code=c1&state={}&iss={issuer}", sent["state"]);
    come_back_with(&mut browser, &query).answered(303);
    // A browser in which nothing was begun, with an answer to somebody else.
    let mut victim = Browser::stranger(&house.app);
    house.vouch(&others, &json!({}));
    come_back(&mut victim, &others).answered(403);
}

/// What a provider may say wrongly with a token.
fn bad_tokens(house: &House, nonce: &str) -> Vec<(&'static str, Value)> {
    let provider = &house.provider;
    let signed = |other: Value| json!({"id_token": provider.signer.sign(&provider.claims(nonce, &other))});
    let good = provider.claims(nonce, &json!({}));
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string()),
        URL_SAFE_NO_PAD.encode(good.to_string())
    );
    let public = provider.signer.jwks().to_string();
    let shared = |secret: &[u8]| {
        let header = Header { kid: Some("p1".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &good, &EncodingKey::from_secret(secret)).unwrap()
    };
    let with_hash = json!({"id_token": provider.signer.sign(&provider.claims(nonce, &json!({"at_hash": "x"}))),
                           "access_token": "at"});
    vec![
        ("another nonce", signed(json!({"nonce": "n"}))),
        ("no nonce", signed(json!({"nonce": null}))),
        ("another issuer", signed(json!({"iss": "https://evil.example"}))),
        ("an issuer with a slash", signed(json!({"iss": format!("{}/", provider.issuer)}))),
        ("for somebody else", signed(json!({"aud": "them"}))),
        ("for several, issued to nobody", signed(json!({"aud": [CLIENT_ID, "them"]}))),
        ("issued to somebody else", signed(json!({"aud": [CLIENT_ID, "them"], "azp": "them"}))),
        ("expired", signed(json!({"exp": now() - 120}))),
        ("without an end", signed(json!({"exp": null}))),
        ("issued long ago", signed(json!({"iat": now() - 3600}))),
        ("issued tomorrow", signed(json!({"iat": now() + 86_400}))),
        ("without a subject", signed(json!({"sub": null}))),
        ("of no algorithm", json!({"id_token": none})),
        ("of a shared secret", json!({"id_token": shared(CLIENT_SECRET.as_bytes())})),
        ("of the public key as a secret", json!({"id_token": shared(public.as_bytes())})),
        ("of another key", json!({"id_token": Signer::new("p1").sign(&good)})),
        ("of an unknown key", json!({"id_token": Signer::new("p2").sign(&good)})),
        ("with another access token", with_hash),
        ("no JWT at all", json!({"id_token": "a.b.c"})),
        ("none", json!({"access_token": "at"})),
    ]
}

#[test]
fn a_token_that_is_not_right_lets_nobody_in() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let cases = bad_tokens(&house, "").len();
    for case in 0..cases {
        let mut browser = Browser::stranger(&house.app);
        let sent = send(&mut browser, "/login/sso");
        let (why, tokens) = bad_tokens(&house, &sent["nonce"]).swap_remove(case);
        house.provider.gives(&tokens);
        come_back(&mut browser, &sent).answered(403);
        assert!(!is_in(&mut browser), "{why}");
        assert_eq!(house.reasons()[0], "bad_id_token", "{why}");
    }
    house.sign_in(&mut Browser::stranger(&house.app), &json!({})).answered(303);
}

#[test]
fn a_provider_that_fails_lets_nobody_in_and_nobody_learns_why() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let long = format!("{{\"id_token\": \"{}\"}}", "x".repeat(70_000));
    for (why, token) in [
        ("refuses the code", (400, "{\"error\": \"invalid_grant\"}".to_owned())),
        ("does not know us", (401, "{\"error\": \"invalid_client\"}".to_owned())),
        ("is broken", (500, "oops".to_owned())),
        ("sends on", (302, String::new())),
        ("sends no JSON", (200, "<html>".to_owned())),
        ("sends too much", (200, long)),
    ] {
        let mut browser = Browser::stranger(&house.app);
        let sent = send(&mut browser, "/login/sso");
        house.provider.says(|says| says.token = token);
        let page = come_back(&mut browser, &sent).answered(403);
        assert!(!is_in(&mut browser), "{why}");
        assert!(!page.says("invalid_") && !page.says("oops"), "{why}: {}", page.text);
        assert_eq!(house.reasons()[0], "provider_failed", "{why}");
    }
}

#[test]
fn who_tries_too_often_has_to_wait_and_fills_no_log() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let mut guesser = Browser::stranger(&house.app);
    let tries = (0..400).position(|_| {
        let page = come_back_with(&mut guesser, "code=c1&state=guessed");
        assert!(page.status == 403 || page.header("retry-after").is_some(), "{}: {}", page.status, page.text);
        page.status == 429
    });
    let tries = tries.expect("nobody was slowed down");
    assert_eq!(house.reasons().len(), tries);
}

#[test]
fn what_the_token_leaves_open_is_asked_of_the_provider_and_must_be_about_the_same_person() {
    let mut house = House::new(&[]);
    house.add("ann@sso.example", "viewer");
    let thin = json!({"email": null, "email_verified": null, "name": null});
    let ann = |sub: &str| json!({"sub": sub, "email": "ann@sso.example", "email_verified": true});
    for (answer, wanted) in [
        ((200, ann("u2")), 403),
        ((200, json!({"email": "ann@sso.example", "email_verified": true})), 403),
        ((500, json!({})), 403),
        ((200, ann("u1")), 303),
    ] {
        house.provider.says(|says| says.userinfo = answer.clone());
        let page = house.sign_in(&mut Browser::stranger(&house.app), &thin);
        assert_eq!(page.status, wanted, "{answer:?}");
    }
    assert!(house.provider.asked("/me").to_lowercase().contains("authorization: bearer at"));
}
