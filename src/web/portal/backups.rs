//! Backups: what is set, which there are, one at the press of a button, and how to restore.

use std::time::Duration;

use actix_web::rt;
use askama::Template;
use serde::Deserialize;

use super::admins::Runner;
use super::moments::Moment;
use super::page::{Layout, Place, Refusal, Shown, on_to, page};
use super::session::Visit;
use crate::clock;
use crate::doctor::{self, Finding};
use crate::store::backup::scheduled::{self, Present};
use crate::web::{aside, by_hand};

/// How long the page waits for a backup; a longer one goes on by itself.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "portal/backups.html")]
struct BackupsPage {
    layout: Layout,
    tab: &'static str,
    /// Folder, time between two, and how many are kept.
    schedule: Option<(String, String, usize)>,
    state: Finding,
    /// Newest first.
    present: Vec<Present>,
    data_dir: String,
}

impl BackupsPage {
    fn made(one: &Present) -> Moment {
        Moment::of(one.made)
    }

    fn size(one: &Present) -> String {
        doctor::size(one.bytes)
    }
}

/// `GET /settings/backup`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let settings = visit.state.settings.clone();
    let layout = Layout::new("Backups", Some(&person.signed), Place::Settings);
    let looked = aside::block(move || {
        let schedule = settings.backups.as_ref();
        let mut present = schedule.map(|one| scheduled::list(&one.folder)).unwrap_or_default();
        present.reverse();
        BackupsPage {
            layout,
            tab: "backup",
            schedule: schedule.map(|one| (one.folder.display().to_string(), one.every_in_words(), one.keep)),
            state: doctor::backups(&settings, clock::now()),
            present,
            data_dir: settings.data_dir.display().to_string(),
        }
    });
    let busy = |_| Refusal::Because { status: 503, detail: "The server is stopping.".to_owned() };
    Ok(page(200, &looked.await.map_err(busy)?))
}

#[derive(Deserialize)]
struct Nothing {}

/// `POST /settings/backup`
pub(super) async fn make(person: Runner, visit: Visit) -> Shown {
    let (_, state) = visit.form::<Nothing>(&person.signed).await?;
    let Some(schedule) = state.settings.backups.clone() else {
        let detail = "No folder for backups is set: start the server with --backup-dir.".to_owned();
        return Err(Refusal::Because { status: 409, detail });
    };
    let Some(turn) = by_hand::turn(&state) else { return Ok(on_to("/settings/backup?done=backup-runs").finish()) };
    let work = rt::spawn(by_hand::back_up(turn, schedule, person.by));
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(Ok(()))) => Ok(on_to("/settings/backup?done=backup").finish()),
        Ok(Ok(Err(problem))) => {
            Err(Refusal::Because { status: 503, detail: format!("No backup was made: {problem}.") })
        }
        Ok(Err(_)) => Err(Refusal::Because { status: 503, detail: "No backup was made.".to_owned() }),
        Err(_) => Ok(on_to("/settings/backup?done=backup-runs").finish()),
    }
}
