//! The server itself: which version runs, and who could run it.

use std::sync::Arc;

use askama::Template;

use super::admins::Runner;
use super::page::{Layout, Place, Shown, page};
use super::session::Visit;
use crate::store::admins;

#[derive(Template)]
#[template(path = "portal/about.html")]
struct AboutPage {
    layout: Layout,
    tab: &'static str,
    version: &'static str,
    public_url: Arc<str>,
    /// How many people could run the server, were one of them lost.
    owners: i64,
}

/// `GET /settings/about`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let owners = visit.state.store.read_inline(admins::active_owners)?;
    let layout = Layout::new("About Rollcall", Some(&person.signed), Place::Settings);
    let (version, public_url) = (env!("CARGO_PKG_VERSION"), visit.state.public_url());
    Ok(page(200, &AboutPage { layout, tab: "about", version, public_url, owners }))
}
