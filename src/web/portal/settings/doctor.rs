//! Health checks of the server, for server admins.

use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::doctor::{self, Finding, ServerStatus, Severity};
use crate::tls::CertificateExpiry;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::texts;
use crate::web::state::AppState;

#[derive(Template)]
#[template(path = "portal/doctor.html")]
struct DoctorPage {
    layout: PageLayout,
    tab: &'static str,
    /// Problems and warnings, the worst first.
    open: Vec<Finding>,
    passed: Vec<Finding>,
    has_leap: bool,
    has_start_doubt: bool,
}

impl DoctorPage {
    /// CSS class of a grade.
    fn class(one: &Finding) -> &'static str {
        match one.grade {
            Severity::Fine => "live",
            Severity::Warning => "quiet",
            Severity::Problem => "failing",
        }
    }

    fn label(one: &Finding) -> &'static str {
        if one.grade == Severity::Problem { texts::settings::PROBLEM } else { texts::settings::WARNING }
    }
}

/// `GET /settings/doctor`
pub(crate) async fn show_doctor(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let state = page_request.state.clone();
    let look = move |at: &crate::store::Snapshot<'_>| {
        let now = clock::current_millis();
        let rows = doctor::read_summary(at, now)?;
        Ok(doctor::list_findings(&state.server.settings, &state.store, &rows, Some(&running_state(&state)), now))
    };
    let found = page_request.read(look).await?;
    let (mut open, passed): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.grade > Severity::Fine);
    open.sort_by_key(|one| std::cmp::Reverse(one.grade));
    let has_leap = clock::find_held_leap().is_some();
    let has_start_doubt = !has_leap && clock::find_start_doubt().is_some();
    let layout = PageLayout::new(texts::settings::HEALTH, Some(&admin.signed), NavigationEntry::Settings);
    Ok(render_page(200, &DoctorPage { layout, tab: "doctor", open, passed, has_leap, has_start_doubt }))
}

#[derive(Deserialize)]
struct EmptyClockForm {}

/// `POST /settings/doctor/clock`
pub(crate) async fn accept_clock(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    page_request.form::<EmptyClockForm>(&admin.signed).await?;
    page_request.accept_machine_time(admin.context).await?;
    Ok(redirect_to("/settings/doctor?done=clock").finish())
}

/// Findings that only the running process has.
pub(crate) fn running_state(state: &Data<AppState>) -> ServerStatus {
    ServerStatus {
        certificate_expires_at: state.server.certificate.as_ref().and_then(CertificateExpiry::not_after),
        untrusted_proxy: state.network.proxies.untrusted_forwarder().map(|proxy| proxy.address),
        calls_dropped: state.usage.calls.figures()[2],
        lines_dropped: crate::log::read_statistics().dropped,
        replica: state.server.read_replica(),
    }
}
