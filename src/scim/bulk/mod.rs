//! Bulk jobs (RFC 7644 section 3.7). [`parse_bulk_job`] parses a request into items and checks them without access to the
//! directory, [`references`] replaces references between items with ids, [`plan_execution`] determines the order of execution.

mod parse;
mod plan;
pub mod references;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::urn;
use crate::error::Error;
use crate::named_enum::named_enum;
use crate::scim::entity_tag::EntityTags;

pub use parse::parse_bulk_job;
pub use plan::{BulkPlan, ItemProperties, plan_execution};

/// Maximum number of operations in one job.
pub const OPERATIONS_MAX: usize = 1_000;

/// A parsed bulk request.
#[derive(Debug)]
pub struct BulkJob {
    /// Number of errors after which the job stops (`failOnErrors`); `None` to run the whole job.
    pub errors_max: Option<usize>,
    /// The operations, in the order of the request.
    pub items: Vec<BulkItem>,
}

named_enum! {
    /// The method of an operation.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BulkMethod {
        /// Create.
        Post = "POST",
        /// Replace.
        Put = "PUT",
        /// Modify.
        Patch = "PATCH",
        /// Remove.
        Delete = "DELETE",
    }
}

/// One operation of a job.
#[derive(Debug, Default)]
pub struct BulkItem {
    /// `None` if the item has no supported method.
    pub method: Option<BulkMethod>,
    /// The client's identifier of the operation. Other operations can refer to the created resource by it.
    pub bulk_id: Option<String>,
    /// Path below the base URL, or a complete URL; empty if the item has none.
    pub path: String,
    /// The required version of the resource, as in If-Match.
    pub version: Option<EntityTags>,
    /// The request body of the operation; null if there is none.
    pub data: Value,
    /// The error of an item that is invalid in itself.
    pub error: Option<Error>,
}

impl BulkItem {
    /// Returns the bulkId by which other items refer to the resource that this item creates.
    pub fn created_bulk_id(&self) -> Option<&str> {
        self.bulk_id.as_deref().filter(|_| self.method == Some(BulkMethod::Post))
    }
}

/// The result of one item.
#[derive(Debug, Clone)]
pub struct BulkItemOutcome {
    /// Status code of the operation.
    pub status: u16,
    /// URL of the resource; `None` for a failed POST.
    pub location: Option<String>,
    /// Entity tag after the operation, if available.
    pub version: Option<String>,
    /// The error, if the operation failed.
    pub error: Option<Error>,
}

impl BulkItemOutcome {
    /// The outcome of a failed item. `location` is the URL of the target resource.
    pub fn failed(error: Error, location: Option<String>) -> Self {
        Self { status: error.status(), location, version: None, error: Some(error) }
    }

    /// Whether the operation took effect.
    pub fn succeeded(&self) -> bool {
        self.error.is_none()
    }
}

/// Returns the bulk response: one result per processed item, in the order of the request. `render_error` returns the body of
/// an error response.
pub fn render_response<'a>(
    results: impl Iterator<Item = (&'a BulkItem, &'a BulkItemOutcome)>,
    render_error: fn(&Error) -> Value,
) -> Value {
    let results: Vec<Value> = results.map(|(item, outcome)| render_result(item, outcome, render_error)).collect();
    json!({"schemas": [urn::BULK_RESPONSE], "Operations": results})
}

fn render_result(item: &BulkItem, outcome: &BulkItemOutcome, render_error: fn(&Error) -> Value) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value.into());
        }
    };
    put("location", outcome.location.as_deref());
    put("method", item.method.map(BulkMethod::as_str));
    put("bulkId", item.bulk_id.as_deref());
    put("version", outcome.version.as_deref());
    // Erratum 7916: the status is a string.
    put("status", Some(&outcome.status.to_string()));
    if let Some(error) = &outcome.error {
        object.insert("response".to_owned(), render_error(error));
    }
    Value::Object(object)
}
