//! Answers of a provider, valid and invalid: an invalid answer signs no admin in and reveals no reason.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::provider::{CLIENT_ID, CLIENT_SECRET};
use super::{SsoFixture, is_signed_in, return_with_code, return_with_query, start_sign_in};
use crate::identity::{Signer, now};
use crate::portal::browser::{Browser, Page};
use crate::sample;

/// The main part of the page, without the parts that depend on the address.
fn said(page: &Page) -> String {
    page.between("<main", "</main>").to_owned()
}

#[test]
fn a_sign_in_attempt_is_bound_to_its_browser() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let mut browser = Browser::anonymous(&fixture.app);
    assert!(browser.get("/login").contains("Sign in with Example"));
    let sent = start_sign_in(&mut browser, "/login/sso?next=/connections");
    let back = format!("http://{}/login/sso/callback", fixture.app.address);
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", back.as_str()),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent[name], expected);
    }
    assert!(sent["state"].len() >= 43 && sent["nonce"].len() >= 43 && sent["state"] != sent["nonce"]);
    fixture.issue_tokens(&sent, &json!({}));
    let page = return_with_code(&mut browser, &sent).answered(303);
    assert_eq!(page.header("location"), Some("/connections"));
    assert!(is_signed_in(&mut browser));
    let asked = fixture.provider.asked("/token");
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let pair = "rollcall%20portal:hush%2Fhush%3A5Zk2%26mQ";
    assert!(head.contains(&format!("Basic {}", STANDARD.encode(pair))), "{head}");
    let field = |name: &str| {
        let value = form_urlencoded::parse(body.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value);
        value.unwrap_or_else(|| panic!("{name} in {body}")).into_owned()
    };
    assert_eq!((field("code").as_str(), field("redirect_uri")), ("c1", back));
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))), sent["code_challenge"]);
    // It works once: the browser has deleted the attempt, and a new session was created.
    return_with_code(&mut browser, &sent).answered(403);
    assert_eq!(fixture.reasons(), ["no_such_attempt"]);
}

#[test]
fn the_cookie_of_an_attempt_is_not_accessible_to_scripts_and_ends_with_it() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let mut browser = Browser::anonymous(&fixture.app);
    let page = browser.send(&browser.request("GET", "/login/sso"), "/login/sso").answered(303);
    let cookie = page.header("set-cookie").unwrap();
    for flag in ["rc_sso=", "HttpOnly", "SameSite=Lax", "Max-Age=300"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    browser.cookies.insert("rc".to_owned(), "chosen-by-attacker".to_owned());
    fixture.sign_in(&mut browser, &json!({})).answered(303);
    assert!(!browser.cookies.contains_key("rc_sso"));
    assert_ne!(browser.cookies["rc"], "chosen-by-attacker");
}

#[test]
fn with_an_https_public_url_the_cookie_is_secure_and_the_redirect_uri_is_https() {
    let mut fixture = SsoFixture::with_flags(&["--public-url", "https://portal.example"], &[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let mut browser = Browser::anonymous(&fixture.app);
    let page = browser.send(&browser.request("GET", "/login/sso"), "/login/sso").answered(303);
    assert!(page.header("set-cookie").unwrap().contains("Secure"));
    let sent = start_sign_in(&mut browser, "/login/sso");
    assert_eq!(sent["redirect_uri"], "https://portal.example/login/sso/callback");
    fixture.issue_tokens(&sent, &json!({}));
    let page = return_with_code(&mut browser, &sent).answered(303);
    assert!(page.headers.iter().any(|(_, cookie)| cookie.starts_with("__Host-rc=") && cookie.contains("Secure")));
}

#[test]
fn signing_in_leads_to_our_own_pages_only() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    for next in ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"] {
        let mut browser = Browser::anonymous(&fixture.app);
        let sent = start_sign_in(&mut browser, &format!("/login/sso?next={}", sample::encode(next)));
        fixture.issue_tokens(&sent, &json!({}));
        assert_eq!(return_with_code(&mut browser, &sent).answered(303).header("location"), Some("/"), "{next}");
    }
}

