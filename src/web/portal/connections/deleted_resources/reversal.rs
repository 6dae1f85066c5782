//! Undo of what a connection changed since a time: first what would happen, then the start.

use askama::Template;
use serde::Deserialize;

use crate::clock::{self, Millis};
use crate::error::Reason;
use crate::management::configurations::reversals::{
    self, ReversalCounts, ReversalPreview, StoredReversal, UndoneChange,
};
use crate::scim::timestamp::parse_rfc3339;
use crate::store::Snapshot;
use crate::web::portal::connections::hold::explain_conflict;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::{Directory, RestoreDeleted};

#[derive(Template)]
#[template(path = "portal/undo.html")]
struct ReversalPage {
    layout: PageLayout,
    connection: ConnectionView,
    since: String,
    /// What would happen, if a time was chosen.
    preview: Option<ReversalPreview>,
    /// The last undo.
    last: Option<StoredReversal>,
    problems: Vec<FormError>,
}

impl ReversalPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    /// The numbers of a preview or an undo, with what they are.
    fn list_counts(counts: &ReversalCounts) -> [(&'static str, i64); 6] {
        [
            (texts::holds::COUNT_RESTORED, counts.restored),
            (texts::holds::COUNT_ACTIVATED, counts.activated),
            (texts::holds::COUNT_DEACTIVATED, counts.deactivated),
            (texts::holds::COUNT_JOINED, counts.joined),
            (texts::holds::COUNT_LEFT, counts.left),
            (texts::holds::COUNT_CONFLICTS, counts.conflicts),
        ]
    }

    /// The names of a preview, each with what happens.
    fn list_names(found: &ReversalPreview) -> Vec<(&str, &'static str)> {
        let describe = |change| match change {
            UndoneChange::Restored => texts::holds::RETURNS,
            UndoneChange::Activated => texts::holds::IS_ACTIVE_AGAIN,
            UndoneChange::Deactivated => texts::holds::IS_INACTIVE_AGAIN,
            UndoneChange::Joined => texts::holds::IS_MEMBER_AGAIN,
            UndoneChange::Left => texts::holds::IS_NO_MEMBER,
        };
        found.names.iter().map(|(name, change)| (name.as_str(), describe(*change))).collect()
    }

    /// What the last undo could not undo, with a sentence each.
    fn list_conflicts(last: &StoredReversal) -> Vec<(&str, &'static str)> {
        last.conflict_list.iter().map(|(id, code)| (id.as_str(), explain_conflict(code))).collect()
    }

    fn is_running(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.progress.is_some())
    }

    /// The times of an undo, each with what it is.
    fn list_times(last: &StoredReversal) -> Vec<(&'static str, PageTime)> {
        let times = [
            (texts::holds::SINCE, Some(last.since)),
            (texts::holds::STARTED, Some(last.started_at)),
            (texts::labels::ENDED, last.ended_at),
        ];
        times.into_iter().filter_map(|(label, at)| Some((label, PageTime::from_millis(at?)))).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReversalForm {
    since: String,
}

impl ReversalForm {
    /// Reads the value of a field for date and time, which is UTC here.
    fn parse(&self) -> Option<Millis> {
        let text = self.since.trim();
        let complete = if text.len() == "2026-07-14T09:30".len() { format!("{text}:00Z") } else { format!("{text}Z") };
        Millis::try_from(parse_rfc3339(&complete)?.as_millis()).ok()
    }
}

/// `GET /connections/{id}/undo`: with `since`, what would be undone.
pub(crate) async fn show_reversal(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let form: ReversalForm = page_request.query().unwrap_or_default();
    show_page(&admin, &page_request, form, None).await
}

async fn show_page<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    form: ReversalForm,
    problem: Option<String>,
) -> PageResult {
    let connection = ConnectionView::read(page_request, &admin.context.scope, "deleted")?;
    let (scope, id) = (admin.context.scope.clone(), connection.id().to_owned());
    let mut problems: Vec<FormError> =
        problem.into_iter().map(|sentence| FormError { field: "since", sentence }).collect();
    let last = match page_request.read_inline(|at| Ok(reversals::find_reversal(at, &scope, &id))) {
        Ok(Ok(last)) => Some(last),
        Ok(Err(error)) if error.reason() == Reason::ReversalNotFound => None,
        Ok(Err(error)) | Err(error) => return Err(error.into()),
    };
    let mut preview = None;
    if !form.since.is_empty() && problems.is_empty() {
        match form.parse() {
            None => {
                let sentence = texts::holds::ENTER_TIME.to_owned();
                problems.push(FormError { field: "since", sentence });
            }
            Some(since) => {
                let now = clock::current_millis();
                let read = move |at: &Snapshot<'_>| reversals::preview_reversal(at, &scope, &id, (since, now));
                match page_request.read(read).await {
                    Ok(found) => preview = Some(found),
                    Err(error) if error.is_about_input() => {
                        problems.push(FormError { field: "since", sentence: render_sentence(&error) });
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    let mut layout = connection.layout(&admin.signed, texts::holds::REVERSAL);
    let status = if problems.is_empty() { 200 } else { 422 };
    if last.as_ref().is_some_and(|last| last.progress.is_some()) {
        layout.refresh = Some(3);
    }
    Ok(render_page(status, &ReversalPage { layout, connection, since: form.since, preview, last, problems }))
}

/// `POST /connections/{id}/undo`: starts it.
pub(crate) async fn start_reversal(admin: PermittedAdmin<RestoreDeleted>, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("id");
    let form = page_request.form::<ReversalForm>(&admin.signed).await?;
    let Some(since) = form.parse() else {
        return show_page(&admin, &page_request, form, None).await;
    };
    let (context, target) = (admin.context.clone(), id.clone());
    match page_request.write(move |tx| reversals::start_reversal(tx, &context, &target, since)).await {
        Ok(_) => Ok(redirect_to(&format!("/connections/{id}/undo?done=undo")).finish()),
        Err(error) if error.is_about_input() || error.reason() == Reason::ReversalRunning => {
            show_page(&admin, &page_request, form, Some(render_sentence(&error))).await
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_form_are_utc() {
        let parse = |since: &str| ReversalForm { since: since.to_owned() }.parse();
        assert_eq!(parse("1970-01-01T00:01"), Some(60_000));
        assert_eq!(parse("1970-01-01T00:01:01"), Some(61_000));
        assert_eq!((parse("yesterday"), parse("")), (None, None));
    }
}
