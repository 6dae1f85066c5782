//! What is well with the server and what is not, for those who run it.

use actix_web::web::Data;
use askama::Template;

use super::admins::Runner;
use super::page::{Layout, Place, Shown, page};
use super::session::Visit;
use crate::clock;
use crate::doctor::{self, Finding, Grade, Running};
use crate::tls::Expiry;
use crate::web::state::State;

#[derive(Template)]
#[template(path = "portal/doctor.html")]
struct DoctorPage {
    layout: Layout,
    tab: &'static str,
    found: Vec<Finding>,
    problems: usize,
    warnings: usize,
}

impl DoctorPage {
    /// The class by which the style sheet colours a grade.
    fn class(one: &Finding) -> &'static str {
        match one.grade {
            Grade::Fine => "live",
            Grade::Warning => "quiet",
            Grade::Problem => "failing",
        }
    }
}

/// `GET /settings/doctor`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let state = visit.state.clone();
    let look = move |at: &crate::store::Snapshot<'_>| {
        let now = clock::now();
        let rows = doctor::rows(at, now)?;
        Ok(doctor::findings(&state.settings, &state.store, &rows, Some(&running(&state)), now))
    };
    let found = super::read_aside(&visit.state, look).await?;
    let count = |grade| found.iter().filter(|one| one.grade == grade).count();
    let (problems, warnings) = (count(Grade::Problem), count(Grade::Warning));
    let layout = Layout::new("Doctor", Some(&person.signed), Place::Settings);
    Ok(page(200, &DoctorPage { layout, tab: "doctor", found, problems, warnings }))
}

/// What this server knows of itself.
pub(super) fn running(state: &Data<State>) -> Running {
    Running {
        certificate_ends: state.certificate.as_ref().and_then(Expiry::not_after),
        stranger: state.network.proxies.stranger().map(|stranger| stranger.address),
        calls_dropped: state.activity.figures()[2],
        lines_dropped: crate::log::figures().dropped,
    }
}
