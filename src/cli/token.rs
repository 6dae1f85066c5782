//! `rollcall token …`.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{self, Output};
use super::configuration::print_token;
use super::{by, configuration_id, existing, token_id};
use crate::clock::{self, Millis};
use crate::directory::tokens::{self, TokenDraft};
use crate::model::actor::Reach;
use crate::model::rights::Rights;
use crate::secret::Token;
use crate::store::tokens::KeptToken;
use crate::store::{Undo, instance};

/// Most tokens that are listed.
const LISTED_MAX: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new token and print it, once. The one before keeps working until the next rotation
    Rotate(RotateArgs),
    /// List the tokens of a configuration by their last characters, newest first
    List {
        /// Id of the configuration
        #[arg(value_parser = configuration_id)]
        configuration: String,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Revoke a token: it is dead at once
    Revoke {
        /// Id of the configuration
        #[arg(value_parser = configuration_id)]
        configuration: String,
        /// Id of the token, as the list shows it
        #[arg(value_parser = token_id)]
        token: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// Id of the configuration
    #[arg(value_parser = configuration_id)]
    configuration: String,
    /// Name that people see
    #[arg(long, default_value = "rotated token")]
    label: String,
    /// What it may do: all, read, users or groups
    #[arg(long, default_value = "all", value_parser = str::parse::<Rights>)]
    rights: Rights,
    /// When it stops working by itself, such as 90d, 12h or 30m; never without it
    #[arg(long, value_parser = duration)]
    expires_in: Option<Millis>,
    /// When the one before stops working, such as 1d; without it, at the next rotation
    #[arg(long, value_parser = duration)]
    revoke_old_after: Option<Millis>,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(folder: &Path, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Rotate(args) => rotate(folder, args),
        Command::List { configuration, output } => list(folder, &configuration, output),
        Command::Revoke { configuration, token } => {
            let shown = token.clone();
            existing(folder)?
                .write_blocking(Undo::Savepoint, move |tx| tokens::revoke(tx, &by(), &configuration, &token))?;
            Ok(answer::line(&format!("revoked {shown}"))?)
        }
    }
}

fn rotate(folder: &Path, args: RotateArgs) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let token = Token::generate().context("the operating system gave no random numbers")?;
    let expires_at = args.expires_in.map(|after| clock::now() + after);
    let draft = TokenDraft { rights: args.rights, expires_at, ..TokenDraft::new(clock::new_id(), &token, args.label) };
    let (configuration, public_url) = store.write_blocking(Undo::Savepoint, move |tx| {
        let rotated = tokens::rotate(tx, &by(), &args.configuration, &draft, args.revoke_old_after)?;
        Ok((rotated, instance::public_url(tx)?))
    })?;
    Ok(print_token(&configuration, &token, &public_url, args.output)?)
}

fn list(folder: &Path, configuration: &str, output: Output) -> anyhow::Result<()> {
    let found =
        existing(folder)?.read_inline(|at| tokens::list(at, &Reach::Everywhere, configuration, None, LISTED_MAX))?;
    let now = clock::now();
    if output == Output::Json {
        return Ok(answer::json(&found.iter().map(|token| shown(token, now)).collect())?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(|token| cells(token, now)).collect();
    Ok(answer::table(&["ID", "ENDS WITH", "LABEL", "RIGHTS", "STATE", "LAST USED", "EXPIRES"], &rows)?)
}

fn shown(token: &KeptToken, now: Millis) -> Value {
    json!({
        "id": token.id,
        "hint": token.hint,
        "label": token.label,
        "rights": token.rights,
        "state": token.state(now),
        "createdAt": clock::rfc3339(token.created_at),
        "lastUsedAt": token.last_used_at.map(clock::rfc3339),
        "expiresAt": token.expires_at.map(clock::rfc3339),
        "revokedAt": token.revoked_at.map(clock::rfc3339),
    })
}

fn cells(token: &KeptToken, now: Millis) -> Vec<String> {
    let time = |time: Option<Millis>| time.map_or_else(|| "never".to_owned(), clock::rfc3339);
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

/// A number with a unit: `90d`, `12h`, `30m`, `45s`.
pub(super) fn duration(text: &str) -> Result<Millis, String> {
    let refused = || "give a number from 1 to 99999 and a unit, such as 90d, 12h, 30m or 45s".to_owned();
    let unit = match text.chars().last() {
        Some('d') => 86_400_000,
        Some('h') => 3_600_000,
        Some('m') => 60_000,
        Some('s') => 1_000,
        _ => return Err(refused()),
    };
    let number = text[..text.len() - 1].parse::<Millis>().map_err(|_| refused())?;
    if (1..=99_999).contains(&number) { Ok(number * unit) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, millis) in [("90d", 7_776_000_000), ("12h", 43_200_000), ("30m", 1_800_000), ("1s", 1_000)] {
            assert_eq!(duration(text), Ok(millis));
        }
        for wrong in ["", "90", "d", "-1d", "0d", "1w", "1.5h", "100000d", "9999999999999999999d", "1 d", "d1", "1é"] {
            assert!(duration(wrong).unwrap_err().contains("90d"), "{wrong}");
        }
    }
}
