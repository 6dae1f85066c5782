//! The discovery documents that identity providers read before each test of a connection, as they were last rendered.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::web::Bytes;

use crate::model::rights::AccessRights;
use crate::model::switches::Switches;
use crate::scim::schema::ResourceType;

/// Most bytes of cached documents.
const CACHED_BYTES_MAX: usize = 8 << 20;

/// Cached documents by configuration, rights and kind.
#[derive(Default)]
pub struct DiscoveryCache(RwLock<CachedDocuments>);

#[derive(Default)]
struct CachedDocuments {
    documents: HashMap<DocumentKey, CachedDocument>,
    bytes: usize,
}

/// A document of a configuration, as a token with these rights sees it.
pub type DocumentKey = (i64, AccessRights, DocumentKind);

/// A document with all elements of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// `/ServiceProviderConfig`
    ServiceProviderConfig,
    /// `/ResourceTypes`
    ResourceTypes,
    /// `/Schemas`
    Schemas,
}

/// What a document follows from.
pub struct DocumentBasis {
    /// Switches of a scope, which are replaced when the configuration changes.
    pub switches: Arc<Switches>,
    /// Types of the same scope.
    pub types: Arc<[Arc<ResourceType>]>,
    /// Whether the configuration has an OAuth client.
    pub has_oauth_client: bool,
    /// Largest body of a request.
    pub body_max_bytes: usize,
    /// The URL that all URLs in the document start with.
    pub base: String,
}

impl DocumentBasis {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.switches, &other.switches)
            && Arc::ptr_eq(&self.types, &other.types)
            && self.has_oauth_client == other.has_oauth_client
            && self.body_max_bytes == other.body_max_bytes
            && self.base == other.base
    }
}

struct CachedDocument {
    basis: DocumentBasis,
    bytes: Bytes,
}

impl DiscoveryCache {
    /// Returns the document with this key, if it was rendered from the same.
    pub fn find(&self, key: &DocumentKey, basis: &DocumentBasis) -> Option<Bytes> {
        let cache = self.0.read().unwrap_or_else(PoisonError::into_inner);
        cache.documents.get(key).filter(|cached| cached.basis.is_same(basis)).map(|cached| cached.bytes.clone())
    }

    /// Stores a document. Removes all of them first if there are too many.
    pub fn insert(&self, key: DocumentKey, basis: DocumentBasis, bytes: Bytes) {
        let mut cache = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if cache.bytes + bytes.len() > CACHED_BYTES_MAX {
            *cache = CachedDocuments::default();
        }
        cache.bytes += bytes.len();
        if let Some(previous) = cache.documents.insert(key, CachedDocument { basis, bytes }) {
            cache.bytes -= previous.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rights::TokenRights;
    use crate::scim::schema::standard_types;

    #[test]
    fn a_document_is_found_until_something_that_it_follows_from_changes() {
        let cache = DiscoveryCache::default();
        let (switches, types) = (Arc::new(Switches::default()), Arc::from(standard_types().map(Arc::clone)));
        let basis = |base: &str| DocumentBasis {
            switches: Arc::clone(&switches),
            types: Arc::clone(&types),
            has_oauth_client: false,
            body_max_bytes: 1,
            base: base.to_owned(),
        };
        let key = (1, AccessRights::from(TokenRights::All), DocumentKind::Schemas);
        cache.insert(key, basis("a"), Bytes::from_static(b"document"));
        assert_eq!(cache.find(&key, &basis("a")).as_deref(), Some(&b"document"[..]));
        for changed in [
            basis("b"),
            DocumentBasis { switches: Arc::new(Switches::default()), ..basis("a") },
            DocumentBasis { types: Arc::from(standard_types().map(Arc::clone)), ..basis("a") },
            DocumentBasis { has_oauth_client: true, ..basis("a") },
            DocumentBasis { body_max_bytes: 2, ..basis("a") },
        ] {
            assert_eq!(cache.find(&key, &changed), None);
        }
        assert_eq!(cache.find(&(2, key.1, key.2), &basis("a")), None);
    }

    #[test]
    fn the_documents_use_a_limited_amount_of_memory() {
        let cache = DiscoveryCache::default();
        let (switches, types) = (Arc::new(Switches::default()), Arc::from(standard_types().map(Arc::clone)));
        for configuration in 0..40 {
            let basis = DocumentBasis {
                switches: Arc::clone(&switches),
                types: Arc::clone(&types),
                has_oauth_client: false,
                body_max_bytes: 1,
                base: String::new(),
            };
            let key = (configuration % 30, AccessRights::from(TokenRights::All), DocumentKind::Schemas);
            cache.insert(key, basis, Bytes::from(vec![b'a'; CACHED_BYTES_MAX / 10]));
            let cached = cache.0.read().unwrap();
            assert_eq!(cached.bytes, cached.documents.values().map(|one| one.bytes.len()).sum::<usize>());
            assert!(cached.bytes <= CACHED_BYTES_MAX);
        }
    }
}
