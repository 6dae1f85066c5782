//! The URIs of schemas and messages.

/// Core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Core Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// Enterprise extension of User.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Names of the enterprise extension in SCIM 1.1 and in drafts, which some clients still send; longer names first.
pub const OBSOLETE_ENTERPRISE_USER: [&str; 4] = [
    "urn:scim:schemas:extension:enterprise:2.0:User",
    "urn:scim:schemas:extension:enterprise:1.0:User",
    "urn:scim:schemas:extension:enterprise:2.0",
    "urn:scim:schemas:extension:enterprise:1.0",
];
/// Names of the core User schema in SCIM 1.1 and in drafts.
pub const OBSOLETE_USER: [&str; 4] = [
    "urn:scim:schemas:core:2.0:User",
    "urn:scim:schemas:core:1.0:User",
    "urn:scim:schemas:core:2.0",
    "urn:scim:schemas:core:1.0",
];
/// Names of the core Group schema in SCIM 1.1 and in drafts.
pub const OBSOLETE_GROUP: [&str; 4] = [
    "urn:scim:schemas:core:2.0:Group",
    "urn:scim:schemas:core:1.0:Group",
    "urn:scim:schemas:core:2.0",
    "urn:scim:schemas:core:1.0",
];
/// The namespace of the messages.
const MESSAGES: &str = "urn:ietf:params:scim:api:messages:2.0";
/// Service provider configuration document.
pub const SERVICE_PROVIDER_CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// Resource type document.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// Schema document.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
/// List response.
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Error response.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// PATCH request.
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Bulk request.
pub const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// Bulk response.
pub const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// POST /.search request.
pub const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Whether the standard defines a schema or message with this URN, or the URN is inside one. URNs are case-insensitive.
pub fn is_standard(urn: &str) -> bool {
    let documents = [SERVICE_PROVIDER_CONFIG, RESOURCE_TYPE, SCHEMA];
    let standard = [USER, GROUP, ENTERPRISE_USER, MESSAGES].into_iter().chain(documents);
    standard.chain(OBSOLETE_ENTERPRISE_USER).any(|known| {
        urn.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known))
            && matches!(urn.as_bytes().get(known.len()), None | Some(b':'))
    })
}
