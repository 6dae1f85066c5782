//! Style sheets, scripts and pictures of the pages, held in the program. The address of each carries a hash of its content,
//! so that a browser may keep it for a year and still never shows an old one.

use std::fmt::Write as _;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use rust_embed::{Embed, EmbeddedFile};

/// Where they are served.
pub const ROUTE: &str = "/assets/{hash}/{name:.*}";

/// Bytes of the hash that the address shows: enough that no two versions of a file meet.
const HASH_BYTES: usize = 8;

#[derive(Embed)]
#[folder = "static/"]
struct Files;

/// The address of a file below `static/`; one that does not exist has an address where nothing is.
pub fn address(name: &str) -> String {
    let hash = Files::get(name).map(|file| hash(&file)).unwrap_or_default();
    format!("/assets/{hash}/{name}")
}

fn hash(file: &EmbeddedFile) -> String {
    file.metadata.sha256_hash()[..HASH_BYTES].iter().fold(String::new(), |mut hash, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

/// `GET /assets/{hash}/{name}`.
pub async fn serve(path: web::Path<(String, String)>) -> HttpResponse {
    let (wanted, name) = path.into_inner();
    let Some(file) = Files::get(&name).filter(|file| hash(file) == wanted) else {
        return HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("there is no such file\n");
    };
    HttpResponse::Ok()
        .content_type(media_type(&name))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(file.data)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
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
    fn every_file_has_a_media_type_and_an_address_of_its_own() {
        let mut addresses: Vec<String> = Files::iter().map(|name| address(&name)).collect();
        assert!(Files::iter().all(|name| media_type(&name) != "application/octet-stream"));
        assert!(addresses.iter().all(|address| address.split('/').nth(2).is_some_and(|hash| hash.len() == 16)));
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), Files::iter().count());
    }
}
