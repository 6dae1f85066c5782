//! The texts of notes in the request log.

use crate::scim::dialect::{DialectNote, NoteCode};

/// The text of a note in the request log. A note of an earlier version is a text already.
pub fn render_note(stored: &str) -> String {
    let Some(note) = DialectNote::parse(stored) else { return stored.to_owned() };
    let text = template_of_note(note.code);
    match note.attribute {
        Some(attribute) => format!("{attribute}: {text}"),
        None => text.to_owned(),
    }
}

/// The text of a note without the attribute that it is about.
pub fn template_of_note(code: NoteCode) -> &'static str {
    match code {
        NoteCode::ForeignSchemaIgnored => "schemas: foreign URI ignored",
        NoteCode::BaseSchemaAssumed => "schemas: base schema assumed",
        NoteCode::PatchOpAssumed => "schemas: PatchOp assumed",
        NoteCode::SchemasDerived => "schemas: derived from the attributes",
        NoteCode::ValueDiscarded => "accepted and discarded",
        NoteCode::UnknownAttributeIgnored => "unknown attribute ignored",
        NoteCode::NoOperations => "Operations: the list is empty, nothing was changed",
        NoteCode::ValueRetained => "null ignored; the attribute keeps its value",
        NoteCode::ListOfOneUnwrapped => "list of one value read as the value",
        NoteCode::UnknownExtensionIgnored => "path in an unknown extension ignored",
        NoteCode::FirstPrimaryAccepted => "only the first primary value accepted",
        NoteCode::BooleanAsText => "text read as a boolean",
        NoteCode::ConvertedToObject => "converted to an object",
        NoteCode::JsonTextUnpacked => "JSON text unpacked",
        NoteCode::UnknownMemberSkipped => "members: unknown id skipped",
        NoteCode::InactiveResourceActivated => "inactive resource of that name activated",
        NoteCode::DeletedResourceRevived => "deleted resource of that name or externalId brought back",
        NoteCode::GroupsShortened => "groups: only the first 100 of a user listed",
    }
}
