//! The live test of a connection: a checklist of the steps that worked, and the calls that failed. It is built from
//! counts and from the newest calls of the request log.

use crate::clock::Millis;
use crate::diagnosis::connection_status::format_ago;
use crate::diagnosis::{self, CallContext, ExplanationRule};
use crate::management::oauth;
use crate::management::overview::ConfigurationOverview;
use crate::management::request_log::{self, RequestLogQuery};
use crate::management::webhooks::deliveries::{DeliveredEvent, find_first_delivery};
use crate::messages::capitalize;
use crate::model::audit_context::AccountScope;
use crate::model::request::LoggedCall;
use crate::providers::steps::SetupEffect;
use crate::providers::{self, IdentityProvider, SettingLocation};
use crate::provisioning::delivery::{self, DeliveryState};
use crate::web::oauth::TOKEN_PATH;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::PageError;
use crate::web::portal::texts;
use crate::web::public_url::is_https;

/// Number of newest calls that are examined.
const CALLS: u32 = 200;
/// Failures older than this are not listed, in milliseconds.
const FAILURE_AGE_MAX: Millis = 24 * 60 * 60 * 1000;

/// The checklist and the failed calls of a connection.
pub(crate) struct LiveTest {
    pub(crate) steps: Vec<LiveTestStep>,
    /// Failures because of the URL or the credentials.
    pub(crate) failures: Vec<CallFailureGroup>,
    /// Failures because of the attribute mapping.
    pub(crate) mapping_failures: Vec<CallFailureGroup>,
    /// What the operator's application has read of the events.
    pub(crate) application: String,
    delivery: DeliveryState,
    /// The first event that a webhook has delivered.
    pub(crate) first_delivery: Option<DeliveredEvent>,
}

/// One line of the checklist.
pub(crate) struct LiveTestStep {
    pub(crate) is_done: bool,
    /// What the step waits for; `None` if the identity provider does not see it.
    pub(crate) effect: Option<SetupEffect>,
    pub(crate) title: &'static str,
    /// The result, or what to do.
    pub(crate) sentence: String,
}

impl LiveTestStep {
    /// Whether provisioning works without it.
    pub(crate) fn is_optional(&self) -> bool {
        self.effect == Some(SetupEffect::GroupArrived)
    }

    /// Whether requests arrive and none has a valid token. `has_failures` is whether the newest requests failed.
    pub(crate) fn is_rejected(&self, has_failures: bool) -> bool {
        self.effect == Some(SetupEffect::Authenticated) && !self.is_done && has_failures
    }
}

/// Failed calls with the same explanation.
pub(crate) struct CallFailureGroup {
    pub(crate) rule: &'static ExplanationRule,
    /// Number of calls.
    pub(crate) count: usize,
    /// Time since the last of them.
    pub(crate) when: String,
    /// Last characters of the token that was sent, if this server created it.
    pub(crate) hint: Option<String>,
    /// The attribute that the calls failed on.
    pub(crate) field: Option<String>,
    /// Whether a later call succeeded.
    pub(crate) is_resolved: bool,
}

/// The calls of a connection, and what their explanation depends on.
struct ExaminedCalls<'c> {
    calls: &'c [LoggedCall],
    configuration_id: &'c str,
    /// Whether the public URL of the server is HTTPS.
    is_secure: bool,
}

