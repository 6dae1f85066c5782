//! What is not SCIM: health, and the answer where nothing lives.

use actix_web::{HttpResponse, ResponseError, web};

use super::answer::Refusal;
use super::frame;
use crate::clock;
use crate::store::instance;
use crate::web::state::State;

/// `GET /livez`: the process answers.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// `GET /readyz`: the database can be read and takes writes.
pub async fn readyz(state: web::Data<State>) -> HttpResponse {
    let reads = state.store.read_inline(instance::public_url).is_ok();
    if reads && state.store.is_sound() {
        return HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n");
    }
    HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("the database cannot be used\n")
}

/// Anything else.
pub async fn not_found() -> HttpResponse {
    let detail = "nothing lives at this address; provisioning URLs begin with /directory/resources/scim/v2.0/, the \
                  management API with /directory/resources/v1/";
    let mut response = Refusal::new(404, detail).error_response();
    frame::mark(response.headers_mut(), &clock::new_id());
    response
}
