//! Two tenants on one server: a busy one makes one kind of load, a quiet one makes a few ordinary calls. Shared by the
//! benchmark and by `tests/it/fair_shares.rs`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Longest wait for a response. A longer one counts as failed.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// Interval between the rounds of the quiet tenant.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);

/// The provisioning URL of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) address: SocketAddr,
    /// Path of the provisioning URL.
    pub(crate) base: String,
    pub(crate) token: String,
}

impl Tenant {
    /// The bytes of a request below the provisioning URL.
    fn build_request(&self, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        let body = body.map(Value::to_string).unwrap_or_default();
        format!(
            "{method} {}{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
            self.base,
            self.token,
            body.len()
        )
        .into_bytes()
    }

    /// Sends one request on a new connection.
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<(u16, Value)> {
        let mut connection = PersistentConnection::open(self.address)?;
        let (status, body) = connection.exchange(&self.build_request(method, path, body))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Creates a resource and returns its id.
    fn create(&self, path: &str, document: &Value) -> io::Result<String> {
        let (status, body) = self.send("POST", path, Some(document))?;
        let id = body["id"].as_str().filter(|_| status == 201);
        id.map(str::to_owned).ok_or_else(|| io::Error::other(format!("POST {path} answered {status}: {body}")))
    }

    /// Creates resources by Bulk and returns their ids.
    fn create_all(&self, path: &str, documents: &[Value]) -> io::Result<Vec<String>> {
        let mut ids = Vec::with_capacity(documents.len());
        for (block, part) in documents.chunks(500).enumerate() {
            let (status, body) = self.send("POST", "/Bulk", Some(&build_bulk(path, part, block)))?;
            let made = body["Operations"].as_array().filter(|_| status == 200);
            let made = made.ok_or_else(|| io::Error::other(format!("Bulk answered {status}: {body}")))?;
            let id = |one: &Value| Some(one["location"].as_str()?.rsplit('/').next()?.to_owned());
            ids.extend(made.iter().filter_map(id));
        }
        if ids.len() == documents.len() { Ok(ids) } else { Err(io::Error::other("a Bulk operation failed")) }
    }
}

fn build_bulk(path: &str, documents: &[Value], block: usize) -> Value {
    let operation = |(number, data): (usize, &Value)| json!({"method": "POST", "path": path, "bulkId": format!("b{block}-{number}"), "data": data});
    json!({"schemas": [BULK], "Operations": documents.iter().enumerate().map(operation).collect::<Vec<_>>()})
}

/// A connection with keep-alive.
struct PersistentConnection {
    stream: BufReader<TcpStream>,
}

impl PersistentConnection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.stream.get_mut().write_all(request)?;
        let status = self.read_line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no status"))?;
        let (mut length, mut is_chunked) = (0_usize, false);
        loop {
            let line = self.read_line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            is_chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        }
        let mut body = Vec::new();
        if !is_chunked {
            self.read_bytes(length, &mut body)?;
            return Ok((status, body));
        }
        loop {
            let size = usize::from_str_radix(&self.read_line()?, 16).map_err(io::Error::other)?;
            self.read_bytes(size, &mut body)?;
            self.read_line()?;
            if size == 0 {
                return Ok((status, body));
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn read_bytes(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])
    }
}

/// Sizes of the data of the busy tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadSize {
    pub(crate) users: usize,
    pub(crate) members: usize,
    pub(crate) groups_per_user: usize,
    pub(crate) emails: usize,
    /// Users of each further configuration of the account.
    pub(crate) users_of_others: usize,
}

/// The data of the busy tenant.
pub(crate) struct BusyTenant {
    tenant: Tenant,
    /// Further configurations of the same account.
    others: Vec<Tenant>,
    /// A user with many long e-mail addresses.
    large_user: String,
    /// A group with many members.
    large_group: String,
    size: LoadSize,
}

fn build_email(number: usize) -> String {
    format!("{number:06}{}@example.com", "a".repeat(582))
}

