//! Creates over HTTP with 64 connections compared to SQLite alone writing the same rows.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::report::Figures;
use super::seed::{Seeded, user};
use super::{Site, micros_each, raw};

pub(crate) const CREATE_AT_64: &str = "POST user, 64 connections";
pub(crate) const RAW: &str = "raw SQLite, 32 users in a commit";
const CONNECTIONS: usize = 64;
const CREATES: usize = 4_096;

/// One round of both, each on a new file. Measures CPU time and wall time of one create.
pub(crate) fn round(figures: &mut Figures) -> Result<()> {
    let Site { server, endpoint, _folder: folder, .. } = Site::start(Seeded::with_users(0))?;
    let requests: Vec<Vec<u8>> =
        (0..CREATES).map(|number| endpoint.request("POST", "/Users", Some(&user(number)))).collect();
    let (before, begun) = (server.cpu()?, Instant::now());
    endpoint.drive(CONNECTIONS, 0..CREATES, (201, ""), &|number| requests[number].clone())?;
    figures.add_wall(CREATE_AT_64, 0, micros_each(begun.elapsed(), CREATES));
    figures.add(CREATE_AT_64, 0, micros_each(server.cpu()?.saturating_sub(before), CREATES));
    server.stop()?;

    let rows = raw::rows(folder.path())?;
    anyhow::ensure!(rows.len() == CREATES, "{} users were stored", rows.len());
    let empty = Seeded::with_users(0);
    empty.store.close();
    let file = raw::open(empty.folder.path())?;
    let (before, begun) = (cpu_of_this_thread()?, Instant::now());
    raw::write(&file, &rows)?;
    figures.add_wall(RAW, 0, micros_each(begun.elapsed(), CREATES));
    figures.add(RAW, 0, micros_each(cpu_of_this_thread()?.saturating_sub(before), CREATES));
    Ok(())
}

fn cpu_of_this_thread() -> Result<Duration> {
    // The kernel updates the CPU time of a running thread when the thread leaves the processor.
    std::thread::sleep(Duration::from_millis(1));
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().and_then(|number| number.parse().ok());
    Ok(Duration::from_nanos(nanos.context("schedstat without a number")?))
}
