//! The steps of a provider with the values of a connection: what to enter where, and which steps have worked.

use crate::providers::IdentityProvider;
use crate::providers::credentials::CredentialAdvice;
use crate::providers::steps::{ConsoleValue, SetupEffect, SetupStep};
use crate::settings::{host_of_url, is_loopback_host};
use crate::web::portal::connections::live_test::{CallFailureGroup, LiveTest};
use crate::web::portal::setup::mapping::{MappingFinding, field_names_attribute};
use crate::web::portal::texts;
use crate::web::public_url::is_https;

/// The values of a connection; `None` if there is none, or if it cannot be shown any more.
#[derive(Default)]
pub(crate) struct StepValues<'v> {
    pub(crate) scim_url: &'v str,
    pub(crate) token_url: &'v str,
    pub(crate) token: Option<&'v str>,
    pub(crate) client_id: Option<&'v str>,
    pub(crate) client_secret: Option<&'v str>,
}

/// A step on a page.
pub(crate) struct StepView {
    pub(crate) step: &'static SetupStep,
    pub(crate) number: usize,
    pub(crate) rows: Vec<StepRow>,
    pub(crate) is_done: bool,
    /// Whether it is the first one that is not done.
    pub(crate) is_current: bool,
    /// Whether it is unfolded. At most one is.
    pub(crate) is_open: bool,
    /// The step after it.
    pub(crate) next: Option<&'static SetupStep>,
    pub(crate) mistakes: Vec<StepMistake>,
    /// Mistakes in the attribute mapping that are not about a field of a step.
    pub(crate) mapping: Vec<StepMistake>,
}

/// A field of the console with its value.
pub(crate) struct StepRow {
    pub(crate) label: &'static str,
    /// Id of the value that is copied; empty for a choice.
    pub(crate) id: &'static str,
    /// The value; `None` if it is created first.
    pub(crate) value: Option<String>,
    /// Whether it can be shown for a few minutes only.
    pub(crate) is_secret: bool,
    /// Mistakes in the mapping of the attribute that the field is for.
    pub(crate) mistakes: Vec<StepMistake>,
}

/// What a page offers where a token is not visible.
pub(crate) enum AbsentToken {
    /// The form that creates one: its action, and its CSRF token.
    Form(String, String),
    /// A link to the credentials.
    Link(String),
    /// Another form of the page: the rows without a value are left out.
    OtherForm,
    /// Nothing: it was shown once.
    Lost,
}

impl AbsentToken {
    /// Whether a row without a value is left out.
    pub(crate) fn is_left_out(&self) -> bool {
        matches!(self, Self::OtherForm)
    }
}

/// A mistake in what was entered in a step.
pub(crate) struct StepMistake {
    pub(crate) title: String,
    pub(crate) advice: String,
}

/// Attributes whose findings are next to the field that names them.
const FIELD_ATTRIBUTES: [&str; 2] = ["userName", "externalId"];

/// Builds the steps for a method. Without `live`, no step is ticked.
pub(crate) fn build_steps(
    provider: &IdentityProvider,
    advice: &CredentialAdvice,
    values: &StepValues<'_>,
    live: Option<&LiveTest>,
    findings: &[MappingFinding],
) -> Vec<StepView> {
    let steps = provider.list_steps(advice.method);
    let is_done = |step: &SetupStep| {
        step.effect != SetupEffect::NotVisible && live.is_some_and(|live| live.has_seen(step.effect))
    };
    let current = steps.iter().position(|step| !is_done(step)).filter(|_| live.is_some());
    let following: Vec<&'static SetupStep> = steps.iter().skip(1).copied().collect();
    let view = |(at, step): (usize, &'static SetupStep)| StepView {
        step,
        number: at + 1,
        rows: step.list_fields(advice).iter().map(|field| build_row(field.label, field.value, values)).collect(),
        is_done: is_done(step),
        is_current: current == Some(at),
        is_open: false,
        next: following.get(at).copied(),
        mistakes: match live {
            Some(live) if step.has_credentials => list_mistakes(provider, live),
            _ => Vec::new(),
        },
        mapping: Vec::new(),
    };
    let mut views: Vec<StepView> = steps.into_iter().enumerate().map(view).collect();
    for finding in findings {
        attach_finding(&mut views, advice, finding);
    }
    views
}

