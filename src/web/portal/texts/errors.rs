//! Error pages, errors of forms, and the sentences of errors where a page says it in other words than the API: customer and
//! connection instead of account and configuration, and no field of the API.

use crate::error::{Error, Reason};
use crate::messages::{capitalize, fill_template, template_of};
use crate::model::permission::Permission;

pub(crate) const SIGN_IN: &str = "Sign in";
pub(crate) const SIGN_IN_TO_CONTINUE: &str = "Sign in to continue.";
pub(crate) const NO_PERMISSION: &str = "You don’t have permission";
pub(crate) const ASK_OWNER_FOR_ROLE: &str = "An owner can give you a role that has it.";
pub(crate) const PAGE_EXPIRED: &str = "This page expired";
pub(crate) const RELOAD_AND_RETRY: &str = "Reload and try again.";
pub(crate) const FOREIGN_FORM: &str = "The form did not come from a page of this session, so nothing was changed.";
pub(crate) const PAGE_NOT_FOUND: &str = "Page not found";
pub(crate) const MAY_BE_DELETED: &str = "It may have been deleted, or you don’t have access to it.";
pub(crate) const NOT_DONE: &str = "This didn’t work";
pub(crate) const NOT_POSSIBLE_NOW: &str = "Not possible right now";
pub(crate) const PAGE_NOT_RENDERED: &str = "this page is broken\n";
pub(crate) const METHOD_NOT_ACCEPTED: &str =
    "This address does not accept this request. Open the page again and use its buttons.";

pub(crate) const LINK_ENDED: &str = "This setup link has ended";
pub(crate) const LINK_END_REASONS: &str = "It was finished, its sender has revoked it, or the connection was deleted. As \
     long as the connection exists, provisioning continues.";
pub(crate) const LINK_EXPIRED: &str = "This setup link has expired";
pub(crate) const LINK_ACTION_NOT_ALLOWED: &str = "This setup link does not allow this";
pub(crate) const LINK_TOKENS_SPENT: &str = "This setup link cannot create more tokens";
pub(crate) const LINK_UNKNOWN: &str = "There is no such setup link";
/// Errors of requests below a setup link: what happened, and what to do.
pub(crate) const LINK_FORM_TITLE: &str = "The form could not be read";
pub(crate) const LINK_BUSY_TITLE: &str = "Too many requests";
pub(crate) const LINK_FORM_EXPIRED: &str = "The form was not sent from the current setup page, so nothing was changed. Open the setup page and repeat the step.";
pub(crate) const LINK_PAGE_UNKNOWN: &str = "The setup link has no such page. Open the complete link that you received.";
pub(crate) const LINK_METHOD_REFUSED: &str = "This address belongs to a button of the setup page, so nothing was changed. Open the setup page and use its buttons.";
pub(crate) const LINK_LIMIT_REACHED: &str = "A limit is reached, or the connection has changed, so nothing was changed. Open the \
     setup page to see what is possible now.";
pub(crate) const LINK_FORM_TOO_LARGE: &str =
    "It is too large, so nothing was changed. Enter less text and send it again.";
pub(crate) const LINK_TRY_LATER: &str = "Nothing was changed. Wait a minute, then repeat the step.";
pub(crate) const LINK_FORM_UNREADABLE: &str =
    "A part of it is absent or not valid, so nothing was changed. Open the setup page and repeat the step.";

/// `sender` is the name of who sent a link.
pub(crate) fn ask_for_help(sender: &str) -> String {
    format!("If this happens again, ask {sender} for help.")
}

/// Who sent a link, if there is no branding.
pub(crate) const SENDER: &str = "the person who sent it";

/// The sender of a link without a name, with an address for questions.
pub(crate) fn name_sender(support: &str) -> String {
    add_support("the sender", support)
}

/// A name with the address for questions.
pub(crate) fn add_support(name: &str, support: &str) -> String {
    format!("{name} ({support})")
}

