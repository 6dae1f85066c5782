//! Whose work an authenticated request of the management API or the portal is. Calls that are limited to one account use
//! the share of that account.

use actix_web::{HttpMessage, HttpRequest};

use super::body_budget::BodyOwner;
use crate::store::WorkOwner;

/// Records the owner of the work and of the body of an authenticated request. `caller` is the id of the API key, user or
/// admin.
pub(super) fn record_request_owner(request: &HttpRequest, owner: WorkOwner, caller: &str) {
    let mut extensions = request.extensions_mut();
    extensions.insert(owner);
    extensions.insert(BodyOwner::from_caller(owner, caller));
}

/// Returns the owner of the work of a request. A request without a credential belongs to the management lane.
pub(super) fn find_request_owner(request: &HttpRequest) -> WorkOwner {
    request.extensions().get::<WorkOwner>().copied().unwrap_or(WorkOwner::Management)
}
