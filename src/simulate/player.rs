//! Plays a conversation: sends its steps in order, checks the answers, and removes what it created.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::assertion::RECOMMENDATION;
use super::conversation::{CheckLevel, Conversation, ConversationStep, Library, SourceLink, StepCredential, StepNeed};
use super::exchange::{ServerAnswer, SimulatedRequest, TargetServer};
use super::judge;
use super::scope::{UnboundVariable, VariableScope};

/// After so many requests in a row without an answer, the rest is skipped.
const UNANSWERED_MAX: u32 = 3;
/// Longest body in a report, in characters.
const BODY_MAX: usize = 2_000;

/// What is played and what stays afterwards.
#[derive(Debug, Clone, Default)]
pub struct PlayOptions {
    /// Only checks whose name, or the name of whose conversation, contains this text. Earlier steps are still sent,
    /// because they create what a later one needs.
    pub filter: Option<String>,
    /// Does not remove the created resources.
    pub keep: bool,
    /// The token was requested with the credentials of an OAuth client.
    pub has_oauth_token: bool,
}

impl PlayOptions {
    /// Whether the filter selects a check of the conversation.
    pub fn selects(&self, conversation: &Conversation) -> bool {
        conversation.check_names().any(|name| self.selects_check(conversation, name))
    }

    fn selects_check(&self, conversation: &Conversation, name: &str) -> bool {
        let contains = |text: &str, part: &String| text.to_lowercase().contains(&part.to_lowercase());
        self.filter.as_ref().is_none_or(|part| contains(name, part) || contains(&conversation.name, part))
    }

    fn meets(&self, need: StepNeed) -> bool {
        match need {
            StepNeed::Oauth => self.has_oauth_token,
            StepNeed::WorkloadIdentity => false,
        }
    }
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The answer is what the provider needs.
    Passed,
    /// The answer is not what the provider needs, or a required request could not be sent.
    Failed,
    /// The answer differs from a recommendation.
    Noted,
    /// The request was not sent, and the provider may work with the server.
    Skipped,
}

/// A check of one answer, with what a developer needs to correct a failure.
#[derive(Debug, Clone)]
pub struct CheckResult {
    /// Name of the check.
    pub name: String,
    /// Its result.
    pub outcome: CheckOutcome,
    /// Whether the provider needs it.
    pub level: CheckLevel,
    /// Names of the rules.
    pub rules: Vec<String>,
    /// What the server should answer.
    pub rule: String,
    /// Why the provider needs it.
    pub reason: String,
    /// Where the request comes from.
    pub source: SourceLink,
    /// The request, without the credential.
    pub request: String,
    /// The answer.
    pub answer: String,
    /// What is wrong with the answer.
    pub problems: Vec<String>,
    /// Time until the answer, in milliseconds.
    pub millis: u64,
}

impl CheckResult {
    /// Records why the request was not sent. If the provider needs the answer, this is a failure.
    fn set_not_sent(&mut self, problem: String) {
        self.problems.push(problem);
        self.outcome = match self.level {
            CheckLevel::Required => CheckOutcome::Failed,
            CheckLevel::Recommended => CheckOutcome::Skipped,
        };
    }
}

/// The checks of a conversation.
#[derive(Debug, Clone)]
pub struct ConversationReport {
    /// Name of the conversation.
    pub name: String,
    /// Its subject.
    pub title: String,
    /// The checks, in order.
    pub checks: Vec<CheckResult>,
    /// Paths of created resources that could not be removed.
    pub left: Vec<String>,
}

/// Plays a conversation against a server. `None` if the filter selects none of its checks.
pub fn play_conversation(
    library: &Library,
    conversation: &Conversation,
    server: &TargetServer,
    options: &PlayOptions,
) -> Option<ConversationReport> {
    let is_selected = |name: &str| options.selects_check(conversation, name);
    let last = conversation.steps.iter().rposition(|step| is_selected(&step.name))?;
    let mut session = PlaySession { server, conversation, scope: None, created: Vec::new(), unanswered: 0 };
    let mut checks = Vec::new();
    for step in &conversation.steps[..=last] {
        if step.cleanup && options.keep {
            continue;
        }
        let unmet = step.needs.filter(|need| !options.meets(*need));
        let check = session.play_step(library, step, unmet);
        if is_selected(&step.name) {
            checks.push(check);
        }
    }
    let left = if options.keep { Vec::new() } else { session.remove_created() };
    Some(ConversationReport { name: conversation.name.clone(), title: conversation.title.clone(), checks, left })
}

struct PlaySession<'s> {
    server: &'s TargetServer,
    conversation: &'s Conversation,
    /// `None` before the first step.
    scope: Option<VariableScope>,
    /// Paths of resources that exist.
    created: Vec<String>,
    unanswered: u32,
}

