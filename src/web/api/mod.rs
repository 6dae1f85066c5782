//! The management API: what an operator automates, and what an account's own people may do for themselves.

mod answer;
mod call;
mod caller;
mod configurations;
mod cursor;
mod frame;
mod health;
mod openapi;
mod operation;
mod places;
mod reference;

use actix_web::web::ServiceConfig;

pub use health::{livez, not_found, readyz};
pub use openapi::document;

use places::{Places, Routing};

/// All places. What is not listed here is not there.
fn all(to: &mut impl Places) {
    to.serve::<configurations::__path_list, _, _>(configurations::list);
    to.serve::<configurations::__path_create, _, _>(configurations::create);
    to.serve::<configurations::__path_read, _, _>(configurations::read);
    to.serve::<configurations::__path_update, _, _>(configurations::update);
    to.serve::<configurations::__path_delete, _, _>(configurations::delete);
    to.serve::<configurations::__path_count_users, _, _>(configurations::count_users);
    to.serve::<openapi::__path_get_document, _, _>(openapi::get_document);
    to.serve::<reference::__path_get_page, _, _>(reference::get_page);
}

/// Puts the management API into an application.
pub fn configure(app: &mut ServiceConfig) {
    let mut routing = Routing::default();
    all(&mut routing);
    routing.configure(app);
}
