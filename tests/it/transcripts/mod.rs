//! The conversations of `rollcall simulate`, played against the program: recorded and documented requests of identity
//! providers. Each is sent to a configuration with the source that the provider's administrator would choose.

use std::time::Duration;

use rollcall::simulate::{
    CertificateTrust, CheckOutcome, ConnectOptions, ConversationReport, Library, PlayOptions, TargetServer,
    play_conversation,
};

use crate::app::{App, Client};

macro_rules! transcripts {
    ($($name:ident: $conversation:literal as $source:literal;)*) => {
        $(#[test]
        fn $name() {
            replay($conversation, &App::shared().configuration($source));
        })*
        /// Every conversation that is played.
        #[cfg(test)]
        const PLAYED: &[&str] = &[$($conversation),*];
    };
}

transcripts! {
    okta_provisions_users: "okta-users" as "okta";
    okta_pushes_groups: "okta-groups" as "okta";
    entra_provisions_users: "entra-users" as "azure-ad";
    entra_provisions_groups: "entra-groups" as "azure-ad";
    the_validator_of_entra_passes: "entra-validator" as "azure-ad";
    onelogin_provisions: "onelogin" as "other";
    jumpcloud_provisions: "jumpcloud" as "other";
    ping_provisions: "ping" as "other";
    sailpoint_provisions: "sailpoint" as "other";
    rauthy_provisions: "rauthy" as "other";
    odd_spellings_on_the_wire_are_accepted: "wire-tolerance" as "other";
}

#[test]
fn every_conversation_is_played() {
    let library = Library::load().unwrap();
    let names: Vec<&str> = library.conversations.iter().map(|conversation| conversation.name.as_str()).collect();
    assert_eq!(names, PLAYED);
}

/// The server of a client, as the provider reaches it.
pub(crate) fn target_of(client: &Client) -> TargetServer {
    let options = ConnectOptions { timeout: Duration::from_mins(1), trust: CertificateTrust::System };
    TargetServer::new(&format!("http://{}{}", client.address, client.base), client.token.clone(), &options).unwrap()
}

/// Plays a conversation. Every check must pass, also those that are only recommended, and nothing may be left. A check that
/// needs more than a token is skipped.
pub(crate) fn replay(name: &str, client: &Client) -> ConversationReport {
    let library = Library::load().unwrap();
    let conversation = library.find_conversation(name).unwrap();
    let report = play_conversation(&library, conversation, &target_of(client), &PlayOptions::default()).unwrap();
    let needs_more = |problem: &String| problem.starts_with("skipped: needs ");
    let failed = |check: &&rollcall::simulate::CheckResult| {
        check.outcome != CheckOutcome::Passed && !check.problems.iter().any(needs_more)
    };
    for check in report.checks.iter().filter(failed) {
        println!("{}: {:?}\n{}\n{}\n", check.name, check.problems, check.request, check.answer);
    }
    let failures: Vec<&str> = report.checks.iter().filter(failed).map(|check| check.name.as_str()).collect();
    assert!(failures.is_empty(), "{name}: {failures:?}");
    // A provider that accepts packed answers gets none: a small answer is sent sooner without.
    assert!(report.checks.iter().all(|check| !check.answer.to_lowercase().contains("\ncontent-encoding:")), "{name}");
    assert_eq!(report.left, Vec::<String>::new(), "{name}");
    report
}
