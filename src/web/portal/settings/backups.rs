//! Backups: the schedule, the list of files with their verification and download, a manual backup, a fresh one for a
//! download, and how to restore.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, rt};
use askama::Template;
use futures_util::stream;
use serde::Deserialize;

use crate::clock::{self, Millis};
use crate::doctor::{self, Finding};
use crate::management::backups::{self, ScheduledBackup};
use crate::replica::ReplicaFigures;
use crate::web::manual_backup::BackupCheck;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::settings::sso::check_all_permissions;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::{blocking, manual_backup};

/// Bytes of a backup that are read and sent at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// How long the page waits for a backup; a longer one continues in the background.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// One line: a label with a text, a time, or both.
struct ReplicaFact {
    label: &'static str,
    text: String,
    time: Option<PageTime>,
}

/// What the panel shows.
struct ReplicaPanel {
    heading: &'static str,
    help: &'static str,
    state: Finding,
    facts: Vec<ReplicaFact>,
}

impl ReplicaPanel {
    fn new(figures: &ReplicaFigures) -> Self {
        let fact = |label, text: String| ReplicaFact { label, text, time: None };
        let at = |label, millis: Option<i64>| match millis {
            Some(millis) => ReplicaFact { label, text: String::new(), time: Some(PageTime::from_millis(millis)) },
            None => fact(label, texts::settings::REPLICA_UNKNOWN.to_owned()),
        };
        let size = figures
            .content
            .map_or_else(|| texts::settings::REPLICA_UNKNOWN.to_owned(), |content| doctor::format_size(content.bytes));
        let proof = figures.proof.as_ref().map_or_else(
            || fact(texts::settings::REPLICA_PROOF, texts::settings::REPLICA_UNKNOWN.to_owned()),
            |proof| ReplicaFact {
                label: texts::settings::REPLICA_PROOF,
                text: texts::settings::describe_replica_proof(proof.finding.as_deref()),
                time: Some(PageTime::from_millis(proof.at)),
            },
        );
        let lease = figures.lease.as_ref().map(|lease| {
            fact(texts::settings::LEASE, texts::settings::describe_lease(lease.is_held, lease.generation))
        });
        let mut facts: Vec<ReplicaFact> = lease.into_iter().collect();
        facts.extend([
            fact(
                texts::settings::REPLICA_PROCESS,
                texts::settings::describe_replica_process(figures.process, figures.restarts),
            ),
            fact(texts::settings::REPLICA_LAG, texts::settings::describe_replica_lag(figures.lag.as_secs())),
            at(texts::settings::REPLICA_COMPLETE_AT, figures.last_success),
            fact(texts::settings::REPLICA_SIZE, size),
            at(texts::settings::REPLICA_OLDEST, figures.content.and_then(|content| content.oldest)),
            proof,
        ]);
        let state = doctor::check_replica_lag(figures);
        Self { heading: texts::settings::REPLICA, help: texts::settings::REPLICA_HELP, state, facts }
    }
}

#[derive(Template)]
#[template(path = "portal/backups.html")]
struct BackupsPage {
    layout: PageLayout,
    tab: &'static str,
    /// Folder, interval, and number of retained backups.
    schedule: Option<(String, String, usize)>,
    state: Finding,
    /// Newest first, each with its last verification since the start.
    present: Vec<(ScheduledBackup, Option<BackupCheck>)>,
    /// When the next scheduled backup is made at the latest.
    next: Option<PageTime>,
    /// Whether the admin may download backups.
    may_download: bool,
    data_dir: String,
    /// `None` if the database is not replicated.
    replica: Option<ReplicaPanel>,
}

impl BackupsPage {
    fn made(one: &ScheduledBackup) -> PageTime {
        PageTime::from_millis(one.created_at)
    }

    fn size(one: &ScheduledBackup) -> String {
        doctor::format_size(one.bytes)
    }

    fn ended(check: &BackupCheck) -> PageTime {
        PageTime::from_millis(check.at)
    }
}

/// `GET /settings/backup`
pub(crate) async fn show_backups(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let settings = page_request.state.server.settings.clone();
    let may_download = check_all_permissions(&admin).is_ok();
    let layout = PageLayout::new(texts::settings::BACKUPS, Some(&admin.signed), NavigationEntry::Settings);
    let checks = page_request.state.server.manual_backup.clone();
    let figures = page_request.state.server.read_replica();
    let looked = blocking::run_blocking(move || {
        let schedule = settings.backups.as_ref();
        let mut present = schedule.map(|one| backups::list_scheduled_backups(&one.folder)).unwrap_or_default();
        let now = clock::current_millis();
        let next = schedule.and_then(|one| {
            let interval = Millis::try_from(one.interval.as_millis()).ok()?;
            Some(PageTime::from_millis(backups::find_newest_backup_of(&present, now)?.checked_add(interval)?))
        });
        present.reverse();
        let present = present.into_iter().map(|one| (checks.find_check(&one.name), one));
        let present = present.map(|(check, one)| (one, check)).collect();
        BackupsPage {
            layout,
            tab: "backup",
            schedule: schedule.map(|one| (one.folder.display().to_string(), one.interval_text(), one.keep)),
            state: doctor::check_backups(&settings, now),
            present,
            next,
            may_download,
            data_dir: settings.data_dir.display().to_string(),
            replica: figures.as_ref().map(ReplicaPanel::new),
        }
    });
    let busy = |_| PageError::Failed { status: 503, detail: texts::settings::SERVER_IS_STOPPING.to_owned() };
    Ok(render_page(200, &looked.await.map_err(busy)?))
}

