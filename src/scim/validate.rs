//! Validates a request body against the schema tables and returns the attributes to store: names in canonical spelling,
//! values of the correct type, without read-only attributes (RFC 7643 section 2, RFC 7644 sections 3.3 and 3.5.1).

mod flattened;
mod simple_values;

use std::fmt;

use serde_json::{Map, Value};

use self::simple_values::read_simple;
use super::dialect::{self, DialectNotes, DialectRules, NoteCode};
use super::distinct::{DistinctIndex, LINEAR_SEARCH_MAX, TwinMerge, push_distinct};
use super::json::wrong_type_error;
use super::members::{MemberRef, read_members};
use super::password::{self, PasswordChange};
use super::schema::undeclared::{UndeclaredAttributes, UndeclaredSource};
use super::schema::{Attribute, DataType, Mutability, ResourceType};
use crate::error::{Error, Reason};
use crate::scim::path::shorten_text;

/// Attributes of a resource in canonical spelling and order, without the attributes that the service provider manages:
/// `schemas`, `id`, `meta`, `groups` and `members`. The attributes of an extension are in an object under its URI.
pub type Attributes = Map<String, Value>;

/// A validated resource from a request.
#[derive(Debug, Clone)]
pub struct ResourceDraft {
    /// The attributes to store.
    pub attributes: Attributes,
    /// The members, if the type has members and the body contains them.
    pub members: Option<Vec<MemberRef>>,
    /// The password to set, if passwords are stored and the body has one. Without one the current password does not
    /// change, because clients cannot read it and so cannot send it back.
    pub password: Option<PasswordChange>,
    /// Canonical names of the attributes in the body, with or without a value.
    mentioned: Vec<String>,
    /// Deviations that were accepted, and values that were ignored.
    pub notes: DialectNotes,
    /// Attributes of the body that no schema declares.
    pub undeclared: UndeclaredAttributes,
}

impl UndeclaredSource for ResourceDraft {
    fn take_undeclared(&mut self) -> UndeclaredAttributes {
        std::mem::take(&mut self.undeclared)
    }

    fn collect_undeclared(body: &Value, of: &ResourceType) -> UndeclaredAttributes {
        let (mut reading, mut draft) = (ValueReader::new(of, DialectRules::LENIENT), ResourceDraft::empty());
        for (name, value) in body.as_object().into_iter().flatten() {
            // Another mistake in the body does not matter here.
            let _ = reading.read_member(name, value, &mut draft);
        }
        reading.undeclared
    }
}

impl ResourceDraft {
    fn empty() -> Self {
        Self {
            attributes: Map::new(),
            members: None,
            password: None,
            mentioned: Vec::new(),
            notes: DialectNotes::default(),
            undeclared: UndeclaredAttributes::default(),
        }
    }

    /// Whether the body contains the attribute, even as null.
    pub fn mentions(&self, attribute: &str) -> bool {
        self.mentioned.iter().any(|name| name == attribute)
    }
}

/// Maximum number of elements of one multi-valued attribute, except `members`.
pub const ELEMENTS_MAX: usize = 1_000;

/// Attributes for which the map of a new document has room at once.
const USUAL_ATTRIBUTES_MAX: usize = 64;

/// Reads a new resource from the body of a create. `active` is true unless the body contains it (RFC 7644 section 3.3).
///
/// # Errors
/// The same as [`read_resource`].
pub fn read_new_resource(body: &Value, of: &ResourceType, rules: DialectRules) -> Result<ResourceDraft, Error> {
    let mut draft = read_resource(body, of, rules)?;
    let has_active = of.schema.attribute("active").is_some_and(|active| active.kind == DataType::Boolean);
    if has_active && !draft.mentions("active") {
        draft.attributes.insert("active".to_owned(), Value::Bool(true));
        draft.attributes = sort_attributes(draft.attributes, of);
    }
    Ok(draft)
}

