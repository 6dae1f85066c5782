//! The writes of a simulation: random use cases of the product, and how they run in a transaction.

use std::sync::{Arc, Mutex, PoisonError};

use rollcall::auth::secret::digest_text;
use rollcall::clock;
use rollcall::error::{Error, ErrorKind, Reason, Result};
use rollcall::management::configurations::set_sync;
use rollcall::management::request_log::{CallTarget, RequestLogEntry, store_calls};
use rollcall::management::tokens::{TokenDraft, revoke_token, rotate_token};
use rollcall::model::audit_context::AuditContext;
use rollcall::model::request::{CallOutcome, LoggedBody, LoggedCall};
use rollcall::model::rights::TokenRights;
use rollcall::provisioning::Scope;
use rollcall::provisioning::deletion::delete_resource;
use rollcall::provisioning::patches::patch_resource;
use rollcall::provisioning::resources::{
    PreparedResource, ResourceWrite, build_rules, create_resource, replace_small_resource,
};
use rollcall::scim::patch::parse_patch;
use rollcall::scim::schema::{GROUP_TYPE, ResourceType, USER_TYPE};
use rollcall::scim::validate::{read_new_resource, read_resource};
use rollcall::store::Tx;
use serde_json::{Value, json};

use crate::model::Model;
use crate::random::Random;

/// One use case.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    CreateUser { id: String, name: String, title: Option<String> },
    ReplaceUser { id: String, name: String, title: Option<String>, active: bool },
    PatchUser { id: String, title: String, active: bool },
    DeleteUser { id: String },
    CreateGroup { id: String, name: String, members: Vec<String> },
    AddMembers { id: String, members: Vec<String> },
    RemoveMembers { id: String, members: Vec<String> },
    RenameGroup { id: String, name: String },
    DeleteGroup { id: String },
    RotateToken { id: String },
    RevokeToken { id: String },
    LogCalls { ids: Vec<String> },
    SetSync(bool),
}

/// The result of a use case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    NotFound,
    Conflict,
    Invalid,
    /// It did not run.
    Skipped,
}

impl Outcome {
    /// The outcome of an error that the product returns on purpose. None for failures of the server.
    pub(crate) fn from_error(error: &Error) -> Option<Self> {
        // The deadline of the job ended a statement.
        if matches!(error.reason(), Reason::QueryTooLong | Reason::WriteTooLong) {
            return None;
        }
        match error.kind() {
            ErrorKind::NotFound => Some(Self::NotFound),
            ErrorKind::Conflict => Some(Self::Conflict),
            ErrorKind::Invalid if error.status() == 400 => Some(Self::Invalid),
            _ => None,
        }
    }
}

/// How the use cases of a job belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// One use case in a savepoint.
    Isolated,
    /// One use case without a savepoint.
    Unisolated,
    /// Several use cases, each of which can fail alone.
    Bulk,
    /// Use cases, and then an error.
    FailsAtEnd,
    /// The same without a savepoint: the whole batch is rolled back, and its other writes run again.
    FailsAtEndUnisolated,
    /// Use cases, and then a panic.
    Panics,
}

/// One write.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) configuration: usize,
    pub(crate) kind: JobKind,
    pub(crate) changes: Vec<Change>,
}

impl Job {
    /// Whether the job fails on purpose.
    pub(crate) fn fails(&self) -> bool {
        matches!(self.kind, JobKind::FailsAtEnd | JobKind::FailsAtEndUnisolated | JobKind::Panics)
    }

    pub(crate) fn has_savepoint(&self) -> bool {
        !matches!(self.kind, JobKind::Unisolated | JobKind::FailsAtEndUnisolated)
    }

    /// Whether the write belongs to the management lane.
    pub(crate) fn is_management(&self) -> bool {
        self.changes.iter().any(|change| {
            matches!(change, Change::RotateToken { .. } | Change::RevokeToken { .. } | Change::SetSync(_))
        })
    }

