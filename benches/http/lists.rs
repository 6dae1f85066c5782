//! Pages and jobs, whose cost may grow with the number of users; measures by how much.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::client::Endpoint;
use super::report::{Figures, Report};
use super::seed::user;
use super::workloads::Workload;
use super::{LARGE, MEDIUM, ROUNDS, SMALL, Site, micros_each};

const FIRST: &str = "page of 100, first";
const MIDDLE: &str = "page of 100, in the middle by startIndex";
const LAST: &str = "page of 100, last by startIndex";
const CURSOR_FIRST: &str = "page of 100 by cursor, first";
const CURSOR_MIDDLE: &str = "page of 100 by cursor, in the middle";
const CURSOR_LAST: &str = "page of 100 by cursor, last but one";
const NAME_FIRST: &str = "sortBy userName (indexed), first page";
const NAME_MIDDLE: &str = "sortBy userName, middle by startIndex";
const NAME_LAST: &str = "sortBy userName, last by startIndex";
const TITLE_FIRST: &str = "sortBy name.familyName (no index), first page";
const FILTER_LAST: &str = "filter active eq true, last by startIndex";
const SEARCH_FOUND: &str = ".search userName eq, found";
const SEARCH_SCAN: &str = ".search title co, all match, first page";
const BULK_POST: &str = "Bulk of 1,000: POST user";
const BULK_PATCH: &str = "Bulk of 1,000: PATCH title";
const BULK_DELETE: &str = "Bulk of 1,000: DELETE user";

const PAGE: usize = 100;
/// Pages per round with an index, and with a full scan.
const PAGES: usize = 40;
const SCANS: usize = 3;
const JOB: usize = 1_000;

/// Cursors of a sequence of pages.
struct Cursors {
    middle: String,
    last: String,
}

impl Cursors {
    fn walk(to: &Endpoint, users: usize) -> Result<Self> {
        let mut cursors = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!("/Users?cursor={next}&count={PAGE}");
            let (status, body) = to.ask(&to.request("GET", &path, None))?;
            ensure!(status == 200, "{path} answers {status}");
            let body: Value = serde_json::from_slice(&body)?;
            let Some(cursor) = body["nextCursor"].as_str() else { break };
            cursor.clone_into(&mut next);
            cursors.push(next.clone());
        }
        ensure!(cursors.len() == users / PAGE - 1, "{} pages of {users} users", cursors.len());
        let at = |index: usize| cursors.get(index).cloned().context("a page at that depth");
        // The last page does not check for a next page, so the one before it is requested.
        Ok(Self { middle: at(cursors.len() / 2)?, last: at(cursors.len() - 2)? })
    }
}

/// Every request, with the number of requests per round.
fn workloads<'a>(to: &'a Endpoint, users: usize, cursors: &Cursors) -> Vec<Workload<'a>> {
    let get = |path: String| to.request("GET", &format!("/Users?count={PAGE}&{path}"), None);
    let search = |filter: &str| {
        let urn = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
        let body = json!({"schemas": [urn], "filter": filter, "count": PAGE});
        to.request("POST", "/Users/.search", Some(&body))
    };
    let (middle, last) = (users / 2 + 1, users - PAGE + 1);
    let full = (200, "\"itemsPerPage\":100,");
    let asked = [
        (FIRST, PAGES, get("startIndex=1".into()), full),
        (MIDDLE, PAGES, get(format!("startIndex={middle}")), full),
        (LAST, PAGES, get(format!("startIndex={last}")), full),
        (CURSOR_FIRST, PAGES, get("cursor".into()), full),
        (CURSOR_MIDDLE, PAGES, get(format!("cursor={}", cursors.middle)), full),
        (CURSOR_LAST, PAGES, get(format!("cursor={}", cursors.last)), full),
        (NAME_FIRST, PAGES, get("sortBy=userName".into()), full),
        (NAME_MIDDLE, PAGES, get(format!("sortBy=userName&startIndex={middle}")), full),
        (NAME_LAST, PAGES, get(format!("sortBy=userName&startIndex={last}")), full),
        (TITLE_FIRST, SCANS, get("sortBy=name.familyName".into()), full),
        (FILTER_LAST, SCANS, get(format!("filter=active%20eq%20true&startIndex={last}")), full),
        (SEARCH_FOUND, PAGES, search("userName eq \"user.number7@example.com\""), (200, "\"totalResults\":1,")),
        (SEARCH_SCAN, SCANS, search("title co \"tour\""), full),
    ];
    let workload = |(name, requests, request, expected): (_, _, Vec<u8>, _)| {
        let make = Box::new(move |_| request.clone());
        Workload { name, connections: 1, requests, expected, make }
    };
    asked.into_iter().map(workload).collect()
}

