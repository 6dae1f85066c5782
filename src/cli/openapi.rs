//! `rollcall openapi`: prints the OpenAPI document of the management API.

use std::path::Path;

use crate::cli::output;
use crate::management::instance;
use crate::settings::DEFAULT_PUBLIC_URL;
use crate::store::{OpenError, Store};
use crate::web::api;

/// Prints the document with the public URL of the data folder, or with the default URL if there is no database.
pub(super) fn print_openapi(folder: &Path) -> anyhow::Result<()> {
    let url = match Store::open_existing(folder) {
        Ok(store) => store.read_inline(instance::get_public_url)?,
        Err(OpenError::NotFound(_)) => DEFAULT_PUBLIC_URL.to_owned(),
        Err(error) => return Err(error.into()),
    };
    Ok(output::print_json(&api::build_document(&url)?)?)
}
