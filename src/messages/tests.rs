//! The sentences of errors.

use std::collections::BTreeSet;

use super::*;
use crate::scim::dialect::{DialectNote, NoteCode};

fn placeholders(template: &str) -> BTreeSet<&str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

#[test]
fn every_sentence_uses_exactly_the_parameters_of_its_reason() {
    for &reason in Reason::ALL {
        let mut used = placeholders(template_of(reason));
        used.remove("field");
        assert_eq!(used, reason.params().iter().copied().collect(), "{}", reason.code());
    }
}

#[test]
fn parameters_and_the_field_are_filled_in() {
    let detail = Reason::NumberOutOfRange.with("min", 1).with("max", 100).on_field("limit");
    assert_eq!(render_message(&detail), "limit must be a number from 1 to 100");
    let detail = Error::new(Reason::LastOwner);
    assert_eq!(detail.field(), Some("role"));
}

#[test]
fn a_sentence_of_the_operator_replaces_that_of_the_reason() {
    let error = Reason::ActiveUserLimitReached.with("owner", "account").with("limit", 3);
    assert!(render_message(&error).starts_with("the account has reached its limit of 3 active users"));
    let own = error.with_sentence("Call {sales} for more seats.".to_owned()).within("Operations[0]");
    assert_eq!(render_message(&own), "Operations[0]: Call {sales} for more seats.");
}

#[test]
fn a_stored_note_is_rendered_and_the_text_of_an_earlier_version_stays() {
    assert_eq!(render_note("boolean_as_text active"), "active: text read as a boolean");
    assert_eq!(render_note("active: text read as a boolean"), "active: text read as a boolean");
    for code in NoteCode::ALL {
        let stored = DialectNote { code, attribute: None }.to_string();
        assert_ne!(render_note(&stored), stored);
    }
}

#[test]
fn codes_are_unique() {
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
}
