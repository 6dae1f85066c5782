//! One-time codes: set up in the profile, required at sign-in, each valid once.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

use crate::app::App;
use crate::portal::browser::{Browser, PASSWORD, Page, own_app, with_fields};

/// The code of an authenticator app for a secret, that many steps of 30 seconds from now.
pub(super) fn code(secret: &str, steps: u64) -> String {
    let values = secret.chars().map(|c| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap());
    let bits: Vec<u8> = values.flat_map(|value| (0..5).rev().map(move |bit| u8::from(value >> bit & 1 == 1))).collect();
    let key: Vec<u8> = bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
    let step = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30 + steps;
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key), &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Waits if the current step ends soon, so that test and server use the same step.
pub(super) fn wait_for_early_step() {
    let into = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 30;
    if into > 24 {
        std::thread::sleep(Duration::from_secs(31 - into));
    }
}

/// Enables codes; returns the secret and the page with the recovery codes.
pub(super) fn set_up(owner: &mut Browser) -> (String, Page) {
    let page = owner.submit("/profile/codes", &[("present", PASSWORD)]).answered(200);
    let secret = page.between("id=\"secret\" type=\"text\" readonly value=\"", "\"").to_owned();
    let sealed = page.between("name=\"sealed\" value=\"", "\"").to_owned();
    let wrong = [("sealed", sealed.as_str()), ("code", "000000")];
    owner.submit("/profile/codes/confirm", &wrong).answered(422);
    let now = code(&secret, 0);
    let page = owner.submit("/profile/codes/confirm", &[("sealed", &sealed), ("code", &now)]).answered(200);
    (secret, page)
}

#[test]
fn sign_in_requires_a_code_that_works_once() {
    wait_for_early_step();
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    owner.submit("/profile/codes", &[("present", "wrong")]).answered(422);
    let (secret, recovery) = set_up(&mut owner);
    let mut there = Browser::anonymous(&app);
    there.email.clone_from(&owner.email);
    let page = there.sign_in();
    assert!(page.at.starts_with("/login/code"), "{}", page.at);
    assert!(there.get("/connections").at.starts_with("/login"), "the password alone signs in");
    there.submit("/login/code", &[("code", &code(&secret, 0))]).answered(401);
    let next = code(&secret, 1);
    assert_eq!(there.submit("/login/code", &[("code", &next), ("next", "/profile")]).answered(200).at, "/profile");
    let mut thief = Browser::anonymous(&app);
    thief.email.clone_from(&owner.email);
    thief.sign_in();
    thief.submit("/login/code", &[("code", &next)]).answered(401);
    let spare = recovery.between("<ul class=\"mono\"><li>", "</li>").to_owned();
    thief.submit("/login/code", &[("code", &spare.to_lowercase())]).answered(200);
    thief.submit("/logout", &[]);
    thief.sign_in();
    thief.submit("/login/code", &[("code", &spare)]).answered(401);
}

#[test]
fn a_code_without_the_password_is_refused() {
    let mut anonymous = Browser::anonymous(App::shared());
    assert!(anonymous.get("/login/code").at.starts_with("/login"));
    for cookie in ["", "AAAA", "!", &"A".repeat(300)] {
        anonymous.cookies.insert("rc_code".to_owned(), cookie.to_owned());
        assert_eq!(anonymous.submit("/login/code", &[("code", "123456")]).at, "/login");
    }
}

#[test]
fn a_set_up_is_confirmed_once() {
    wait_for_early_step();
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let begin = |owner: &mut Browser| {
        let page = owner.submit("/profile/codes", &[("present", PASSWORD)]).answered(200);
        let secret = page.between("id=\"secret\" type=\"text\" readonly value=\"", "\"").to_owned();
        (secret, page.between("name=\"sealed\" value=\"", "\"").to_owned())
    };
    let confirm = |owner: &mut Browser, (secret, sealed): &(String, String)| {
        owner.submit("/profile/codes/confirm", &[("sealed", sealed), ("code", &code(secret, 0))]).status
    };
    let (first, second) = (begin(&mut owner), begin(&mut owner));
    assert_eq!(confirm(&mut owner, &first), 200);
    // It cannot be repeated, and what began earlier cannot replace the codes.
    assert_eq!(confirm(&mut owner, &first), 409);
    assert_eq!(confirm(&mut owner, &second), 409);
    owner.submit("/profile/codes/off", &[("present", PASSWORD)]).answered(200);
    // The codes are off as they were when it began, and the form still works once only.
    assert_eq!(confirm(&mut owner, &first), 409);
    let third = begin(&mut owner);
    assert_eq!(confirm(&mut owner, &third), 200);
    assert_eq!(confirm(&mut owner, &third), 409);
}

