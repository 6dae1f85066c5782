//! Signing in and out, and protection against forms of other sites.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::app::App;
use crate::portal::browser::{Browser, PASSWORD, own_app, with_fields};

const COOKIE: &str = "rc";

#[test]
fn the_session_cookie_is_not_accessible_to_scripts_and_other_sites() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let (email, old) = (owner.email.clone(), owner.cookies[COOKIE].clone());
    let page = owner.submit_only("/login", &[("email", &email), ("password", PASSWORD)]).answered(303);
    let cookies: Vec<&str> =
        page.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, cookie)| cookie.as_str()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for cookie in cookies {
        for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    assert_ne!(owner.cookies[COOKIE], old, "a session keeps the name it had before signing in");
}

#[test]
fn a_preset_session_cookie_is_replaced_at_sign_in() {
    let (app, _folder) = own_app();
    let mut victim = Browser::owner(&app);
    let email = victim.email.clone();
    victim.cookies = [(COOKIE.to_owned(), "chosen-by-attacker".to_owned())].into();
    victim.submit("/login", &[("email", &email), ("password", PASSWORD)]).answered(200);
    assert_ne!(victim.cookies[COOKIE], "chosen-by-attacker");
    victim.cookies = [(COOKIE.to_owned(), "chosen-by-attacker".to_owned())].into();
    assert!(victim.get("/connections").at.starts_with("/login"));
}

#[test]
fn a_session_ends_when_its_admin_signs_out() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let stolen = owner.cookies.clone();
    let page = owner.submit("/logout", &[]).answered(200);
    assert!(page.contains("You are signed out."), "{}", page.text);
    assert!(!owner.cookies.contains_key(COOKIE));
    owner.cookies = stolen;
    assert!(owner.get("/connections").at.starts_with("/login"));
}

#[test]
fn a_form_from_elsewhere_changes_nothing() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let other = Browser::owner(&app);
    let own = format!("http://{}", app.address);
    let (good, foreign_token) = (owner.form_token.clone(), other.form_token);
    for (why, token, header) in [
        ("no token", "", ("Origin", own.as_str())),
        ("a token of another session", foreign_token.as_str(), ("Origin", own.as_str())),
        ("another site by origin", good.as_str(), ("Origin", "https://evil.example")),
        ("an origin that begins like ours", good.as_str(), ("Origin", "http://127.0.0.1.evil.example")),
        ("an origin that is withheld", good.as_str(), ("Origin", "null")),
        ("another site by Sec-Fetch-Site", good.as_str(), ("Sec-Fetch-Site", "cross-site")),
        ("a sibling site", good.as_str(), ("Sec-Fetch-Site", "same-site")),
        ("nothing said about the sender", good.as_str(), ("X-Nothing", "at all")),
    ] {
        for path in ["/logout", "/connections/new"] {
            let request = owner.request("POST", path).header(header.0, header.1);
            let page = owner.send(&with_fields(request, &[("form_token", token), ("name", "x")]), path);
            assert_eq!(page.status, 403, "{path}: {why}");
        }
    }
    owner.get("/connections").answered(200);
}

#[test]
fn signing_in_leads_to_our_own_pages_only() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for (next, expected) in [
        ("/accounts?text=a", "/accounts?text=a"),
        ("//evil.example/x", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ] {
        // A signed-in admin is redirected without a form.
        let path = format!("/login?next={}", crate::sample::encode(next));
        let page = owner.send(&owner.request("GET", &path), &path).answered(303);
        assert_eq!(page.header("location"), Some(expected), "{next}");
    }
    let email = owner.email.clone();
    let fields = [("email", email.as_str()), ("password", PASSWORD), ("next", "//evil.example")];
    assert_eq!(owner.submit_only("/login", &fields).answered(303).header("location"), Some("/"));
}

#[test]
fn every_failed_sign_in_gets_the_same_message() {
    let (app, _folder) = own_app();
    let mut browser = Browser::owner(&app);
    let email = browser.email.clone();
    let mut said = Vec::new();
    for (email, password) in [(email.as_str(), "wrong but long enough"), ("unknown@portal.example", PASSWORD)] {
        let page = browser.submit("/login", &[("email", email), ("password", password)]).answered(401);
        said.push(page.between("role=\"alert\">", "</div>").to_owned());
    }
    assert_eq!(said[0], said[1]);
}

