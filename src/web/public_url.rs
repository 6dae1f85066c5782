//! The public URL of the server and the documents that contain it. The URL may change while the server runs.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::web::assets::EncodedBody;

/// The public URL and the documents that contain it. Each document is created once per URL.
pub struct PublicDocuments {
    /// URL without a trailing slash.
    pub url: Arc<str>,
    /// `/openapi.json`.
    pub openapi: OnceLock<EncodedBody>,
    /// The pages below `/docs/api`, by name.
    pub reference: OnceLock<BTreeMap<String, EncodedBody>>,
}

impl PublicDocuments {
    fn new(url: &str) -> Self {
        Self { url: url.into(), openapi: OnceLock::new(), reference: OnceLock::new() }
    }
}

/// The public URL of a running server.
pub struct PublicUrl {
    documents: ArcSwap<PublicDocuments>,
    is_fixed: bool,
}

impl PublicUrl {
    /// `url` must be accepted by `settings::parse_public_url`. `is_fixed` if it was set at start and cannot be changed
    /// while the server runs.
    pub fn new(url: &str, is_fixed: bool) -> Self {
        Self { documents: ArcSwap::from_pointee(PublicDocuments::new(url)), is_fixed }
    }

    /// Returns whether the URL was set at start.
    pub fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// Returns the current URL with its documents.
    pub fn documents(&self) -> Arc<PublicDocuments> {
        self.documents.load_full()
    }

    /// Replaces the URL and discards the documents of the previous one.
    pub fn set(&self, url: &str) {
        self.documents.store(Arc::new(PublicDocuments::new(url)));
    }
}

/// Returns whether the scheme of the URL is HTTPS.
pub fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}

/// Returns the origin of a URL: scheme, host and port.
pub fn parse_origin(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    let end = rest.find('/').unwrap_or(rest.len());
    &url[..scheme.len() + "://".len() + end]
}

#[cfg(test)]
mod tests {
    use actix_web::web::Bytes;

    use super::*;

    #[test]
    fn an_origin_ends_before_the_path() {
        assert_eq!(parse_origin("https://x.example/base"), "https://x.example");
        assert_eq!(parse_origin("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }

    #[test]
    fn documents_are_discarded_with_their_url() {
        let public = PublicUrl::new("https://old.example", false);
        let old = public.documents();
        old.openapi.get_or_init(|| EncodedBody::new(Bytes::from_static(b"old")));
        public.set("https://new.example");
        let new = public.documents();
        assert_eq!((&*new.url, new.openapi.get().is_none()), ("https://new.example", true));
        assert!(old.openapi.get().is_some());
    }
}