/// Reads a resource from the body of a create or replace.
///
/// # Errors
/// 400 invalidSyntax if the body is not an object, 400 invalidValue for a value of the wrong type or a required
/// attribute that is absent. Strict rules also reject the deviations that lenient rules convert.
pub fn read_resource(body: &Value, of: &ResourceType, rules: DialectRules) -> Result<ResourceDraft, Error> {
    let Value::Object(object) = body else {
        return Err(Error::new(Reason::ResourceNotObject));
    };
    let mut reading = ValueReader::new(of, rules);
    check_schemas(object, of, &mut reading)?;
    let mut draft = ResourceDraft::empty();
    draft.attributes = Map::with_capacity(object.len().min(USUAL_ATTRIBUTES_MAX));
    let mut flattened = Vec::new();
    for (name, value) in object {
        if !reading.read_member(name, value, &mut draft)? {
            flattened.push((name, value));
        }
    }
    // The usual form of an attribute takes precedence, wherever it is in the body.
    for (name, value) in flattened {
        reading.read_flattened(name, value, &mut draft)?;
    }
    draft.attributes = sort_attributes(draft.attributes, of);
    draft.notes = reading.notes;
    draft.undeclared = reading.undeclared;
    check_required(&draft.attributes, of)?;
    Ok(draft)
}

/// Checks that every required attribute has a value and every required extension is present (RFC 7643 sections 6 and
/// 7).
///
/// # Errors
/// 400 invalidValue; the detail names the attribute or extension.
pub fn check_required(attributes: &Attributes, of: &ResourceType) -> Result<(), Error> {
    for attribute in of.schema.attributes.iter().filter(|attribute| attribute.required) {
        if attributes.get(&*attribute.name).is_none_or(is_blank) {
            return Err(Reason::AttributeRequired.on_field(attribute.name.to_string()));
        }
    }
    for extension in &of.extensions {
        let given = attributes.get(&*extension.schema.id);
        if extension.required && given.is_none() {
            return Err(Reason::ExtensionRequired.on_field(extension.schema.id.to_string()));
        }
        let Some(Value::Object(given)) = given else { continue };
        for attribute in extension.schema.attributes.iter().filter(|attribute| attribute.required) {
            if given.get(&*attribute.name).is_none_or(is_blank) {
                return Err(
                    Reason::ExtensionAttributeRequired.on_field(format!("{}:{}", extension.schema.id, attribute.name))
                );
            }
        }
    }
    Ok(())
}

/// Whether the value is not allowed for a required attribute.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// Returns the attributes in the order of the schema tables, then the extensions in the order of the type.
pub fn sort_attributes(found: Map<String, Value>, of: &ResourceType) -> Attributes {
    let mut names = of.list_stored_names();
    // Each search continues after the name before it.
    if found.keys().all(|name| names.any(|other| other == name)) {
        return found;
    }
    // A resource has few attributes: a search compares less than a hash costs.
    let mut entries: Vec<(String, Value)> = found.into_iter().collect();
    let mut sorted = Map::with_capacity(entries.len());
    for name in of.list_stored_names() {
        if let Some(position) = entries.iter().position(|(other, _)| other == name) {
            let (name, value) = entries.swap_remove(position);
            sorted.insert(name, value);
        }
    }
    sorted
}

/// RFC 7643 section 3: `schemas` names the schemas of the resource. Many clients send obsolete or foreign URIs, so only
/// strict rules enforce the list. Responses always contain the correct list.
fn check_schemas(object: &Map<String, Value>, of: &ResourceType, reading: &mut ValueReader<'_>) -> Result<(), Error> {
    let given = object.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas")).map(|(_, value)| value);
    let uris = match given {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Error::new(Reason::SchemasInvalid)),
    };
    let mut names_base = false;
    for uri in uris {
        let Value::String(uri) = uri else { return Err(Error::new(Reason::SchemasNotUris)) };
        names_base |= uri.eq_ignore_ascii_case(&of.schema.id);
        if !uri.eq_ignore_ascii_case(&of.schema.id) && of.extension(uri).is_none() {
            if reading.rules.strict {
                return Err(Reason::SchemasForeign.with("resource_type", &of.name));
            }
            reading.notes.add(NoteCode::ForeignSchemaIgnored);
        }
    }
    if !names_base {
        if reading.rules.strict {
            return Err(Reason::SchemasIncomplete.with("schema", &of.schema.id));
        }
        reading.notes.add(NoteCode::BaseSchemaAssumed);
    }
    Ok(())
}

/// Most attributes of an unknown extension that notes name.
const NAMED_MAX: usize = 10;

/// How a null sub-attribute is read: it is dropped, or it stays null so that PATCH removes the sub-attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NullHandling {
    Drop,
    Keep,
}