#[test]
fn a_flood_of_sign_ins_from_many_addresses_does_not_keep_a_known_admin_out() {
    let folder = tempfile::tempdir().unwrap();
    let app =
        App::start_with(folder.path(), &["--trusted-proxies", "127.0.0.1", "--public-url", "http://127.0.0.1:8080"]);
    let mut known = Browser::owner(&app);
    known.cookies.remove(COOKIE);
    let (stop, checked, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (app, stop, checked, refused) = (&app, &stop, &checked, &refused);
            scope.spawn(move || {
                for number in 0..60_u32 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut attacker = Browser::anonymous(app);
                    let request = attacker.request("POST", "/login").header("Sec-Fetch-Site", "same-origin");
                    let request = request.header("X-Forwarded-For", &format!("203.0.{thread}.{number}"));
                    let email = format!("{thread}-{number}@x.example");
                    let fields = [("email", email.as_str()), ("password", "wrong but long enough")];
                    let page = attacker.send(&with_fields(request, &fields), "/login");
                    match page.status {
                        401 => checked.fetch_add(1, Ordering::Relaxed),
                        429 if page.header("retry-after").is_some() => refused.fetch_add(1, Ordering::Relaxed),
                        status => panic!("{status}: {}", page.text),
                    };
                }
            });
        }
        // The budget of unknown devices is spent. The known device signs in from the same network, at the first attempt.
        while refused.load(Ordering::Relaxed) < 50 && begun.elapsed().as_secs() < 30 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let email = known.email.clone();
        let request = known.request("POST", "/login").header("Sec-Fetch-Site", "same-origin");
        let request = request.header("X-Forwarded-For", "203.0.0.1");
        let page = known.send(&with_fields(request, &[("email", &email), ("password", PASSWORD)]), "/login");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(page.status, 303, "{}", page.text);
    });
    known.get("/profile").answered(200);
    let (checked, refused) = (checked.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    let budget = 40 + 10 * (usize::try_from(begun.elapsed().as_secs()).unwrap() + 1);
    assert!(checked <= budget, "{checked} of {budget} passwords were checked");
    // A busy machine checks fewer passwords than the budget allows.
    assert!(refused >= 50 || checked < 480, "{checked} passwords were checked, {refused} refused");
}

#[test]
fn the_cookie_of_a_known_device_does_not_sign_in_and_belongs_to_one_admin() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    let device = owner.cookies["rc_device"].clone();
    let mut other = Browser::anonymous(&app);
    other.cookies.insert("rc_device".to_owned(), device);
    assert!(other.get("/profile").at.starts_with("/login"));
    let email = owner.email.clone();
    other.submit_only("/login", &[("email", &email), ("password", "wrong but long enough")]).answered(401);
    owner.submit("/logout", &[]).answered(200);
    assert!(owner.cookies.contains_key("rc_device"), "the device stays known after signing out");
    for forged in ["", "AAAA", "!", &"A".repeat(300)] {
        owner.cookies.insert("rc_device".to_owned(), forged.to_owned());
        owner.submit("/login", &[("email", &email), ("password", PASSWORD)]).answered(200);
    }
}

#[test]
fn common_passwords_are_refused_with_the_fix() {
    let (app, _folder) = own_app();
    let mut owner = Browser::owner(&app);
    for common in ["1q2w3e4r5t6y", "Liverpool2026!", "qwertyqwerty"] {
        let fields = [("present", PASSWORD), ("password", common)];
        let page = owner.submit("/profile/password", &fields).answered(422);
        assert!(page.contains("too common; choose several unrelated words"), "{common}: {}", page.text);
    }
}

#[test]
fn with_an_https_public_url_every_cookie_is_bound_to_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--public-url", "https://portal.example", "--session-max", "2", "--hsts-subdomains"];
    let app = App::start_with(folder.path(), &flags);
    let mut owner = Browser::anonymous(&app);
    owner.email = crate::portal::browser::new_admin(&app, "owner", None);
    let page = owner.sign_in().answered(200);
    assert_eq!(page.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
    for (path, fields) in [("/profile/theme", ("theme", "dark")), ("/profile/zone", ("zone", "Europe/Berlin"))] {
        let page = owner.submit_only(path, &[fields]).answered(303);
        let cookie = page.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-rc_") && cookie.contains("Secure") && cookie.contains("Path=/"), "{cookie}");
    }
    assert!(owner.get("/profile").contains("class=\"dark\""));
    let email = owner.email.clone();
    let page = owner.submit_only("/login", &[("email", &email), ("password", PASSWORD)]).answered(303);
    let session = page.headers.iter().find(|(_, cookie)| cookie.starts_with("__Host-rc=")).unwrap();
    assert!(session.1.contains("Max-Age=7200"), "{}", session.1);
    assert!(owner.cookies.keys().all(|name| name.starts_with("__Host-")), "{:?}", owner.cookies);
    // A cookie without the prefix, as a subdomain can plant it, has no effect.
    let mut victim = Browser::anonymous(&app);
    victim.cookies = owner.cookies.iter().map(|(name, value)| (name.replace("__Host-", ""), value.clone())).collect();
    assert!(victim.get("/profile").at.starts_with("/login"));
}
