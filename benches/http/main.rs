//! End-to-end cost of a request to the real server: CPU time per request at 1,000 and at 100,000 users, and the ratios
//! that must hold. Two servers run at the same time and every round measures both, so that other load affects both
//! equally. Exits with code 1 if a figure exceeds its bound by more than the slack.
#![expect(clippy::expect_used, reason = "the seed cannot go on without its store")]

mod builds;
mod client;
mod group_commit;
mod latency;
mod lists;
mod pages;
#[path = "../raw/mod.rs"]
mod raw;
mod report;
#[path = "../seed/mod.rs"]
mod seed;
mod server;
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use client::Endpoint;
use report::{Figures, Report};
use seed::Seeded;
use server::{Server, first_answer};
use workloads::Workload;

/// Number of measurements per figure; the median counts.
const ROUNDS: usize = 7;
const SMALL: usize = 1_000;
/// Used for pages and jobs only.
const MEDIUM: usize = 10_000;
const LARGE: usize = 100_000;
/// Additional users who join groups during the measurement.
const SPARE: usize = 2_000;
const STARTS: usize = 5;

/// A server with a seeded data folder.
struct Site {
    server: Server,
    endpoint: Endpoint,
    /// Ids in the order of creation.
    users: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Site {
    fn start(seeded: Seeded) -> Result<Self> {
        // Only one process may open the file.
        seeded.store.close();
        let server = Server::start(seeded.folder.path())?;
        let base = format!("/directory/resources/scim/v2.0/{}", seeded.scope.configuration_id);
        let endpoint = Endpoint { address: server.address, base, token: seeded.token };
        Ok(Self { server, endpoint, users: seeded.users, _folder: seeded.folder })
    }

    /// CPU time of one request, in microseconds.
    fn measure(&self, workload: &Workload, round: usize) -> Result<f64> {
        let numbers = round * workload.requests..(round + 1) * workload.requests;
        let before = self.server.cpu()?;
        self.endpoint.drive(workload.connections, numbers, workload.expected, &*workload.make)?;
        Ok(micros_each(self.server.cpu()?.saturating_sub(before), workload.requests))
    }
}

fn main() -> Result<ExitCode> {
    let parts = ["requests", "latency", "lists", "pages"];
    let named: Vec<String> = std::env::args().filter(|argument| parts.contains(&argument.as_str())).collect();
    let wants = |part: &str| named.is_empty() || named.iter().any(|named| named == part);
    if let Some(other) = std::env::var_os(builds::BASELINE) {
        builds::compare(&other)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::default();
    let mut figures = Figures::default();
    if wants("requests") {
        start_and_rest(&mut report)?;
        requests(&mut figures, &mut report)?;
    }
    if wants("latency") {
        let seeded = Seeded::with_users(SMALL);
        seeded.groups("all", 1, &seeded.users);
        latency::measure(&Site::start(seeded)?, &mut report)?;
    }
    if wants("lists") {
        pages_and_jobs(&mut figures, &mut report)?;
    }
    if wants("pages") {
        pages::measure(&mut report)?;
    }
    Ok(if report.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Pages and jobs at three sizes, on separate servers, because the others gain users during the measurement.
fn pages_and_jobs(figures: &mut Figures, report: &mut Report) -> Result<()> {
    eprintln!("seeding {SMALL}, {MEDIUM} and {LARGE} users");
    let sites = [SMALL, MEDIUM, LARGE].map(|users| {
        let seeded = Seeded::with_users(users);
        seeded.groups("all", 1, &seeded.users);
        Site::start(seeded)
    });
    let [small, medium, large] = sites;
    lists::measure([&small?, &medium?, &large?], figures, report)
}

/// Requests on single users and groups, in a small and in a large store.
fn requests(figures: &mut Figures, report: &mut Report) -> Result<()> {
    eprintln!("seeding {LARGE} users");
    let small = Seeded::with_users(SMALL);
    small.groups("all", 1, &small.users);
    let large = Seeded::with_users(LARGE + SPARE);
    let groups = workloads::Groups::seed(&large);
    let (small, large) = (Site::start(small)?, Site::start(large)?);
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        for (site, users) in [(&small, SMALL), (&large, LARGE)] {
            for workload in workloads::on_users(&site.endpoint, &site.users[..users]) {
                figures.add(workload.name, users, site.measure(&workload, round)?);
            }
        }
        for workload in workloads::on_groups(&large.endpoint, &groups, &large.users[LARGE..]) {
            figures.add(workload.name, LARGE, large.measure(&workload, round)?);
        }
        group_commit::round(figures)?;
    }
    figures.print();
    report.ratios(figures);
    let lost = workloads::lost_adds(&large.endpoint, &groups.empty[0], &large.users[..800])?;
    report.at_most("adds lost by 8 connections on one group", f64::from(lost), 0.0);
    report.at_most("memory at 100,000 users, most ever, MiB", large.server.memory_mib("VmHWM")?, 150.0);
    large.server.stop()
}

/// Time to the first answer, and memory of an idle server.
fn start_and_rest(report: &mut Report) -> Result<()> {
    let site = Site::start(Seeded::with_users(0))?;
    std::thread::sleep(Duration::from_secs(1));
    report.at_most("memory of an idle server, MiB", site.server.memory_mib("VmRSS")?, 25.0);
    let Site { server, endpoint, _folder: folder, .. } = site;
    server.stop()?;
    let ask = endpoint.request("GET", "/ServiceProviderConfig", None);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let begun = first_answer(folder.path(), |address| {
            Endpoint { address, ..endpoint.clone() }.ask(&ask).is_ok_and(|(status, _)| status == 200)
        })?;
        starts.push(begun.as_secs_f64() * 1e3);
    }
    report.at_most("first 200 after the start, ms", report::median(starts), 60.0);
    Ok(())
}

fn micros_each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