impl BusyTenant {
    /// Creates the data of a tenant with further configurations.
    pub(crate) fn create(tenant: Tenant, others: Vec<Tenant>, size: LoadSize) -> io::Result<Self> {
        let user = |number: usize| {
            json!({"schemas": [USER], "userName": format!("busy-{number}"), "displayName": format!("Busy {number}"),
                "emails": [{"value": format!("busy-{number}@example.com")}, {"value": format!("{number}@home.example"), "type": "home"}]})
        };
        let users = tenant.create_all("/Users", &(0..size.users).map(user).collect::<Vec<_>>())?;
        let link = |ids: &[String]| ids.iter().map(|id| json!({"value": id})).collect::<Vec<_>>();
        let group = |name: &str, ids: &[String]| json!({"schemas": [GROUP], "displayName": name, "members": link(ids)});
        let large_group = tenant.create("/Groups", &group("large", &users[..size.members.min(users.len())]))?;
        // Users are in many groups: one group holds them, and many groups hold that group.
        let inner = tenant.create("/Groups", &group("inner", &users[..500.min(users.len())]))?;
        let outer = |number: usize| group(&format!("outer {number}"), std::slice::from_ref(&inner));
        tenant.create_all("/Groups", &(0..size.groups_per_user).map(outer).collect::<Vec<_>>())?;
        let emails: Vec<Value> = (0..size.emails).map(|number| json!({"value": build_email(number)})).collect();
        let large = json!({"schemas": [USER], "userName": "busy-large", "emails": emails});
        let large_user = tenant.create("/Users", &large)?;
        let users: Vec<Value> = (0..size.users_of_others).map(user).collect();
        for other in &others {
            other.create_all("/Users", &users)?;
        }
        Ok(Self { tenant, others, large_user, large_group, size })
    }

    /// The configuration that a connection uses: each uses another one.
    fn choose_configuration(&self, connection: usize) -> &Tenant {
        let all = self.others.len().max(1);
        self.others.get(connection % all).unwrap_or(&self.tenant)
    }
}

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// No load, for comparison.
    Idle,
    SlowFilters(usize),
    /// From as many configurations of one account.
    SlowFiltersOfMany(usize),
    BulkJobs(usize),
    /// From as many configurations of one account.
    BulkJobsOfMany(usize),
    /// Documents of many values, from as many configurations of one account.
    LargeDocumentsOfMany(usize),
    ValuePathPatch,
    LargeGroupReaders,
    WriteFlood,
    ReadFlood,
    LargeAnswers,
    UnauthenticatedBodies,
}

/// Configurations of one account in the loads of many.
const MANY: usize = 48;

/// All kinds of load, for the benchmark.
pub(crate) const SCENARIOS: [Scenario; 13] = [
    Scenario::Idle,
    Scenario::SlowFilters(8),
    Scenario::SlowFilters(64),
    Scenario::SlowFiltersOfMany(MANY),
    Scenario::BulkJobs(32),
    Scenario::BulkJobsOfMany(MANY),
    Scenario::LargeDocumentsOfMany(MANY),
    Scenario::ValuePathPatch,
    Scenario::LargeGroupReaders,
    Scenario::WriteFlood,
    Scenario::ReadFlood,
    Scenario::LargeAnswers,
    Scenario::UnauthenticatedBodies,
];

