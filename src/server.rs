//! The server: opens the store, serves until it is told to stop.

use crate::settings::Settings;
use crate::store::{Access, Store, Undo, instance};

/// Runs the server until it is stopped. The error says why it could not start.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let store = Store::open(&settings.data_dir, Access::Serve)?;
    if let Some(url) = settings.public_url {
        store.write_blocking(Undo::Unneeded, move |tx| instance::set_public_url(tx, &url))?;
    }
    store.close();
    anyhow::bail!("the store opened, but this build has no HTTP server yet")
}
