//! Bulk jobs (RFC 7644 section 3.7): a request becomes items, each checked as far as that needs no directory;
//! [`references`] puts ids where items name each other, [`plan()`] says in which order they run.

mod plan;
mod read;
pub mod references;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::version::Tags;
use super::{Error, urn};

pub use plan::{Facts, Plan, plan};
pub use read::read;

/// Most operations in one job.
pub const OPERATIONS_MAX: usize = 1_000;

/// A job, read.
#[derive(Debug)]
pub struct Job {
    /// After how many errors the job stops (`failOnErrors`); it runs to its end without.
    pub errors_max: Option<usize>,
    /// What is to be done, in the order of the request.
    pub items: Vec<Item>,
}

/// A method that a job may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Create.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
}

impl Method {
    /// The name in a request and in a result.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One operation of a job.
#[derive(Debug, Default)]
pub struct Item {
    /// Nothing where the item names none that is served.
    pub method: Option<Method>,
    /// The client's own name for the operation; what it makes can be referred to by it.
    pub bulk_id: Option<String>,
    /// Path below the base URL, or a whole URL; empty where the item has none.
    pub path: String,
    /// What the resource's version must be, as in If-Match.
    pub version: Option<Tags>,
    /// The body of the single call; null where there is none.
    pub data: Value,
    /// What is wrong with the item, where its own text says so.
    pub refusal: Option<Error>,
}

impl Item {
    /// The name under which others refer to what the item creates.
    pub fn creates(&self) -> Option<&str> {
        self.bulk_id.as_deref().filter(|_| self.method == Some(Method::Post))
    }
}

/// What became of one item.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Status code of the single call.
    pub status: u16,
    /// URL of the resource; a create that failed has none.
    pub location: Option<String>,
    /// Entity tag after the operation, where it is known.
    pub version: Option<String>,
    /// The error.
    pub refusal: Option<Error>,
}

impl Outcome {
    /// A refused item. The URL says which resource was meant.
    pub fn refused(error: Error, location: Option<String>) -> Self {
        Self { status: error.status, location, version: None, refusal: Some(error) }
    }

    /// Whether the operation took effect.
    pub fn succeeded(&self) -> bool {
        self.refusal.is_none()
    }
}

/// The answer to a job: one result for each item that was reached, in the order of the request.
pub fn response<'a>(results: impl Iterator<Item = (&'a Item, &'a Outcome)>) -> Value {
    let results: Vec<Value> = results.map(|(item, outcome)| result(item, outcome)).collect();
    json!({"schemas": [urn::BULK_RESPONSE], "Operations": results})
}

fn result(item: &Item, outcome: &Outcome) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value.into());
        }
    };
    put("location", outcome.location.as_deref());
    put("method", item.method.map(Method::as_str));
    put("bulkId", item.bulk_id.as_deref());
    put("version", outcome.version.as_deref());
    // Erratum 7916: the status is text.
    put("status", Some(&outcome.status.to_string()));
    if let Some(error) = &outcome.refusal {
        shown.insert("response".to_owned(), error.body());
    }
    Value::Object(shown)
}
