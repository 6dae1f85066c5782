//! A request to a page of a setup link: the secret in its path, its CSRF token, and its origin for the audit log. And the form
//! that revokes the replaced token.

use actix_web::HttpRequest;
use serde::Deserialize;

use crate::auth::secret::{self, TokenDigest};
use crate::clock;
use crate::management::setup_link_holder::{self, LinkHolder, OpenLink};
use crate::store::WorkOwner;
use crate::web::portal::forms::{self, PageRequest};
use crate::web::portal::layout::{PageResult, hide_url, redirect_to};
use crate::web::request_middleware;
use crate::web::request_owner::record_request_owner;

/// Path of the page of a link.
pub(super) fn page_path(secret: &str) -> String {
    format!("/s/{}", forms::encode_query(secret))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct EmptySetupForm {}

pub(super) fn link_secret_in_path(page_request: &PageRequest) -> (String, TokenDigest) {
    let secret = page_request.path_parameter("secret");
    let digest = secret::digest_text(&secret);
    (secret, digest)
}

/// Counts the work of a request for the account of an open link. The use case refuses a link that is not open.
pub(super) fn find_link_owner(page_request: &PageRequest, digest: &TokenDigest) {
    let found = page_request.read_inline(|at| setup_link_holder::find_open_link(at, digest, clock::current_millis()));
    if let Ok(found) = found {
        record_link_owner(page_request, &found);
    }
}

pub(super) fn record_link_owner(page_request: &PageRequest, found: &OpenLink) {
    let owner = WorkOwner::Account(found.configuration.account.key);
    record_request_owner(&page_request.request, owner, &found.link.id);
}

pub(super) fn link_holder(request: &HttpRequest) -> LinkHolder {
    LinkHolder {
        address: request_middleware::caller_address_text(request),
        request_id: request_middleware::find_request_id(request),
    }
}

/// The CSRF token of the page, derived from the secret of the link.
pub(super) fn form_token(secret: &str) -> String {
    encode_hex(&secret::digest_text(&format!("form of a setup link {secret}")))
}

/// Bytes as hexadecimal digits.
pub(super) fn encode_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `POST /s/{secret}/old-token`: revokes the token, or deletes the client secret, that the new one has replaced.
pub(crate) async fn revoke_old_token(page_request: PageRequest) -> PageResult {
    let (secret, digest) = link_secret_in_path(&page_request);
    page_request.form_with_token::<EmptySetupForm>(&form_token(&secret)).await?;
    find_link_owner(&page_request, &digest);
    let holder = link_holder(&page_request.request);
    page_request.write(move |tx| setup_link_holder::revoke_replaced(tx, &holder, &digest)).await?;
    Ok(hide_url(redirect_to(&page_path(&secret)).finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_token_of_one_link_is_not_that_of_another() {
        assert_ne!(form_token("rcl_a"), form_token("rcl_b"));
    }
}