#[test]
fn codes_are_switched_off_with_the_password() {
    wait_for_early_step();
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    set_up(&mut owner);
    owner.submit("/profile/codes/off", &[("present", "wrong")]).answered(422);
    owner.submit("/profile/codes/off", &[("present", PASSWORD)]).answered(200);
    assert!(!owner.sign_in().at.starts_with("/login"));
}

/// Sends a code without waiting if the answer is 429.
fn send_code(browser: &mut Browser, code: &str) -> Page {
    let request = browser.request("POST", "/login/code").header("Sec-Fetch-Site", "same-origin");
    browser.send(&with_fields(request, &[("code", code)]), "/login/code")
}

/// Sends the password, each time from another address.
fn send_password(browser: &mut Browser, email: &str) -> Page {
    static SENDERS: AtomicU8 = AtomicU8::new(1);
    let address = format!("198.51.100.{}", SENDERS.fetch_add(1, Ordering::Relaxed));
    let request = browser.request("POST", "/login").header("Sec-Fetch-Site", "same-origin");
    let request = request.header("X-Forwarded-For", &address);
    browser.send(&with_fields(request, &[("email", email), ("password", PASSWORD)]), "/login")
}

#[test]
fn wrong_codes_from_any_address_end_the_sign_in_and_the_admin_is_notified() {
    wait_for_early_step();
    let folder = tempfile::tempdir().unwrap();
    let app =
        App::start_with(folder.path(), &["--trusted-proxies", "127.0.0.1", "--public-url", "http://127.0.0.1:8080"]);
    let mut owner = Browser::owner(&app);
    let email = owner.email.clone();
    let (secret, recovery) = set_up(&mut owner);
    let mut thief = Browser::anonymous(&app);
    send_password(&mut thief, &email).answered(303);
    let stolen = thief.clone();
    // Each code comes from another address, with the same claim.
    for number in 0..5 {
        let request = thief.request("POST", "/login/code").header("Sec-Fetch-Site", "same-origin");
        let request = request.header("X-Forwarded-For", &format!("203.0.113.{number}"));
        let page = thief.send(&with_fields(request, &[("code", "000000")]), "/login/code");
        assert_eq!(page.status, if number < 4 { 401 } else { 303 }, "{number}: {}", page.text);
    }
    assert!(thief.get("/login?with=new-password-check").contains("Enter the password again"));
    assert!(!thief.cookies.contains_key("rc_code"));
    // A copy of the claim is void too, even with the right code.
    let mut copy = stolen;
    assert_eq!(send_code(&mut copy, &code(&secret, 1)).answered(303).header("location"), Some("/login"));
    // The password is accepted, but no code for a minute.
    let page = send_password(&mut thief, &email).answered(429);
    let wait: u64 = page.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=61).contains(&wait) && page.contains("too many wrong codes"), "{wait}: {}", page.text);
    let audit = owner.get("/audit/export.json?action=admin.codes_blocked").answered(200);
    assert_eq!(audit.text.matches("admin.codes_blocked").count(), 1, "{}", audit.text);
    let page = owner.get("/connections");
    assert!(page.contains("5 wrong one-time codes were entered for you"), "{}", page.text);
    owner.submit("/profile/wrong-codes", &[]).answered(200);
    assert!(!owner.get("/connections").contains("wrong one-time"));
    // A new password lets the admin in at once.
    let spare = recovery.between("<ul class=\"mono\"><li>", "</li>").to_owned();
    assert_eq!(send_code(&mut thief, &spare).answered(303).header("location"), Some("/login"));
    owner.submit("/profile/codes/off", &[("present", PASSWORD)]).answered(200);
    assert_eq!(send_password(&mut Browser::anonymous(&app), &email).answered(303).header("location"), Some("/"));
}

#[test]
fn a_claim_works_once() {
    wait_for_early_step();
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (secret, recovery) = set_up(&mut owner);
    let mut browser = Browser::anonymous(&app);
    send_password(&mut browser, &owner.email).answered(303);
    let mut copy = browser.clone();
    send_code(&mut browser, &code(&secret, 1)).answered(303);
    browser.get("/profile").answered(200);
    let spare = recovery.between("<ul class=\"mono\"><li>", "</li>").to_owned();
    assert_eq!(send_code(&mut copy, &spare).answered(303).header("location"), Some("/login"));
    assert!(copy.get("/profile").at.starts_with("/login"));
}
