//! The protocol as RFC 7643 and RFC 7644 describe it. Each test uses one configuration.

mod addresses;
mod answers;
mod bulk;
mod conditions;
mod create;
mod cursor;
mod delete;
mod discovery;
mod extensions;
mod filter;
mod groups;
mod microsoft_validator;
mod nesting;
mod paging;
mod passwords;
mod patch;
mod projection;
mod references;
mod replace;
mod sort;
mod strict;
mod surface;
mod tolerance;
mod tolerance_routes;
mod values;
mod versions;

use serde_json::Value;

/// The `value` of each element, in order.
fn values(elements: &Value) -> Vec<&str> {
    elements.as_array().map(|all| all.iter().filter_map(|one| one["value"].as_str()).collect()).unwrap_or_default()
}
