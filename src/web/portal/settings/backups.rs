//! Backups: the schedule, the list of files, a manual backup, and how to restore.

use std::time::Duration;

use actix_web::rt;
use askama::Template;
use serde::Deserialize;

use crate::clock;
use crate::doctor::{self, Finding};
use crate::management::backups::{self, ScheduledBackup};
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::timestamps::PageTime;
use crate::web::{blocking, manual_backup};

/// How long the page waits for a backup; a longer one continues in the background.
const WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "portal/backups.html")]
struct BackupsPage {
    layout: PageLayout,
    tab: &'static str,
    /// Folder, interval, and number of retained backups.
    schedule: Option<(String, String, usize)>,
    state: Finding,
    /// Newest first.
    present: Vec<ScheduledBackup>,
    data_dir: String,
}

impl BackupsPage {
    fn made(one: &ScheduledBackup) -> PageTime {
        PageTime::from_millis(one.created_at)
    }

    fn size(one: &ScheduledBackup) -> String {
        doctor::format_size(one.bytes)
    }
}

/// `GET /settings/backup`
pub(crate) async fn show_backups(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let settings = page_request.state.server.settings.clone();
    let layout = PageLayout::new("Backups", Some(&admin.signed), NavigationEntry::Settings);
    let looked = blocking::run_blocking(move || {
        let schedule = settings.backups.as_ref();
        let mut present = schedule.map(|one| backups::list_scheduled_backups(&one.folder)).unwrap_or_default();
        present.reverse();
        BackupsPage {
            layout,
            tab: "backup",
            schedule: schedule.map(|one| (one.folder.display().to_string(), one.interval_text(), one.keep)),
            state: doctor::check_backups(&settings, clock::current_millis()),
            present,
            data_dir: settings.data_dir.display().to_string(),
        }
    });
    let busy = |_| PageError::Failed { status: 503, detail: "The server is stopping.".to_owned() };
    Ok(render_page(200, &looked.await.map_err(busy)?))
}

#[derive(Deserialize)]
struct EmptyBackupForm {}

/// `POST /settings/backup`
pub(crate) async fn make_backup(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    page_request.form::<EmptyBackupForm>(&admin.signed).await?;
    let Some(schedule) = page_request.state.server.settings.backups.clone() else {
        let detail = "No folder for backups is set: start the server with --backup-dir.".to_owned();
        return Err(PageError::Failed { status: 409, detail });
    };
    let Some(permit) = manual_backup::acquire_permit(&page_request.state.server.manual_backup) else {
        return Ok(redirect_to("/settings/backup?done=backup-runs").finish());
    };
    let work =
        rt::spawn(manual_backup::run_manual_backup(permit, page_request.state.store.clone(), schedule, admin.context));
    match tokio::time::timeout(WAIT_MAX, work).await {
        Ok(Ok(Ok(()))) => Ok(redirect_to("/settings/backup?done=backup").finish()),
        Ok(Ok(Err(problem))) => {
            Err(PageError::Failed { status: 503, detail: format!("No backup was made: {problem}.") })
        }
        Ok(Err(_)) => Err(PageError::Failed { status: 503, detail: "No backup was made.".to_owned() }),
        Err(_) => Ok(redirect_to("/settings/backup?done=backup-runs").finish()),
    }
}