/// The path of a value for errors and notes; formatted only if there is an error or note.
pub(super) type ValuePath<'a> = fmt::Arguments<'a>;

/// Reads values according to the schema tables, and collects notes.
#[derive(Debug)]
pub(super) struct ValueReader<'t> {
    pub(super) of: &'t ResourceType,
    pub(super) rules: DialectRules,
    pub(super) nulls: NullHandling,
    pub(super) notes: DialectNotes,
    pub(super) undeclared: UndeclaredAttributes,
}

impl<'t> ValueReader<'t> {
    pub(super) fn new(of: &'t ResourceType, rules: DialectRules) -> Self {
        let (notes, undeclared) = (DialectNotes::default(), UndeclaredAttributes::default());
        Self { of, rules, nulls: NullHandling::Drop, notes, undeclared }
    }

    /// Reads a member of a body. Returns false if its name is a path that [`Self::read_flattened`] reads.
    fn read_member(&mut self, name: &str, value: &Value, draft: &mut ResourceDraft) -> Result<bool, Error> {
        let of = self.of;
        if let Some(attribute) = of.attribute(name) {
            if attribute.name == "schemas" {
                return Ok(true);
            }
            draft.mentioned.push(attribute.name.clone().into_owned());
            if of.members().is_some_and(|members| members.name == attribute.name) {
                draft.members = Some(read_members(value, self.rules.strict)?);
            } else if self.is_stored_password(attribute) {
                draft.password = self.password(attribute, value)?;
            } else if let Some(value) = self.stored_value(attribute, value, format_args!("{}", attribute.name))? {
                draft.attributes.insert(attribute.name.clone().into_owned(), value);
            } else if attribute.ignores_null() {
                self.ignore_null(format_args!("{}", attribute.name))?;
                draft.mentioned.pop();
            }
            return Ok(true);
        }
        if let (true, Value::Object(parts)) = (!self.rules.strict && of.schema.has_id(name), value) {
            // Some clients put the attributes of the base schema under its URI, like those of an extension.
            for (name, value) in parts {
                if !self.read_member(name, value, draft)? {
                    self.read_flattened(name, value, draft)?;
                }
            }
            return Ok(true);
        }
        let obsolete = || of.extension_by_obsolete_uri(name).filter(|_| !self.rules.strict);
        if let Some(schema) = of.extension(name).or_else(obsolete) {
            if let Some(value) = self.extension(&schema.attributes, value, &schema.id)? {
                // The current URI takes precedence over an obsolete one.
                if of.extension(name).is_some() || !draft.attributes.contains_key(&*schema.id) {
                    draft.attributes.insert(schema.id.clone().into_owned(), value);
                }
            }
            return Ok(true);
        }
        if !self.rules.strict && flattened::resolve_member(name, of).is_some() {
            return Ok(false);
        }
        self.note_unknown(format_args!("{name}"), value).map(|()| true)
    }

    /// Returns the value to store; `None` for read-only and write-only attributes.
    pub(super) fn stored_value(
        &mut self,
        attribute: &Attribute,
        value: &Value,
        path: ValuePath<'_>,
    ) -> Result<Option<Value>, Error> {
        if attribute.is_read_only() {
            // RFC 7644 section 3.3: read-only attributes in a body are ignored.
            return Ok(None);
        }
        let value = self.value(attribute, value, path)?;
        if attribute.mutability == Mutability::WriteOnly {
            if value.is_some() {
                self.notes.add_for(NoteCode::ValueDiscarded, path);
            }
            return Ok(None);
        }
        Ok(value)
    }

    /// Returns the password to set; `None` if the value is null.
    pub(super) fn password(&mut self, attribute: &Attribute, value: &Value) -> Result<Option<PasswordChange>, Error> {
        match self.value(attribute, value, format_args!("{}", attribute.name))? {
            Some(Value::String(text)) => Ok(Some(PasswordChange::SetClearText(password::parse_password(&text)?))),
            _ => Ok(None),
        }
    }

    /// Whether the attribute is the user's password and passwords are stored.
    pub(super) fn is_stored_password(&self, attribute: &Attribute) -> bool {
        self.rules.store_passwords && attribute.mutability == Mutability::WriteOnly && attribute.name == "password"
    }

