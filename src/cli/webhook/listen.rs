//! `rollcall webhook listen`: follows the event feed of a running server, for local development.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::sleep;
use url::Url;

use super::forward::{EventForwarder, ForwardedEvent, split_batches};
use super::{parse_configuration_id, parse_kind, remove_controls};
use crate::cli::output;
use crate::outgoing::{OutgoingClient, OutgoingRules, describe_failure};
use crate::settings;

/// Path of the feed.
const FEED_PATH: &str = "/directory/resources/v1/events";
/// Time that the server waits for an event, in seconds.
const WAIT_SECONDS: u32 = 30;
/// Time limit for the response of the server, which can wait for an event.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// Time limit of the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay until a request that failed is repeated.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Longest delay that the server can ask for.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// URL of the running server; https, or http on this machine
    #[arg(long, value_name = "URL", default_value = settings::DEFAULT_PUBLIC_URL, value_parser = parse_server_url)]
    server: String,
    /// File with an API key that has the permission directory.read; without it, the variable `ROLLCALL_API_KEY` is used
    #[arg(long, value_name = "FILE", env = "ROLLCALL_API_KEY_FILE")]
    key_file: Option<PathBuf>,
    // Declares the variable. All users of the machine can read the arguments of a process, so the help does not list it.
    #[arg(long, env = "ROLLCALL_API_KEY", hide = true, hide_env_values = true)]
    key: Option<String>,
    /// URL of an application to which the events are sent in signed requests, as a webhook sends them
    #[arg(long, value_name = "URL", value_parser = parse_forward_url)]
    forward: Option<Url>,
    /// Only events of this configuration
    #[arg(long, value_name = "CONFIGURATION", value_parser = parse_configuration_id)]
    config_id: Option<String>,
    /// Only events of these kinds, separated by commas, such as user.*,group.created
    #[arg(long, value_delimiter = ',', value_parser = parse_kind)]
    kinds: Option<Vec<String>>,
    /// Only events of this account
    #[arg(long)]
    account: Option<String>,
}

/// Prints each event of the feed from now on and forwards it, until the user presses Ctrl-C.
///
/// # Errors
/// The server does not answer at the start, or it refuses the requests.
pub(super) fn listen_for_events(rules: &OutgoingRules, args: ListenArgs) -> anyhow::Result<()> {
    let feed = FollowedFeed::new(rules, &args)?;
    let forwarder = args.forward.map(|url| EventForwarder::new(rules, url)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            ended = follow_feed(&feed, forwarder.as_ref()) => ended,
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        }
    })
}

/// Follows the feed. Ends only with an error.
async fn follow_feed(feed: &FollowedFeed, forwarder: Option<&EventForwarder>) -> anyhow::Result<()> {
    // The first position is read without waiting. A connection that breaks later then loses no event.
    let mut position = match feed.read_page("latest", 0).await? {
        FeedAnswer::Page(text) => feed.parse_page(&text)?.next_after,
        FeedAnswer::Restart { position, .. } => position,
        FeedAnswer::Unavailable { problem, .. } => anyhow::bail!("{} does not answer: {problem}", feed.server),
    };
    output::print_line(&format!("Following {}. Press Ctrl-C to end.", feed.server))?;
    if let Some(forwarder) = forwarder {
        forwarder.print_start()?;
    }
    loop {
        match feed.read_page(&position, WAIT_SECONDS).await? {
            FeedAnswer::Page(text) => {
                let page = feed.parse_page(&text)?;
                handle_events(&page, forwarder).await?;
                position = page.next_after;
            }
            FeedAnswer::Restart { problem, position: restart } => {
                let hint = "events can be missing; continuing with the oldest stored event";
                output::print_warning(&format!("the position in the feed is not valid any more: {problem}; {hint}"))?;
                position = restart;
                sleep(RETRY_DELAY).await;
            }
            FeedAnswer::Unavailable { problem, delay } => {
                let seconds = delay.as_secs();
                output::print_warning(&format!("the server does not answer: {problem}; trying again in {seconds} s"))?;
                sleep(delay).await;
            }
        }
    }
}

async fn handle_events(page: &FollowedPage<'_>, forwarder: Option<&EventForwarder>) -> anyhow::Result<()> {
    let events: Vec<ForwardedEvent<'_>> =
        page.events.iter().map(|text| ForwardedEvent::parse(text.get())).collect::<Result<_, _>>()?;
    for event in &events {
        output::print_line(&event.describe())?;
    }
    if let Some(forwarder) = forwarder {
        for batch in &split_batches(&events)? {
            forwarder.deliver_batch(batch).await?;
        }
    }
    Ok(())
}

/// The feed of one server, with the filters of the command line.
struct FollowedFeed {
    client: OutgoingClient,
    server: String,
    url: Url,
    credential: HeaderValue,
}

/// What the server answered.
enum FeedAnswer {
    /// A page.
    Page(String),
    /// The position cannot be continued, but this one.
    Restart { problem: String, position: String },
    /// Another request can succeed.
    Unavailable { problem: String, delay: Duration },
}

