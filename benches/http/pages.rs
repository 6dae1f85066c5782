//! The pages of the portal for an owner, with 100,000 users in one connection, 1,000 groups and a full request log: the
//! time of each, sequentially, over one connection.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollcall::auth::secret::BearerToken;
use rollcall::clock;
use rollcall::management::admins::{self, AdminDraft};
use rollcall::model::admin::OWNER;
use rollcall::model::audit_context::AuditContext;
use rollcall::model::request::{LoggedBody, LoggedCall};
use rollcall::store::Store;
use rollcall::store::tables::audit::{self, NewAuditEntry};
use rollcall::store::tables::request_log;
use rollcall::store::tables::sessions::{self, Session};
use serde_json::json;

use super::report::Report;
use super::seed::{Seeded, user, user_name};
use super::{LARGE, Site};

/// Number of requests per page.
const TIMES: usize = 60;
/// Milliseconds that 95 of 100 answers must stay below (issue 5).
const BOUND: f64 = 50.0;
/// Groups in addition to the one with all users, and their members.
const GROUPS: usize = 999;
const MEMBERS: usize = 20;
/// Maximum number of logged calls of a configuration.
const CALLS: usize = 200_000;
const ENTRIES: usize = 20_000;
/// Rows per transaction while seeding.
const BATCH: usize = 5_000;

/// Description and path of a page.
type Page = (&'static str, String);

/// Requests every page and adds the times.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    eprintln!("seeding {LARGE} users, {} groups and {CALLS} calls", GROUPS + 1);
    let seeded = Seeded::with_users(LARGE);
    let groups = [seeded.groups("all", 1, &seeded.users), seeded.groups("some", GROUPS, &seeded.users[..MEMBERS])];
    log(&seeded)?;
    changes(&seeded.store)?;
    let session = owner(&seeded.store)?;
    let (connection, user) = (seeded.scope.configuration_id.clone(), seeded.users[LARGE / 2].clone());
    let (call, middle) = seeded.store.read_inline(|at| {
        let key = seeded.scope.configuration;
        Ok((
            request_log::find_id_at_offset(at, key, 10)?,
            request_log::find_id_at_offset(at, key, u32::try_from(CALLS / 2).unwrap_or(0))?,
        ))
    })?;
    let calls = [call.context("a call")?, middle.context("a call in the middle")?];
    let site = Site::start(seeded)?;
    let pages = pages(&connection, &user, [&groups[0][0], &groups[1][GROUPS / 2]], &calls);
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: bench\r\nCookie: rc={session}\r\n\r\n").into_bytes();
    let mut taken: Vec<Vec<Duration>> = vec![Vec::new(); pages.len()];
    let mut sizes = vec![0; pages.len()];
    // The pages alternate, so that each finds the caches as the others leave them.
    for _ in 0..TIMES {
        for (at, (what, path)) in pages.iter().enumerate() {
            let (status, body, time) = site.endpoint.timed(&ask(path))?;
            ensure!(status == 200, "{what}: {path} answers {status}");
            taken[at].push(time);
            sizes[at] = body;
        }
    }
    println!("\n{:<52} {:>9} {:>9} {:>9} {:>9}", "page, milliseconds", "p50", "p95", "most", "bytes");
    for (((what, _), times), size) in pages.iter().zip(&mut taken).zip(sizes) {
        times.sort();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        println!("{what:<52} {:>9.2} {:>9.2} {:>9.2} {size:>9}", at(50), at(95), at(100));
        report.at_most(format!("{what}, p95 in ms"), at(95), BOUND);
    }
    Ok(())
}