/// Measures all of them at three sizes and adds the ratios that have a bound.
pub(crate) fn measure(sites: [&Site; 3], figures: &mut Figures, report: &mut Report) -> Result<()> {
    let sites = [SMALL, MEDIUM, LARGE].into_iter().zip(sites).collect::<Vec<_>>();
    let cursors: Vec<Cursors> =
        sites.iter().map(|(users, site)| Cursors::walk(&site.endpoint, *users)).collect::<Result<_>>()?;
    for round in 0..ROUNDS {
        eprintln!("lists, round {} of {ROUNDS}", round + 1);
        for ((users, site), cursors) in sites.iter().zip(&cursors) {
            for workload in workloads(&site.endpoint, *users, cursors) {
                figures.add(workload.name, *users, site.measure(&workload, round)?);
            }
            jobs(site, *users, round, figures)?;
        }
    }
    for (page, first, bound) in
        [(MIDDLE, FIRST, 2.0), (LAST, FIRST, 2.0), (CURSOR_MIDDLE, CURSOR_FIRST, 1.2), (CURSOR_LAST, CURSOR_FIRST, 1.2)]
    {
        let found = figures.ratio((page, LARGE), (first, LARGE));
        report.at_most(format!("{page}: {first}, {LARGE} users"), found, bound);
    }
    figures.print_growth();
    Ok(())
}

/// A job that creates users, one that changes them, and one that deletes them.
fn jobs(site: &Site, users: usize, round: usize, figures: &mut Figures) -> Result<()> {
    let numbers = (0..JOB).map(|number| 20_000_000 + round * JOB + number);
    let made = numbers
        .map(|number| json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": user(number)}));
    let answer = job(site, users, BULK_POST, made.collect(), figures)?;
    let results = answer["Operations"].as_array().context("the results of a job")?;
    let path = |result: &Value| Some(format!("/Users/{}", result["location"].as_str()?.rsplit('/').next()?));
    let paths: Vec<String> = results.iter().map(path).collect::<Option<_>>().context("the paths of the users")?;
    let change = super::seed::patch_body("replace", "title", format!("Title {round}").into());
    let patches = paths.iter().map(|path| json!({"method": "PATCH", "path": path, "data": change}));
    job(site, users, BULK_PATCH, patches.collect(), figures)?;
    let deletes = paths.iter().map(|path| json!({"method": "DELETE", "path": path}));
    job(site, users, BULK_DELETE, deletes.collect(), figures)?;
    Ok(())
}

fn job(site: &Site, users: usize, name: &'static str, operations: Vec<Value>, figures: &mut Figures) -> Result<Value> {
    ensure!(operations.len() == JOB, "{name}: {} operations", operations.len());
    let urn = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
    let body = json!({"schemas": [urn], "Operations": operations});
    let request = site.endpoint.request("POST", "/Bulk", Some(&body));
    let before = site.server.cpu()?;
    let (status, answer) = site.endpoint.ask(&request)?;
    figures.add(name, users, micros_each(site.server.cpu()?.saturating_sub(before), 1));
    let answer: Value = serde_json::from_slice(&answer)?;
    let results = answer["Operations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let done = results.iter().filter(|one| one["status"].as_str().is_some_and(|status| status.starts_with('2')));
    ensure!(status == 200 && done.count() == JOB, "{name} answers {status}");
    Ok(answer)
}
