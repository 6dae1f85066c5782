//! `rollcall webhook …`: manages webhooks, tests them, and follows the event feed for local development.

mod forward;
mod listen;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::auth::jwt::SigningKey;
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::clock::{self, Millis};
use crate::delivery::sealing::{self, NewWebhookKey};
use crate::delivery::{self, DeliverySettings, SendOutcome};
use crate::management::webhooks::lanes::{self, LaneAlert, ResumeFrom};
use crate::management::webhooks::{self, NewWebhook, OVERLAP_DEFAULT_MS, WebhookStart};
use crate::messages::render_for_operator;
use crate::model::audit_context::AccountScope;
use crate::model::event::{PUBLISHED_KINDS, parse_kinds};
use crate::model::ids;
use crate::model::webhook::{
    BATCH_MAX, PayloadMode, RATE_LIMIT_MAX, SignatureKind, Webhook, WebhookFormat, WebhookKey, WebhookSettings,
    WebhookState, mask_url,
};
use crate::outgoing::OutgoingRules;
use crate::server;
use crate::settings::OutgoingArgs;

/// Text for the value of a header, which can be a credential.
const MASKED_HEADER: &str = "***";

#[derive(Debug, Args)]
// Settings of a file and variables apply to the command that has the flag; each of its commands accepts it, too.
#[command(mut_args(|arg| arg.global(true).display_order(1_000)))]
pub(super) struct WebhookArgs {
    #[command(flatten)]
    outgoing: OutgoingArgs,

    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// Create a webhook and print its secret, which is shown only once
    Create(CreateWebhookArgs),
    /// List the webhooks
    List {
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Send a signed test event at once and print the response; the exit code is 1 if it was not accepted
    Test {
        /// Webhook ID
        #[arg(value_parser = parse_webhook_id)]
        id: String,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Create a new secret and print it once. The previous one stays valid for a time
    Rotate(RotateWebhookArgs),
    /// Pause a webhook; its events wait
    Pause {
        /// Webhook ID
        #[arg(value_parser = parse_webhook_id)]
        id: String,
    },
    /// Resume a webhook that is paused or disabled, or one configuration whose delivery has stopped
    Resume(ResumeWebhookArgs),
    /// Delete a webhook; the events that wait are not sent
    Delete {
        /// Webhook ID
        #[arg(value_parser = parse_webhook_id)]
        id: String,
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
    /// Follow the events of a running server, and send them to an application on this machine
    Listen(listen::ListenArgs),
}

#[derive(Debug, Args)]
struct CreateWebhookArgs {
    /// URL that receives the events
    #[arg(long)]
    url: String,
    /// What the webhook is for
    #[arg(long, default_value = "")]
    description: String,
    /// Account whose events are sent; without it, the events of all accounts
    #[arg(long)]
    account: Option<String>,
    /// Kinds of events, separated by commas, such as user.*,group.created; without it, all kinds
    #[arg(long, value_delimiter = ',', value_parser = parse_kind)]
    kinds: Option<Vec<String>>,
    /// Form of the requests: standard, frontegg or set
    #[arg(long, default_value = "standard", value_parser = str::parse::<WebhookFormat>)]
    format: WebhookFormat,
    /// Content of an event: full, or thin for an event without its data
    #[arg(long, default_value = "full", value_parser = str::parse::<PayloadMode>)]
    payload: PayloadMode,
    /// Maximum number of events in one request
    #[arg(long, default_value_t = BATCH_MAX, value_parser = clap::value_parser!(u32).range(1..=i64::from(BATCH_MAX)))]
    batch_size: u32,
    /// Maximum number of requests per second; without it, there is no limit
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_LIMIT_MAX)))]
    rate_limit: Option<u32>,
    /// Header to add to each request, as 'Name: value'; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// First event: latest for those from now on, or the number (seq) of the event after which to start
    #[arg(long, value_name = "latest|SEQ", default_value = "latest", value_parser = parse_start)]
    start: WebhookStart,
    /// Send the current users, groups and memberships first
    #[arg(long)]
    backfill: bool,
    /// How requests are signed: hmac, with a secret, or ed25519, with a key pair
    #[arg(long, default_value = "hmac", value_parser = str::parse::<SignatureKind>)]
    signature: SignatureKind,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
