//! What a quiet tenant notices while another tenant loads the server: times, failed calls, `/livez` and memory, for each
//! kind of load, on the real server with its default settings. Takes about two minutes: `cargo bench --bench fair_shares`. An
//! argument selects the loads whose name contains it. `ROLLCALL_BINARY` names another server, for comparison.

mod scenarios;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use scenarios::{BusyTenant, LoadSize, SCENARIOS, Scenario, Tenant, find_percentile, run_scenario};

/// Rounds of the quiet tenant in each scenario, ten in a second. Of its 300 calls, the 99th percentile leaves out three.
const ROUNDS: usize = 100;
const SIZE: LoadSize =
    LoadSize { users: 10_000, members: 10_000, groups_per_user: 300, emails: 1_000, users_of_others: 2_000 };
/// Further configurations of the busy account.
const OTHERS: usize = 48;

/// The server under test.
fn choose_binary() -> String {
    std::env::var("ROLLCALL_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall").to_owned())
}

/// A running server; dropping it ends the process.
struct RunningServer {
    child: Child,
    address: SocketAddr,
}

impl RunningServer {
    fn start(data: &Path) -> Result<Self> {
        let mut command = Command::new(choose_binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output of the server")?).lines();
        let address = loop {
            let line = lines.next().context("the server ended before it listened")??;
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().rsplit('/').next().unwrap_or_default().parse()?;
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    /// The maximum of the memory so far, in MiB. Resets the maximum.
    fn take_memory_max(&self) -> Result<u64> {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.split_whitespace().next().unwrap_or_default().parse()?;
        std::fs::write(format!("{process}/clear_refs"), "5")?;
        Ok(kib / 1024)
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates a configuration on the command line.
fn create_tenant(data: &Path, account: &str, address: SocketAddr) -> Result<Tenant> {
    let mut command = Command::new(choose_binary());
    command.args([
        "configuration",
        "create",
        "--source",
        "other",
        "--output",
        "json",
        "--account",
        account,
        "--data-dir",
    ]);
    let output = command.arg(data).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout)?;
    let text = |name: &str| made[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    Ok(Tenant { address, base: format!("/directory/resources/scim/v2.0/{}", text("id")?), token: text("token")? })
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = RunningServer::start(folder.path())?;
    let others: Result<Vec<Tenant>> =
        (0..OTHERS).map(|_| create_tenant(folder.path(), "busy", server.address)).collect();
    let busy = BusyTenant::create(create_tenant(folder.path(), "busy", server.address)?, others?, SIZE)?;
    let quiet = create_tenant(folder.path(), "quiet", server.address)?;
    println!(
        "{:32} {:>7} {:>7}  {:21} {:>6} {:>8} {:>5}  busy: 2xx / 429, 503 / other",
        "load", "p50 ms", "p99 ms", "GET, filter, POST p99", "failed", "livez ms", "MiB"
    );
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_chosen = |scenario: &Scenario| chosen.iter().all(|part| scenario.label().contains(part.as_str()));
    for scenario in SCENARIOS.into_iter().filter(is_chosen) {
        server.take_memory_max()?;
        let result = run_scenario(scenario, &busy, &quiet, ROUNDS)?;
        let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1_000.0);
        let [accepted, refused, other] = result.busy_answers;
        let by_call = result.times_by_call.each_ref().map(|times| millis(find_percentile(times, 99)));
        println!(
            "{:32} {:>7} {:>7}  {:21} {:>6} {:>8} {:>5}  {accepted} / {refused} / {other}",
            scenario.label(),
            millis(result.percentile(50)),
            millis(result.percentile(99)),
            by_call.join(", "),
            result.failed.len(),
            millis(result.livez_max),
            server.take_memory_max()?,
        );
        if let Some(first) = result.failed.first() {
            println!("    first failed call: {first}");
        }
    }
    Ok(())
}
