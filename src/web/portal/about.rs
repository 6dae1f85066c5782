//! The server itself: which version runs, where it is reached, and whether accounts may manage their own connections.

use askama::Template;
use serde::Deserialize;

use super::admins::Runner;
use super::page::{Layout, Place, Shown, on_to, page};
use super::session::Visit;
use crate::directory::instance;
use crate::store::{Undo, instance as rows};

#[derive(Template)]
#[template(path = "portal/about.html")]
struct AboutPage {
    layout: Layout,
    tab: &'static str,
    version: &'static str,
    public_url: String,
    self_service: bool,
    /// How many people could run the server, were one of them lost.
    owners: i64,
}

/// `GET /settings/about`
pub(super) async fn show(person: Runner, visit: Visit) -> Shown {
    let (self_service, owners) =
        visit.state.store.read_inline(|at| Ok((rows::self_service(at)?, crate::store::admins::active_owners(at)?)))?;
    let layout = Layout::new("About this server", Some(&person.signed), Place::Settings);
    let (version, public_url) = (env!("CARGO_PKG_VERSION"), visit.state.public_url.clone());
    Ok(page(200, &AboutPage { layout, tab: "about", version, public_url, self_service, owners }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    self_service: String,
}

/// `POST /settings/about`
pub(super) async fn save(person: Runner, visit: Visit) -> Shown {
    let (fields, state) = visit.form::<Fields>(&person.signed).await?;
    let (by, on) = (person.by, fields.self_service == "on");
    state.store.write(Undo::Savepoint, move |tx| instance::set_self_service(tx, &by, on)).await?;
    Ok(on_to("/settings/about?done=saved").finish())
}
