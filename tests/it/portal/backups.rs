//! Verification and download of backups in the portal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::app::App;
use crate::portal::browser::{Browser, own_app, with_fields};
use crate::sample::user;

#[test]
fn a_backup_is_verified_and_a_damaged_one_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    fs::create_dir(&backups).unwrap();
    fs::write(backups.join("rollcall-20260714T093000Z.db"), "an older one").unwrap();
    let app = App::start_with(&folder.path().join("data"), &["--backup-dir", backups.to_str().unwrap()]);
    app.configuration("other").created("/Users", &user("stored"));
    let mut owner = Browser::owner(&app);
    let page = owner.submit("/settings/backup", &[]).answered(200);
    assert!(page.contains("When it was created"), "{}", page.text);
    let names: Vec<String> = fs::read_dir(&backups)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "rollcall-20260714T093000Z.db")
        .collect();
    let [name] = &names[..] else { panic!("{names:?}") };
    let page = owner.submit(&format!("/settings/backup/{name}/verify"), &[]).answered(200);
    assert!(page.contains("Verified. The list has the result.") && page.contains(">Valid<"), "{}", page.text);
    // One page in the middle of the file is lost.
    let path = backups.join(name);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xab);
    fs::write(&path, bytes).unwrap();
    let page = owner.submit(&format!("/settings/backup/{name}/verify"), &[]).answered(200);
    assert!(page.contains(">Not valid<") && page.contains("is damaged"), "{}", page.text);
    let page = owner.submit("/settings/backup/rollcall-20260714T093000Z.db/verify", &[]).answered(200);
    assert_eq!(page.text.matches(">Not valid<").count(), 2, "{}", page.text);
    let audit = app.operator().get("/directory/resources/v1/audit?action=backup.verified").answered(200).json;
    let results: Vec<bool> =
        audit["items"].as_array().unwrap().iter().map(|one| one["after"]["isValid"] == true).collect();
    assert_eq!(results, [false, false, true]);
    owner.submit("/settings/backup/unknown/verify", &[]).answered(404);
    owner.submit("/settings/backup/..%2Fdata%2Frollcall.db/verify", &[]).answered(404);
}

#[test]
fn a_fresh_backup_is_downloaded_without_a_folder_and_leaves_nothing() {
    let (app, folder) = own_app();
    app.configuration("other").created("/Users", &user("stored"));
    let mut owner = Browser::owner(&app);
    assert!(owner.get("/settings/backup").answered(200).contains("Download a fresh backup"));
    // A file that an interrupted download has left.
    fs::write(folder.path().join("rollcall.db.download-20260714T093000Z"), "left").unwrap();
    let origin = format!("http://{}", app.address);
    let request = owner.request("POST", "/settings/backup/download").header("Origin", &origin);
    let request = with_fields(request, &[("form_token", &owner.form_token)]);
    let answer = request.attempt().unwrap();
    assert_eq!(answer.status, 200);
    let header = |name: &str| answer.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    assert!(
        header("content-disposition").unwrap().starts_with("attachment; filename=\"rollcall-"),
        "{:?}",
        answer.headers
    );
    let left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("download"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("fresh.db");
    fs::write(&file, &answer.body).unwrap();
    let data = elsewhere.path().join("restored");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let restored = crate::app::rollcall(&data, &["restore", file.to_str().unwrap()]);
    assert!(restored.status.success(), "{restored:?}");
    assert!(owner.get("/audit").contains("backup.downloaded"));
    let mut other = Browser::with_role(&app, "provisioning-manager", None);
    other.submit("/settings/backup/download", &[]).answered(403);
}
