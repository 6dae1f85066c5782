//! Style sheets, scripts and images of the portal, embedded in the binary. The URL of each file contains a hash of its
//! content, so that browsers can cache it for a year and never use an outdated version. Each file is compressed at its first
//! use.

mod encoded;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::{Embed, EmbeddedFile};

pub use self::encoded::{EncodedBody, accepts_gzip, add_vary, compress_once};

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

/// Returns the body of a file, compressed once.
fn find_body(name: &str) -> Option<&'static EncodedBody> {
    static BODIES: OnceLock<HashMap<String, OnceLock<EncodedBody>>> = OnceLock::new();
    let bodies = BODIES.get_or_init(|| StaticFiles::iter().map(|name| (name.into_owned(), OnceLock::new())).collect());
    let file = StaticFiles::get(name)?;
    Some(bodies.get(name)?.get_or_init(|| {
        let data = file.data.into_owned();
        let shorter = if find_media_type(name).starts_with("text/css") {
            std::str::from_utf8(&data).ok().map(shorten_style)
        } else {
            None
        };
        EncodedBody::new(shorter.map_or_else(|| Bytes::from(data), Bytes::from))
    }))
}

/// Removes comments, line breaks and optional spaces from a style sheet.
fn shorten_style(style: &str) -> String {
    let mut rest = style;
    let mut text = String::with_capacity(style.len());
    while let Some((before, from)) = rest.split_once("/*") {
        text.push_str(before);
        rest = from.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let joined: String = text.lines().map(str::trim).collect();
    let spaces =
        [("; ", ";"), ("{ ", "{"), (" {", "{"), (" }", "}"), (", ", ","), (": ", ":"), (";}", "}"), (" > ", ">")];
    spaces.iter().fold(joined, |text, (long, short)| text.replace(long, short))
}

/// `GET /assets/{hash}/{name}`.
pub async fn serve_asset(request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let (requested_hash, name) = path.into_inner();
    let is_current = StaticFiles::get(&name).is_some_and(|file| content_hash(&file) == requested_hash);
    let Some(body) = find_body(&name).filter(|_| is_current) else {
        return HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("there is no such file\n");
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type(find_media_type(&name))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    body.respond(response, request.headers())
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
    fn a_style_sheet_is_shortened_without_a_change_of_its_meaning() {
        let style = "/* a */\na :is(b, c)::after { content: \"↓\" / \"\"; color: red; }\n@media (max-width: 40rem) {\n  d { e: 1 }\n}\n";
        let short = "a :is(b,c)::after{content:\"↓\" / \"\";color:red}@media (max-width:40rem){d{e:1}}";
        assert_eq!(shorten_style(style), short);
        assert_eq!(shorten_style("a { b: c } /* open"), "a{b:c}");
    }

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
