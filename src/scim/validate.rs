//! From what a client sent to what is kept: names in their canonical spelling, values of the right kind,
//! read-only attributes left out (RFC 7643 section 2, RFC 7644 sections 3.3 and 3.5.1).

use std::fmt;

use serde_json::{Map, Value};

use super::dialect::{self, Notes, Rules};
use super::members::{MemberRef, read_members};
use super::password::{self, Password};
use super::schema::{Attribute, COMMON, Kind, Mutability, ResourceType};
use super::{Error, instant};

/// Attributes of a resource in canonical spelling and order, without what the service provider keeps:
/// `schemas`, `id`, `meta`, `groups` and `members`. Extensions lie under their URI.
pub type Attributes = Map<String, Value>;

/// A resource as the client wants it, checked.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What is to be stored.
    pub attributes: Attributes,
    /// The members asked for, where the type has members and the body named them.
    pub members: Option<Vec<MemberRef>>,
    /// The password to set, where passwords are kept and the body has one. Without one the present password stays:
    /// nobody can read it, so nobody can send it along.
    pub password: Option<Password>,
    /// Attributes that the body names, with or without a value, by canonical name.
    named: Vec<String>,
    /// What was tolerated or left out.
    pub notes: Notes,
}

impl Draft {
    /// Whether the body names the attribute, be it as null.
    pub fn names(&self, attribute: &str) -> bool {
        self.named.iter().any(|name| name == attribute)
    }
}

/// Most elements of one multi-valued attribute, members apart.
pub const ELEMENTS_MAX: usize = 1_000;

/// Reads a new resource from the body of a create: `active` is true unless the body names it (RFC 7644 section 3.3).
///
/// # Errors
/// As for [`resource`].
pub fn new_resource(body: &Value, of: &ResourceType, rules: Rules) -> Result<Draft, Error> {
    let mut draft = resource(body, of, rules)?;
    let has_active = of.schema.attribute("active").is_some_and(|active| active.kind == Kind::Boolean);
    if has_active && !draft.names("active") {
        draft.attributes.insert("active".to_owned(), Value::Bool(true));
        draft.attributes = in_order(draft.attributes, of);
    }
    Ok(draft)
}

/// Reads a resource from the body of a create or replace.
///
/// # Errors
/// 400 invalidSyntax where the body is no object, 400 invalidValue for a value of the wrong kind or a required
/// attribute that is missing; strict rules also refuse what lenient ones mend.
pub fn resource(body: &Value, of: &ResourceType, rules: Rules) -> Result<Draft, Error> {
    let Value::Object(object) = body else {
        return Err(Error::syntax("the body must be a JSON object that describes one resource"));
    };
    let mut reading = Reading { rules, nulls: Nulls::Drop, notes: Notes::default() };
    check_schemas(object, of, &mut reading)?;
    let mut draft =
        Draft { attributes: Map::new(), members: None, password: None, named: Vec::new(), notes: Notes::default() };
    let mut found = Map::new();
    for (name, value) in object {
        reading.top_level(name, value, of, &mut found, &mut draft)?;
    }
    draft.attributes = in_order(found, of);
    draft.notes = reading.notes;
    check_required(&draft.attributes, of)?;
    Ok(draft)
}

/// Fails unless every required attribute has a value, and every required extension is there (RFC 7643 sections 6 and 7).
///
/// # Errors
/// 400 invalidValue that names the attribute.
pub fn check_required(attributes: &Attributes, of: &ResourceType) -> Result<(), Error> {
    for attribute in of.schema.attributes.iter().filter(|attribute| attribute.required) {
        if attributes.get(&*attribute.name).is_none_or(is_blank) {
            return Err(Error::value(format!("{} is required and must not be empty", attribute.name)));
        }
    }
    for extension in &of.extensions {
        let given = attributes.get(&*extension.schema.id);
        if extension.required && given.is_none() {
            return Err(Error::value(format!("the extension {} is required", extension.schema.id)));
        }
        let Some(Value::Object(given)) = given else { continue };
        for attribute in extension.schema.attributes.iter().filter(|attribute| attribute.required) {
            if given.get(&*attribute.name).is_none_or(is_blank) {
                return Err(Error::value(format!("{}:{} is required", extension.schema.id, attribute.name)));
            }
        }
    }
    Ok(())
}

/// Whether a required attribute cannot have this value.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// Sorts attributes into the order of the schema tables; extensions follow in the order of the type.
pub fn in_order(mut found: Map<String, Value>, of: &ResourceType) -> Attributes {
    let mut sorted = Map::with_capacity(found.len());
    for attribute in COMMON.iter().chain(&of.schema.attributes) {
        if let Some(value) = found.swap_remove(&*attribute.name) {
            sorted.insert(attribute.name.clone().into_owned(), value);
        }
    }
    for extension in &of.extensions {
        if let Some(value) = found.swap_remove(&*extension.schema.id) {
            sorted.insert(extension.schema.id.clone().into_owned(), value);
        }
    }
    sorted
}