/// Unfolds one step: that of the credentials if they are needed now, the first one with a mistake, the one that was asked for unless it is
/// done, or the first one that is not done.
pub(crate) fn open_step(views: &mut [StepView], requested: &str, needs_credentials: bool) {
    let find = |is_it: &dyn Fn(&StepView) -> bool| views.iter().position(is_it);
    let open = find(&|view| needs_credentials && view.step.has_credentials)
        .or_else(|| find(&StepView::has_mistakes))
        .or_else(|| find(&|view| view.step.anchor == requested && !view.is_done))
        .or_else(|| find(&|view| view.is_current));
    if let Some(at) = open {
        views[at].is_open = true;
    }
}

impl StepView {
    fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty() || !self.mapping.is_empty() || self.rows.iter().any(|row| !row.mistakes.is_empty())
    }
}

/// Adds a finding to the field that names its attribute, in the step of the mapping if possible. Without such a field, it
/// is added to the step of the mapping, or to that of the credentials.
fn attach_finding(views: &mut [StepView], advice: &CredentialAdvice, finding: &MappingFinding) {
    let mistake = StepMistake { title: finding.title.clone(), advice: finding.advice.clone() };
    let names_it = |view: &StepView| {
        let fields = view.step.list_fields(advice);
        fields.iter().position(|field| field_names_attribute(field, &finding.attribute))
    };
    let has_field = FIELD_ATTRIBUTES.contains(&&*finding.attribute);
    let mut candidates: Vec<usize> = (0..views.len()).collect();
    candidates.sort_by_key(|at| !views[*at].step.has_mapping);
    let field = candidates.iter().find_map(|at| Some((*at, names_it(&views[*at]).filter(|_| has_field)?)));
    if let Some((at, row)) = field {
        views[at].rows[row].mistakes.push(mistake);
        return;
    }
    let step = candidates.iter().find(|at| views[**at].step.has_mapping);
    let step = step.or_else(|| candidates.iter().find(|at| views[**at].step.has_credentials));
    if let Some(at) = step {
        views[*at].mapping.push(mistake);
    }
}

fn build_row(label: &'static str, value: ConsoleValue, values: &StepValues<'_>) -> StepRow {
    let row = |id, value: Option<&str>, is_secret| StepRow {
        label,
        id,
        value: value.map(str::to_owned),
        is_secret,
        mistakes: Vec::new(),
    };
    match value {
        ConsoleValue::ScimUrl => row("url", Some(values.scim_url), false),
        ConsoleValue::Token => row("token", values.token, true),
        ConsoleValue::TokenUrl => row("token-url", Some(values.token_url), false),
        ConsoleValue::ClientId => row("client-id", values.client_id, false),
        ConsoleValue::ClientSecret => row("client-secret", values.client_secret, true),
        ConsoleValue::Text(text) => row("", Some(text), false),
    }
}

/// The failed requests after which none has succeeded.
pub(crate) fn list_mistakes(provider: &IdentityProvider, live: &LiveTest) -> Vec<StepMistake> {
    let open = live.failures.iter().filter(|failure| !failure.is_resolved);
    let describe = |failure: &CallFailureGroup| {
        let (cause, hint) = (failure.rule.refusal_reason, failure.hint.as_deref());
        let title = texts::setup::describe_mistake(provider.name, cause, hint, &failure.when);
        StepMistake { title, advice: failure.rule.advice.to_owned() }
    };
    open.map(describe).collect()
}

