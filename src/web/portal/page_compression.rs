//! Compression of pages. The length of a compressed page can reveal a secret that is in it, if another site can choose a
//! part of the page (BREACH). Therefore these pages are not compressed: responses to forms, and pages with a secret, whatever
//! their query. The CSRF token of a compressed page is masked with new random bytes each time.

use std::fmt::Write as _;

use actix_web::HttpRequest;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};

use crate::auth::secret::{self, CLIENT_SECRET_PREFIX, KEY_PREFIX, LINK_PREFIX, PREFIX, webhook_key};
use crate::web::assets;

/// Shorter pages are sent as they are.
const COMPRESSED_MIN: usize = 1_024;
/// Markup before a CSRF token.
const TOKEN_FIELD: &str = "name=\"form_token\" value=\"";
/// Texts of pages with a secret: the prefixes of secrets, and the address of a one-time code.
const SECRETS: [&str; 6] =
    [PREFIX, KEY_PREFIX, CLIENT_SECRET_PREFIX, LINK_PREFIX, webhook_key::SECRET_PREFIX, "otpauth:"];

/// Whether the page of a request can be compressed.
pub(super) fn may_compress(request: &HttpRequest) -> bool {
    request.method() == Method::GET && assets::accepts_gzip(request.headers())
}

/// Compresses the body of a page. Downloads, short pages and pages with a secret stay as they are.
pub(super) fn compress_page(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_type.is_some_and(|media_type| media_type.starts_with("text/html")) {
        return response;
    }
    assets::add_vary(response.headers_mut());
    response.map_body(|head, body| match body.try_into_bytes() {
        Ok(page) => match std::str::from_utf8(&page).ok().and_then(compress_text) {
            Some(compressed) => {
                head.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                BoxBody::new(compressed)
            }
            None => BoxBody::new(page),
        },
        Err(body) => BoxBody::new(body),
    })
}

fn compress_text(page: &str) -> Option<Vec<u8>> {
    if page.len() < COMPRESSED_MIN || SECRETS.iter().any(|secret| page.contains(secret)) {
        return None;
    }
    assets::compress_once(mask_form_tokens(page, &secret::random_bytes().ok()?)?.as_bytes())
}

/// Masks all CSRF tokens of a page with these random bytes. `None` if one of them cannot be masked.
fn mask_form_tokens(page: &str, mask: &[u8]) -> Option<String> {
    let mut pieces = page.split(TOKEN_FIELD);
    let mut masked = pieces.next()?.to_owned();
    for piece in pieces {
        let (token, rest) = piece.split_once('"')?;
        let token = decode_hex(token).filter(|token| !token.is_empty() && token.len() <= mask.len())?;
        let mask = &mask[..token.len()];
        masked.push_str(TOKEN_FIELD);
        push_hex(&mut masked, mask.iter().copied());
        push_hex(&mut masked, token.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        masked.push('"');
        masked.push_str(rest);
    }
    Some(masked)
}

/// Returns the CSRF token of a form. `length` is that of a token that is not masked.
pub(super) fn unmask_form_token(carried: &str, length: usize) -> String {
    let masked = decode_hex(carried).filter(|_| carried.len() == 2 * length);
    let Some(masked) = masked else { return carried.to_owned() };
    let (mask, token) = masked.split_at(length / 2);
    let mut unmasked = String::new();
    push_hex(&mut unmasked, token.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    unmasked
}

fn push_hex(text: &mut String, bytes: impl Iterator<Item = u8>) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "<input name=\"form_token\" value=\"00ff10\"><p>text</p><input name=\"form_token\" value=\"00ff10\">";

    #[test]
    fn a_masked_token_is_accepted_and_differs_each_time() {
        let masked = mask_form_tokens(PAGE, &[0x12, 0x34, 0x56, 0x78]).unwrap();
        assert!(masked.contains("value=\"12345612cb46\"><p>text</p>") && masked.matches("12345612cb46").count() == 2);
        assert_eq!(unmask_form_token("12345612cb46", 6), "00ff10");
        assert_ne!(mask_form_tokens(PAGE, &[0x13, 0x34, 0x56]).unwrap(), masked);
        for plain in ["00ff10", "", "not hexadecimal!"] {
            assert_eq!(unmask_form_token(plain, 6), plain);
        }
        assert_eq!(mask_form_tokens("<input name=\"form_token\" value=\"xyz\">", &[0; 32]), None);
    }

    #[test]
    fn pages_with_a_secret_and_short_pages_are_not_compressed() {
        let long = format!("{PAGE}{}", "<p>text</p>".repeat(200));
        assert!(compress_text(&long).is_some());
        assert!(compress_text(PAGE).is_none());
        for secret in SECRETS {
            assert!(compress_text(&format!("{long}{secret}0123")).is_none(), "{secret}");
        }
    }
}