/// RFC 7643 section 3: a resource says which schemas apply. Many clients name old or foreign ones,
/// so the list is a hint unless the rules are strict; the answer always names the true ones.
fn check_schemas(object: &Map<String, Value>, of: &ResourceType, reading: &mut Reading) -> Result<(), Error> {
    let given = object.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas")).map(|(_, value)| value);
    let uris = match given {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Error::value("schemas must be an array of URIs")),
    };
    let mut names_base = false;
    for uri in uris {
        let Value::String(uri) = uri else { return Err(Error::value("schemas must hold URIs only")) };
        names_base |= uri.eq_ignore_ascii_case(&of.schema.id);
        if !uri.eq_ignore_ascii_case(&of.schema.id) && of.extension(uri).is_none() {
            if reading.rules.strict {
                return Err(Error::syntax(format!("schemas names a schema that {} does not have", of.name)));
            }
            reading.notes.add("schemas: foreign URI ignored");
        }
    }
    if !names_base {
        if reading.rules.strict {
            return Err(Error::syntax(format!("schemas must name {}", of.schema.id)));
        }
        reading.notes.add("schemas: base schema assumed");
    }
    Ok(())
}

/// What a null sub-attribute becomes: nothing, or a null that tells PATCH to clear it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    Drop,
    Keep,
}

/// Where a value stands, for errors and notes; written out only where there is one.
pub(super) type Place<'a> = fmt::Arguments<'a>;

/// One reading of values against the tables.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) rules: Rules,
    pub(super) nulls: Nulls,
    pub(super) notes: Notes,
}

impl Reading {
    fn top_level(
        &mut self,
        name: &str,
        value: &Value,
        of: &ResourceType,
        found: &mut Map<String, Value>,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        if let Some(attribute) = of.attribute(name) {
            if attribute.name == "schemas" {
                return Ok(());
            }
            draft.named.push(attribute.name.clone().into_owned());
            if of.members().is_some_and(|members| members.name == attribute.name) {
                draft.members = Some(read_members(value, self)?);
            } else if self.keeps(attribute) {
                draft.password = self.password(attribute, value)?;
            } else if let Some(value) = self.stored_value(attribute, value, format_args!("{}", attribute.name))? {
                found.insert(attribute.name.clone().into_owned(), value);
            }
            return Ok(());
        }
        if let Some(schema) = of.extension(name) {
            if let Some(value) = self.extension(&schema.attributes, value, &schema.id)? {
                found.insert(schema.id.clone().into_owned(), value);
            }
            return Ok(());
        }
        self.unknown(name)
    }

    /// A value to store: `None` for what clients cannot write, and for what is never kept.
    pub(super) fn stored_value(
        &mut self,
        attribute: &Attribute,
        value: &Value,
        place: Place<'_>,
    ) -> Result<Option<Value>, Error> {
        if attribute.is_read_only() {
            // RFC 7644 section 3.3: read-only attributes in a body are ignored.
            return Ok(None);
        }
        let value = self.value(attribute, value, place)?;
        if attribute.mutability == Mutability::WriteOnly {
            if value.is_some() {
                self.notes.add(format!("{place}: accepted and thrown away"));
            }
            return Ok(None);
        }
        Ok(value)
    }

    /// The password to set, `None` where none is given.
    pub(super) fn password(&mut self, attribute: &Attribute, value: &Value) -> Result<Option<Password>, Error> {
        match self.value(attribute, value, format_args!("{}", attribute.name))? {
            Some(Value::String(text)) => Ok(Some(Password::Clear(password::read(&text)?))),
            _ => Ok(None),
        }
    }

    /// Whether the attribute is the user's password, and wanted.
    pub(super) fn keeps(&self, attribute: &Attribute) -> bool {
        self.rules.keep_passwords && attribute.mutability == Mutability::WriteOnly && attribute.name == "password"
    }

    /// RFC 7644 section 3.1 lets a service provider ignore what no schema knows.
    pub(super) fn unknown(&mut self, name: &str) -> Result<(), Error> {
        let shown: String = name.chars().take(60).collect();
        if self.rules.strict {
            return Err(Error::syntax(format!("no schema of this resource has an attribute {shown:?}")));
        }
        self.notes.add("unknown attribute ignored");
        Ok(())
    }

