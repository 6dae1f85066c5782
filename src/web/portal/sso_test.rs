//! What came back from the provider when somebody tried it: told in full to who runs the server, and nobody is signed in.

use actix_web::HttpResponse;
use askama::Template;

use super::admins::Runner;
use super::page::{Layout, Place, page};
use crate::model::sso::{Decision, Identity};
use crate::oidc::Came;
use crate::web::sso::Provider;

#[derive(Template)]
#[template(path = "portal/sso_test.html")]
struct TestPage {
    layout: Layout,
    tab: &'static str,
    /// Why nobody came back.
    problem: Option<String>,
    came: Option<Shown>,
    is_on: bool,
}

/// Who came back, and what signing in would come to.
struct Shown {
    identity: Identity,
    would_enter: bool,
    sentence: String,
    claims: String,
}

/// The page about what came back, or why nothing did.
pub(super) fn shown(person: &Runner, provider: &Provider, outcome: Result<(Came, Decision), String>) -> HttpResponse {
    let title = if outcome.is_ok() { "The provider answers" } else { "The test failed" };
    let layout = Layout::new(title, Some(&person.signed), Place::Settings);
    let (problem, came) = match outcome {
        Ok((came, decision)) => (None, Some(told(came, &decision))),
        Err(problem) => (Some(problem), None),
    };
    page(200, &TestPage { layout, tab: "sso", problem, came, is_on: provider.agreement.is_on })
}

fn told(came: Came, decision: &Decision) -> Shown {
    let (would_enter, sentence) = match decision {
        Decision::Enter { role, is_new_link, .. } => {
            let link = if *is_new_link { "known by the e-mail address, and linked with it" } else { "linked already" };
            let role = role.as_ref().map_or(String::new(), |role| format!(" The role becomes “{role}”."));
            (true, format!("This person may sign in: {link}.{role}"))
        }
        Decision::Add { role, .. } => (true, format!("This person would be added, with the role “{role}”.")),
        Decision::Refuse(why) => (false, format!("This person would not be let in. {}", why.sentence())),
    };
    let claims = serde_json::to_string_pretty(&came.claims).unwrap_or_default();
    Shown { identity: came.identity, would_enter, sentence, claims }
}