impl LiveTest {
    /// Builds the live test from the newest calls of a connection. `url` is its provisioning URL.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) async fn read(
        page_request: &PageRequest,
        one: &ConfigurationOverview,
        url: &str,
        now: Millis,
    ) -> Result<Self, PageError> {
        let (filter, configuration) = (RequestLogQuery::default(), one.configuration.clone());
        let found = page_request.read(move |at| {
            let scope = AccountScope::Account(configuration.account.clone());
            let page = request_log::list_calls(at, &scope, &configuration.id, &filter, CALLS)?;
            let progress = ApplicationProgress {
                feed: delivery::find_delivery(at, &configuration)?,
                first_delivery: find_first_delivery(at, configuration.key)?,
            };
            let clients = oauth::list_clients(at, &scope, &configuration.id)?;
            let oauth = OauthUse {
                has_client: !clients.is_empty(),
                last_used: clients.iter().filter_map(|found| found.client.last_used_at).max(),
            };
            Ok((page, progress, oauth))
        });
        let (page, progress, oauth) = found.await?;
        let examined =
            ExaminedCalls { calls: &page.calls, configuration_id: &one.configuration.id, is_secure: is_https(url) };
        Ok(Self::from_calls(&examined, (progress, oauth), one, now))
    }

    fn from_calls(
        examined: &ExaminedCalls<'_>,
        (progress, oauth): (ApplicationProgress, OauthUse),
        one: &ConfigurationOverview,
        now: Millis,
    ) -> Self {
        let calls = examined.calls;
        let seen = ConnectionFacts {
            reached: one.configuration.last_seen.or_else(|| calls.first().map(|call| call.at)),
            token: one.configuration.last_seen,
            users: one.users,
            groups: one.groups,
        };
        let mut steps = build_checklist(&seen, calls, one.provider, now);
        if oauth.has_client {
            steps.insert(1, examined.check_token_requests(oauth, one.provider, now));
            let is_open = |step: &&mut LiveTestStep| step.effect == Some(SetupEffect::Authenticated) && !step.is_done;
            if let Some(step) = steps.iter_mut().find(is_open) {
                step.sentence = texts::live_test::ask_for_test_with_token(one.provider.name);
            }
        }
        let has_read = matches!(progress.feed, DeliveryState::Read { has_begun: true, .. });
        let is_done = has_read || progress.first_delivery.is_some();
        let application = progress.describe(one.configuration.sync, now);
        let title = texts::live_test::DELIVERED_TO_APP;
        steps.push(LiveTestStep { is_done, effect: None, title, sentence: application.clone() });
        let first_delivery = progress.first_delivery;
        let (failures, mapping_failures) = (examined.group_failures(now), examined.group_mapping_failures(now));
        Self { steps, application, delivery: progress.feed, failures, mapping_failures, first_delivery }
    }

    /// Class and text of the state of the operator's application.
    pub(crate) fn application_state(&self) -> (&'static str, &'static str) {
        match self.delivery {
            _ if self.first_delivery.is_some() => ("live", texts::labels::WEBHOOK),
            DeliveryState::NoEvents => ("waiting", texts::live_test::APP_HAS_NO_EVENTS),
            DeliveryState::Unread => ("quiet", texts::live_test::APP_IS_NOT_READING),
            DeliveryState::Read { waiting: 0, is_more: false, .. } => ("live", texts::labels::UP_TO_DATE),
            DeliveryState::Read { .. } => ("testing", texts::live_test::APP_IS_CATCHING_UP),
        }
    }

    /// Whether no application reads the events.
    pub(crate) fn is_unread(&self) -> bool {
        self.delivery == DeliveryState::Unread && self.first_delivery.is_none()
    }

    /// Whether all steps are done and no failure is unresolved.
    pub(crate) fn is_complete(&self) -> bool {
        // Not every provider sends groups, and the application may be built later.
        let is_needed = |step: &&LiveTestStep| step.effect.is_some_and(|effect| effect != SetupEffect::GroupArrived);
        self.steps.iter().filter(is_needed).all(|step| step.is_done) && !self.has_open_failures()
    }

    /// The steps of the identity provider, without those of the application.
    pub(crate) fn provider_steps(&self) -> impl Iterator<Item = &LiveTestStep> {
        self.steps.iter().filter(|step| step.effect.is_some())
    }

    /// Whether a failed attempt was not followed by a successful request.
    pub(crate) fn has_open_failures(&self) -> bool {
        self.failures.iter().any(|failure| !failure.is_resolved)
    }

    /// Whether an effect of the setup has been seen.
    pub(crate) fn has_seen(&self, effect: SetupEffect) -> bool {
        self.steps.iter().any(|step| step.is_done && step.effect == Some(effect))
    }

    /// The last step that is done: its number, the number of steps, and its title.
    pub(crate) fn reached_step(&self) -> Option<(usize, usize, &'static str)> {
        let total = self.provider_steps().count();
        let done = self.provider_steps().enumerate().filter(|(_, step)| step.is_done).last();
        done.map(|(at, step)| (at + 1, total, step.title))
    }
}