    pub(super) fn extension(
        &mut self,
        attributes: &[Attribute],
        value: &Value,
        uri: &str,
    ) -> Result<Option<Value>, Error> {
        match value {
            Value::Null => Ok(None),
            Value::Object(object) => {
                let read = self.object(attributes, object, format_args!("{uri}"), None)?;
                Ok((!read.is_empty()).then_some(Value::Object(read)))
            }
            _ => Err(Error::value(format!("{uri} must be an object"))),
        }
    }

    /// A value of the attribute's kind, or `None` where nothing is assigned (RFC 7643 section 2.5: null and [] are nothing).
    pub(super) fn value(
        &mut self,
        attribute: &Attribute,
        value: &Value,
        place: Place<'_>,
    ) -> Result<Option<Value>, Error> {
        if !attribute.multi_valued {
            return self.single(attribute, value, place);
        }
        let items = match value {
            Value::Null => return Ok(None),
            Value::Array(items) => items.as_slice(),
            single if self.rules.strict => {
                return Err(wrong_kind(place, "an array", single));
            }
            // OneLogin sends `emails` as one object.
            single => std::slice::from_ref(single),
        };
        check_length(items, place)?;
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            if let Some(item) = self.single(attribute, item, place)? {
                push_distinct(&mut list, item);
            }
        }
        self.keep_one_primary(&mut list, place)?;
        Ok((!list.is_empty()).then_some(Value::Array(list)))
    }

    /// RFC 7643 section 2.4: at most one element is primary.
    fn keep_one_primary(&mut self, list: &mut [Value], place: Place<'_>) -> Result<(), Error> {
        let mut seen = false;
        for item in list.iter_mut().filter(|item| item.get("primary") == Some(&Value::Bool(true))) {
            if seen {
                if self.rules.strict {
                    return Err(Error::value(format!("{place} has more than one primary value")));
                }
                item["primary"] = Value::Bool(false);
                self.notes.add(format!("{place}: first primary kept"));
            }
            seen = true;
        }
        Ok(())
    }

    /// One value, or one element of a list.
    pub(super) fn single(
        &mut self,
        attribute: &Attribute,
        value: &Value,
        place: Place<'_>,
    ) -> Result<Option<Value>, Error> {
        if value.is_null() {
            return Ok(None);
        }
        match attribute.kind {
            Kind::Complex => self.complex(attribute, value, place),
            Kind::Boolean => self.boolean(value, place).map(Some),
            kind => {
                let value = simple(kind, value, place)?;
                self.check_canonical(attribute, &value, place)?;
                self.check_format(attribute, &value, place)?;
                Ok(Some(value))
            }
        }
    }

    /// RFC 7643 section 2.3.1 lets canonical values restrict the input; only the interop profile does.
    fn check_canonical(&self, attribute: &Attribute, value: &Value, place: Place<'_>) -> Result<(), Error> {
        let words = &attribute.canonical_values;
        let is_known = |text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        if self.rules.strict && !words.is_empty() && !value.as_str().is_some_and(is_known) {
            return Err(Error::value(format!("{place} must be one of {}", words.join(", "))));
        }
        Ok(())
    }

    fn check_format(&self, attribute: &Attribute, value: &Value, place: Place<'_>) -> Result<(), Error> {
        match (attribute.format, value.as_str()) {
            (Some(format), Some(text)) if self.rules.strict && !format.fits(text) => {
                Err(wrong_kind(place, format.wanted(), value))
            }
            _ => Ok(()),
        }
    }

    fn boolean(&mut self, value: &Value, place: Place<'_>) -> Result<Value, Error> {
        match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(text) if !self.rules.strict => match dialect::boolean_text(text) {
                Some(flag) => {
                    self.notes.add(format!("{place}: text read as a boolean"));
                    Ok(Value::Bool(flag))
                }
                None => Err(wrong_kind(place, "true or false", value)),
            },
            _ => Err(wrong_kind(place, "true or false", value)),
        }
    }

    fn complex(&mut self, attribute: &Attribute, value: &Value, place: Place<'_>) -> Result<Option<Value>, Error> {
        let mut mended;
        let object = match value {
            Value::Object(object) => object,
            _ if self.rules.strict => return Err(wrong_kind(place, "an object", value)),
            other => {
                mended = mend(attribute, other).ok_or_else(|| wrong_kind(place, "an object", other))?;
                let Value::Object(object) = &mut mended else { return Err(wrong_kind(place, "an object", other)) };
                self.notes.add(format!("{place}: taken as an object"));
                object
            }
        };
        let mut read = self.object(&attribute.sub_attributes, object, place, Some(attribute))?;
        if !self.rules.strict {
            if dialect::unpack_role(attribute, &mut read) {
                self.notes.add(format!("{place}: JSON text unpacked"));
            }
            if dialect::refers_to_nobody(attribute, &read) {
                return Ok(None);
            }
        }
        Ok((!read.is_empty()).then_some(Value::Object(read)))
    }

    /// The parts of an object, in the order of the table.
    fn object(
        &mut self,
        attributes: &[Attribute],
        object: &Map<String, Value>,
        place: Place<'_>,
        of: Option<&Attribute>,
    ) -> Result<Map<String, Value>, Error> {
        let mut slots: Vec<Option<Value>> = vec![None; attributes.len()];
        for (name, value) in object {
            let known =
                attributes.iter().position(|attribute| attribute.name.eq_ignore_ascii_case(name)).or_else(|| {
                    let other = of.filter(|_| !self.rules.strict).and_then(|of| dialect::other_name(of, name))?;
                    attributes.iter().position(|attribute| attribute.name == other.name)
                });
            let Some(index) = known else {
                self.unknown(name)?;
                continue;
            };
            let attribute = &attributes[index];
            let read = if of.is_some() {
                self.stored_value(attribute, value, format_args!("{place}.{}", attribute.name))
            } else {
                self.stored_value(attribute, value, format_args!("{place}:{}", attribute.name))
            }?;
            let clears = read.is_none() && !attribute.is_read_only() && self.nulls == Nulls::Keep;
            slots[index] = if clears { Some(Value::Null) } else { read.or(slots[index].take()) };
        }
        let named = attributes.iter().zip(slots);
        Ok(named
            .filter_map(|(attribute, slot)| slot.map(|value| (attribute.name.clone().into_owned(), value)))
            .collect())
    }
}