impl Scenario {
    /// Name of the load, with the number of connections.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Idle => "no load".to_owned(),
            Self::SlowFilters(count) => format!("{count} slow filters"),
            Self::SlowFiltersOfMany(count) => format!("{count} configurations: slow filters"),
            Self::BulkJobs(count) => format!("{count} Bulk jobs"),
            Self::BulkJobsOfMany(count) => format!("{count} configurations: Bulk jobs"),
            Self::LargeDocumentsOfMany(count) => format!("{count} configurations: documents"),
            Self::ValuePathPatch => "4 PATCHes of 29 KiB value paths".to_owned(),
            Self::LargeGroupReaders => "16 readers of a large group".to_owned(),
            Self::WriteFlood => "64 writers".to_owned(),
            Self::ReadFlood => "64 readers".to_owned(),
            Self::LargeAnswers => "8 large answers".to_owned(),
            Self::UnauthenticatedBodies => "64 bodies without credentials".to_owned(),
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Idle => 0,
            Self::SlowFilters(count)
            | Self::BulkJobs(count)
            | Self::SlowFiltersOfMany(count)
            | Self::BulkJobsOfMany(count)
            | Self::LargeDocumentsOfMany(count) => count,
            Self::ValuePathPatch => 4,
            Self::LargeGroupReaders => 16,
            Self::LargeAnswers => 8,
            Self::WriteFlood | Self::ReadFlood | Self::UnauthenticatedBodies => 64,
        }
    }

    /// The request number `number` of a connection.
    fn build_request(self, busy: &BusyTenant, connection: usize, number: usize) -> Vec<u8> {
        let is_of_many =
            matches!(self, Self::SlowFiltersOfMany(_) | Self::BulkJobsOfMany(_) | Self::LargeDocumentsOfMany(_));
        let tenant = if is_of_many { busy.choose_configuration(connection) } else { &busy.tenant };
        let name = format!("made-{self:?}-{connection}-{number}").replace(['(', ')'], "-");
        match self {
            Self::Idle => Vec::new(),
            Self::SlowFilters(_) | Self::SlowFiltersOfMany(_) => {
                let term = |at: usize| format!("emails.value%20co%20%22zz{connection}x{at}%22");
                let terms: Vec<String> = (0..20).map(term).collect();
                tenant.build_request("GET", &format!("/Users?filter={}", terms.join("%20or%20")), None)
            }
            Self::BulkJobs(_) | Self::BulkJobsOfMany(_) => {
                let user = |at: usize| json!({"schemas": [USER], "userName": format!("{name}-{at}")});
                let users: Vec<Value> = (0..200).map(user).collect();
                tenant.build_request("POST", "/Bulk", Some(&build_bulk("/Users", &users, 0)))
            }
            Self::LargeDocumentsOfMany(_) => {
                let mut user = json!({"schemas": [USER], "userName": name});
                user["undeclared"] = vec![1_234_567; 290_000].into();
                tenant.build_request("POST", "/Users", Some(&user))
            }
            Self::ValuePathPatch => {
                let last = build_email(busy.size.emails.saturating_sub(1));
                let operation = |at: usize| {
                    let term = |term: usize| format!("value co \"b{connection}{number}{at}q{term}bbbbbbbbbbbb\"");
                    let terms: Vec<String> = (0..170).map(term).collect();
                    let path = format!("emails[{} or value eq \"{last}\"].display", terms.join(" or "));
                    json!({"op": "replace", "path": path, "value": format!("{number}")})
                };
                let body = json!({"schemas": [PATCH_OP], "Operations": (0..4).map(operation).collect::<Vec<_>>()});
                tenant.build_request("PATCH", &format!("/Users/{}", busy.large_user), Some(&body))
            }
            Self::LargeGroupReaders => tenant.build_request("GET", &format!("/Groups/{}", busy.large_group), None),
            Self::WriteFlood => {
                tenant.build_request("POST", "/Users", Some(&json!({"schemas": [USER], "userName": name})))
            }
            Self::ReadFlood => tenant.build_request("GET", "/Users?count=20", None),
            Self::LargeAnswers => tenant.build_request("GET", "/Users?count=500", None),
            Self::UnauthenticatedBodies => {
                let body = json!({"name": "x".repeat(500_000)}).to_string();
                format!(
                    "POST /directory/resources/v1/api-keys HTTP/1.1\r\nHost: localhost\r\n\
                     Authorization: Bearer rck_none\r\nIdempotency-Key: {name}-00000000\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes()
            }
        }
    }

    /// Sends requests until `stop` is set. Returns the number of responses by class: 2xx, 429 and 503, others.
    fn run_connection(self, busy: &BusyTenant, connection: usize, stop: &AtomicBool) -> [usize; 3] {
        let mut answered = [0; 3];
        let mut open = None;
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let request = self.build_request(busy, connection, number);
            let next = open.take().map_or_else(|| PersistentConnection::open(busy.tenant.address), Ok);
            let Ok(mut connected) = next else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            match connected.exchange(&request) {
                Ok((status, _)) => {
                    let class = if status < 300 { 0 } else { 1 + usize::from(![429, 503].contains(&status)) };
                    answered[class] += 1;
                    open = Some(connected);
                    if class > 0 {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
                Err(_) => answered[2] += 1,
            }
        }
        answered
    }
}

/// What the quiet tenant saw.
#[derive(Debug, Default)]
pub(crate) struct QuietResult {
    /// Time of each successful call, sorted.
    pub(crate) times: Vec<Duration>,
    /// The same by kind of call: GET, filter, POST.
    pub(crate) times_by_call: [Vec<Duration>; 3],
    /// Calls with another status than expected, or without a response.
    pub(crate) failed: Vec<String>,
    /// Longest time of `/livez`, including failed calls.
    pub(crate) livez_max: Duration,
    /// Responses of the busy tenant by class: 2xx, 429 and 503, others.
    pub(crate) busy_answers: [usize; 3],
}

impl QuietResult {
    /// Returns the time that `percent` of the calls do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        find_percentile(&self.times, percent)
    }
}

