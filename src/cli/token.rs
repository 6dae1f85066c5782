//! `rollcall token …`: manages the bearer tokens of a configuration.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::configuration::print_token;
use super::{audit_context, open_existing_store, parse_configuration_id, parse_token_id};
use crate::auth::secret::BearerToken;
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::clock::{self, Millis};
use crate::management::instance;
use crate::management::tokens::{self, StoredToken, TokenDraft};
use crate::model::audit_context::AccountScope;
use crate::model::rights::TokenRights;

/// Largest number of tokens in the list.
const LISTED_MAX: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a new token and print it once. The previous token stays valid until the next rotation
    Rotate(RotateArgs),
    /// List the tokens of a configuration, newest first. Only the last characters of a token are shown
    List {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Revoke a token; takes effect immediately
    Revoke {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        configuration: String,
        /// Token ID, as shown by `token list`
        #[arg(value_parser = parse_token_id)]
        token: String,
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// Display name
    #[arg(long, default_value = "rotated token")]
    label: String,
    /// Rights: all, read, users or groups
    #[arg(long, default_value = "all", value_parser = str::parse::<TokenRights>)]
    rights: TokenRights,
    /// Time until the token expires, such as 90d, 12h or 30m; without it, the token does not expire
    #[arg(long, value_parser = parse_duration)]
    expires_in: Option<Millis>,
    /// Time until the previous token is revoked, such as 1d; without it, at the next rotation
    #[arg(long, value_parser = parse_duration)]
    revoke_old_after: Option<Millis>,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

pub(super) fn run_token_command(folder: &Path, command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Rotate(args) => rotate_token(folder, args),
        TokenCommand::List { configuration, output } => list_tokens(folder, &configuration, output),
        TokenCommand::Revoke { configuration, token, confirmation } => {
            confirmation.confirm(&format!("revoke the token {token}"))?;
            let id = token.clone();
            open_existing_store(folder)?
                .write_blocking(move |tx| tokens::revoke_token(tx, &audit_context(), &configuration, &token))?;
            Ok(output::print_line(&format!("revoked {id}"))?)
        }
    }
}

fn rotate_token(folder: &Path, args: RotateArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let token = BearerToken::generate().context("the operating system provided no random numbers")?;
    let expires_at = args.expires_in.map(|after| clock::current_millis() + after);
    let draft = TokenDraft { rights: args.rights, expires_at, ..TokenDraft::new(clock::new_id(), &token, args.label) };
    let (configuration, public_url) = store.write_blocking(move |tx| {
        let rotated = tokens::rotate_token(tx, &audit_context(), &args.configuration, &draft, args.revoke_old_after)?;
        Ok((rotated, instance::get_public_url(tx)?))
    })?;
    Ok(print_token(&configuration, &token, &public_url, args.output)?)
}

fn list_tokens(folder: &Path, configuration: &str, output: OutputFormat) -> anyhow::Result<()> {
    let found = open_existing_store(folder)?
        .read_inline(|at| tokens::list_tokens(at, &AccountScope::AllAccounts, configuration, None, LISTED_MAX))?;
    let now = clock::current_millis();
    if output == OutputFormat::Json {
        return Ok(output::print_json(&found.iter().map(|token| token_to_json(token, now)).collect())?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(|token| token_row(token, now)).collect();
    Ok(output::print_table(&["ID", "ENDS WITH", "LABEL", "RIGHTS", "STATE", "LAST USED", "EXPIRES"], &rows)?)
}

fn token_to_json(token: &StoredToken, now: Millis) -> Value {
    json!({
        "id": token.id,
        "hint": token.hint,
        "label": token.label,
        "rights": token.rights,
        "state": token.state(now),
        "createdAt": clock::format_rfc3339(token.created_at),
        "lastUsedAt": token.last_used_at.map(clock::format_rfc3339),
        "expiresAt": token.expires_at.map(clock::format_rfc3339),
        "revokedAt": token.revoked_at.map(clock::format_rfc3339),
    })
}

fn token_row(token: &StoredToken, now: Millis) -> Vec<String> {
    let time = |time: Option<Millis>| time.map_or_else(|| "never".to_owned(), clock::format_rfc3339);
    vec![
        token.id.clone(),
        token.hint.clone(),
        token.label.clone(),
        token.rights.to_string(),
        token.state(now).as_str().to_owned(),
        time(token.last_used_at),
        time(token.expires_at),
    ]
}

/// Parses a duration of a number and a unit, such as `90d`, `12h`, `30m` or `45s`, to milliseconds.
pub(super) fn parse_duration(text: &str) -> Result<Millis, String> {
    let fix = || "give a number from 1 to 99999 and a unit, such as 90d, 12h, 30m or 45s".to_owned();
    let unit = match text.chars().last() {
        Some('d') => 86_400_000,
        Some('h') => 3_600_000,
        Some('m') => 60_000,
        Some('s') => 1_000,
        _ => return Err(fix()),
    };
    let number = text[..text.len() - 1].parse::<Millis>().map_err(|_| fix())?;
    if (1..=99_999).contains(&number) { Ok(number * unit) } else { Err(fix()) }
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, millis) in [("90d", 7_776_000_000), ("12h", 43_200_000), ("30m", 1_800_000), ("1s", 1_000)] {
            assert_eq!(parse_duration(text), Ok(millis));
        }
        for wrong in ["", "90", "d", "-1d", "0d", "1w", "1.5h", "100000d", "9999999999999999999d", "1 d", "d1", "1é"] {
            assert!(parse_duration(wrong).unwrap_err().contains("90d"), "{wrong}");
        }
    }
}
