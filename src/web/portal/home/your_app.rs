//! The page that connects the operator's application: the readers of the event feed, and a test event.

use askama::Template;
use serde::Deserialize;

use crate::clock::{self, Millis};
use crate::diagnosis::connection_status::format_ago;
use crate::error::{ErrorKind, Result};
use crate::management::configurations;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::model::event::{CONFIGURATION_TESTED, Event};
use crate::provisioning::delivery::{self, FeedReader};
use crate::provisioning::feed::{self, EventsQuery};
use crate::store::{Snapshot, Tx};
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::{Create, Read};

/// Readers of the event feed on the page.
const READERS_MAX: u32 = 100;
/// Connections in the form of the test event: the newest ones.
const CONNECTIONS_MAX: usize = 200;
/// How long the page reloads itself while a reader has not read the test event.
const WATCHED_FOR: Millis = 10 * 60_000;

#[derive(Template)]
#[template(path = "portal/your_app.html")]
struct YourAppPage {
    layout: PageLayout,
    /// URL of the event feed.
    url: String,
    readers: Vec<FeedReader>,
    now: Millis,
    connections: Vec<Configuration>,
    test: Option<SentTest>,
    problem: Option<String>,
}

/// A test event that was sent.
struct SentTest {
    event: Event,
    at: PageTime,
}

impl SentTest {
    /// Whether a reader with this filter receives the event.
    fn reaches(&self, reader: &FeedReader) -> bool {
        let position = &reader.position;
        let is_of_account = position.account_id.as_ref().is_none_or(|account| *account == self.event.account);
        let own = self.event.configuration_id.as_deref();
        is_of_account && (position.configuration_id.is_empty() || own == Some(position.configuration_id.as_str()))
    }

    fn is_read(&self, reader: &FeedReader) -> bool {
        reader.position.seq >= self.event.seq
    }
}

impl YourAppPage {
    fn last_read(&self, reader: &FeedReader) -> String {
        format_ago(self.now - reader.position.read_at)
    }

    /// The events that a reader gets.
    fn filter(reader: &FeedReader) -> String {
        let position = &reader.position;
        match (&position.account_id, &position.connection_name) {
            (_, Some(name)) => name.clone(),
            (_, None) if !position.configuration_id.is_empty() => position.configuration_id.clone(),
            (Some(account), None) => texts::home::name_account(account),
            (None, None) => texts::home::ALL_EVENTS.to_owned(),
        }
    }

    /// The readers that receive the test event, and when they read last if they have read it.
    fn list_test_readers(&self, test: &SentTest) -> Vec<(String, Option<PageTime>)> {
        let readers = self.readers.iter().filter(|reader| test.reaches(reader));
        let describe = |reader: &FeedReader| {
            let read_at = test.is_read(reader).then(|| PageTime::from_millis(reader.position.read_at));
            (Self::filter(reader), read_at)
        };
        readers.map(describe).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct YourAppQuery {
    /// Number of the test event.
    event: String,
}

/// `GET /app`
pub(crate) async fn show_your_app(admin: PermittedAdmin<Read>, page_request: PageRequest) -> PageResult {
    let query: YourAppQuery = page_request.query().unwrap_or_default();
    show_page(&admin, &page_request, query.event.parse().ok(), None).await
}

async fn show_page<N>(
    admin: &PermittedAdmin<N>,
    page_request: &PageRequest,
    seq: Option<i64>,
    problem: Option<(u16, String)>,
) -> PageResult {
    let scope = admin.context.scope.clone();
    let read = move |at: &Snapshot<'_>| {
        let readers = delivery::list_readers(at, &scope, READERS_MAX)?;
        let mut connections = configurations::list_configurations(at, scope.filter(None).as_ref())?;
        connections.reverse();
        connections.truncate(CONNECTIONS_MAX);
        Ok((readers, connections, seq.map(|seq| find_test(at, &scope, seq)).transpose()?.flatten()))
    };
    let (readers, connections, test) = page_request.read(read).await?;
    let url = format!("{}/directory/resources/v1/events", page_request.state.server.public_url().trim_end_matches('/'));
    let (now, mut layout) = (
        clock::current_millis(),
        PageLayout::new(texts::home::CONNECT_YOUR_APP, Some(&admin.signed), NavigationEntry::NoSection),
    );
    let waits = |test: &SentTest| {
        let is_waiting = |reader: &FeedReader| test.reaches(reader) && !test.is_read(reader);
        now - test.event.created_at < WATCHED_FOR && (readers.is_empty() || readers.iter().any(is_waiting))
    };
    layout.refresh = test.as_ref().is_some_and(waits).then_some(2);
    let (status, problem) = problem.map_or((200, None), |(status, sentence)| (status, Some(sentence)));
    Ok(render_page(status, &YourAppPage { layout, url, readers, now, connections, test, problem }))
}

/// Returns the test event with this number, if the scope covers it.
fn find_test(at: &Snapshot<'_>, scope: &AccountScope, seq: i64) -> Result<Option<SentTest>> {
    let query = EventsQuery { account: scope.filter(None), ..EventsQuery::default() };
    let found = feed::find_event(at, &query, seq)?.filter(|event| event.kind == CONFIGURATION_TESTED);
    Ok(found.map(|event| SentTest { at: PageTime::from_millis(event.created_at), event }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TestForm {
    configuration: String,
}

/// `POST /app/test`
pub(crate) async fn send_test_event(admin: PermittedAdmin<Create>, page_request: PageRequest) -> PageResult {
    let id = page_request.form::<TestForm>(&admin.signed).await?.configuration;
    let context = admin.context.clone();
    let send = move |tx: &Tx<'_>| configurations::send_test_event(tx, &context, &id);
    match page_request.write(send).await {
        Ok(seq) => Ok(redirect_to(&format!("/app?event={seq}")).finish()),
        Err(error) if matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::NotFound) => {
            let problem = (error.kind().status(), render_sentence(&error));
            show_page(&admin, &page_request, None, Some(problem)).await
        }
        Err(error) => Err(error.into()),
    }
}