    /// RFC 7644 section 3.1: a service provider may ignore attributes that are in no schema.
    pub(super) fn note_unknown(&mut self, path: ValuePath<'_>, value: &Value) -> Result<(), Error> {
        let path = path.to_string();
        let excerpt = shorten_text(&path);
        if self.rules.strict {
            return Err(Reason::AttributeUnknown.with("name", format_args!("\"{excerpt}\"")));
        }
        self.undeclared.add(self.of, &path, value);
        match value {
            // An extension that the resource type does not have: its attributes are what the admin searches for.
            Value::Object(parts) if !parts.is_empty() && path.contains(':') => {
                for name in parts.keys().take(NAMED_MAX) {
                    self.notes.add_for(NoteCode::UnknownAttributeIgnored, shorten_text(&format!("{path}:{name}")));
                }
            }
            _ => self.notes.add_for(NoteCode::UnknownAttributeIgnored, excerpt),
        }
        Ok(())
    }

    /// Notes that an attribute keeps its value although the client sent null.
    ///
    /// # Errors
    /// 400 invalidValue if the rules are strict.
    pub(super) fn ignore_null(&mut self, path: ValuePath<'_>) -> Result<(), Error> {
        if self.rules.strict {
            return Err(Reason::AttributeRequired.on_field(path.to_string()));
        }
        self.notes.add_for(NoteCode::ValueRetained, path);
        Ok(())
    }

    /// Returns the value of a list of one, unless the rules are strict.
    pub(super) fn unwrap_list_of_one<'v>(&mut self, value: &'v Value, path: ValuePath<'_>) -> &'v Value {
        let given = if self.rules.strict { value } else { dialect::unwrap_list_of_one(value) };
        if !std::ptr::eq(given, value) {
            self.notes.add_for(NoteCode::ListOfOneUnwrapped, path);
        }
        given
    }

    pub(super) fn extension(
        &mut self,
        attributes: &[Attribute],
        value: &Value,
        uri: &str,
    ) -> Result<Option<Value>, Error> {
        match self.unwrap_list_of_one(value, format_args!("{uri}")) {
            Value::Null => Ok(None),
            Value::String(text) if !self.rules.strict && text.trim().is_empty() => Ok(None),
            Value::Object(object) => {
                let read = self.object(attributes, object, format_args!("{uri}"), None)?;
                Ok((!read.is_empty()).then_some(Value::Object(read)))
            }
            _ => Err(Reason::ExtensionNotObject.on_field(uri.to_owned())),
        }
    }

    /// Returns a value of the attribute's type; `None` if the attribute is unassigned (RFC 7643 section 2.5: null or
    /// []).
    pub(super) fn value(
        &mut self,
        attribute: &Attribute,
        value: &Value,
        path: ValuePath<'_>,
    ) -> Result<Option<Value>, Error> {
        if !attribute.multi_valued {
            return self.single(attribute, value, path);
        }
        let items = match value {
            Value::Null => return Ok(None),
            Value::Array(items) => items.as_slice(),
            single if self.rules.strict => {
                return Err(wrong_type_error(path, "an array", single));
            }
            // OneLogin sends `emails` as a single object.
            single => std::slice::from_ref(single),
        };
        check_length(items, path)?;
        let mut list = Vec::with_capacity(items.len());
        let mut index = (items.len() > LINEAR_SEARCH_MAX).then(|| DistinctIndex::build(&[]));
        for item in items {
            match (self.single(attribute, item, path)?, &mut index) {
                (Some(item), Some(index)) => drop(index.push(&mut list, item, TwinMerge::PrimaryWins)),
                (Some(item), None) => drop(push_distinct(&mut list, item, TwinMerge::PrimaryWins)),
                (None, _) => {}
            }
        }
        self.keep_one_primary(&mut list, path)?;
        Ok((!list.is_empty()).then_some(Value::Array(list)))
    }

    /// RFC 7643 section 2.4: at most one element is primary.
    fn keep_one_primary(&mut self, list: &mut [Value], path: ValuePath<'_>) -> Result<(), Error> {
        let mut seen = false;
        for item in list.iter_mut().filter(|item| item.get("primary") == Some(&Value::Bool(true))) {
            if seen {
                if self.rules.strict {
                    return Err(Reason::PrimaryNotUnique.on_field(path.to_string()));
                }
                item["primary"] = Value::Bool(false);
                self.notes.add_for(NoteCode::FirstPrimaryAccepted, path);
            }
            seen = true;
        }
        Ok(())
    }