/// A page of the feed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FollowedPage<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next_after: String,
}

/// An error of the management API.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FeedRefusal {
    errors: Vec<String>,
    restart_from: Option<String>,
}

impl FollowedFeed {
    fn new(rules: &OutgoingRules, args: &ListenArgs) -> anyhow::Result<Self> {
        let mut url = Url::parse(&format!("{}{FEED_PATH}", args.server))?;
        let kinds = args.kinds.as_ref().map(|kinds| kinds.join(","));
        let filters = [("configuration", &args.config_id), ("kind", &kinds), ("account", &args.account)];
        for (name, value) in filters {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let options = || {
            reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(RESPONSE_TIMEOUT)
                .user_agent(concat!("Rollcall/", env!("PROGRAM_VERSION")))
        };
        let client = OutgoingClient::new(rules.with_trusted_host(&url), options)?;
        Ok(Self { client, server: args.server.clone(), url, credential: read_credential(args)? })
    }

    /// Requests the page after a position.
    ///
    /// # Errors
    /// The server refuses the request.
    async fn read_page(&self, after: &str, wait: u32) -> anyhow::Result<FeedAnswer> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("after", after).append_pair("wait", &wait.to_string());
        let request = self.client.client_for(&url)?.get(url).header(AUTHORIZATION, self.credential.clone());
        let failed = |problem: reqwest::Error| {
            Ok(FeedAnswer::Unavailable { problem: describe_failure(&problem), delay: RETRY_DELAY })
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(problem) => return failed(problem),
        };
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let text = match response.text().await {
            Ok(text) => text,
            Err(problem) => return failed(problem),
        };
        if status.as_u16() == 200 {
            return Ok(FeedAnswer::Page(text));
        }
        let refusal: FeedRefusal = serde_json::from_str(&text).unwrap_or_default();
        let problem = format!("{status}: {}", remove_controls(&refusal.errors.join(" ")));
        match (status.as_u16(), refusal.restart_from) {
            (410, Some(position)) => Ok(FeedAnswer::Restart { problem, position }),
            (401 | 403, _) => anyhow::bail!("{} refuses the API key: {problem}", self.server),
            (408 | 429 | 500.., _) => {
                let delay = asked.map_or(RETRY_DELAY, Duration::from_secs).clamp(RETRY_DELAY, RETRY_DELAY_MAX);
                Ok(FeedAnswer::Unavailable { problem, delay })
            }
            _ => anyhow::bail!("{} answers {problem}", self.server),
        }
    }

    fn parse_page<'a>(&self, text: &'a str) -> anyhow::Result<FollowedPage<'a>> {
        serde_json::from_str(text).with_context(|| format!("{} does not answer like a Rollcall server", self.server))
    }
}

/// Reads the API key from the file or the variable.
fn read_credential(args: &ListenArgs) -> anyhow::Result<HeaderValue> {
    let key = match (&args.key_file, &args.key) {
        (Some(path), _) => settings::read_secret_file(path, "--key-file")?,
        (None, Some(key)) => key.clone(),
        (None, None) => String::new(),
    };
    let key = key.trim();
    anyhow::ensure!(
        !key.is_empty(),
        "an API key is needed: use --key-file or the variable ROLLCALL_API_KEY; `rollcall api-key create` creates one"
    );
    let credential = HeaderValue::from_str(&format!("Bearer {key}"));
    let mut credential = credential.context("the API key contains characters that no API key has")?;
    credential.set_sensitive(true);
    Ok(credential)
}

/// Parses the URL of the server. The API key is sent to it, so that http is accepted for this machine only.
fn parse_server_url(text: &str) -> Result<String, String> {
    let url = settings::parse_public_url(text)?;
    if url.starts_with("http:") && !settings::is_loopback_host(&settings::host_of_url(&url)) {
        return Err("it must start with https://; http:// is accepted for 127.0.0.1, [::1] and localhost only".into());
    }
    Ok(url)
}

fn parse_forward_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "write http://host:port/path or https://host/path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_key_is_sent_over_http_to_this_machine_only() {
        for url in ["https://scim.example.com/base", "http://localhost:8080", "http://127.0.0.1", "http://[::1]:8080"] {
            assert_eq!(parse_server_url(url).as_deref(), Ok(url));
        }
        for url in
            ["http://scim.example.com", "http://10.0.0.1:8080", "http://localhost.example.com", "ftp://localhost"]
        {
            assert!(parse_server_url(url).unwrap_err().contains("https://"), "{url}");
        }
    }

    #[test]
    fn an_application_has_any_http_url() {
        for url in ["http://localhost:3000/hook", "https://hook.example.com/", "http://10.0.0.1/a?b=c"] {
            assert_eq!(parse_forward_url(url).unwrap().as_str(), url);
        }
        for url in ["", "localhost:3000", "ftp://localhost/", "/hook"] {
            assert!(parse_forward_url(url).is_err(), "{url}");
        }
    }
}
