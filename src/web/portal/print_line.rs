//! The last line of a printed page: its URL, and when it was sent. Browsers display it on paper only.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header;
use actix_web::web::Data;
use askama::Template;

use crate::clock;
use crate::web::portal::timestamps::format_minute;
use crate::web::state::AppState;

/// The end of the content of every page, before which the line is added.
const END: &str = "</main>";

#[derive(Template)]
#[template(source = "<p class=\"printed\">{{ url }} · {{ time }}</p>\n", ext = "html")]
struct PrintLine<'u> {
    url: &'u str,
    time: String,
}

/// Adds the line to a page. The line of a page with a secret in its URL has the URL of the server only.
pub(super) fn add_print_line(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_page = media_type.is_some_and(|media_type| media_type.starts_with("text/html"));
    let is_page = is_page && response.status().is_success();
    let Some(state) = response.request().app_data::<Data<AppState>>().filter(|_| is_page) else { return response };
    let pattern = response.request().match_pattern().unwrap_or_default();
    let has_secret = pattern.contains("{secret}") || pattern.contains("{code}");
    let path = if has_secret { "" } else { response.request().path() };
    let url = format!("{}{path}", state.server.public_url());
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(page) => match std::str::from_utf8(&page).ok().and_then(|page| insert_line(page, &url)) {
            Some(page) => BoxBody::new(page),
            None => BoxBody::new(page),
        },
        Err(body) => BoxBody::new(body),
    })
}

/// Inserts the line at the end of the content. `None` for a page without content.
fn insert_line(page: &str, url: &str) -> Option<String> {
    let (content, after) = page.rsplit_once(END)?;
    let line = PrintLine { url, time: format_minute(clock::current_millis()) }.render().ok()?;
    Some(format!("{content}{line}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_last_of_the_content() {
        let page =
            insert_line("<header></header><main id=\"main\"><h1>Home</h1></main>", "https://x.example/<a>").unwrap();
        let start =
            "<header></header><main id=\"main\"><h1>Home</h1><p class=\"printed\">https://x.example/&#60;a&#62; · 2";
        assert!(page.starts_with(start) && page.ends_with(" UTC</p>\n</main>"), "{page}");
        assert_eq!(insert_line("<p>no content</p>", "https://x.example"), None);
    }
}