    /// Returns one value, or one element of a list; `None` for null.
    pub(super) fn single(
        &mut self,
        attribute: &Attribute,
        value: &Value,
        path: ValuePath<'_>,
    ) -> Result<Option<Value>, Error> {
        let value = if attribute.multi_valued { value } else { self.unwrap_list_of_one(value, path) };
        // Templates of identity providers send an empty text where there is no value.
        let is_empty = |text: &str| !self.rules.strict && text.trim().is_empty() && attribute.refuses_empty_text();
        if value.is_null() || value.as_str().is_some_and(is_empty) {
            return Ok(None);
        }
        match attribute.kind {
            DataType::Complex => self.complex(attribute, value, path),
            DataType::Boolean => self.boolean(value, path).map(Some),
            kind => {
                let value = read_simple(kind, value, path)?;
                self.check_canonical(attribute, &value, path)?;
                self.check_format(attribute, &value, path)?;
                Ok(Some(value))
            }
        }
    }

    fn complex(&mut self, attribute: &Attribute, value: &Value, path: ValuePath<'_>) -> Result<Option<Value>, Error> {
        let mut converted;
        let object = match value {
            Value::Object(object) => object,
            _ if self.rules.strict => return Err(wrong_type_error(path, "an object", value)),
            other => {
                converted =
                    convert_to_object(attribute, other).ok_or_else(|| wrong_type_error(path, "an object", other))?;
                let Value::Object(object) = &mut converted else {
                    return Err(wrong_type_error(path, "an object", other));
                };
                self.notes.add_for(NoteCode::ConvertedToObject, path);
                object
            }
        };
        let mut read = self.object(&attribute.sub_attributes, object, path, Some(attribute))?;
        if !self.rules.strict {
            if dialect::unpack_role(attribute, &mut read) {
                self.notes.add_for(NoteCode::JsonTextUnpacked, path);
            }
            if dialect::is_empty_reference(attribute, &read) {
                return Ok(None);
            }
        }
        Ok((!read.is_empty()).then_some(Value::Object(read)))
    }

    /// Returns the members of an object, in the order of the schema table.
    fn object(
        &mut self,
        attributes: &[Attribute],
        object: &Map<String, Value>,
        path: ValuePath<'_>,
        of: Option<&Attribute>,
    ) -> Result<Map<String, Value>, Error> {
        let mut slots: Vec<Option<Value>> = vec![None; attributes.len()];
        for (name, value) in object {
            let position =
                attributes.iter().position(|attribute| attribute.name.eq_ignore_ascii_case(name)).or_else(|| {
                    let alias = of.filter(|_| !self.rules.strict).and_then(|of| dialect::find_by_alias(of, name))?;
                    attributes.iter().position(|attribute| attribute.name == alias.name)
                });
            let Some(index) = position else {
                if of.is_some() {
                    self.note_unknown(format_args!("{path}.{name}"), value)?;
                } else {
                    self.note_unknown(format_args!("{path}:{name}"), value)?;
                }
                continue;
            };
            let attribute = &attributes[index];
            let read = if of.is_some() {
                self.stored_value(attribute, value, format_args!("{path}.{}", attribute.name))
            } else {
                self.stored_value(attribute, value, format_args!("{path}:{}", attribute.name))
            }?;
            let clears = read.is_none() && !attribute.is_read_only() && self.nulls == NullHandling::Keep;
            slots[index] = if clears { Some(Value::Null) } else { read.or(slots[index].take()) };
        }
        // With its final size, the map does not grow.
        let mut read = Map::with_capacity(slots.iter().flatten().count());
        for (attribute, slot) in attributes.iter().zip(slots) {
            if let Some(value) = slot {
                read.insert(attribute.name.clone().into_owned(), value);
            }
        }
        Ok(read)
    }
}

/// Converts the value that some clients send instead of an object.
fn convert_to_object(attribute: &Attribute, value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => {
            dialect::reference_from_text(attribute, text).or_else(|| dialect::element_from_text(attribute, text))
        }
        _ => None,
    }
}

/// Checks that a list is not longer than [`ELEMENTS_MAX`].
pub(super) fn check_length(items: &[Value], path: ValuePath<'_>) -> Result<(), Error> {
    if items.len() > ELEMENTS_MAX {
        return Err(Reason::TooManyValues.on_field(path.to_string()).with("max", ELEMENTS_MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
