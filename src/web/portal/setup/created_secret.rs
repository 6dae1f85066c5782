//! The token or client secret that a browser has created with a setup link: it can be shown there for a few minutes.

use actix_web::cookie::Cookie;

use crate::auth::secret::sealed::Sealer;
use crate::auth::secret::{self, BearerToken};
use crate::clock::{self, Millis};
use crate::error::{Error, Reason};
use crate::web::portal::cookies;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::PageError;
use crate::web::portal::setup::link_request::encode_hex;
use crate::web::state::ServerContext;

/// How long it can be shown, in seconds.
const VISIBLE_SECONDS: i64 = 5 * 60;

const COOKIE: &str = "rc_made";

/// Cookie with the encrypted token or secret. The key is the secret of the link, which is only in the URL.
pub(super) fn created_cookie(
    server: &ServerContext,
    link_secret: &str,
    created: &BearerToken,
) -> Result<Cookie<'static>, PageError> {
    let chance = secret::random_bytes().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let text = format!("{} {}", clock::current_millis() + VISIBLE_SECONDS * 1000, created.reveal());
    let sealed = create_sealer(link_secret).seal(&chance, text.into_bytes()).ok_or(Error::new(Reason::ServerBusy))?;
    Ok(cookies::new_cookie(server, COOKIE, encode_hex(&sealed), VISIBLE_SECONDS))
}

/// What this browser created within the time limit, and its end, or `None`.
pub(super) fn read_created(page_request: &PageRequest, link_secret: &str) -> Option<(String, Millis)> {
    let cookie = cookies::find_cookie(&page_request.request, COOKIE)?;
    let opened = create_sealer(link_secret).open(&decode_hex(cookie.value())?)?;
    let text = String::from_utf8(opened).ok()?;
    let (until, created) = text.split_once(' ')?;
    let until = until.parse().ok()?;
    (clock::current_millis() < until).then(|| (created.to_owned(), until))
}

fn create_sealer(link_secret: &str) -> Sealer {
    Sealer::new(link_secret, &secret::digest_text("token made with a setup link"))
}

fn decode_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_hexadecimal_read_back() {
        assert_eq!(decode_hex(&encode_hex(&[0, 7, 255])), Some(vec![0, 7, 255]));
        assert_eq!(decode_hex("0g"), None);
        assert_eq!(decode_hex("é0"), None);
    }
}