/// `GET /settings/backup/{file}`: downloads a backup. Only for admins with all permissions, because it contains everything.
pub(crate) async fn download_backup(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    check_all_permissions(&admin)?;
    let name = page_request.path_parameter("file");
    let schedule = page_request.state.server.settings.backups.clone().ok_or(PageError::NotFound)?;
    let opened = blocking::run_blocking(move || {
        let found = backups::list_scheduled_backups(&schedule.folder).into_iter().find(|one| one.name == name)?;
        let file = File::open(schedule.folder.join(&found.name)).ok()?;
        Some((file, found))
    });
    let opened = opened
        .await
        .map_err(|_| PageError::Failed { status: 503, detail: texts::settings::SERVER_IS_STOPPING.to_owned() });
    let (file, backup) = opened?.ok_or(PageError::NotFound)?;
    let disposition = format!("attachment; filename=\"{}\"", backup.name);
    let (bytes, context) = (backup.bytes, admin.context);
    page_request.write(move |tx| backups::record_backup_download(tx, &context, &backup)).await?;
    Ok(stream_backup(file, bytes, disposition))
}

/// The response with the content of a backup.
fn stream_backup(file: File, bytes: u64, disposition: String) -> HttpResponse {
    let body = SizedStream::new(bytes, Box::pin(stream::try_unfold((file, bytes), read_chunk)));
    let mut response = HttpResponse::Ok();
    response.content_type("application/vnd.sqlite3").insert_header((CONTENT_DISPOSITION, disposition));
    response.body(body)
}

/// `POST /settings/backup/download`: creates a backup for this download only. It needs no backup folder. Only for admins with
/// all permissions, because it contains everything.
pub(crate) async fn download_new_backup(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    check_all_permissions(&admin)?;
    page_request.form::<EmptyBackupForm>(&admin.signed).await?;
    let state = &page_request.state;
    if let Some(detail) = doctor::find_copy_obstacle(&state.server.settings, &state.store.statistics()) {
        return Err(PageError::Failed { status: 507, detail });
    }
    let Some(permit) = manual_backup::acquire_permit(&state.server.manual_backup) else {
        let detail = texts::settings::BACKUP_IS_RUNNING.to_owned();
        return Err(PageError::Failed { status: 409, detail });
    };
    let data_dir = state.server.settings.data_dir.clone();
    let work = rt::spawn(manual_backup::write_download(permit, state.store.clone(), data_dir, admin.context));
    let failed = |problem: &str| PageError::Failed { status: 503, detail: texts::settings::explain_no_backup(problem) };
    let written = work.await.map_err(|_| failed(texts::settings::STOPPING))?;
    let download = written.map_err(|problem| failed(&problem.to_string()))?;
    let disposition = format!("attachment; filename=\"{}\"", download.backup.name);
    Ok(stream_backup(download.file, download.backup.bytes, disposition))
}

/// `POST /settings/backup/{file}/verify`
pub(crate) async fn verify_backup(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    page_request.form::<EmptyBackupForm>(&admin.signed).await?;
    let (state, name) = (&page_request.state, page_request.path_parameter("file"));
    let folder = state.server.settings.backups.as_ref().ok_or(PageError::NotFound)?.folder.clone();
    let listed = folder.clone();
    let found = blocking::run_blocking(move || {
        backups::list_scheduled_backups(&listed).into_iter().map(|one| one.name).find(|one| *one == name)
    });
    let found = found.await.ok().flatten().ok_or(PageError::NotFound)?;
    let Some(permit) = manual_backup::acquire_permit(&state.server.manual_backup) else {
        return Ok(redirect_to("/settings/backup?done=backup-runs").finish());
    };
    let work = rt::spawn(manual_backup::run_backup_check(permit, state.store.clone(), (folder, found), admin.context));
    match tokio::time::timeout(WAIT_MAX, work).await {
        Ok(Ok(Ok(()))) => Ok(redirect_to("/settings/backup?done=verified").finish()),
        Ok(_) => Err(PageError::Failed { status: 503, detail: texts::settings::BACKUP_NOT_VERIFIED.to_owned() }),
        Err(_) => Ok(redirect_to("/settings/backup?done=verify-runs").finish()),
    }
}

/// Reads the next chunk of a file of which `left` bytes are to be sent.
async fn read_chunk((mut file, left): (File, u64)) -> io::Result<Option<(Bytes, (File, u64))>> {
    if left == 0 {
        return Ok(None);
    }
    let read = move || {
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)];
        file.read_exact(&mut chunk)?;
        Ok::<_, io::Error>((chunk, file))
    };
    let (chunk, file) = blocking::run_blocking(read).await.map_err(io::Error::other)??;
    let left = left - chunk.len() as u64;
    Ok(Some((Bytes::from(chunk), (file, left))))
}

#[derive(Deserialize)]
struct EmptyBackupForm {}

/// `POST /settings/backup`
pub(crate) async fn make_backup(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    page_request.form::<EmptyBackupForm>(&admin.signed).await?;
    let Some(schedule) = page_request.state.server.settings.backups.clone() else {
        let detail = texts::settings::NO_BACKUP_FOLDER.to_owned();
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
            Err(PageError::Failed { status: 503, detail: texts::settings::explain_no_backup(&problem.to_string()) })
        }
        Ok(Err(_)) => Err(PageError::Failed { status: 503, detail: texts::settings::BACKUP_NOT_MADE.to_owned() }),
        Err(_) => Ok(redirect_to("/settings/backup?done=backup-runs").finish()),
    }
}
