//! Bodies in two encodings: plain, and compressed with gzip for clients that accept it (RFC 9110 section 12.5.3).

use std::fmt::Write as _;
use std::io::Write as _;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Bytes of the digest in an entity tag.
const TAG_BYTES: usize = 8;

/// A body that does not change, compressed once.
#[derive(Debug)]
pub struct EncodedBody {
    plain: Bytes,
    /// Absent if it would not be shorter.
    gzip: Option<Bytes>,
    tag: String,
}

impl EncodedBody {
    /// Compresses a body.
    pub fn new(plain: Bytes) -> Self {
        let digest = Sha256::digest(&plain);
        let tag = digest[..TAG_BYTES].iter().fold(String::new(), |mut tag, byte| {
            // Writing to a string cannot fail.
            let _ = write!(tag, "{byte:02x}");
            tag
        });
        Self { gzip: compress(&plain, Compression::best()).map(Bytes::from), plain, tag }
    }

    /// Completes a response with the body, in an encoding that the client accepts.
    pub fn respond(&self, mut response: HttpResponseBuilder, request: &HeaderMap) -> HttpResponse {
        response.insert_header((header::VARY, "Accept-Encoding"));
        match self.gzip.as_ref().filter(|_| accepts_gzip(request)) {
            Some(gzip) => response.insert_header((header::CONTENT_ENCODING, "gzip")).body(gzip.clone()),
            None => response.body(self.plain.clone()),
        }
    }

    /// Like [`EncodedBody::respond`], with an entity tag: a client that has the body gets 304 (RFC 9110 section 13.1.2).
    pub fn respond_tagged(&self, mut response: HttpResponseBuilder, request: &HeaderMap) -> HttpResponse {
        let suffix = if self.gzip.is_some() && accepts_gzip(request) { "-gzip" } else { "" };
        response.insert_header((header::ETAG, format!("\"{}{suffix}\"", self.tag)));
        response.insert_header((header::CACHE_CONTROL, "public, no-cache"));
        let is_cached = request
            .get_all(header::IF_NONE_MATCH)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|tag| {
                tag.trim() == "*" || tag.trim().trim_start_matches("W/").trim_matches('"').starts_with(&self.tag)
            });
        if is_cached {
            return response
                .status(actix_web::http::StatusCode::NOT_MODIFIED)
                .insert_header((header::VARY, "Accept-Encoding"))
                .finish();
        }
        self.respond(response, request)
    }
}

/// Whether the client accepts gzip. Without the header, it gets the plain body.
pub fn accepts_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get_all(header::ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let is_refused = |weight: &str| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0);
        is_gzip && !parts.filter_map(|part| part.strip_prefix("q=")).any(is_refused)
    })
}

/// Compresses a page fast, for one response. `None` if it would not be shorter.
pub fn compress_once(plain: &[u8]) -> Option<Vec<u8>> {
    compress(plain, Compression::fast())
}

fn compress(plain: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), level);
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().filter(|compressed| compressed.len() < plain.len())
}

/// Adds `Vary: Accept-Encoding` to a response with several encodings.
pub fn add_vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn gzip_is_used_only_for_clients_that_name_it() {
        for accepted in ["gzip", "br, gzip", "deflate, GZIP;q=0.5", "gzip; q=1"] {
            assert!(accepts_gzip(&headers(header::ACCEPT_ENCODING, accepted)), "{accepted}");
        }
        for refused in ["", "identity", "*", "gzip;q=0", "gzip; q=0.000", "br", "xgzip"] {
            assert!(!accepts_gzip(&headers(header::ACCEPT_ENCODING, refused)), "{refused}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_compressed_body_has_the_same_content() {
        let plain = "the same line\n".repeat(100);
        let compressed = compress_once(plain.as_bytes()).unwrap();
        assert!(compressed.len() < plain.len() / 4);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&compressed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain);
        assert_eq!(compress_once(b"short"), None);
    }

    #[test]
    fn a_client_with_the_body_gets_304() {
        let body = EncodedBody::new(Bytes::from("a".repeat(100)));
        let first = body.respond_tagged(HttpResponse::Ok(), &headers(header::ACCEPT_ENCODING, "gzip"));
        let tag = first.headers().get(header::ETAG).unwrap().to_str().unwrap().to_owned();
        assert!(tag.ends_with("-gzip\""));
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&format!("\"x\", W/{tag}")).unwrap());
        assert_eq!(body.respond_tagged(HttpResponse::Ok(), &again).status(), 304);
        let other = headers(header::IF_NONE_MATCH, "\"0000000000000000\"");
        assert_eq!(body.respond_tagged(HttpResponse::Ok(), &other).status(), 200);
    }
}
