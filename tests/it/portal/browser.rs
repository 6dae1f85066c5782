//! A browser without scripts: stores cookies, sends forms with the token of their page, and follows redirects.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::app::{App, Request};
use crate::sample;

/// Password of all admins in these tests.
pub(crate) const PASSWORD: &str = "a lamp on the long table";

/// A separate server, because many sign-ins would delay those of other tests.
pub(crate) fn own_app() -> (App, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (App::start(folder.path()), folder)
}

/// A page after all redirects.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// Path and query of the page.
    pub(crate) at: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Page {
    /// Value of the first header of that name (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Asserts the status and returns the page.
    #[track_caller]
    pub(crate) fn answered(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.at, self.text);
        self
    }

    /// Whether the page contains the text; markup counts.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// The text between `before` and `end`, such as the value of a field.
    #[track_caller]
    pub(crate) fn between(&self, before: &str, end: &str) -> &str {
        let (_, rest) =
            self.text.split_once(before).unwrap_or_else(|| panic!("{}: no {before} in {}", self.at, self.text));
        rest.split_once(end).map_or(rest, |(found, _)| found)
    }
}

/// A browser with its session.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    pub(crate) address: SocketAddr,
    /// E-mail address of the admin who signs in.
    pub(crate) email: String,
    pub(crate) cookies: BTreeMap<String, String>,
    /// The form token of the session.
    pub(crate) form_token: String,
}

impl Browser {
    /// A browser that is not signed in.
    pub(crate) fn anonymous(app: &App) -> Self {
        Self { address: app.address, email: String::new(), cookies: BTreeMap::new(), form_token: String::new() }
    }

    /// A browser with a new owner of the server, signed in.
    #[track_caller]
    pub(crate) fn owner(app: &App) -> Self {
        Self::with_role(app, "owner", None)
    }

    /// A browser with a new admin who has that role, in all accounts or in one, signed in.
    #[track_caller]
    pub(crate) fn with_role(app: &App, role: &str, account: Option<&str>) -> Self {
        let mut browser = Self::anonymous(app);
        browser.email = new_admin(app, role, account);
        let page = browser.sign_in();
        assert!(!browser.form_token.is_empty(), "{}: {}", page.at, page.text);
        browser
    }

    /// Signs in with the e-mail address and the password of all tests.
    #[track_caller]
    pub(crate) fn sign_in(&mut self) -> Page {
        let email = self.email.clone();
        let page = self.submit("/login", &[("email", &email), ("password", PASSWORD)]);
        if page.contains("name=\"form_token\"") {
            page.between("name=\"form_token\" value=\"", "\"").clone_into(&mut self.form_token);
        }
        page
    }

    /// Requests a page and follows redirects.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Page {
        let page = self.send(&self.request("GET", path), path);
        self.follow(page)
    }

    /// Sends a form with the token of the session and follows redirects.
    #[track_caller]
    pub(crate) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.submit_only(path, fields);
        self.follow(page)
    }

    /// Sends a form and returns its answer without following redirects.
    #[track_caller]
    pub(crate) fn submit_only(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let form_token = self.form_token.clone();
        let mut all = vec![("form_token", form_token.as_str())];
        all.extend(fields);
        let origin = format!("http://{}", self.address);
        let request = self.request("POST", path).header("Origin", &origin).header("Sec-Fetch-Site", "same-origin");
        let request = with_fields(request, &all);
        let mut page = self.send(&request, path);
        while page.status == 429 {
            // All tests sign in from one address, which is rate limited.
            let wait = page.header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
            std::thread::sleep(Duration::from_secs(wait));
            page = self.send(&request, path);
        }
        page
    }

    /// A request with the cookies of this browser, and no other headers of a browser.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let request = Request::new(self.address, method, path);
        if self.cookies.is_empty() {
            return request;
        }
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("Cookie", &cookies.join("; "))
    }

    /// Sends a request unchanged and stores the cookies of the answer.
    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request, path: &str) -> Page {
        let answer = request.attempt().unwrap_or_else(|why| panic!("{path}: no answer: {why}"));
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, rest) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Page { status: answer.status, at: path.to_owned(), headers: answer.headers, text }
    }

    #[track_caller]
    fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..5 {
            let Some(next) = page.header("location").filter(|_| page.status == 303).map(str::to_owned) else {
                return page;
            };
            page = self.send(&self.request("GET", &next), &next);
        }
        panic!("{}: sent on and on", page.at)
    }
}

/// Requests a page until it contains the text; logs are written with a delay.
#[track_caller]
pub(crate) fn wait_for_text(browser: &mut Browser, path: &str, text: &str) -> Page {
    let begun = Instant::now();
    loop {
        let page = browser.get(path).answered(200);
        if page.contains(text) || begun.elapsed() > Duration::from_mins(1) {
            assert!(page.contains(text), "{path} does not say {text}: {}", page.text);
            return page;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The same request with form fields as body.
pub(crate) fn with_fields(request: Request, fields: &[(&str, &str)]) -> Request {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", sample::encode(value))).collect();
    request.header("Content-Type", "application/x-www-form-urlencoded").body(pairs.join("&").as_bytes())
}

/// Creates an admin on the command line; returns the e-mail address.
#[track_caller]
pub(crate) fn new_admin(app: &App, role: &str, account: Option<&str>) -> String {
    static ADMINS: AtomicU32 = AtomicU32::new(1);
    let email = format!("admin-{}@portal.example", ADMINS.fetch_add(1, Ordering::Relaxed));
    add_admin(app, &email, role, account);
    email
}

/// Creates an admin with this e-mail address and the password of all tests on the command line.
#[track_caller]
pub(crate) fn add_admin(app: &App, email: &str, role: &str, account: Option<&str>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["admin", "create", "--email", email, "--role", role]).arg("--data-dir").arg(&app.data);
    if let Some(account) = account {
        command.args(["--account", account]);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{role}: {}", String::from_utf8_lossy(&output.stderr));
}