/// What the operator's application has of the events.
#[derive(Debug, Clone, Copy)]
struct ApplicationProgress {
    feed: DeliveryState,
    first_delivery: Option<DeliveredEvent>,
}

impl ApplicationProgress {
    /// The progress in sentences: of the webhooks, of the feed, or of both.
    fn describe(self, sync: bool, now: Millis) -> String {
        let Some(first) = self.first_delivery else { return describe_delivery(self.feed, sync, now) };
        let webhook = texts::live_test::say_webhook_delivered(&format_ago(now - first.at));
        match self.feed {
            DeliveryState::Read { .. } => {
                texts::live_test::add_feed(&webhook, &describe_delivery(self.feed, sync, now))
            }
            DeliveryState::NoEvents | DeliveryState::Unread => webhook,
        }
    }
}

/// The delivery state of the events, in a sentence.
fn describe_delivery(delivery: DeliveryState, sync: bool, now: Millis) -> String {
    match delivery {
        DeliveryState::NoEvents if !sync => texts::live_test::APP_IS_PAUSED.to_owned(),
        DeliveryState::NoEvents => texts::live_test::NO_EVENTS_YET.to_owned(),
        DeliveryState::Unread => texts::live_test::APP_DOES_NOT_READ_YET.to_owned(),
        DeliveryState::Read { at, has_begun: false, .. } => texts::live_test::say_app_catches_up(&format_ago(now - at)),
        DeliveryState::Read { at, waiting: 0, is_more: false, .. } => {
            texts::live_test::say_app_up_to_date(&format_ago(now - at))
        }
        DeliveryState::Read { at, waiting: 0, .. } => texts::live_test::say_app_reads_old_events(&format_ago(now - at)),
        DeliveryState::Read { at, waiting, is_more, .. } => {
            texts::live_test::say_events_wait(waiting, is_more, &format_ago(now - at))
        }
    }
}

/// What OAuth clients have done.
#[derive(Debug, Clone, Copy)]
struct OauthUse {
    has_client: bool,
    /// When one of them got an access token.
    last_used: Option<Millis>,
}

/// Facts that do not come from the log.
struct ConnectionFacts {
    reached: Option<Millis>,
    token: Option<Millis>,
    users: i64,
    groups: i64,
}

