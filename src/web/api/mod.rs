//! What is not SCIM: health, and the answer where nothing lives.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::state::State;
use crate::clock;
use crate::store::instance;

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
    let id = clock::new_id();
    let detail = "nothing lives at this address; provisioning URLs begin with /directory/resources/scim/v2.0/";
    HttpResponse::build(StatusCode::NOT_FOUND)
        .insert_header(("X-Request-Id", id))
        .json(json!({"errors": [detail], "errorCode": "RC-00404", "statusCode": 404, "message": detail}))
}
