//! `rollcall health`: for container engines and monitors that can run a command and no more.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use reqwest::{Client, Response, redirect};

use super::answer;
use crate::settings;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// URL of the server; without it, the address that `serve` listens on
    #[arg(long, value_parser = settings::public_url)]
    url: Option<String>,
    /// Address and port that `serve` listens on: 127.0.0.1:8080 where nothing is said, port 443 with a domain
    #[arg(long, value_name = "ADDRESS:PORT", env = "ROLLCALL_LISTEN")]
    listen: Option<SocketAddr>,
    /// The domain of `serve`, which changes where it listens
    #[arg(long, value_name = "NAME", env = "ROLLCALL_DOMAIN")]
    domain: Option<String>,
}

/// Asks the server whether it can serve. Fails where it says no, or says nothing.
pub(super) fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let usual = if args.domain.is_some() { 443 } else { 8080 };
    let listen = reachable(args.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, usual).into()));
    actix_web::rt::System::new().block_on(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().redirect(redirect::Policy::none());
        let (url, answer) = if let Some(url) = args.url {
            ask(&client.build()?, &url).await
        } else {
            // The certificate is for another name than this address, and nothing secret is sent.
            ask_here(&client.tls_danger_accept_invalid_certs(true).build()?, listen).await
        };
        let answer = answer.with_context(|| format!("{url} does not answer"))?;
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        anyhow::ensure!(status.is_success(), "{url} answers {status}: {}", text.trim());
        answer::line("ready")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Asks in the clear, and by TLS where somebody listens who does not speak that.
async fn ask_here(client: &Client, listen: SocketAddr) -> (String, reqwest::Result<Response>) {
    let plain = ask(client, &format!("http://{listen}")).await;
    match &plain.1 {
        Err(problem) if !problem.is_connect() && !problem.is_timeout() => {
            ask(client, &format!("https://{listen}")).await
        }
        _ => plain,
    }
}

async fn ask(client: &Client, base: &str) -> (String, reqwest::Result<Response>) {
    let url = format!("{base}/readyz");
    let answer = client.get(&url).send().await;
    (url, answer)
}

/// An address that stands for every one is reached at the machine itself.
fn reachable(listen: SocketAddr) -> SocketAddr {
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
    fn a_server_that_listens_everywhere_is_asked_at_home() {
        for (listen, asked) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:8080", "192.0.2.1:8080")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
