//! `rollcall oauth-client …`: manages the OAuth clients of a configuration.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::token::parse_duration;
use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::auth::secret::{self, BearerToken};
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::clock::{self, Millis};
use crate::management::instance;
use crate::management::oauth::{self, ClientWithSecrets, NewOauthClient, OauthClientChange, SecretDraft};
use crate::messages::render_message;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::provisioning_url;
use crate::model::oauth::scope::OauthScope;
use crate::model::oauth::{AssertionSource, ClientAuthentication, OauthClientState};
use crate::web::oauth::TOKEN_PATH;

const COPY_NOW: &str = "The secret cannot be shown again: copy it to the identity provider now.";
const NO_RANDOM_NUMBERS: &str = "the operating system provided no random numbers";

#[derive(Debug, Subcommand)]
pub(super) enum OauthClientCommand {
    /// Create a client and print its secret once
    Create(Box<CreateArgs>),
    /// List the clients of a configuration, oldest first
    List {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Change a client
    Update(Box<UpdateArgs>),
    /// Delete a client; its secrets and access tokens stop working immediately
    Delete {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// Client ID, as shown by `oauth-client list`
        client: String,
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
    /// Add a secret to a client and print it once. A client has at most two valid secrets
    AddSecret(AddSecretArgs),
    /// Delete a secret; the access tokens that the client got with it stop working immediately
    DeleteSecret {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// Client ID
        client: String,
        /// Secret ID, as shown by `oauth-client list --output json`
        secret: String,
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
}

/// What describes the assertions of a client.
#[derive(Debug, Default, Args)]
pub(super) struct AssertionArgs {
    /// File with the keys of the client: a JWK set
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_url")]
    jwks_file: Option<PathBuf>,
    /// URL of the keys that verify its assertions
    #[arg(long, value_name = "URL")]
    jwks_url: Option<String>,
    /// Required issuer of the assertions of a federated client
    #[arg(long)]
    issuer: Option<String>,
    /// Required subject of the assertions of a federated client
    #[arg(long)]
    subject: Option<String>,
    /// Required audience of the assertions of a federated client
    #[arg(long)]
    audience: Option<String>,
}

impl AssertionArgs {
    fn read_source(&self, before: &AssertionSource) -> anyhow::Result<AssertionSource> {
        let file = self.jwks_file.as_ref();
        let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let own_keys = file.map(read).transpose()?;
        let choose = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
        // Keys in a file and keys at a URL replace each other.
        let (jwks, jwks_url) = match (own_keys, &self.jwks_url) {
            (Some(keys), _) => (Some(keys), None),
            (None, Some(url)) => (None, Some(url.clone())),
            (None, None) => (before.jwks.clone(), before.jwks_url.clone()),
        };
        Ok(AssertionSource {
            jwks,
            jwks_url,
            issuer: choose(&self.issuer, &before.issuer),
            subject: choose(&self.subject, &before.subject),
            audience: choose(&self.audience, &before.audience),
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// Display name
    #[arg(long)]
    label: String,
    /// How the client authenticates: `secret`, `private_key_jwt` or `federated`
    #[arg(long, default_value = "secret", value_parser = str::parse::<ClientAuthentication>)]
    authentication: ClientAuthentication,
    /// The most that its access tokens may do: names of scopes with spaces between them
    #[arg(long, default_value = "scim", value_parser = parse_scope)]
    scope: OauthScope,
    /// Lifetime of its access tokens, from 1h to 6h
    #[arg(long, default_value = "1h", value_parser = parse_seconds)]
    token_lifetime: u32,
    /// Lifetime of its secret, from 1d to 1095d
    #[arg(long, value_parser = parse_seconds)]
    secret_expires_in: Option<u32>,
    #[command(flatten)]
    assertions: AssertionArgs,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// Client ID, as shown by `oauth-client list`
    client: String,
    /// Display name
    #[arg(long)]
    label: Option<String>,
    /// The most that its access tokens may do
    #[arg(long, value_parser = parse_scope)]
    scope: Option<OauthScope>,
    /// Lifetime of its access tokens, from 1h to 6h
    #[arg(long, value_parser = parse_seconds)]
    token_lifetime: Option<u32>,
    /// active or disabled; a disabled client gets no access tokens, and those that it had are revoked
    #[arg(long, value_parser = str::parse::<OauthClientState>)]
    state: Option<OauthClientState>,
    #[command(flatten)]
    assertions: AssertionArgs,
}

#[derive(Debug, Args)]
pub(super) struct AddSecretArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// Client ID, as shown by `oauth-client list`
    client: String,
    /// Display name
    #[arg(long, default_value = "rotated secret")]
    label: String,
    /// Time until the secret ends, from 1d to 1095d; default a year
    #[arg(long, value_parser = parse_seconds)]
    expires_in: Option<u32>,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

pub(super) fn run_oauth_client_command(folder: &Path, command: OauthClientCommand) -> anyhow::Result<()> {
    match command {
        OauthClientCommand::Create(args) => create_client(folder, *args),
        OauthClientCommand::List { configuration, output } => list_clients(folder, &configuration, output),
        OauthClientCommand::Update(args) => update_client(folder, *args),
        OauthClientCommand::Delete { configuration, client, confirmation } => {
            confirmation.confirm(&format!("delete the OAuth client {client}"))?;
            let id = client.clone();
            open_existing_store(folder)?
                .write_blocking(move |tx| oauth::delete_client(tx, &audit_context(), (&configuration, &client)))?;
            Ok(output::print_line(&format!("deleted {id}"))?)
        }
        OauthClientCommand::AddSecret(args) => add_secret(folder, args),
        OauthClientCommand::DeleteSecret { configuration, client, secret, confirmation } => {
            confirmation.confirm(&format!("delete the secret {secret}"))?;
            let id = secret.clone();
            open_existing_store(folder)?.write_blocking(move |tx| {
                oauth::delete_secret(tx, &audit_context(), (&configuration, &client), &secret)
            })?;
            Ok(output::print_line(&format!("deleted {id}"))?)
        }
    }
}

fn create_client(folder: &Path, args: CreateArgs) -> anyhow::Result<()> {
    let has_secret = args.authentication == ClientAuthentication::Secret;
    if !has_secret && args.secret_expires_in.is_some() {
        bail!("--secret-expires-in belongs to a client with the authentication secret");
    }
    let text = has_secret.then(BearerToken::generate_client_secret).transpose().context(NO_RANDOM_NUMBERS)?;
    let new = NewOauthClient {
        client_id: secret::generate_client_id().context(NO_RANDOM_NUMBERS)?,
        secret: text.as_ref().map(|text| SecretDraft::new(text, &args.label, args.secret_expires_in)),
        label: args.label,
        authentication: args.authentication,
        scope: args.scope,
        token_lifetime: args.token_lifetime,
        assertions: args.assertions.read_source(&AssertionSource::default())?,
    };
    let configuration = args.configuration.clone();
    let (created, public_url) = open_existing_store(folder)?.write_blocking(move |tx| {
        let created = oauth::create_client(tx, &audit_context(), &configuration, &new)?;
        Ok((created, instance::get_public_url(tx)?))
    })?;
    let (token_url, scim_url) =
        (format!("{public_url}{TOKEN_PATH}"), provisioning_url(&public_url, &args.configuration));
    let secret = text.as_ref().map(BearerToken::reveal);
    if args.output == OutputFormat::Json {
        let mut document = describe_client(&created);
        document["clientSecret"] = json!(secret);
        document["expiresAt"] = document["secrets"][0]["expiresAt"].clone();
        (document["tokenUrl"], document["scimUrl"]) = (json!(token_url), json!(scim_url));
        return Ok(output::print_json(&document)?);
    }
    let mut lines = vec![format!(
        "Client ID      {}\nToken URL      {token_url}\nSCIM URL       {scim_url}",
        created.client.client_id
    )];
    if let (Some(secret), Some(stored)) = (secret, created.secrets.first()) {
        let end = clock::format_rfc3339(stored.expires_at);
        lines.push(format!("Client secret  {secret}\nEnds           {end}\n\n{COPY_NOW}"));
    }
    Ok(output::print_line(&lines.join("\n"))?)
}

fn list_clients(folder: &Path, configuration: &str, output: OutputFormat) -> anyhow::Result<()> {
    let found = open_existing_store(folder)?
        .read_inline(|at| oauth::list_clients(at, &AccountScope::AllAccounts, configuration))?;
    if output == OutputFormat::Json {
        return Ok(output::print_json(&found.iter().map(describe_client).collect())?);
    }
    let now = clock::current_millis();
    let rows: Vec<Vec<String>> = found.iter().map(|one| client_row(one, now)).collect();
    let head = ["CLIENT ID", "LABEL", "AUTHENTICATION", "SCOPE", "STATE", "LAST USED", "SECRET ENDS"];
    Ok(output::print_table(&head, &rows)?)
}

fn update_client(folder: &Path, args: UpdateArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let found = store
        .read_inline(|at| oauth::find_client(at, &AccountScope::AllAccounts, &args.configuration, &args.client))?;
    let change = OauthClientChange {
        label: args.label,
        scope: args.scope,
        token_lifetime: args.token_lifetime,
        state: args.state,
        assertions: Some(args.assertions.read_source(&found.client.assertions)?),
    };
    let id = args.client.clone();
    store.write_blocking(move |tx| {
        oauth::update_client(tx, &audit_context(), (&args.configuration, &args.client), &change)
    })?;
    Ok(output::print_line(&format!("updated {id}"))?)
}

fn add_secret(folder: &Path, args: AddSecretArgs) -> anyhow::Result<()> {
    let text = BearerToken::generate_client_secret().context(NO_RANDOM_NUMBERS)?;
    let draft = SecretDraft::new(&text, &args.label, args.expires_in);
    let added = open_existing_store(folder)?.write_blocking(move |tx| {
        oauth::add_secret(tx, &audit_context(), (&args.configuration, &args.client), &draft)
    })?;
    let end = clock::format_rfc3339(added.expires_at);
    if args.output == OutputFormat::Json {
        let document = json!({
            "id": added.id, "label": added.label, "hint": added.hint, "expiresAt": end, "clientSecret": text.reveal(),
        });
        return Ok(output::print_json(&document)?);
    }
    Ok(output::print_line(&format!(
        "Secret ID      {}\nClient secret  {}\nEnds           {end}\n\n{COPY_NOW}",
        added.id,
        text.reveal()
    ))?)
}

fn describe_client(one: &ClientWithSecrets) -> Value {
    let ClientWithSecrets { client, secrets } = one;
    let secrets = secrets.iter().map(|secret| {
        json!({
            "id": secret.id,
            "label": secret.label,
            "hint": secret.hint,
            "createdAt": clock::format_rfc3339(secret.created_at),
            "lastUsedAt": secret.last_used_at.map(clock::format_rfc3339),
            "expiresAt": clock::format_rfc3339(secret.expires_at),
        })
    });
    json!({
        "clientId": client.client_id,
        "label": client.label,
        "authentication": client.authentication,
        "scope": client.scope.as_str(),
        "accessTokenLifetime": client.token_lifetime,
        "state": client.state,
        "jwksUrl": client.assertions.jwks_url,
        "issuer": client.assertions.issuer,
        "subject": client.assertions.subject,
        "audience": client.assertions.audience,
        "secrets": secrets.collect::<Vec<_>>(),
        "createdAt": clock::format_rfc3339(client.created_at),
        "lastUsedAt": client.last_used_at.map(clock::format_rfc3339),
    })
}

fn client_row(one: &ClientWithSecrets, now: Millis) -> Vec<String> {
    let client = &one.client;
    let last_end = one.secrets.iter().map(|secret| secret.expires_at).max();
    vec![
        client.client_id.clone(),
        client.label.clone(),
        client.authentication.to_string(),
        client.scope.as_str().to_owned(),
        client.state.to_string(),
        client.last_used_at.map_or_else(|| "never".to_owned(), clock::format_rfc3339),
        match last_end {
            None => "-".to_owned(),
            Some(end) if end <= now => format!("{} (expired)", clock::format_rfc3339(end)),
            Some(end) => clock::format_rfc3339(end),
        },
    ]
}

fn parse_scope(text: &str) -> Result<OauthScope, String> {
    OauthScope::parse(text).map_err(|error| render_message(&error))
}

/// Parses a duration, such as `2h`, to seconds.
fn parse_seconds(text: &str) -> Result<u32, String> {
    u32::try_from(parse_duration(text)? / 1_000).map_err(|_| "the time is too long".to_owned())
}
