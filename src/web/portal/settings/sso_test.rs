//! Result of a test of the OpenID provider: the full answer for server admins. The test signs no admin in.

use actix_web::HttpResponse;
use askama::Template;

use crate::auth::oidc::SignedInUser;
use crate::model::sso::{SignInDecision, SsoIdentity};
use crate::web::portal::layout::{NavigationEntry, PageLayout, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::sso_provider::SsoProvider;

#[derive(Template)]
#[template(path = "portal/sso_test.html")]
struct SsoTestPage {
    layout: PageLayout,
    tab: &'static str,
    /// Why the provider returned no identity.
    problem: Option<String>,
    result: Option<SsoTestResult>,
    is_on: bool,
}

/// The returned identity, and what a sign-in with it would do.
struct SsoTestResult {
    identity: SsoIdentity,
    would_enter: bool,
    sentence: String,
    claims: String,
}

/// The page with the returned identity, or the reason of the failure.
pub(crate) fn render_test_page(
    admin: &SystemAdmin,
    provider: &SsoProvider,
    outcome: Result<(SignedInUser, SignInDecision), String>,
) -> HttpResponse {
    let title = if outcome.is_ok() { "The provider answers" } else { "The test failed" };
    let layout = PageLayout::new(title, Some(&admin.signed), NavigationEntry::Settings);
    let (problem, came) = match outcome {
        Ok((came, decision)) => (None, Some(describe_result(came, &decision))),
        Err(problem) => (Some(problem), None),
    };
    render_page(200, &SsoTestPage { layout, tab: "sso", problem, result: came, is_on: provider.agreement.is_on })
}

fn describe_result(came: SignedInUser, decision: &SignInDecision) -> SsoTestResult {
    let (would_enter, sentence) = match decision {
        SignInDecision::SignIn { role, is_new_link, .. } => {
            let link = if *is_new_link { "found by the e-mail address, and linked with it" } else { "linked already" };
            let role = role.as_ref().map_or(String::new(), |role| format!(" The role becomes “{role}”."));
            (true, format!("This admin may sign in: {link}.{role}"))
        }
        SignInDecision::Add { role, .. } => (true, format!("This admin would be added, with the role “{role}”.")),
        SignInDecision::Refuse(why) => (false, format!("This admin would not be let in. {}", why.sentence())),
    };
    let claims = serde_json::to_string_pretty(&came.claims).unwrap_or_default();
    SsoTestResult { identity: came.identity, would_enter, sentence, claims }
}