/// An object made of what some clients send in its stead.
fn mend(attribute: &Attribute, value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => {
            dialect::text_as_reference(attribute, text).or_else(|| dialect::word_as_element(attribute, text))
        }
        Value::Array(items) if !attribute.multi_valued => match dialect::only_item(&mut items.clone())? {
            Value::String(text) => dialect::text_as_reference(attribute, &text),
            item => Some(item),
        },
        _ => None,
    }
}

/// Values that are neither boolean nor complex (RFC 7643 section 2.3).
fn simple(kind: Kind, value: &Value, place: Place<'_>) -> Result<Value, Error> {
    let fits = match (kind, value) {
        (Kind::String | Kind::Reference, Value::String(_)) | (Kind::Decimal, Value::Number(_)) => true,
        (Kind::Integer, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (Kind::DateTime, Value::String(text)) => instant::instant(text).is_some(),
        (Kind::Binary, Value::String(text)) => is_base64(text),
        _ => false,
    };
    if fits { Ok(value.clone()) } else { Err(wrong_kind(place, wanted(kind), value)) }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "text",
        Kind::Reference => "a URI as text",
        Kind::Decimal => "a number",
        Kind::Integer => "a whole number",
        Kind::DateTime => "a dateTime such as 2026-01-31T12:00:00Z",
        Kind::Binary => "base64 text",
        Kind::Boolean => "true or false",
        Kind::Complex => "an object",
    }
}

/// RFC 7643 section 2.3.6: base64; the padding may be missing, and line breaks occur in certificates.
fn is_base64(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let body = text.trim_end().trim_end_matches('=');
    let padding = text.trim_end().len() - body.len();
    let valid =
        body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte) || byte.is_ascii_whitespace());
    let length = digits.count() - padding;
    valid && padding <= 2 && length % 4 != 1 && (padding == 0 || (length + padding).is_multiple_of(4))
}

pub(super) fn wrong_kind(place: Place<'_>, wanted: &str, found: &Value) -> Error {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text that does not fit",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Error::value(format!("{place} must be {wanted}, found {found}"))
}

/// Appends an element, or completes the one that is the same (RFC 7643 section 2.4: no two with equal type and value).
/// Returns where it is now.
pub(super) fn push_distinct(list: &mut Vec<Value>, item: Value) -> usize {
    let Some(index) = list.iter().position(|known| is_same_element(known, &item)) else {
        list.push(item);
        return list.len() - 1;
    };
    if let (Value::Object(known), Value::Object(item)) = (&mut list[index], item) {
        known.extend(item);
    }
    index
}

/// Fails where a list is longer than [`ELEMENTS_MAX`].
pub(super) fn check_length(items: &[Value], place: Place<'_>) -> Result<(), Error> {
    if items.len() > ELEMENTS_MAX {
        return Err(Error::too_large(format!("{place} may have at most {ELEMENTS_MAX} values")));
    }
    Ok(())
}

/// Same `value` and `type`; without a `value`, the same in every part.
fn is_same_element(left: &Value, right: &Value) -> bool {
    match (left.get("value"), right.get("value")) {
        (Some(a), Some(b)) => a == b && left.get("type") == right.get("type"),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests;