struct RotateWebhookArgs {
    /// Webhook ID
    #[arg(value_parser = parse_webhook_id)]
    id: String,
    /// Time for which the previous secret stays valid, from 0 to 7d; default: 24h
    #[arg(long, value_name = "TIME", value_parser = parse_overlap)]
    overlap: Option<Millis>,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
struct ResumeWebhookArgs {
    /// Webhook ID
    #[arg(value_parser = parse_webhook_id)]
    id: String,
    /// Configuration whose delivery is resumed; without it, the whole webhook
    #[arg(long, value_name = "CONFIGURATION", value_parser = parse_configuration_id)]
    config_id: Option<String>,
    /// Where the delivery goes on: next for the batch that was not delivered, latest to skip what waits, or the number
    /// (seq) of the event after which to continue; default: next
    #[arg(long, value_name = "next|latest|SEQ", requires = "config_id", value_parser = parse_resume_from)]
    from: Option<ResumeFrom>,
}

/// Runs a command. The exit code is 1 if a test was not accepted.
pub(super) fn run_webhook_command(folder: &Path, args: WebhookArgs) -> anyhow::Result<ExitCode> {
    let rules = server::build_outgoing_rules(&args.outgoing.allowed, args.outgoing.ca_file.as_deref())?;
    match args.command {
        WebhookCommand::Create(args) => create_webhook(folder, &rules, args)?,
        WebhookCommand::List { output } => list_webhooks(folder, output)?,
        WebhookCommand::Test { id, output } => return test_webhook(folder, rules, id, output),
        WebhookCommand::Rotate(args) => rotate_secret(folder, args)?,
        WebhookCommand::Pause { id } => {
            let store = open_existing_store(folder)?;
            let paused = store.write_blocking(move |tx| webhooks::pause_webhook(tx, &audit_context(), &id))?;
            output::print_line(&format!("{} is {}", paused.id, paused.state))?;
        }
        WebhookCommand::Resume(args) => resume_webhook(folder, args)?,
        WebhookCommand::Delete { id, confirmation } => {
            confirmation.confirm(&format!("delete the webhook {id}"))?;
            let store = open_existing_store(folder)?;
            let deleted = store.write_blocking(move |tx| webhooks::delete_webhook(tx, &audit_context(), &id))?;
            output::print_line(&format!("deleted {} ({})", deleted.id, mask_url(&deleted.settings.url)))?;
        }
        WebhookCommand::Listen(args) => listen::listen_for_events(&rules, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn create_webhook(folder: &Path, rules: &OutgoingRules, args: CreateWebhookArgs) -> anyhow::Result<()> {
    let settings = WebhookSettings {
        url: args.url,
        description: args.description,
        kinds: args.kinds,
        format: args.format,
        payload: args.payload,
        batch_size: args.batch_size,
        rate_limit: args.rate_limit,
    };
    sealing::check_settings(rules, &settings)?;
    let store = open_existing_store(folder)?;
    let (signing_key, id) = (SigningKey::open(folder)?, clock::new_id());
    let NewWebhookKey { key, secret } = sealing::create_key(&signing_key, &id, args.signature)?;
    let new = NewWebhook {
        headers: sealing::seal_headers(&signing_key, &id, &args.headers)?,
        id,
        account: args.account,
        settings,
        signature: args.signature,
        key,
        start: args.start,
        has_backfill: args.backfill,
    };
    let (created, key) = store.write_blocking(move |tx| {
        let created = webhooks::create_webhook(tx, &audit_context(), &new)?;
        Ok((created, WebhookKey { created_at: tx.now, ..new.key.clone() }))
    })?;
    if args.output == OutputFormat::Json {
        let mut document = webhook_to_json(&created, std::slice::from_ref(&key));
        document.insert("secret".to_owned(), json!(secret));
        return Ok(output::print_json(&Value::Object(document))?);
    }
    output::print_line(&format!("Webhook     {}\nURL         {}", created.id, mask_url(&created.settings.url)))?;
    Ok(print_key(&key, secret.as_deref())?)
}

/// Prints a new key: the secret, which cannot be shown again, or the public key.
fn print_key(key: &WebhookKey, secret: Option<&str>) -> std::io::Result<()> {
    match (secret, &key.public) {
        (Some(secret), _) => output::print_line(&format!(
            "Secret      {secret}\n\nThe secret cannot be shown again: set it in your application now."
        )),
        (None, public) => output::print_line(&format!(
            "Public key  {}\n\nSet the public key in your application. `rollcall webhook list --output json` shows it again.",
            public.as_deref().unwrap_or_default()
        )),
    }
}

fn list_webhooks(folder: &Path, output: OutputFormat) -> anyhow::Result<()> {
    let now = clock::current_millis();
    let (found, alerts) = open_existing_store(folder)?.read_inline(|at| {
        let mut found = Vec::new();
        for webhook in webhooks::list_webhooks(at, &AccountScope::AllAccounts)? {
            let keys = webhooks::list_keys(at, &webhook, now)?;
            found.push((webhook, keys));
        }
        Ok((found, lanes::list_alerts(at, &AccountScope::AllAccounts, now)?))
    })?;
    if output == OutputFormat::Json {
        let documents = found.iter().map(|(webhook, keys)| Value::Object(webhook_to_json(webhook, keys)));
        return Ok(output::print_json(&documents.collect())?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(|(webhook, _)| webhook_row(webhook)).collect();
    output::print_table(&["ID", "STATE", "ACCOUNT", "KINDS", "FORMAT", "URL"], &rows)?;
    for alert in &alerts {
        output::print_warning(&describe_alert(alert))?;
    }
    Ok(())
}

fn webhook_row(webhook: &Webhook) -> Vec<String> {
    vec![
        webhook.id.clone(),
        webhook.state.to_string(),
        webhook.account.as_ref().map_or_else(|| "all".to_owned(), |account| account.id.clone()),
        webhook.settings.kinds.as_ref().map_or_else(|| "all".to_owned(), |kinds| kinds.join(",")),
        webhook.settings.format.to_string(),
        mask_url(&webhook.settings.url),
    ]
}

fn describe_alert(alert: &LaneAlert) -> String {
    let since = clock::format_rfc3339(alert.since);
    format!(
        "{} of configuration {} has failed since {since} ({}): {}",
        alert.webhook.id,
        alert.configuration_id,
        alert.level,
        remove_controls(&alert.last_error)
    )
}

/// Returns a webhook as the management API does: without secrets, and without the parts of the URL that may be secret.
fn webhook_to_json(webhook: &Webhook, keys: &[WebhookKey]) -> Map<String, Value> {
    let settings = &webhook.settings;
    let headers = webhook.headers.iter().map(|header| (header.name.clone(), json!(MASKED_HEADER)));
    let listed = keys.iter().map(|key| {
        json!({
            "id": key.id,
            "publicKey": key.public,
            "createdAt": clock::format_rfc3339(key.created_at),
            "expiresAt": key.expires_at.map(clock::format_rfc3339),
        })
    });
    let members = [
        ("id", json!(webhook.id)),
        ("url", json!(mask_url(&settings.url))),
        ("description", json!(settings.description)),
        ("accountId", json!(webhook.account.as_ref().map(|account| &account.id))),
        ("kinds", json!(settings.kinds)),
        ("format", json!(settings.format.as_str())),
        ("payload", json!(settings.payload.as_str())),
        ("batchSize", json!(settings.batch_size)),
        ("headers", Value::Object(headers.collect())),
        ("rateLimit", json!(settings.rate_limit)),
        ("signature", json!(webhook.signature.as_str())),
        ("state", json!(webhook.state.as_str())),
        ("disabledReason", json!(webhook.disabled_reason)),
        ("keys", listed.collect()),
        ("createdAt", json!(clock::format_rfc3339(webhook.created_at))),
        ("updatedAt", json!(clock::format_rfc3339(webhook.updated_at))),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn test_webhook(folder: &Path, rules: OutgoingRules, id: String, output: OutputFormat) -> anyhow::Result<ExitCode> {
    let store = open_existing_store(folder)?;
    let signing_key = Arc::new(SigningKey::open(folder)?);
    let webhook = store.write_blocking(move |tx| {
        let found = webhooks::find_webhook(tx, &AccountScope::AllAccounts, &id)?;
        webhooks::record_request(tx, &audit_context(), &id, "webhook.tested", None)?;
        Ok(found)
    })?;
    let outcome = delivery::send_test_once(&store, DeliverySettings { rules, signing_key }, webhook)?;
    print_outcome(&outcome, output)?;
    Ok(if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_outcome(outcome: &SendOutcome, output: OutputFormat) -> std::io::Result<()> {
    if output == OutputFormat::Json {
        return output::print_json(&json!({
            "status": outcome.status,
            "durationMs": outcome.duration_ms,
            "response": outcome.response,
            "error": outcome.error,
        }));
    }
    if let Some(status) = outcome.status {
        output::print_line(&format!("Status    {status}"))?;
    }
    output::print_line(&format!("Duration  {} ms", outcome.duration_ms))?;
    if let Some(error) = &outcome.error {
        output::print_line(&format!("Error     {}", remove_controls(error)))?;
    }
    if let Some(response) = &outcome.response {
        output::print_line(&format!("Response  {}", remove_controls(response)))?;
    }
    Ok(())
}

/// Replaces control characters: text of another server must not control the terminal.
fn remove_controls(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn rotate_secret(folder: &Path, args: RotateWebhookArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let signing_key = SigningKey::open(folder)?;
    let (id, overlap) = (args.id, args.overlap.unwrap_or(OVERLAP_DEFAULT_MS));
    let found = store.read_inline(|at| webhooks::find_webhook(at, &AccountScope::AllAccounts, &id))?;
    let NewWebhookKey { key, secret } = sealing::create_key(&signing_key, &found.id, found.signature)?;
    let (rotated, key) = store.write_blocking(move |tx| {
        let rotated = webhooks::rotate_key(tx, &audit_context(), &id, (&key, overlap))?;
        Ok((rotated, WebhookKey { created_at: tx.now, ..key.clone() }))
    })?;
    if args.output == OutputFormat::Json {
        return Ok(output::print_json(&json!({
            "id": key.id,
            "webhookId": rotated.id,
            "secret": secret,
            "publicKey": key.public,
            "createdAt": clock::format_rfc3339(key.created_at),
        }))?);
    }
    output::print_line(&format!("Webhook     {}", rotated.id))?;
    Ok(print_key(&key, secret.as_deref())?)
}

fn resume_webhook(folder: &Path, args: ResumeWebhookArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let ResumeWebhookArgs { id, config_id, from } = args;
    let Some(configuration) = config_id else {
        let resumed = store.write_blocking(move |tx| webhooks::resume_webhook(tx, &audit_context(), &id))?;
        return Ok(output::print_line(&format!("{} is {}", resumed.id, resumed.state))?);
    };
    let from = from.unwrap_or(ResumeFrom::Next);
    let (webhook, lane) = store.write_blocking(move |tx| {
        let context = audit_context();
        let lane = lanes::resume_lane(tx, &context, (&id, &configuration), from)?;
        Ok((webhooks::find_webhook(tx, &context.scope, &id)?, lane))
    })?;
    output::print_line(&format!(
        "{} continues with configuration {} after event {}; {} events wait",
        webhook.id, lane.configuration_id, lane.position, lane.waiting
    ))?;
    if webhook.state != WebhookState::Active {
        let hint = format!("the webhook is {}: run `rollcall webhook resume {}` too", webhook.state, webhook.id);
        output::print_warning(&hint)?;
    }
    Ok(())
}

/// Parses a webhook ID, in upper or lower case.
fn parse_webhook_id(text: &str) -> Result<String, String> {
    let id = text.trim().to_ascii_lowercase();
    if ids::is_id(&id) {
        return Ok(id);
    }
    Err("give the webhook ID that `rollcall webhook list` shows".into())
}

/// Checks one item of a list of kinds.
fn parse_kind(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fix = |_| format!("use user.*, group.*, configuration.* or one of {}", PUBLISHED_KINDS.join(", "));
    parse_kinds(text).map(|_| text.to_owned()).map_err(fix)
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write 'Name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Parses the number of an event.
fn parse_seq(text: &str) -> Option<i64> {
    text.parse().ok().filter(|seq| *seq >= 0)
}

fn parse_start(text: &str) -> Result<WebhookStart, String> {
    if text == "latest" {
        return Ok(WebhookStart::Latest);
    }
    parse_seq(text).map(WebhookStart::After).ok_or_else(|| "write latest or the number of an event".to_owned())
}

fn parse_resume_from(text: &str) -> Result<ResumeFrom, String> {
    match text {
        "next" => Ok(ResumeFrom::Next),
        "latest" => Ok(ResumeFrom::Latest),
        _ => parse_seq(text)
            .map(ResumeFrom::After)
            .ok_or_else(|| "write next, latest or the number of an event".to_owned()),
    }
}

fn parse_overlap(text: &str) -> Result<Millis, String> {
    sealing::parse_overlap(text).map_err(|error| render_for_operator(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_selected_by_number_or_by_name() {
        assert_eq!(parse_start("latest"), Ok(WebhookStart::Latest));
        assert_eq!(parse_start("17"), Ok(WebhookStart::After(17)));
        assert_eq!(parse_resume_from("next"), Ok(ResumeFrom::Next));
        assert_eq!(parse_resume_from("latest"), Ok(ResumeFrom::Latest));
        assert_eq!(parse_resume_from("0"), Ok(ResumeFrom::After(0)));
        for wrong in ["", "-1", "now", "1.5", "99999999999999999999"] {
            assert!(parse_start(wrong).is_err() && parse_resume_from(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        assert_eq!(parse_header("X-Key:  a: b "), Ok(("X-Key".to_owned(), "a: b".to_owned())));
        assert!(parse_header("X-Key").is_err());
    }

    #[test]
    fn text_of_a_receiver_does_not_control_the_terminal() {
        assert_eq!(remove_controls("a\x1b[31mb\r\nc\n"), "a [31mb  c");
    }
}
