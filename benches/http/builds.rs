//! Writes of this build compared with those of another program, `BASELINE=PROGRAM`, or with writes whose removals are not
//! counted, `BASELINE=hold-off`: CPU time per request, and latency at several numbers of connections. Both servers run at the
//! same time and take turns of a fraction of a second, so that other load affects both equally.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::client::Endpoint;
use super::micros_each;
use super::report::{median, percentile};
use super::seed::{patch_body, user, user_name};
use super::server::{PROGRAM, Server};

/// Name of the environment variable with the path of the other program, or [`HOLD_OFF`].
pub(crate) const BASELINE: &str = "BASELINE";
const HOLD_OFF: &str = "hold-off";
const ROUNDS: usize = 31;
/// Connections, and requests of each kind in a round.
const LOADS: [(usize, usize); 3] = [(1, 100), (8, 400), (64, 800)];
/// Users that exist before the first measurement.
const SEEDED: usize = 2_000;

const KINDS: [&str; 5] = ["POST user", "PATCH name", "PATCH active, off", "PATCH active, on", "DELETE user"];

/// A server of one of the two programs.
struct Build {
    server: Server,
    endpoint: Endpoint,
    /// Number of the next user.
    next: usize,
    /// Ids of the users of this round.
    ids: Vec<String>,
    _folder: tempfile::TempDir,
}

/// One kind of requests in one round.
struct Measured {
    cpu_micros: f64,
    times: Vec<Duration>,
}

impl Build {
    fn start(program: &Path, counts_removals: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let create = ["configuration", "create", "--account", "bench", "--source", "other", "--output", "json"];
        let made = run(program, folder.path(), &create)?;
        let key = run(program, folder.path(), &["api-key", "create", "--name", "bench", "--output", "json"])?;
        let text = |of: &Value, member: &str| of[member].as_str().map(str::to_owned).context("a member is missing");
        let id = text(&made, "id")?;
        let server = Server::start_program(program, folder.path())?;
        let management = Endpoint {
            address: server.address,
            base: "/directory/resources/v1".to_owned(),
            token: text(&key, "secret")?,
        };
        // Removals are counted from the first one on, but never hold the configuration.
        let threshold = json!({"percent": 100, "count": 1_000_000});
        let hold = json!({"enabled": counts_removals, "windowMinutes": 60, "graceHours": 0, "users": threshold});
        let change =
            management.request("PATCH", &format!("/configurations/scim2/{id}/settings"), Some(&json!({"hold": hold})));
        let (status, answer) = management.ask(&change)?;
        ensure!(status == 200, "PATCH of the settings: {status} {}", String::from_utf8_lossy(&answer));
        let base = format!("/directory/resources/scim/v2.0/{id}");
        let endpoint = Endpoint { address: server.address, base, token: text(&made, "token")? };
        let mut build = Self { server, endpoint, next: 0, ids: Vec::new(), _folder: folder };
        build.create(8, SEEDED)?;
        Ok(build)
    }

    /// Creates users.
    fn create(&mut self, connections: usize, count: usize) -> Result<Measured> {
        let first = self.next;
        self.next += count;
        let make = |number| self.endpoint.request("POST", "/Users", Some(&user(first + number)));
        self.measure(connections, count, 201, &make)
    }

    fn measure(
        &self,
        connections: usize,
        count: usize,
        status: u16,
        make: &(dyn Fn(usize) -> Vec<u8> + Sync),
    ) -> Result<Measured> {
        let before = self.server.cpu()?;
        let times = self.endpoint.measure_latency(connections, count, status, make)?;
        let spent = self.server.cpu()?.saturating_sub(before);
        Ok(Measured { cpu_micros: micros_each(spent, count), times })
    }

    /// Measures one kind of requests. The kinds of a round are measured in their order.
    fn measure_kind(&mut self, kind: usize, connections: usize, count: usize) -> Result<Measured> {
        if kind == 0 {
            let created = self.create(connections, count)?;
            self.ids = (self.next - count..self.next).map(|number| self.find_id(number)).collect::<Result<_>>()?;
            return Ok(created);
        }
        let path = |number: usize| format!("/Users/{}", self.ids[number]);
        let (path_of_value, value) = match kind {
            1 => ("name.familyName", json!("Renamed")),
            2 => ("active", json!(false)),
            3 => ("active", json!(true)),
            _ => {
                let make = |number| self.endpoint.request("DELETE", &path(number), None);
                return self.measure(connections, count, 204, &make);
            }
        };
        let body = patch_body("replace", path_of_value, value);
        self.measure(connections, count, 200, &|number| self.endpoint.request("PATCH", &path(number), Some(&body)))
    }

    fn find_id(&self, number: usize) -> Result<String> {
        let name = user_name(number);
        let request = self.endpoint.request("GET", &format!("/Users?filter=userName%20eq%20%22{name}%22"), None);
        let (_, body) = self.endpoint.ask(&request)?;
        let page: Value = serde_json::from_slice(&body)?;
        page["Resources"][0]["id"].as_str().map(str::to_owned).with_context(|| format!("user {number} is missing"))
    }
}

fn run(program: &Path, data: &Path, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(program).args(arguments).arg("--data-dir").arg(data).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Prints the figures of this build, and the median ratio of each to the other program.
pub(crate) fn compare(other: &OsStr) -> Result<()> {
    let this = Path::new(PROGRAM);
    let (program, counts_removals) = if other == HOLD_OFF { (this, false) } else { (Path::new(other), true) };
    let mut builds = [Build::start(this, true)?, Build::start(program, counts_removals)?];
    println!(
        "\n{:<20} {:>11} {:>8} {:>6} {:>8} {:>6} {:>8} {:>6}",
        "", "connections", "CPU µs", "ratio", "p50 ms", "ratio", "p99 ms", "ratio"
    );
    for (connections, count) in LOADS {
        let mut rounds: [Vec<[Measured; 2]>; KINDS.len()] = Default::default();
        for round in 0..ROUNDS {
            for (kind, of_kind) in rounds.iter_mut().enumerate() {
                let [this, other] = &mut builds;
                // Neither of them is always the first.
                of_kind.push(if round % 2 == 0 {
                    let of_this = this.measure_kind(kind, connections, count)?;
                    [of_this, other.measure_kind(kind, connections, count)?]
                } else {
                    let of_other = other.measure_kind(kind, connections, count)?;
                    [this.measure_kind(kind, connections, count)?, of_other]
                });
            }
        }
        for (kind, rounds) in KINDS.iter().zip(&rounds) {
            let figure = |of: &dyn Fn(&Measured) -> f64| {
                let of_this = rounds.iter().map(|[this, _]| of(this)).collect();
                let ratios = rounds.iter().map(|[this, other]| of(this) / of(other)).collect();
                (median(of_this), median(ratios))
            };
            let (cpu, cpu_ratio) = figure(&|one| one.cpu_micros);
            let (half, half_ratio) = figure(&|one| percentile(&one.times, 50));
            let (slow, slow_ratio) = figure(&|one| percentile(&one.times, 99));
            println!(
                "{kind:<20} {connections:>11} {cpu:>8.1} {cpu_ratio:>6.2} {half:>8.2} {half_ratio:>6.2} {slow:>8.2} \
                 {slow_ratio:>6.2}"
            );
        }
    }
    Ok(())
}
