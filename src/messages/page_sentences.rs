//! The sentences of errors on the pages of the portal. They say customer and connection, where the API says account and
//! configuration, and name no field of the API.

use super::{fill_template, template_of};
use crate::error::{Error, Reason};

/// The sentence of an error on a page: with a capital letter and a full stop.
pub fn render_sentence(error: &Error) -> String {
    let reason = error.reason();
    let text = fill_template(error, template_of_page(reason).unwrap_or_else(|| template_of(reason)));
    format!("{}.", capitalize(&text))
}

/// The text with a capital letter at its start.
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}

/// The sentence of a reason, if it differs from that of the API.
pub(super) fn template_of_page(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::AuthorityExceeded => "you don’t have all the permissions that this needs",
        Reason::PermissionMissing => "you don’t have the permission {permission}",
        Reason::PermissionsNotHeld => "a key can only have permissions that you have",
        Reason::PermissionsEmpty => "select at least one permission",
        Reason::RoleAccountUnknown => "there is no customer with this ID",
        Reason::ConnectionNameTaken => "this customer already has a connection named {name}. Choose another name",
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
}
