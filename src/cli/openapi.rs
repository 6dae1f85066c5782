//! `rollcall openapi`.

use std::path::Path;

use super::answer;
use crate::settings::DEFAULT_PUBLIC_URL;
use crate::store::{Access, OpenError, Store, instance};
use crate::web::api;

/// Prints the document of the management API, for the server whose data lie there or for one that is still to be made.
pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let url = match Store::open(folder, Access::Existing) {
        Ok(store) => store.read_inline(instance::public_url)?,
        Err(OpenError::Missing(_)) => DEFAULT_PUBLIC_URL.to_owned(),
        Err(refused) => return Err(refused.into()),
    };
    Ok(answer::json(&serde_json::to_value(api::document(&url))?)?)
}
