//! Findings about the attribute mapping of a provider: rejected requests, attributes that are not stored, and users whose
//! attributes differ from what the steps say.

use serde_json::Value;

use crate::error::Result;
use crate::management::overview::ConfigurationOverview;
use crate::model::audit_context::AccountScope;
use crate::providers::IdentityProvider;
use crate::providers::steps::{ConsoleField, ConsoleValue};
use crate::provisioning::directory::{self, DirectoryFilter, DirectoryQuery, DirectoryScope};
use crate::store::Snapshot;
use crate::web::portal::connections::live_test::{CallFailureGroup, LiveTest};
use crate::web::portal::connections::undeclared_rows::UndeclaredSummary;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::PageError;
use crate::web::portal::texts;

/// Users whose attributes are examined.
const USERS_MAX: usize = 50;
/// Most names of attributes in a sentence.
const NAMES_MAX: usize = 5;

/// A finding about the attribute mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappingFinding {
    /// The attribute; empty for several.
    pub(crate) attribute: String,
    pub(crate) title: String,
    pub(crate) advice: String,
}

/// What the first users of a connection have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct UserSample {
    examined: usize,
    /// Users whose `userName` is not an e-mail address.
    other_names: usize,
    without_external_id: usize,
}

impl UserSample {
    fn add(&mut self, body: &str) {
        let user: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| user.get(name).and_then(Value::as_str).unwrap_or_default();
        self.examined += 1;
        self.other_names += usize::from(!text("userName").contains('@'));
        self.without_external_id += usize::from(text("externalId").is_empty());
    }

    fn read(at: &Snapshot<'_>, id: &str) -> Result<Self> {
        let scope = DirectoryScope { account: None, configuration: Some(id.to_owned()) };
        let filter = DirectoryFilter::default();
        let query = DirectoryQuery { resource_type: "User", filter: &filter, cursor: None, limit: USERS_MAX };
        let mut sample = Self::default();
        for user in directory::list_current(at, &scope, &query)?.items {
            sample.add(&user.stored.body);
        }
        Ok(sample)
    }
}

/// Reads the findings of a connection.
///
/// # Errors
/// The errors of the database.
pub(crate) async fn read_mapping_findings(
    page_request: &PageRequest,
    overview: &ConfigurationOverview,
    live: &LiveTest,
) -> std::result::Result<Vec<MappingFinding>, PageError> {
    let configuration = &overview.configuration;
    let scope = AccountScope::Account(configuration.account.clone());
    let undeclared = UndeclaredSummary::read(page_request, &scope, &configuration.id).await?;
    let mut names: Vec<String> = undeclared.rows.iter().map(|row| row.entry.used.name.clone()).collect();
    names.truncate(NAMES_MAX);
    let others = undeclared.total - names.len();
    let id = configuration.id.clone();
    let sample = page_request.read(move |at| UserSample::read(at, &id)).await?;
    let mut findings = list_rejections(overview.provider, &live.mapping_failures);
    findings.extend(describe_undeclared(overview.provider, &names, others));
    findings.extend(examine_sample(overview.provider, sample));
    Ok(findings)
}

/// The rejected requests after which no change has succeeded.
fn list_rejections(provider: &IdentityProvider, failures: &[CallFailureGroup]) -> Vec<MappingFinding> {
    let describe = |failure: &CallFailureGroup| MappingFinding {
        attribute: failure.field.clone().unwrap_or_default(),
        title: texts::setup::describe_mistake(provider.name, failure.rule.refusal_reason, None, &failure.when),
        advice: failure.rule.advice.to_owned(),
    };
    failures.iter().filter(|failure| !failure.is_resolved).map(describe).collect()
}

fn describe_undeclared(provider: &IdentityProvider, names: &[String], others: usize) -> Option<MappingFinding> {
    if names.is_empty() {
        return None;
    }
    Some(MappingFinding {
        attribute: String::new(),
        title: texts::setup::say_attributes_not_stored(provider.name, names, others),
        advice: texts::setup::DECLARE_OR_REMOVE.to_owned(),
    })
}

/// Findings about users that were accepted, where the steps of the provider say otherwise.
fn examine_sample(provider: &IdentityProvider, sample: UserSample) -> Vec<MappingFinding> {
    let fields = || provider.steps.iter().flat_map(|step| step.fields);
    let is_email = |field: &ConsoleField| matches!(field.value, ConsoleValue::Text("Email"));
    let wants_email = fields().any(|field| is_email(field) && names_attribute(field.label, "userName"));
    let wants_external_id = fields().any(|field| field_names_attribute(field, "externalId"));
    let mut findings = Vec::new();
    if wants_email && sample.other_names > 0 {
        findings.push(MappingFinding {
            attribute: "userName".to_owned(),
            title: texts::setup::say_user_names_differ(sample.other_names, sample.examined),
            advice: texts::setup::CHOOSE_EMAIL.to_owned(),
        });
    }
    if wants_external_id && sample.without_external_id > 0 {
        findings.push(MappingFinding {
            attribute: "externalId".to_owned(),
            title: texts::setup::say_external_ids_absent(sample.without_external_id, sample.examined),
            advice: texts::setup::MAP_EXTERNAL_ID.to_owned(),
        });
    }
    findings
}

/// Whether a text of a console mentions an attribute.
fn names_attribute(text: &str, attribute: &str) -> bool {
    text.to_ascii_lowercase().contains(&attribute.to_ascii_lowercase())
}

/// Whether the label or the value of a field mentions an attribute.
pub(crate) fn field_names_attribute(field: &ConsoleField, attribute: &str) -> bool {
    let value = if let ConsoleValue::Text(text) = field.value { text } else { "" };
    [field.label, value].iter().any(|text| names_attribute(text, attribute))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::find_provider;

    #[test]
    fn users_are_compared_with_what_the_steps_say() {
        let mut sample = UserSample::default();
        for body in [r#"{"userName":"ada@example.com","externalId":"1"}"#, r#"{"userName":"bob"}"#] {
            sample.add(body);
        }
        assert_eq!(sample, UserSample { examined: 2, other_names: 1, without_external_id: 1 });
        let found = |key| {
            let findings = examine_sample(find_provider(key).unwrap(), sample);
            findings.into_iter().map(|finding| (finding.attribute, finding.title)).collect::<Vec<_>>()
        };
        let named = |attribute: &str, title: &str| (attribute.to_owned(), title.to_owned());
        assert_eq!(found("okta"), [named("userName", "The userName of 1 of 2 users is not an e-mail address")]);
        assert_eq!(found("entra"), [named("externalId", "1 of 2 users have no externalId")]);
        assert_eq!(examine_sample(find_provider("okta").unwrap(), UserSample::default()), []);
    }

    #[test]
    fn names_of_attributes_are_shortened() {
        let okta = find_provider("okta").unwrap();
        assert_eq!(describe_undeclared(okta, &[], 0), None);
        let found = describe_undeclared(okta, &["a".to_owned(), "b".to_owned()], 3).unwrap();
        assert_eq!(found.title, "Okta sends attributes that are not stored: a, b and 3 more");
    }
}
