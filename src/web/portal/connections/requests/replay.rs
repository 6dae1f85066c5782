//! A request of the log is sent again: a page that asks for confirmation, and the form that starts it.

use askama::Template;
use serde::Deserialize;

use crate::error::ErrorKind;
use crate::management::request_log;
use crate::model::permission::Permission;
use crate::model::request::LoggedCall;
use crate::store::Snapshot;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::MintTokens;
use crate::web::{find_replay_obstacle, replay_request};

#[derive(Template)]
#[template(path = "portal/replay.html")]
struct ReplayPage {
    layout: PageLayout,
    connection: ConnectionView,
    call: LoggedCall,
    at: PageTime,
    /// The request body, JSON indented.
    body: Option<String>,
    problem: Option<String>,
}

impl ReplayPage {
    fn only_reads(&self) -> bool {
        let is_search = self.call.method == "POST" && self.call.path.contains("/.search");
        is_search || matches!(&*self.call.method, "GET" | "HEAD" | "OPTIONS")
    }

    fn can_send(&self) -> bool {
        find_replay_obstacle(&self.call).is_none()
    }
}

/// `GET /connections/{id}/requests/{rid}/replay`
pub(crate) async fn show_replay(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    show_page(&admin, &page_request, (200, None))
}

fn show_page(
    admin: &PermittedAdmin<MintTokens>,
    page_request: &PageRequest,
    (status, problem): (u16, Option<String>),
) -> PageResult {
    if !admin.signed.permissions.contains(Permission::RequestsRead) {
        return Err(PageError::MissingPermission(Permission::RequestsRead));
    }
    let connection = ConnectionView::read(page_request, &admin.context.scope, "requests")?;
    let (id, request) = (connection.id().to_owned(), page_request.path_parameter("rid"));
    let call = page_request.read_inline(|at| request_log::find_call(at, &admin.context.scope, &id, &request))?;
    let problem = problem.or_else(|| find_replay_obstacle(&call).map(|reason| render_sentence(&reason.into())));
    let text = call.request.text.clone();
    let indented = text.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let body = indented.and_then(|value| serde_json::to_string_pretty(&value).ok()).or(text);
    let layout = connection.record_layout(&admin.signed, texts::requests::SEND_AGAIN.to_owned());
    let at = PageTime::from_millis(call.at);
    Ok(render_page(status, &ReplayPage { layout, connection, call, at, body, problem }))
}

#[derive(Deserialize)]
struct ReplayForm {}

/// `POST /connections/{id}/requests/{rid}/replay`
pub(crate) async fn submit_replay(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    page_request.form::<ReplayForm>(&admin.signed).await?;
    let (id, request) = (page_request.path_parameter("id"), page_request.path_parameter("rid"));
    let replayed = replay_request(&page_request.state, admin.context.clone(), id.clone(), request.clone()).await;
    match replayed {
        Ok(replay) => {
            let find = |at: &Snapshot<'_>| request_log::find_call(at, &admin.context.scope, &id, &replay.request_id);
            // Under load, the entry of the new request comes later or not at all.
            let target = if page_request.read_inline(find).is_ok() { replay.request_id } else { request };
            Ok(redirect_to(&format!("/connections/{id}/requests/{target}?done=replayed")).finish())
        }
        Err(error) if error.kind() == ErrorKind::Conflict => {
            show_page(&admin, &page_request, (409, Some(render_sentence(&error))))
        }
        Err(error) => Err(error.into()),
    }
}