/// Every page for an owner, including expensive queries.
fn pages(id: &str, user: &str, [all, some]: [&str; 2], [call, middle]: &[String; 2]) -> Vec<Page> {
    let of = |what, path: &str| (what, format!("/connections/{id}{path}"));
    let at = |what, path: &str| (what, path.to_owned());
    let found = user_name(LARGE / 3);
    vec![
        at("connections", "/connections"),
        at("connections, by text", "/connections?text=other"),
        at("a new connection", "/connections/new"),
        at("deleted connections", "/connections/deleted"),
        of("a connection", ""),
        of("its steps", "/setup"),
        of("its settings", "/settings"),
        of("its deletion", "/delete"),
        of("its tokens", "/tokens"),
        of("a new token", "/tokens/new"),
        of("its links", "/links"),
        of("its users", "/users"),
        of("its users, in the middle", &format!("/users?after={}.", LARGE / 2)),
        of("its users, switched on", "/users?active=on"),
        of("its users, switched off (none)", "/users?active=off"),
        of("its users, one by name", &format!("/users?q={found}")),
        of("its users, thousands begin so", "/users?q=user.number7"),
        of("its users, no match", "/users?q=unknown@example.com"),
        of("a user", &format!("/users/{user}")),
        of("its groups", "/groups"),
        of("its groups, by name", "/groups?q=some+77"),
        of("a group of 20", &format!("/groups/{some}")),
        of("a group of 100,000", &format!("/groups/{all}")),
        of("a group of 100,000, in the middle", &format!("/groups/{all}?after={}.", LARGE / 2)),
        of("its requests", "/requests"),
        of("its requests, in the middle", &format!("/requests?before={middle}")),
        of("its requests, the failed ones", "/requests?only=failed"),
        of("its requests, by method (none fits)", "/requests?method=DELETE"),
        of("its requests, about a user", &format!("/requests?resource={user}")),
        of("its requests, by text", &format!("/requests?text={found}")),
        of("its requests, by text (none fits)", "/requests?text=nothing-like-it"),
        of("a request", &format!("/requests/{call}")),
        at("find a user, found", &format!("/find?q={found}")),
        at("find a user, not found", "/find?q=unknown@example.com"),
        at("accounts", "/accounts"),
        at("an account", "/accounts/bench"),
        at("a new account", "/accounts/new"),
        at("the audit", "/audit"),
        at("the audit, by action (none fits)", "/audit?action=role"),
        at("the profile", "/profile"),
        at("admins", "/settings/people"),
        at("a new admin", "/settings/people/new"),
        at("roles", "/settings/roles"),
        at("a new role", "/settings/roles/new"),
        at("API keys", "/settings/keys"),
        at("a new API key", "/settings/keys/new"),
        at("single sign-on", "/settings/sso"),
        at("this server", "/settings/server"),
        at("about", "/settings/about"),
    ]
}

/// A full request log: look-ups, creations and changes; every fiftieth is refused.
fn log(seeded: &Seeded) -> Result<()> {
    let (store, key) = (&seeded.store, seeded.scope.configuration);
    for from in (0..CALLS).step_by(BATCH) {
        let calls: Vec<LoggedCall> = (from..from + BATCH).map(|number| call(number, &seeded.users)).collect();
        store.write_blocking(move |tx| {
            calls.iter().try_for_each(|call| request_log::insert_request(tx, key, call).map(drop))
        })?;
    }
    Ok(())
}

fn call(number: usize, users: &[String]) -> LoggedCall {
    let (chosen, failed) = (number % users.len(), number.is_multiple_of(50));
    let (method, path, status) = match number % 3 {
        0 => ("GET", format!("/Users?filter=userName%20eq%20%22{}%22", user_name(chosen)), 200),
        1 => ("POST", "/Users".to_owned(), 201),
        _ => ("PATCH", format!("/Users/{}", users[chosen]), 200),
    };
    let body = |text: String| LoggedBody { bytes: u64::try_from(text.len()).ok(), text: Some(text) };
    LoggedCall {
        id: clock::new_id(),
        at: clock::current_millis(),
        duration_us: 900,
        method: method.to_owned(),
        path,
        status: if failed { 409 } else { status },
        failed,
        scim_type: failed.then(|| "uniqueness".to_owned()),
        detail: failed.then(|| "userName is taken".to_owned()),
        resource_type: Some("User".to_owned()),
        resource_id: (method != "GET").then(|| users[chosen].clone()),
        request: if method == "GET" { LoggedBody::default() } else { body(user(chosen).to_string()) },
        response: body(user(chosen).to_string()),
        ..LoggedCall::default()
    }
}

/// An audit log with entries.
fn changes(store: &Store) -> Result<()> {
    for from in (0..ENTRIES).step_by(BATCH) {
        store.write_blocking(move |tx| {
            (from..from + BATCH).try_for_each(|number| {
                let (before, after) = (Some(json!({"name": number})), Some(json!({"name": number + 1})));
                let entry =
                    NewAuditEntry { action: "configuration.updated", before, after, ..NewAuditEntry::default() };
                audit::append_entry(tx, &AuditContext::server(), &entry)
            })
        })?;
    }
    Ok(())
}

/// A signed-in owner; returns the value of the session cookie.
fn owner(store: &Store) -> Result<String> {
    let (id, token) = (clock::new_id(), BearerToken::generate_session()?);
    let session = Session {
        id: clock::new_id(),
        admin: id.clone(),
        address: None,
        user_agent: "bench".to_owned(),
        created_at: clock::current_millis(),
        last_seen_at: clock::current_millis(),
    };
    let admin = AdminDraft {
        id,
        email: "owner@example.com".to_owned(),
        name: "Owner".to_owned(),
        role: OWNER.to_owned(),
        account: None,
        password_digest: None,
    };
    let digest = token.digest();
    store.write_blocking(move |tx| {
        admins::create_admin(tx, &AuditContext::server(), &admin)?;
        sessions::insert_session(tx, &digest, &session)
    })?;
    Ok(token.reveal().to_owned())
}