/// `sender` is the name of who sent a link.
pub(crate) fn ask_sender_for_link(sender: &str) -> String {
    format!("Ask {sender} for a new one.")
}

pub(crate) fn ask_for_complete_link(sender: &str) -> String {
    format!("Open the complete link that you received, or ask {sender} for a new one.")
}

pub(crate) const INVITATION_ENDED: &str = "This invitation has ended";
pub(crate) const INVITATION_END_REASONS: &str = "It was already used, replaced or revoked.";
pub(crate) const INVITATION_EXPIRED: &str = "This invitation has expired";
pub(crate) const INVITATION_UNKNOWN: &str = "Invitation not found";
pub(crate) const OPEN_COMPLETE_INVITATION: &str =
    "Open the complete link that you received, or ask the person who invited you for a new one.";
pub(crate) const ASK_INVITER_FOR_LINK: &str = "Ask the person who invited you for a new one.";

pub(crate) const FORM_INCOMPLETE: &str = "The form cannot be used: a part is not complete.";
pub(crate) const FORM_NOT_UTF_8: &str = "The form is not in UTF-8.";
pub(crate) const FORM_OF_OTHER_VERSION: &str = "This form is of another version of the page. Reload it and try again.";

pub(crate) fn name_missing_permission(permission: Permission) -> String {
    format!("This needs the permission “{permission}”, which your role doesn’t have.")
}

pub(crate) fn say_form_invalid(problem: impl std::fmt::Display) -> String {
    format!("The form cannot be used: {problem}.")
}

/// The sentence of an error on a page: with a capital letter and a full stop.
pub(crate) fn render_sentence(error: &Error) -> String {
    let reason = error.reason();
    let text = fill_template(error, template_of_page(reason).unwrap_or_else(|| template_of(reason)));
    format!("{}.", capitalize(&text))
}

/// The sentence of a reason, if it differs from that of the API.
fn template_of_page(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::AuthorityExceeded => "you don’t have all the permissions that this needs",
        Reason::PermissionMissing => "you don’t have the permission {permission}",
        Reason::PermissionsNotHeld => "a key can only have permissions that you have",
        Reason::PermissionsEmpty => "select at least one permission",
        Reason::RoleAccountUnknown => "there is no customer with this ID",
        Reason::ConnectionNameTaken => "this customer already has a connection named {name}. Choose another name",
        Reason::TooManyLinks => "this connection has {max} live links. Revoke one first",
        Reason::PageDefaultAboveMax => "the default page size ({default}) cannot be above the largest one ({max})",
        Reason::AccountWebhooksOff => "the operator has not allowed webhooks of customers",
        Reason::BodyTooLarge => "the form is larger than {max} bytes. Enter less text",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(template: &str) -> BTreeSet<&str> {
        template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn the_sentences_of_pages_use_parameters_of_their_reason_and_no_terms_of_the_api() {
        let own: Vec<_> = Reason::ALL.iter().filter_map(|&reason| Some((reason, template_of_page(reason)?))).collect();
        assert!(own.len() >= 8);
        for (reason, template) in own {
            let params: BTreeSet<&str> = reason.params().iter().copied().collect();
            assert!(placeholders(template).is_subset(&params), "{}", reason.code());
            for term in ["account", "configuration", "caller", "switches."] {
                assert!(!template.contains(term), "{term} in {template}");
            }
        }
    }

    #[test]
    fn a_page_has_a_sentence_of_its_own_and_the_api_keeps_its_message() {
        let error = Reason::ConnectionNameTaken.with("name", "\"Main\"");
        assert_eq!(
            render_sentence(&error),
            "This customer already has a connection named \"Main\". Choose another name."
        );
        assert!(crate::messages::render_message(&error).contains("in this account"));
    }

    #[test]
    fn a_sentence_has_a_capital_letter_and_a_full_stop() {
        let error = Error::new(Reason::LastOwner);
        assert_eq!(render_sentence(&error), "At least one owner who can sign in must remain.");
    }
}