    /// A random job, most often about something that exists in the state.
    pub(crate) fn draw(random: &mut Random, state: &Model) -> Self {
        let configuration = random.below(state.0.len());
        let kind = match random.below(40) {
            0..18 => JobKind::Isolated,
            18..30 => JobKind::Unisolated,
            30..36 => JobKind::Bulk,
            36 | 37 => JobKind::FailsAtEnd,
            38 => JobKind::FailsAtEndUnisolated,
            _ => JobKind::Panics,
        };
        let count = if matches!(kind, JobKind::Isolated | JobKind::Unisolated) { 1 } else { 1 + random.below(6) };
        let changes: Vec<Change> = (0..count).map(|_| draw_change(random, state, configuration)).collect();
        let job = Self { configuration, kind, changes };
        // These use cases can fail after their first change.
        let needs_savepoint =
            job.is_management() || job.changes.iter().any(|one| matches!(one, Change::LogCalls { .. }));
        match job.kind {
            JobKind::Unisolated if needs_savepoint => Self { kind: JobKind::Isolated, ..job },
            _ => job,
        }
    }
}

fn draw_change(random: &mut Random, state: &Model, configuration: usize) -> Change {
    let at = &state.0[configuration];
    let users: Vec<&String> = at.current.users.keys().collect();
    let groups: Vec<&String> = at.current.groups.keys().collect();
    let user = |random: &mut Random| match random.pick(&users) {
        Some(id) if !random.chance(1, 20) => (*id).clone(),
        _ => clock::new_id(),
    };
    let group = |random: &mut Random| random.pick(&groups).map_or_else(clock::new_id, |id| (*id).clone());
    let members = |random: &mut Random| (0..random.below(6)).map(|_| user(random)).collect::<Vec<_>>();
    let title = |random: &mut Random| random.chance(3, 4).then(|| draw_text(random));
    match random.below(100) {
        0..22 => Change::CreateUser { id: clock::new_id(), name: draw_name(random), title: title(random) },
        22..34 => {
            let (id, name, title) = (user(random), draw_name(random), title(random));
            Change::ReplaceUser { id, name, title, active: random.chance(3, 4) }
        }
        34..48 => Change::PatchUser { id: user(random), title: draw_text(random), active: random.chance(3, 4) },
        48..57 => Change::DeleteUser { id: user(random) },
        57..65 => Change::CreateGroup { id: clock::new_id(), name: draw_name(random), members: members(random) },
        65..73 => Change::AddMembers { id: group(random), members: members(random) },
        73..79 => Change::RemoveMembers { id: group(random), members: members(random) },
        79..81 => Change::RenameGroup { id: group(random), name: draw_name(random) },
        81..86 => Change::DeleteGroup { id: group(random) },
        86..89 => Change::RotateToken { id: clock::new_id() },
        89..91 => {
            let tokens: Vec<&String> = at.tokens.keys().collect();
            Change::RevokeToken { id: random.pick(&tokens).map_or_else(clock::new_id, |id| (*id).clone()) }
        }
        91..97 => Change::LogCalls { ids: (0..=random.below(4)).map(|_| clock::new_id()).collect() },
        _ => Change::SetSync(random.chance(1, 2)),
    }
}

/// Few names, so that some are in use.
fn draw_name(random: &mut Random) -> String {
    format!("user{}@example.com", random.below(60))
}

/// Mostly short, sometimes longer than a page.
fn draw_text(random: &mut Random) -> String {
    let length = if random.chance(1, 30) { 1_000 + random.below(4_000) } else { 4 + random.below(60) };
    (0..length).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap_or_default())).collect()
}

/// The order in which jobs ran, by their numbers. A job can run again.
pub(crate) type RunOrder = Arc<Mutex<Vec<usize>>>;

/// What a job needs to run.
#[derive(Clone)]
pub(crate) struct JobRun {
    pub(crate) number: usize,
    pub(crate) job: Arc<Job>,
    pub(crate) scope: Scope,
    pub(crate) order: RunOrder,
}

/// The text of the panics of jobs.
pub(crate) const PANIC_TEXT: &str = "a panic of the simulation";

impl JobRun {
    /// Runs the job in the transaction.
    pub(crate) fn run(&self, tx: &Tx<'_>) -> Result<Vec<Outcome>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        let Job { kind, changes, .. } = &*self.job;
        if let (JobKind::Isolated | JobKind::Unisolated, [change]) = (kind, &changes[..]) {
            run_change(tx, &self.scope, change)?;
            return Ok(vec![Outcome::Applied]);
        }
        let mut outcomes = Vec::new();
        for change in changes {
            let part = tx.run_in_savepoint(|| run_change(tx, &self.scope, change));
            outcomes.push(match part {
                Ok(()) => Outcome::Applied,
                Err(error) => Outcome::from_error(&error).ok_or(error)?,
            });
        }
        match kind {
            JobKind::FailsAtEnd | JobKind::FailsAtEndUnisolated => Err(Error::database("the simulation")),
            JobKind::Panics => panic!("{PANIC_TEXT}"),
            _ => Ok(outcomes),
        }
    }
}