/// Returns the time that `percent` of the sorted times do not exceed.
pub(crate) fn find_percentile(times: &[Duration], percent: usize) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or_default()
}

/// Runs the load and, at the same time, `rounds` rounds of GET, filter and POST of the quiet tenant.
pub(crate) fn run_scenario(
    scenario: Scenario,
    busy: &BusyTenant,
    quiet: &Tenant,
    rounds: usize,
) -> io::Result<QuietResult> {
    let user_id = quiet.create("/Users", &json!({"schemas": [USER], "userName": format!("quiet {scenario:?}")}))?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let load: Vec<_> = (0..scenario.connections())
            .map(|connection| scope.spawn(move || scenario.run_connection(busy, connection, stop)))
            .collect();
        let livez = scope.spawn(move || measure_livez(quiet.address, stop));
        std::thread::sleep(ROUND_INTERVAL * 3);
        let mut result = QuietResult::default();
        for round in 0..rounds {
            let begun = Instant::now();
            run_quiet_round(quiet, &user_id, &format!("quiet {scenario:?} {round}"), &mut result);
            std::thread::sleep(ROUND_INTERVAL.saturating_sub(begun.elapsed()));
        }
        stop.store(true, Ordering::Relaxed);
        for connection in load {
            let answered = connection.join().unwrap_or_default();
            result.busy_answers.iter_mut().zip(answered).for_each(|(sum, more)| *sum += more);
        }
        result.livez_max = livez.join().unwrap_or(ANSWER_MAX);
        result.times_by_call.iter_mut().for_each(|times| times.sort_unstable());
        result.times = result.times_by_call.concat();
        result.times.sort_unstable();
        Ok(result)
    })
}

fn run_quiet_round(quiet: &Tenant, user_id: &str, name: &str, result: &mut QuietResult) {
    let filter = format!("/Users?filter=userName%20eq%20%22{}%22", name.replace(' ', "%20"));
    let user = json!({"schemas": [USER], "userName": name});
    let calls = [
        ("GET", format!("/Users/{user_id}"), None, 200),
        ("GET", filter, None, 200),
        ("POST", "/Users".to_owned(), Some(user), 201),
    ];
    for ((method, path, body, expected), times) in calls.into_iter().zip(&mut result.times_by_call) {
        let begun = Instant::now();
        match quiet.send(method, &path, body.as_ref()) {
            Ok((status, _)) if status == expected => times.push(begun.elapsed()),
            Ok((status, body)) => result.failed.push(format!("{method} {path}: {status} {body}")),
            Err(problem) => result.failed.push(format!("{method} {path}: {problem}")),
        }
    }
}

fn measure_livez(address: SocketAddr, stop: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        let is_alive = PersistentConnection::open(address)
            .and_then(|mut open| open.exchange(request))
            .is_ok_and(|(status, _)| status == 200);
        longest = longest.max(if is_alive { begun.elapsed() } else { ANSWER_MAX });
        std::thread::sleep(ROUND_INTERVAL);
    }
    longest
}