fn build_checklist(
    seen: &ConnectionFacts,
    calls: &[LoggedCall],
    provider: &IdentityProvider,
    now: Millis,
) -> Vec<LiveTestStep> {
    let name = provider.name;
    let answered = |call: &&LoggedCall| is_answered_look_up(call);
    let tested_by = calls.iter().filter(answered).find_map(|call| providers::recognize_connection_test(&call.path));
    let looked_up = calls.iter().any(is_answered_look_up) || seen.users > 0;
    let step = |effect, is_done, title, (done, open): (String, String)| LiveTestStep {
        is_done,
        effect: Some(effect),
        title,
        sentence: if is_done { done } else { open },
    };
    let last = |at: Option<Millis>| {
        at.map_or_else(String::new, |at| texts::live_test::say_last_request(&format_ago(now - at)))
    };
    // Other clients test as a provider does: the sentence names it only if it is the provider of the connection.
    let answered = match tested_by {
        Some(tester) if tester.key == provider.key => texts::live_test::say_provider_tested(name),
        Some(_) => texts::live_test::CONNECTION_TESTED.to_owned(),
        None if calls.iter().any(is_answered_look_up) => texts::live_test::READ_ANSWERED.to_owned(),
        None => texts::live_test::USER_HAS_ARRIVED.to_owned(),
    };
    vec![
        step(
            SetupEffect::Reached,
            seen.reached.is_some(),
            texts::live_test::REQUEST_RECEIVED,
            (last(seen.reached), texts::live_test::ask_for_url(name)),
        ),
        step(
            SetupEffect::Authenticated,
            seen.token.is_some(),
            texts::live_test::TOKEN_ACCEPTED,
            (texts::live_test::TOKEN_WAS_VALID.to_owned(), texts::live_test::ask_for_token(name)),
        ),
        step(
            SetupEffect::Tested,
            looked_up,
            texts::live_test::TEST_PASSED,
            (answered, texts::live_test::ask_for_test(name)),
        ),
        step(
            SetupEffect::UserArrived,
            seen.users > 0,
            texts::live_test::FIRST_USER_SYNCED,
            (texts::live_test::say_users_arrived(seen.users), describe_waiting_for_user(calls, name)),
        ),
        step(
            SetupEffect::GroupArrived,
            seen.groups > 0,
            texts::live_test::FIRST_GROUP_SYNCED,
            (texts::live_test::say_groups_arrived(seen.groups), texts::live_test::PUSH_GROUP.to_owned()),
        ),
    ]
}

/// What is needed for the first user: why it was rejected, or that one has to be assigned.
fn describe_waiting_for_user(calls: &[LoggedCall], name: &str) -> String {
    let is_create = |call: &&LoggedCall| {
        let path = call.path.split('?').next().unwrap_or_default();
        call.method == "POST" && call.token_id.is_some() && path.trim_end_matches('/').ends_with("/Users")
    };
    let mut rejected = calls.iter().filter(is_create).take_while(|call| call.failed).peekable();
    let Some(last) = rejected.peek() else { return texts::live_test::ask_for_user(name) };
    let cause = diagnosis::describe_rejection(last);
    let cause = cause.map(str::to_owned).or_else(|| last.detail.clone());
    texts::live_test::say_users_rejected(rejected.count(), cause.as_deref(), name)
}

/// Whether the call was a successful look-up with a valid token.
fn is_answered_look_up(call: &LoggedCall) -> bool {
    call.method == "GET" && call.refusal.is_none() && call.token_id.is_some() && call.status < 400
}

/// Whether the call is a request for an access token.
fn is_token_request(call: &LoggedCall) -> bool {
    let path = call.path.split('?').next().unwrap_or_default();
    call.method == "POST" && path.trim_end_matches('/').ends_with(TOKEN_PATH)
}

