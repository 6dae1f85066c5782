//! Latency of requests at several numbers of connections, by the clock. The machine must be idle.

use anyhow::Result;

use super::Site;
use super::report::{Report, percentile};

const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// Requests of one measurement.
const REQUESTS: usize = 4_000;
/// Upper bound of the median with one connection, in milliseconds. A response in several segments takes 40 ms more if the
/// client delays its acknowledgment and the server waits for it.
const MEDIAN_MAX_MS: f64 = 10.0;

/// Measures a read of one user and a page of about 48 kB.
pub(crate) fn measure(site: &Site, report: &mut Report) -> Result<()> {
    let to = &site.endpoint;
    let read = |number: usize| to.request("GET", &format!("/Users/{}", site.users[number % site.users.len()]), None);
    let page = |_: usize| to.request("GET", "/Users?count=40", None);
    println!("\n{:<28} {:>11} {:>9} {:>9}", "latency in ms", "connections", "p50", "p99");
    for (name, make) in
        [("GET user by id", &read as &(dyn Fn(usize) -> Vec<u8> + Sync)), ("GET page of 40 users", &page)]
    {
        for connections in CONNECTIONS {
            let times = to.measure_latency(connections, REQUESTS, 200, make)?;
            let at = |part| percentile(&times, part);
            println!("{name:<28} {connections:>11} {:>9.2} {:>9.2}", at(50), at(99));
            if connections == 1 {
                report.at_most(format!("{name}, one connection, p50, ms"), at(50), MEDIAN_MAX_MS);
            }
        }
    }
    Ok(())
}
