//! `rollcall health`: a health check for container engines and monitors that run a command.

use std::error::Error as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use reqwest::{Client, Response, redirect};

use crate::cli::output;
use crate::settings;

/// Time limit for the answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// URL of the server; default: the address that `serve` listens on
    #[arg(long, value_parser = settings::parse_public_url)]
    url: Option<String>,
    /// Address and port that `serve` listens on; default: 127.0.0.1:8080, or port 443 with --domain
    #[arg(long, value_name = "ADDRESS:PORT", env = "ROLLCALL_LISTEN", value_parser = settings::parse_address)]
    listen: Option<SocketAddr>,
    /// Domain of `serve`; with it, the default port is 443
    #[arg(long = "domain", value_name = "NAME", env = "ROLLCALL_DOMAIN", value_delimiter = ',')]
    domains: Vec<String>,
}

/// Requests `/readyz` of the server.
///
/// # Errors
/// The server is not ready or does not answer.
pub(super) fn check_health(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let default_port = if args.domains.is_empty() { 8080 } else { 443 };
    let listen = replace_unspecified_address(args.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, default_port).into()));
    actix_web::rt::System::new().block_on(async {
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy().redirect(redirect::Policy::none());
        let (url, answer) = if let Some(url) = args.url {
            request_readiness(&client.build()?, &url).await
        } else {
            // The certificate is issued for a name and not for this address. The request contains no secret.
            request_local(&client.tls_danger_accept_invalid_certs(true).build()?, listen).await
        };
        let answer = answer.map_err(|problem| anyhow!("{}", describe_failure(&url, &problem)))?;
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        anyhow::ensure!(status.is_success(), "{url} answers {status}: {}", text.trim());
        output::print_line("ready")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Why a server did not answer, with the error of the operating system and the fix. The libraries repeat the URL and name their
/// own layers.
fn describe_failure(url: &str, problem: &reqwest::Error) -> String {
    let mut why = "no valid answer".to_owned();
    let mut cause = problem.source();
    while let Some(error) = cause {
        why = error.to_string();
        cause = if error.is::<io::Error>() { None } else { error.source() };
    }
    if problem.is_timeout() {
        why = format!("no answer in {} s", ANSWER_TIMEOUT.as_secs());
    }
    format!("{url} does not answer: {why}. Start the server, or name its address with --url or --listen")
}

/// Sends the request over plain HTTP, and over TLS if the server does not answer plain HTTP.
async fn request_local(client: &Client, listen: SocketAddr) -> (String, reqwest::Result<Response>) {
    let plain = request_readiness(client, &format!("http://{listen}")).await;
    match &plain.1 {
        Err(problem) if !problem.is_connect() && !problem.is_timeout() => {
            request_readiness(client, &format!("https://{listen}")).await
        }
        _ => plain,
    }
}

/// Returns status and body of `/readyz` of the server at this URL, `None` if no server answers.
pub(super) fn probe_server(url: &str) -> Option<(u16, String)> {
    actix_web::rt::System::new().block_on(async {
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy().redirect(redirect::Policy::none());
        // The certificate is issued for a name and not for this address. The request contains no secret.
        let client = client.tls_danger_accept_invalid_certs(true).build().ok()?;
        let answer = request_readiness(&client, url).await.1.ok()?;
        Some((answer.status().as_u16(), answer.text().await.unwrap_or_default()))
    })
}

async fn request_readiness(client: &Client, base: &str) -> (String, reqwest::Result<Response>) {
    let url = format!("{base}/readyz");
    let answer = client.get(&url).send().await;
    (url, answer)
}

/// Replaces an unspecified address (`0.0.0.0`, `::`) with the loopback address.
fn replace_unspecified_address(listen: SocketAddr) -> SocketAddr {
    let port = listen.port();
    match listen {
        SocketAddr::V4(_) if listen.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, port).into(),
        SocketAddr::V6(_) if listen.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, port).into(),
        _ => listen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_becomes_the_loopback_address() {
        for (listen, expected) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:8080", "192.0.2.1:8080")]
        {
            assert_eq!(replace_unspecified_address(listen.parse().unwrap()).to_string(), expected);
        }
    }
}