impl ExaminedCalls<'_> {
    /// The step of the access token. If the newest request for one failed, it says why.
    fn check_token_requests(&self, oauth: OauthUse, provider: &IdentityProvider, now: Millis) -> LiveTestStep {
        let newest = self.calls.iter().find(|call| is_token_request(call));
        let granted = self.calls.iter().find(|call| is_token_request(call) && call.status < 300);
        let last = oauth.last_used.max(granted.map(|call| call.at));
        let sentence = match (last, newest.filter(|call| call.status >= 300)) {
            (Some(at), None) => texts::live_test::say_last_token(&format_ago(now - at)),
            (_, Some(call)) => self.describe_refused_request(call),
            (None, None) => texts::live_test::ask_for_token_url(provider.name),
        };
        LiveTestStep {
            is_done: last.is_some(),
            effect: Some(SetupEffect::TokenFetched),
            title: texts::live_test::ACCESS_TOKEN_FETCHED,
            sentence,
        }
    }

    /// Why a request for an access token was refused, and the fix.
    fn describe_refused_request(&self, call: &LoggedCall) -> String {
        match (self.find_mistake(call), &call.detail) {
            (Some(rule), _) => texts::live_test::explain_token_failure(rule.refusal_reason, rule.advice),
            (None, Some(detail)) => texts::live_test::say_token_failure(detail),
            (None, None) => texts::live_test::say_token_failure_status(call.status),
        }
    }

    /// Recent failures of the setup, grouped by explanation, newest first.
    fn group_failures(&self, now: Millis) -> Vec<CallFailureGroup> {
        let worked =
            self.calls.iter().find(|call| call.token_id.is_some() && !call.failed && self.find_mistake(call).is_none());
        let worked = worked.map(|call| call.at);
        self.group_calls(now, |call| self.find_mistake(call), |call| worked.is_some_and(|at| at > call.at))
    }

    /// Recent failures because of the attribute mapping. A later change of the same type that succeeded resolves one.
    fn group_mapping_failures(&self, now: Millis) -> Vec<CallFailureGroup> {
        let find = |call: &LoggedCall| {
            self.find_rule(call).filter(|rule| rule.location == SettingLocation::Mapping && call.token_id.is_some())
        };
        let is_change = |call: &LoggedCall| !call.failed && matches!(&*call.method, "POST" | "PUT" | "PATCH");
        let is_resolved = |failed: &LoggedCall| {
            let mut later = self.calls.iter().take_while(|call| call.at > failed.at);
            later.any(|call| is_change(call) && call.resource_type == failed.resource_type)
        };
        self.group_calls(now, find, is_resolved)
    }

    fn group_calls(
        &self,
        now: Millis,
        find: impl Fn(&LoggedCall) -> Option<&'static ExplanationRule>,
        is_resolved: impl Fn(&LoggedCall) -> bool,
    ) -> Vec<CallFailureGroup> {
        let mut groups: Vec<CallFailureGroup> = Vec::new();
        for call in self.calls.iter().filter(|call| now - call.at < FAILURE_AGE_MAX) {
            let Some(rule) = find(call) else { continue };
            match groups.iter_mut().find(|group| group.rule.id == rule.id && group.field == call.reason_field) {
                Some(group) => group.count += 1,
                None => groups.push(CallFailureGroup {
                    rule,
                    count: 1,
                    when: format_ago(now - call.at),
                    hint: call.token_hint.clone(),
                    field: call.reason_field.clone(),
                    is_resolved: is_resolved(call),
                }),
            }
        }
        groups
    }

    /// The rule that explains a failed call, if the mistake is in the URL or the token.
    fn find_mistake(&self, call: &LoggedCall) -> Option<&'static ExplanationRule> {
        let is_about_setup = |rule: &&ExplanationRule| {
            is_token_request(call) || matches!(rule.location, SettingLocation::Token | SettingLocation::Url)
        };
        self.find_rule(call).filter(is_about_setup)
    }

    /// The rule that explains a failed call, without its bodies.
    fn find_rule(&self, call: &LoggedCall) -> Option<&'static ExplanationRule> {
        let path = call.path.split('?').next().unwrap_or_default();
        let facts = CallContext {
            call,
            relative_path: diagnosis::relative_path(path, self.configuration_id),
            filter: None,
            request: None,
            response: None,
            name: None,
            is_secure: self.is_secure,
        };
        diagnosis::find_rule(&facts).filter(|_| call.status >= 400)
    }
}

impl CallFailureGroup {
    /// Short description of the failure.
    pub(crate) fn title(&self) -> String {
        let short = match self.rule.id {
            "unknown-token" => texts::live_test::UNKNOWN_TOKEN,
            "foreign-token" => texts::live_test::FOREIGN_TOKEN,
            "expired-token" => texts::live_test::EXPIRED_TOKEN,
            "revoked-token" => texts::live_test::REVOKED_TOKEN,
            "no-bearer" => texts::live_test::NO_BEARER_TOKEN,
            "old-version" => texts::live_test::OLD_VERSION,
            "doubled-path" => texts::live_test::URL_TWICE,
            "users-in-base" => texts::live_test::URL_ENDS_IN_USERS,
            _ => return capitalize(self.rule.refusal_reason),
        };
        short.to_owned()
    }
}

#[cfg(test)]
mod tests;