/// Runs one use case.
pub(crate) fn run_change(tx: &Tx<'_>, scope: &Scope, change: &Change) -> Result<()> {
    let (user, group): (&ResourceType, &ResourceType) = (&USER_TYPE, &GROUP_TYPE);
    let rules = build_rules(scope);
    let context = AuditContext::server();
    match change {
        Change::CreateUser { id, name, title } => create(tx, scope, user, (id, &user_body(name, title.as_ref(), true))),
        Change::ReplaceUser { id, name, title, active } => {
            let draft = read_resource(&user_body(name, title.as_ref(), *active), user, rules)?;
            replace_small_resource(tx, &ResourceWrite::new(scope, user, id), &draft).map(drop)
        }
        Change::PatchUser { id, title, active } => {
            let value = json!({"title": title, "active": active});
            patch(tx, scope, user, (id, &json!({"op": "replace", "value": value})))
        }
        Change::CreateGroup { id, name, members } => {
            create(tx, scope, group, (id, &json!({"displayName": name, "members": member_values(members)})))
        }
        Change::AddMembers { id, members } => {
            let operation = json!({"op": "add", "path": "members", "value": member_values(members)});
            patch(tx, scope, group, (id, &operation))
        }
        Change::RemoveMembers { id, members } => {
            let operation = json!({"op": "remove", "path": "members", "value": member_values(members)});
            patch(tx, scope, group, (id, &operation))
        }
        Change::RenameGroup { id, name } => {
            patch(tx, scope, group, (id, &json!({"op": "replace", "path": "displayName", "value": name})))
        }
        Change::DeleteUser { id } => delete_resource(tx, &ResourceWrite::new(scope, user, id)).map(drop),
        Change::DeleteGroup { id } => delete_resource(tx, &ResourceWrite::new(scope, group, id)).map(drop),
        Change::RotateToken { id } => {
            let draft = TokenDraft {
                id: id.clone(),
                digest: digest_text(id),
                hint: "hint".to_owned(),
                label: "simulated".to_owned(),
                rights: TokenRights::All,
                expires_at: None,
            };
            rotate_token(tx, &context, &scope.configuration_id, &draft, None).map(drop)
        }
        Change::RevokeToken { id } => revoke_token(tx, &context, &scope.configuration_id, id),
        Change::LogCalls { ids } => {
            let entries: Vec<RequestLogEntry> = ids.iter().map(|id| log_entry(scope, id, tx.now)).collect();
            store_calls(tx, &entries)
        }
        Change::SetSync(sync) => set_sync(tx, &context, &scope.configuration_id, *sync),
    }
}

fn user_body(name: &str, title: Option<&String>, active: bool) -> Value {
    let mut body = json!({
        "userName": name, "active": active, "emails": [{"value": name, "type": "work", "primary": true}],
    });
    if let Some(title) = title {
        body["title"] = json!(title);
    }
    body
}

fn member_values(members: &[String]) -> Vec<Value> {
    members.iter().map(|id| json!({"value": id})).collect()
}

fn create(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, (id, body): (&str, &Value)) -> Result<()> {
    let prepared = PreparedResource::new(read_new_resource(body, of, build_rules(scope))?, of)?;
    create_resource(tx, &ResourceWrite::new(scope, of, id), &prepared).map(drop)
}

fn patch(tx: &Tx<'_>, scope: &Scope, of: &ResourceType, (id, operation): (&str, &Value)) -> Result<()> {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
    let patch = parse_patch(&body, of, build_rules(scope))?;
    patch_resource(tx, &ResourceWrite::new(scope, of, id), &patch).map(drop)
}

fn log_entry(scope: &Scope, id: &str, at: i64) -> RequestLogEntry {
    let text = format!("{{\"id\":\"{id}\"}}");
    let body = LoggedBody { bytes: Some(text.len() as u64), text: Some(text) };
    let mut call = LoggedCall {
        id: id.to_owned(),
        at,
        method: "GET".to_owned(),
        path: "/Users".to_owned(),
        status: 200,
        request: body.clone(),
        response: body,
        ..LoggedCall::default()
    };
    call.pack_bodies();
    RequestLogEntry { target: CallTarget::Key(scope.configuration), verdict: CallOutcome::Succeeded, call }
}
