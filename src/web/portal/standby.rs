//! The page of a standby. It needs no session: it has no data of the database.

use actix_web::HttpResponse;
use askama::Template;

use crate::replica::StandbyFigures;
use crate::web::portal::layout::{NavigationEntry, PageLayout, add_headers, render_page};
use crate::web::portal::texts;

/// Interval in seconds at which the page reloads itself.
const REFRESH_SECONDS: u32 = 5;

#[derive(Template)]
#[template(path = "portal/standby.html")]
struct StandbyPage {
    layout: PageLayout,
    phase: &'static str,
    lag: String,
    generation: u64,
    problem: Option<String>,
}

/// Renders the page.
pub fn render_standby(figures: &StandbyFigures) -> HttpResponse {
    let mut layout = PageLayout::new(texts::settings::STANDBY_TITLE, None, NavigationEntry::NoSection);
    layout.refresh = Some(REFRESH_SECONDS);
    let page = StandbyPage {
        layout,
        phase: texts::settings::describe_standby_phase(figures.phase),
        lag: texts::settings::describe_standby_lag(figures.lag.map(|lag| lag.as_secs())),
        generation: figures.generation,
        problem: figures.problem.clone(),
    };
    let mut response = render_page(200, &page);
    add_headers(response.headers_mut(), "");
    response
}