/// Why identity providers cannot use a provisioning URL; `None` if they can.
pub(crate) fn find_url_problem(url: &str) -> Option<&'static str> {
    if is_loopback_host(&host_of_url(url)) {
        return Some(texts::setup::URL_IS_LOCAL);
    }
    (!is_https(url)).then_some(texts::setup::URL_IS_NOT_HTTPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::credentials::CredentialMethod;
    use crate::providers::find_provider;

    #[test]
    fn the_fields_of_the_credentials_have_the_labels_of_the_console() {
        let okta = find_provider("okta").unwrap();
        let values = StepValues { scim_url: "https://s", token_url: "https://t", ..StepValues::default() };
        let labels = |method| {
            let steps = build_steps(okta, &okta.advise_method(method), &values, None, &[]);
            assert!(steps.iter().all(|step| !step.is_done && !step.is_current));
            let step = steps.into_iter().find(|step| step.step.has_credentials).unwrap();
            step.rows.iter().filter(|row| !row.id.is_empty()).map(|row| (row.label, row.id)).collect::<Vec<_>>()
        };
        assert_eq!(labels(CredentialMethod::Token), [("SCIM 2.0 Base Url", "url"), ("OAuth Bearer Token", "token")]);
        let of_client = labels(okta.credentials[0].method);
        assert_eq!(of_client[0], ("SCIM connector base URL", "url"));
        assert_eq!(of_client[3], ("Client Secret", "client-secret"));
    }

    #[test]
    fn a_finding_is_next_to_its_field_or_in_the_step_of_the_mapping() {
        let finding = |attribute: &str| MappingFinding {
            attribute: attribute.to_owned(),
            title: format!("about {attribute}"),
            advice: String::new(),
        };
        let findings = [finding("userName"), finding("externalId"), finding("emails"), finding("")];
        let list_positions = |key: &str| {
            let provider = find_provider(key).unwrap();
            let advice = provider.advise_method(CredentialMethod::Token);
            let steps = build_steps(provider, &advice, &StepValues::default(), None, &findings);
            let of_step = |step: &StepView| {
                let rows =
                    step.rows.iter().flat_map(|row| row.mistakes.iter().map(|one| (row.label, one.title.clone())));
                let others = step.mapping.iter().map(|one| (step.step.anchor, one.title.clone()));
                rows.chain(others).collect::<Vec<_>>()
            };
            steps.iter().flat_map(of_step).map(|(at, title)| format!("{at}: {title}")).collect::<Vec<_>>()
        };
        let entra = [
            "Matching attribute: about userName",
            "externalId, Source attribute: about externalId",
            "mapping: about emails",
            "mapping: about ",
        ];
        assert_eq!(list_positions("entra"), entra);
        // JumpCloud has no step for the mapping, and no field that names an attribute.
        assert!(
            list_positions("jumpcloud").iter().all(|position| position.starts_with("connect: ")),
            "{:?}",
            list_positions("jumpcloud")
        );
        assert_eq!(list_positions("jumpcloud").len(), 4);
    }

    #[test]
    fn one_step_is_open_at_a_time() {
        let okta = find_provider("okta").unwrap();
        let open = |change: &dyn Fn(&mut Vec<StepView>), requested: &str, needs_credentials: bool| {
            let advice = okta.advise_method(CredentialMethod::Token);
            let mut steps = build_steps(okta, &advice, &StepValues::default(), None, &[]);
            steps[1].is_current = true;
            steps[0].is_done = true;
            change(&mut steps);
            open_step(&mut steps, requested, needs_credentials);
            let open: Vec<&str> = steps.iter().filter(|step| step.is_open).map(|step| step.step.anchor).collect();
            open.join(" ")
        };
        let unchanged = |_: &mut Vec<StepView>| {};
        assert_eq!(open(&unchanged, "", false), "connect");
        assert_eq!(open(&unchanged, "assign", false), "assign");
        assert_eq!(open(&unchanged, "create-app", false), "connect", "a step that is done stays folded");
        assert_eq!(open(&unchanged, "assign", true), "connect");
        let with_mistake = |steps: &mut Vec<StepView>| {
            steps[2].mapping.push(StepMistake { title: String::new(), advice: String::new() });
        };
        assert_eq!(open(&with_mistake, "assign", false), "to-app");
        let finished = |steps: &mut Vec<StepView>| steps.iter_mut().for_each(|step| step.is_current = false);
        assert_eq!(open(&finished, "", false), "");
        let advice = okta.advise_method(CredentialMethod::Token);
        let steps = build_steps(okta, &advice, &StepValues::default(), None, &[]);
        assert_eq!(steps[0].next.map(|next| next.anchor), Some("connect"));
        assert!(steps.last().unwrap().next.is_none());
    }

    #[test]
    fn providers_need_a_public_url_with_https() {
        assert!(find_url_problem("http://127.0.0.1:8080/x").unwrap().contains("own machine"));
        assert!(find_url_problem("https://localhost/x").is_some());
        assert!(find_url_problem("http://scim.example.com/x").unwrap().contains("https"));
        assert_eq!(find_url_problem("https://scim.example.com/x"), None);
    }
}
