//! One-time codes: set up in the profile, required at sign-in, each valid once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

use crate::app::App;
use crate::portal::browser::{Browser, PASSWORD, Page, own_app};

/// The code of an authenticator app for a secret, that many steps of 30 seconds from now.
fn code(secret: &str, steps: u64) -> String {
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
fn wait_for_early_step() {
    let into = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 30;
    if into > 24 {
        std::thread::sleep(Duration::from_secs(31 - into));
    }
}

/// Enables codes; returns the secret and the page with the recovery codes.
fn set_up(owner: &mut Browser) -> (String, Page) {
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
fn codes_are_switched_off_with_the_password() {
    wait_for_early_step();
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    set_up(&mut owner);
    owner.submit("/profile/codes/off", &[("present", "wrong")]).answered(422);
    owner.submit("/profile/codes/off", &[("present", PASSWORD)]).answered(200);
    assert!(!owner.sign_in().at.starts_with("/login"));
}
