//! Where the outside world reaches the server, and what follows from it. It may change while the server runs.

use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use arc_swap::ArcSwap;

/// The public URL and the documents that hold it, which are made once for each.
pub struct Outside {
    /// Without a slash at the end.
    pub url: Arc<str>,
    /// `/openapi.json`.
    pub openapi: OnceLock<Bytes>,
    /// `/docs/api`.
    pub reference: OnceLock<Bytes>,
}

impl Outside {
    fn new(url: &str) -> Self {
        Self { url: url.into(), openapi: OnceLock::new(), reference: OnceLock::new() }
    }
}

/// The public URL of a running server.
pub struct PublicUrl {
    outside: ArcSwap<Outside>,
    is_fixed: bool,
}

impl PublicUrl {
    /// A URL that `settings::public_url` has taken. `is_fixed` where the operator gave it at start, so that nobody
    /// changes it while the server runs.
    pub fn new(url: &str, is_fixed: bool) -> Self {
        Self { outside: ArcSwap::from_pointee(Outside::new(url)), is_fixed }
    }

    /// Whether it was given at start.
    pub fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// The URL of now with its documents.
    pub fn outside(&self) -> Arc<Outside> {
        self.outside.load_full()
    }

    /// Puts another in its place; documents that held the old one are gone with it.
    pub fn set(&self, url: &str) {
        self.outside.store(Arc::new(Outside::new(url)));
    }
}

/// Whether the URL says that the server is reached by HTTPS.
pub fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}

/// Scheme, host and port of a URL.
pub fn origin_of(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    let end = rest.find('/').unwrap_or(rest.len());
    &url[..scheme.len() + "://".len() + end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_ends_before_the_path() {
        assert_eq!(origin_of("https://x.example/base"), "https://x.example");
        assert_eq!(origin_of("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }

    #[test]
    fn documents_go_with_the_url_they_hold() {
        let public = PublicUrl::new("https://old.example", false);
        let old = public.outside();
        old.openapi.get_or_init(|| Bytes::from_static(b"old"));
        public.set("https://new.example");
        let new = public.outside();
        assert_eq!((&*new.url, new.openapi.get()), ("https://new.example", None));
        assert_eq!(old.openapi.get().map(|kept| &kept[..]), Some(&b"old"[..]));
    }
}