impl PlaySession<'_> {
    /// Sends a step and checks its answer. A step with an unmet need is skipped.
    fn play_step(&mut self, library: &Library, step: &ConversationStep, unmet: Option<StepNeed>) -> CheckResult {
        let mut check = CheckResult {
            name: step.name.clone(),
            outcome: CheckOutcome::Skipped,
            level: step.level,
            rules: step.rules.clone(),
            rule: library.describe_rule(step),
            reason: library.describe_reason(step),
            source: library.source_of(step),
            request: String::new(),
            answer: String::new(),
            problems: Vec::new(),
            millis: 0,
        };
        if let Some(need) = unmet {
            check.problems.push(need.describe_skip().to_owned());
            return check;
        }
        if self.unanswered >= UNANSWERED_MAX {
            check.set_not_sent("not sent: the server does not answer".to_owned());
            return check;
        }
        match self.prepare_step(step) {
            Ok((request, expect)) => self.send_step(step, &request, &expect, &mut check),
            Err(UnboundVariable(name)) => {
                check.set_not_sent(format!("not sent: an earlier step did not return {name:?}"));
            }
        }
        self.redact_check(&mut check);
        check
    }

    /// Builds the request, and what its answer must be.
    fn prepare_step(&mut self, step: &ConversationStep) -> Result<(SimulatedRequest, Value), UnboundVariable> {
        let conversation = self.conversation;
        let scope = match &mut self.scope {
            Some(scope) => scope,
            none => none.insert(VariableScope::new(&conversation.vars)?),
        };
        let mut request = SimulatedRequest {
            method: step.method.clone(),
            path: scope.render_text(&step.path)?,
            ..SimulatedRequest::default()
        };
        let credential = match step.auth {
            StepCredential::Bearer => Some(format!("Bearer {}", self.server.token)),
            StepCredential::SchemeLower => Some(format!("bearer {}", self.server.token)),
            StepCredential::Bad => Some("Bearer not-the-token-5c0ffee5".to_owned()),
            StepCredential::None => None,
        };
        request.headers.extend(credential.map(|credential| ("Authorization".to_owned(), credential)));
        for (name, value) in conversation.headers.iter().chain(&step.headers) {
            request.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
            if let Some(text) = value.as_str() {
                request.headers.push((name.clone(), scope.render_text(text)?));
            }
        }
        request.body = match (&step.body_raw, &step.body) {
            (Some(raw), _) => Some(scope.render_text(raw)?.into_bytes()),
            (None, Some(body)) => Some(scope.render(body)?.to_string().into_bytes()),
            (None, None) => None,
        };
        if request.body.is_none() {
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        Ok((request, scope.render(&step.expect)?))
    }

    fn send_step(
        &mut self,
        step: &ConversationStep,
        request: &SimulatedRequest,
        expect: &Value,
        check: &mut CheckResult,
    ) {
        thread::sleep(Duration::from_millis(step.pause_ms));
        check.request = describe_request(request);
        let begun = Instant::now();
        let answer = self.server.send(request);
        let took = begun.elapsed();
        check.millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match answer {
            Err(problem) => {
                self.unanswered += 1;
                check.problems.push(format!("no answer: {problem}"));
            }
            Ok(answer) => {
                self.unanswered = 0;
                check.answer = describe_answer(&answer);
                judge::judge_answer(expect, &answer, took, &mut check.problems);
                if let Some(scope) = &mut self.scope {
                    judge::capture_values(step.capture.iter(), &answer, scope, &mut check.problems);
                }
                self.record_resource(request, &answer);
            }
        }
        let is_minor = check.problems.iter().all(|problem| problem.starts_with(RECOMMENDATION));
        check.outcome = match step.level {
            _ if check.problems.is_empty() => CheckOutcome::Passed,
            CheckLevel::Required if !is_minor => CheckOutcome::Failed,
            _ => CheckOutcome::Noted,
        };
    }

    /// Remembers what a request created or deleted.
    fn record_resource(&mut self, request: &SimulatedRequest, answer: &ServerAnswer) {
        if !(200..300).contains(&answer.status) {
            return;
        }
        let path = request.path.split('?').next().unwrap_or_default();
        if request.method == "DELETE" {
            self.created.retain(|created| created != path);
        } else if request.method == "POST" && ["/Users", "/Groups"].contains(&path) {
            let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let in_location = || answer.header("location").and_then(|url| url.rsplit('/').next()).map(str::to_owned);
            let id = match &document["id"] {
                Value::String(id) => Some(id.clone()),
                Value::Number(id) => Some(id.to_string()),
                _ => in_location(),
            };
            self.created.extend(id.filter(|id| !id.is_empty()).map(|id| format!("{path}/{id}")));
        }
    }

    /// Deletes what still exists, the last one first, and returns the paths of what could not be deleted.
    fn remove_created(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        while let Some(path) = self.created.pop() {
            let request = SimulatedRequest {
                method: "DELETE".to_owned(),
                path: path.clone(),
                headers: vec![("Authorization".to_owned(), format!("Bearer {}", self.server.token))],
                body: None,
            };
            let answer = if self.unanswered < UNANSWERED_MAX { self.server.send(&request) } else { Err(String::new()) };
            let is_gone =
                answer.as_ref().is_ok_and(|answer| (200..300).contains(&answer.status) || answer.status == 404);
            self.unanswered += u32::from(answer.is_err());
            if !is_gone {
                left.push(path);
            }
        }
        left
    }

    /// Removes the token from everything that can be printed: a server may return it.
    fn redact_check(&self, check: &mut CheckResult) {
        for text in check.problems.iter_mut().chain([&mut check.request, &mut check.answer]) {
            self.server.redact_token(text);
        }
    }
}

fn describe_request(request: &SimulatedRequest) -> String {
    let mut text = format!("{} {}", request.method, request.path);
    append_message(&mut text, &request.headers, request.body.as_deref().unwrap_or_default());
    text
}

fn describe_answer(answer: &ServerAnswer) -> String {
    let mut text = answer.status.to_string();
    append_message(&mut text, &answer.headers, &answer.body);
    text
}

fn append_message(text: &mut String, headers: &[(String, String)], body: &[u8]) {
    for (name, value) in headers {
        let is_credential = ["authorization", "set-cookie"].contains(&name.to_ascii_lowercase().as_str());
        let _ = write!(text, "\n{name}: {}", if is_credential { "…" } else { value });
    }
    if !body.is_empty() {
        let body = String::from_utf8_lossy(body);
        let cut = body.char_indices().nth(BODY_MAX).map_or(body.len(), |(at, _)| at);
        let _ = write!(text, "\n{}{}", &body[..cut], if cut < body.len() { "…" } else { "" });
    }
}