#[test]
fn answers_without_an_attempt_of_this_browser_are_refused() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let mut other = Browser::anonymous(&fixture.app);
    let others = start_sign_in(&mut other, "/login/sso");
    let mut texts = Vec::new();
    let issuer = sample::encode(&fixture.provider.issuer);
    for (why, expected) in [
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
        let mut browser = Browser::anonymous(&fixture.app);
        let sent = start_sign_in(&mut browser, "/login/sso");
        fixture.issue_tokens(&sent, &json!({}));
        let page = return_with_query(&mut browser, &why.replace("{state}", &sent["state"])).answered(403);
        assert!(!is_signed_in(&mut browser), "{why}");
        assert_eq!(fixture.reasons()[0], expected, "{why}");
        texts.push(said(&page));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let mut browser = Browser::anonymous(&fixture.app);
    let sent = start_sign_in(&mut browser, "/login/sso");
    fixture.issue_tokens(&sent, &json!({}));
    let query = format!("code=c1&state={}&iss={issuer}", sent["state"]);
    return_with_query(&mut browser, &query).answered(303);
    // A browser without a started attempt, with an answer for another browser.
    let mut victim = Browser::anonymous(&fixture.app);
    fixture.issue_tokens(&others, &json!({}));
    return_with_code(&mut victim, &others).answered(403);
}

/// Invalid token responses of a provider.
fn bad_tokens(fixture: &SsoFixture, nonce: &str) -> Vec<(&'static str, Value)> {
    let provider = &fixture.provider;
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
        ("for another client", signed(json!({"aud": "them"}))),
        ("for several, without azp", signed(json!({"aud": [CLIENT_ID, "them"]}))),
        ("issued to another client", signed(json!({"aud": [CLIENT_ID, "them"], "azp": "them"}))),
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
fn an_invalid_token_signs_no_admin_in() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let cases = bad_tokens(&fixture, "").len();
    for case in 0..cases {
        let mut browser = Browser::anonymous(&fixture.app);
        let sent = start_sign_in(&mut browser, "/login/sso");
        let (why, tokens) = bad_tokens(&fixture, &sent["nonce"]).swap_remove(case);
        fixture.provider.set_tokens(&tokens);
        return_with_code(&mut browser, &sent).answered(403);
        assert!(!is_signed_in(&mut browser), "{why}");
        assert_eq!(fixture.reasons()[0], "bad_id_token", "{why}");
    }
    fixture.sign_in(&mut Browser::anonymous(&fixture.app), &json!({})).answered(303);
}

#[test]
fn a_failing_provider_signs_no_admin_in_and_the_reason_is_not_revealed() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let long = format!("{{\"id_token\": \"{}\"}}", "x".repeat(70_000));
    for (why, token) in [
        ("refuses the code", (400, "{\"error\": \"invalid_grant\"}".to_owned())),
        ("does not know us", (401, "{\"error\": \"invalid_client\"}".to_owned())),
        ("is broken", (500, "oops".to_owned())),
        ("sends on", (302, String::new())),
        ("sends no JSON", (200, "<html>".to_owned())),
        ("sends too much", (200, long)),
    ] {
        let mut browser = Browser::anonymous(&fixture.app);
        let sent = start_sign_in(&mut browser, "/login/sso");
        fixture.provider.set_answers(|answers| answers.token = token);
        let page = return_with_code(&mut browser, &sent).answered(403);
        assert!(!is_signed_in(&mut browser), "{why}");
        assert!(!page.contains("invalid_") && !page.contains("oops"), "{why}: {}", page.text);
        assert_eq!(fixture.reasons()[0], "provider_failed", "{why}");
    }
}

#[test]
fn too_many_attempts_are_throttled_and_not_logged() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let mut guesser = Browser::anonymous(&fixture.app);
    let tries = (0..400).position(|_| {
        let page = return_with_query(&mut guesser, "code=c1&state=guessed");
        assert!(page.status == 403 || page.header("retry-after").is_some(), "{}: {}", page.status, page.text);
        page.status == 429
    });
    let tries = tries.expect("no attempt was throttled");
    // The first ten failures of an hour have entries of their own; the test can run across the end of an hour.
    let entries = fixture.reasons().len();
    assert!(tries > 20 && (10..=20).contains(&entries), "{entries} entries of {tries} attempts");
}

#[test]
fn claims_absent_from_the_token_are_read_from_userinfo_with_the_same_subject() {
    let mut fixture = SsoFixture::new(&[]);
    fixture.add_linked("ann@sso.example", "viewer");
    let thin = json!({"email": null, "email_verified": null, "name": null});
    let ann = |sub: &str| json!({"sub": sub, "email": "ann@sso.example", "email_verified": true});
    for (answer, expected) in [
        ((200, ann("u2")), 403),
        ((200, json!({"email": "ann@sso.example", "email_verified": true})), 403),
        ((500, json!({})), 403),
        ((200, ann("u1")), 303),
    ] {
        fixture.provider.set_answers(|answers| answers.userinfo = answer.clone());
        let page = fixture.sign_in(&mut Browser::anonymous(&fixture.app), &thin);
        assert_eq!(page.status, expected, "{answer:?}");
    }
    assert!(fixture.provider.asked("/me").to_lowercase().contains("authorization: bearer at"));
}
