//! Files that pages need, embedded in the program: style sheets, the one script, the icon. A file's address carries a
//! digest of its content, so browsers may keep it for a year.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpResponse, web};
use rust_embed::Embed;

/// The folder, as it was when the program was built.
#[derive(Embed)]
#[folder = "static/"]
struct Files;

/// Digits of the digest that stand in an address.
const DIGEST_BYTES: usize = 6;

/// The address of a file; empty where there is none of that name, which a test makes sure of.
pub fn address(name: &str) -> String {
    Files::get(name).map(|file| format!("/assets/{}/{name}", digest(&file))).unwrap_or_default()
}

fn digest(file: &rust_embed::EmbeddedFile) -> String {
    use std::fmt::Write as _;
    file.metadata.sha256_hash()[..DIGEST_BYTES].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// `GET /assets/{digest}/{name}`. The name is looked up exactly; no path of the URL reaches the disk.
pub async fn file(path: web::Path<(String, String)>) -> HttpResponse {
    let (wanted, name) = path.into_inner();
    let Some(file) = Files::get(&name).filter(|file| digest(file) == wanted) else {
        return HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("there is no such file\n");
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type(&name)))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(file.data.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_an_address_and_a_type() {
        for name in Files::iter() {
            assert!(address(&name).starts_with("/assets/"), "{name}");
            assert_ne!(content_type(&name), "application/octet-stream", "{name}");
        }
        assert_eq!(address("../Cargo.toml"), "");
    }
}
