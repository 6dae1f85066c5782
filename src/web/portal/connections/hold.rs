//! A connection that is held: what was removed, and the decision about it.

use std::borrow::Cow;

use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::error::Error;
use crate::management::configurations::holds::{self, HoldOrder, HoldRecord, HoldState, HoldStatus};
use crate::management::overview::ConfigurationOverview;
use crate::model::audit_context::AccountScope;
use crate::model::hold::HoldReason;
use crate::store::Snapshot;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::required_permission::{Create, Read};

#[derive(Template)]
#[template(path = "portal/hold.html")]
struct HoldPage {
    layout: PageLayout,
    connection: ConnectionView,
    found: HoldStatus,
    problems: Vec<FormError>,
    minutes: String,
}

impl HoldPage {
    /// What the last rejection could not undo, with a sentence each.
    fn conflicts(&self) -> Vec<(&str, &'static str)> {
        self.found.conflicts.iter().map(|(id, code)| (id.as_str(), explain_conflict(code))).collect()
    }

    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn is_held(&self) -> bool {
        self.found.state == HoldState::Held
    }

    fn since(&self) -> Cow<'static, str> {
        self.connection.when(self.found.record.as_ref().map(|record| record.since))
    }

    fn exempt_until(&self) -> Option<String> {
        self.found.exempt_until.map(clock::format_rfc3339)
    }

    /// Whether the hold began with a protected user.
    fn is_protection(&self) -> bool {
        self.found.record.as_ref().is_some_and(|record| record.reason == HoldReason::Protected)
    }

    /// What was removed, as a sentence.
    fn sentence(&self) -> String {
        let provider = self.connection.overview.provider.name;
        self.found.record.as_ref().map(|record| describe_removals(record, provider)).unwrap_or_default()
    }

    /// The query of the next page of names.
    fn next_query(&self) -> Option<String> {
        let (subject, member) = self.found.next.as_ref()?;
        Some(format!("subject={subject}&member={member}"))
    }
}

/// Held connections that the list names at most.
const ALERTS_MAX: usize = 20;

/// The connections of a list that are held.
#[derive(Debug, Default)]
pub(crate) struct HoldAlerts {
    pub(crate) lines: Vec<HoldAlert>,
}

/// A held connection: what its provider has removed.
#[derive(Debug)]
pub(crate) struct HoldAlert {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) sentence: String,
}

impl HoldAlerts {
    /// Reads why the held ones of these connections are held.
    pub(crate) fn read(at: &Snapshot<'_>, scope: &AccountScope, all: &[ConfigurationOverview]) -> Result<Self, Error> {
        let mut lines = Vec::new();
        for one in all.iter().filter(|one| one.configuration.held).take(ALERTS_MAX) {
            let Some(record) = holds::find_hold(at, scope, &one.configuration.id)?.last else { continue };
            lines.push(HoldAlert {
                id: one.configuration.id.clone(),
                name: one.configuration.connection_name.clone(),
                sentence: describe_removals(&record, one.provider.name),
            });
        }
        Ok(Self { lines })
    }
}

/// What a provider has removed, as a sentence.
fn describe_removals(record: &HoldRecord, provider: &str) -> String {
    texts::holds::describe_removals(record.reason, provider, record.counted, record.window_minutes)
}

/// Why a change cannot be undone.
pub(super) fn explain_conflict(code: &str) -> &'static str {
    match code {
        "deleted_resource_not_found" => texts::holds::RESOURCE_NOT_STORED,
        "user_name_taken" | "group_name_taken" => texts::holds::NAME_IN_USE,
        _ => texts::holds::LIMIT_OF_CONNECTION,
    }
}

/// The last name of the page before.
#[derive(Default, Deserialize)]
#[serde(default)]
struct HoldQuery {
    subject: String,
    member: String,
}

/// `GET /connections/{id}/hold`
pub(crate) async fn show_hold(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let HoldQuery { subject, member } = page_request.query().unwrap_or_default();
    let after = (!subject.is_empty()).then_some((subject, member));
    let page = build_page(&admin, &page_request, after).await?;
    Ok(render_page(200, &page))
}

async fn build_page<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    after: Option<(String, String)>,
) -> Result<HoldPage, PageError> {
    let connection = ConnectionView::read(page_request, &admin.context.scope, "hold")?;
    let (scope, id, now) = (admin.context.scope.clone(), connection.id().to_owned(), connection.now);
    let found =
        page_request.read(move |at| holds::find_status(at, &scope, &id, (after, holds::NAMES_MAX), now)).await?;
    let layout = connection.layout(&admin.signed, texts::holds::HOLD);
    Ok(HoldPage { layout, connection, found, problems: Vec::new(), minutes: "60".to_owned() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HoldForm {
    decision: String,
    minutes: String,
}

impl HoldForm {
    fn order(&self) -> Result<HoldOrder, FormError> {
        match self.decision.as_str() {
            "allow" => Ok(HoldOrder::Allow),
            "reject" => Ok(HoldOrder::Reject),
            "allow-for" => match self.minutes.trim().parse() {
                Ok(minutes @ 1..=1_440) => Ok(HoldOrder::AllowFor(minutes)),
                _ => Err(FormError { field: "minutes", sentence: texts::holds::ENTER_MINUTES.to_owned() }),
            },
            _ => Err(FormError { field: "decision", sentence: texts::holds::CHOOSE_DECISION.to_owned() }),
        }
    }
}

/// `POST /connections/{id}/hold`
pub(crate) async fn decide_hold(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let form = page_request.form::<HoldForm>(&admin.signed).await?;
    let order = match form.order() {
        Ok(order) => order,
        Err(problem) => {
            let page = build_page(&admin, &page_request, None).await?;
            let page = HoldPage { problems: vec![problem], minutes: form.minutes, ..page };
            return Ok(render_page(422, &page));
        }
    };
    let (context, target_id) = (admin.context, id.clone());
    page_request.write(move |tx| holds::decide_hold(tx, &context, &target_id, order)).await?;
    let done = if order == HoldOrder::Reject { "hold-rejected" } else { "hold-allowed" };
    Ok(redirect_to(&format!("/connections/{id}?done={done}")).finish())
}
