//! Style sheets, scripts and images of the portal, embedded in the binary. The URL of each file contains a hash of its
//! content, so that browsers can cache it for a year and never use an outdated version.

use std::fmt::Write as _;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use rust_embed::{Embed, EmbeddedFile};

/// Route pattern of the files.
pub const ROUTE: &str = "/assets/{hash}/{name:.*}";

/// Bytes of the hash in the URL; enough to avoid collisions between versions of a file.
const HASH_BYTES: usize = 8;

#[derive(Embed)]
#[folder = "static/"]
struct StaticFiles;

/// Returns the URL path of a file in `static/`. For a file that does not exist, the path returns 404.
pub fn asset_url(name: &str) -> String {
    let hash = StaticFiles::get(name).map(|file| content_hash(&file)).unwrap_or_default();
    format!("/assets/{hash}/{name}")
}

fn content_hash(file: &EmbeddedFile) -> String {
    file.metadata.sha256_hash()[..HASH_BYTES].iter().fold(String::new(), |mut hash, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

/// `GET /assets/{hash}/{name}`.
pub async fn serve_asset(path: web::Path<(String, String)>) -> HttpResponse {
    let (requested_hash, name) = path.into_inner();
    let Some(file) = StaticFiles::get(&name).filter(|file| content_hash(file) == requested_hash) else {
        return HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("there is no such file\n");
    };
    HttpResponse::Ok()
        .content_type(find_media_type(&name))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(file.data)
}

fn find_media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_media_type_and_a_unique_url() {
        let mut addresses: Vec<String> = StaticFiles::iter().map(|name| asset_url(&name)).collect();
        assert!(StaticFiles::iter().all(|name| find_media_type(&name) != "application/octet-stream"));
        assert!(addresses.iter().all(|address| address.split('/').nth(2).is_some_and(|hash| hash.len() == 16)));
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), StaticFiles::iter().count());
    }
}
