//! From the body of a PATCH to edits: every rule that needs no document is settled here.

use serde_json::{Map, Value};

use super::{AttributeEdit, Change, Edit, Patch, Place, label};
use crate::scim::dialect::{Notes, Rules};
use crate::scim::members::{MemberEdit, read_members};
use crate::scim::password::Password;
use crate::scim::patch_path::PatchPath;
use crate::scim::schema::{Attribute, Kind, Mutability, ResourceType};
use crate::scim::validate::{Nulls, Reading};
use crate::scim::{Error, urn};

/// Most operations in one request.
pub const OPERATIONS_MAX: usize = 10_000;

/// Reads the body of a PATCH for a resource of this type.
///
/// # Errors
/// What RFC 7644 section 3.5.2 and table 9 say, the detail led by the operation's number: invalidSyntax,
/// invalidPath, invalidFilter, invalidValue, noTarget (a removal without path), mutability; 413 above the limits.
pub fn read(body: &Value, of: &ResourceType, rules: Rules) -> Result<Patch, Error> {
    let Value::Object(object) = body else {
        return Err(Error::syntax("the body must be a JSON object with Operations"));
    };
    let mut reader = Reader {
        of,
        operation: 0,
        edits: Vec::new(),
        reading: Reading { rules, nulls: Nulls::Drop, notes: Notes::default() },
        password: None,
    };
    reader.check_schemas(member(object, "schemas"))?;
    let operations = match member(object, "Operations") {
        Some(Value::Array(operations)) if !operations.is_empty() => operations,
        Some(Value::Array(_)) => return Err(Error::syntax("Operations must not be empty")),
        Some(_) => return Err(Error::syntax("Operations must be an array")),
        None => return Err(Error::syntax("the body must have Operations")),
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(Error::too_large(format!("one request may hold at most {OPERATIONS_MAX} operations")));
    }
    for (index, operation) in operations.iter().enumerate() {
        reader.operation = index;
        reader.read_operation(operation).map_err(|error| error.within(&label(index)))?;
    }
    Ok(Patch { edits: reader.edits, password: reader.password, notes: reader.reading.notes })
}

fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

struct Reader<'t> {
    of: &'t ResourceType,
    operation: usize,
    edits: Vec<Edit>,
    reading: Reading,
    password: Option<Password>,
}

impl Reader<'_> {
    /// RFC 7644 section 3.5.2 asks for the PatchOp URI; some clients leave it out.
    fn check_schemas(&mut self, schemas: Option<&Value>) -> Result<(), Error> {
        let named = match schemas {
            None | Some(Value::Null) => false,
            Some(Value::Array(uris)) => {
                uris.iter().any(|uri| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(urn::PATCH_OP)))
            }
            Some(_) => return Err(Error::syntax("schemas must be an array of URIs")),
        };
        if !named {
            if self.reading.rules.strict {
                return Err(Error::syntax(format!("schemas must name {}", urn::PATCH_OP)));
            }
            self.reading.notes.add("schemas: PatchOp assumed");
        }
        Ok(())
    }

    fn read_operation(&mut self, operation: &Value) -> Result<(), Error> {
        let Value::Object(parts) = operation else { return Err(Error::syntax("an operation must be an object")) };
        // Microsoft Entra ID capitalises the words.
        let op = match member(parts, "op") {
            Some(Value::String(word)) if word.eq_ignore_ascii_case("add") => Op::Add,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("replace") => Op::Replace,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("remove") => Op::Remove,
            Some(_) => return Err(Error::syntax("op must be add, replace or remove")),
            None => return Err(Error::syntax("op is missing: add, replace or remove")),
        };
        let value = member(parts, "value");
        if op == Op::Add && value.is_none() {
            return Err(Error::value("add needs a value"));
        }
        match member(parts, "path") {
            None | Some(Value::Null) => self.without_path(op, value),
            Some(Value::String(text)) => self.with_path(op, text, value),
            Some(_) => Err(Error::path("path must be text")),
        }
    }

    fn with_path(&mut self, op: Op, text: &str, value: Option<&Value>) -> Result<(), Error> {
        match PatchPath::parse(text, self.of) {
            Ok(path) => self.edit(op, &path, value.unwrap_or(&Value::Null), true),
            // An extension that is not served here cannot hold back the rest of the request.
            Err(problem) if problem.is_unknown() && !self.reading.rules.strict && is_foreign(text, self.of) => {
                self.reading.notes.add("path: unknown extension ignored");
                Ok(())
            }
            Err(problem) => Err(problem.into()),
        }
    }

    /// Without a path the value names its targets. Microsoft Entra ID writes paths as names there
    /// (`name.givenName`, `urn:…:User:department`).
    fn without_path(&mut self, op: Op, value: Option<&Value>) -> Result<(), Error> {
        if op == Op::Remove {
            // RFC 7644 section 3.5.2.2.
            return Err(Error::no_target("remove needs a path"));
        }
        if self.reading.rules.strict {
            return Err(Error::syntax("an operation needs a path"));
        }
        let Some(Value::Object(parts)) = value else {
            return Err(Error::value("without a path the value must be an object of attributes"));
        };
        for (name, value) in parts {
            match PatchPath::parse(name, self.of) {
                Ok(path) => self.edit(op, &path, value, false)?,
                Err(_) => self.reading.unknown(name)?,
            }
        }
        Ok(())
    }

    fn edit(&mut self, op: Op, path: &PatchPath<'_>, value: &Value, explicit: bool) -> Result<(), Error> {
        let target = &path.target;
        if let Some(attribute) = target.attribute {
            if attribute.name == "schemas" {
                return self.schemas_edit(op, value, explicit);
            }
            let sub_is_read_only = path.target.sub.is_some_and(Attribute::is_read_only);
            if attribute.is_read_only() || sub_is_read_only {
                // RFC 7644 section 3.5.2. Okta sends the id along in a value object; that changes nothing.
                return if explicit { Err(Error::mutability(format!("{} is read-only", path.target))) } else { Ok(()) };
            }
            if self.of.members().is_some_and(|members| members.name == attribute.name) {
                return self.member_edit(op, path, value);
            }
            if attribute.mutability == Mutability::WriteOnly {
                if target.extension.is_none() && self.reading.keeps(attribute) {
                    // Of two operations on the password the later one counts.
                    let given = self.reading.password(attribute, value)?.filter(|_| op != Op::Remove);
                    self.password = Some(given.unwrap_or(Password::Removed));
                    return Ok(());
                }
                if path.element.is_none() && path.target.sub.is_none() {
                    self.reading.value(attribute, value, format_args!("{}", attribute.name))?;
                }
                self.reading.notes.add(format!("{}: accepted and thrown away", attribute.name));
                return Ok(());
            }
        }
        let is_whole_element = path.element.is_some() && path.target.sub.is_none();
        if self.reading.rules.strict && is_whole_element && op != Op::Remove {
            return Err(Error::path("a path with a filter must end in a sub-attribute"));
        }
        let place = place(path);
        if let Some(change) = self.change(op, path, value, &place)? {
            self.edits.push(Edit::Attribute(Box::new(AttributeEdit { operation: self.operation, place, change })));
        }
        Ok(())
    }

    /// `schemas` follows from what the resource holds, so an edit of it is right or wrong but never does anything.
    fn schemas_edit(&mut self, op: Op, value: &Value, explicit: bool) -> Result<(), Error> {
        let names_base = |value: &Value| value.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(&self.of.schema.id));
        let names_base = value.as_array().map_or_else(|| names_base(value), |uris| uris.iter().any(names_base));
        let loses_base = match op {
            Op::Add => false,
            Op::Replace => !names_base,
            Op::Remove => names_base || value.is_null(),
        };
        if explicit && loses_base {
            return Err(Error::mutability(format!("schemas must keep {}", self.of.schema.id)));
        }
        self.reading.notes.add("schemas: follows from the attributes");
        Ok(())
    }

    /// What an operation changes; `None` where it adds nothing.
    fn change(&mut self, op: Op, path: &PatchPath<'_>, value: &Value, place: &Place) -> Result<Option<Change>, Error> {
        if op == Op::Remove {
            return self.removal(path, value).map(Some);
        }
        let named = self.named_value(path, value, place)?;
        let container = path.target.attribute.is_none_or(|attribute| attribute.multi_valued);
        let adds_nothing = op == Op::Add && (!value.is_null() || (container && path.target.sub.is_none()));
        Ok(match named {
            Some(value) => Some(changed(op, value)),
            // RFC 7644 section 3.5.2.1: an empty list or object adds nothing, and what is there stays.
            None if adds_nothing => None,
            // RFC 7643 section 2.5: null, and a list without elements, is no value.
            None => Some(Change::Remove),
        })
    }

    /// The value of an operation in canonical form, `None` where nothing is assigned.
    fn named_value(&mut self, path: &PatchPath<'_>, value: &Value, place: &Place) -> Result<Option<Value>, Error> {
        let shown = place.to_string();
        let Some(attribute) = path.target.attribute else {
            let extension = path.target.extension.map(|schema| &*schema.attributes).unwrap_or_default();
            self.reading.nulls = Nulls::Keep;
            let read = self.reading.extension(extension, value, &shown);
            self.reading.nulls = Nulls::Drop;
            return read;
        };
        let one_element = path.element.is_some();
        match path.target.sub {
            Some(sub) => self.reading.value(sub, value, format_args!("{shown}")),
            None if attribute.kind == Kind::Complex && (one_element || !attribute.multi_valued) => {
                self.reading.nulls = Nulls::Keep;
                let element = if one_element { only(value) } else { value };
                let read = self.reading.single(attribute, element, format_args!("{shown}"));
                self.reading.nulls = Nulls::Drop;
                read
            }
            None => self.reading.value(attribute, value, format_args!("{shown}")),
        }
    }

    /// Microsoft Entra ID and `OneLogin` remove elements of a list by naming them in `value`; a server that
    /// ignored the value would empty the list.
    fn removal(&mut self, path: &PatchPath<'_>, value: &Value) -> Result<Change, Error> {
        let Some(attribute) = path.target.attribute else { return Ok(Change::Remove) };
        let whole_list = attribute.multi_valued && path.element.is_none() && path.target.sub.is_none();
        if !whole_list || value.is_null() || self.reading.rules.strict {
            return Ok(Change::Remove);
        }
        match self.reading.value(attribute, value, format_args!("{}", attribute.name))? {
            Some(Value::Array(listed)) => Ok(Change::RemoveListed(listed)),
            // An empty list names nobody.
            _ => Ok(Change::RemoveListed(Vec::new())),
        }
    }

    fn member_edit(&mut self, op: Op, path: &PatchPath<'_>, value: &Value) -> Result<(), Error> {
        if let Some(sub) = path.target.sub {
            // RFC 7643 section 4.2: an element comes or goes, its parts never change.
            return Err(Error::mutability(format!(
                "members.{} cannot be changed; remove the member and add another",
                sub.name
            )));
        }
        let edit = match (op, &path.element) {
            (Op::Remove, Some(element)) => match element.equal_terms().as_deref() {
                Some([("value", Value::String(id))]) => MemberEdit::Remove(vec![id.clone()]),
                _ => MemberEdit::RemoveWhere(Box::new(element.clone())),
            },
            (Op::Remove, None) if value.is_null() || self.reading.rules.strict => MemberEdit::Replace(Vec::new()),
            (Op::Remove, None) => {
                let listed = read_members(value, &mut self.reading)?;
                MemberEdit::Remove(listed.into_iter().map(|member| member.id).collect())
            }
            (Op::Add | Op::Replace, Some(_)) => {
                return Err(Error::mutability("a member cannot be changed; remove it and add another"));
            }
            (Op::Add, None) => MemberEdit::Add(read_members(value, &mut self.reading)?),
            (Op::Replace, None) => MemberEdit::Replace(read_members(value, &mut self.reading)?),
        };
        self.edits.push(Edit::Members(self.operation, edit));
        Ok(())
    }
}

fn changed(op: Op, value: Value) -> Change {
    if op == Op::Add { Change::Add(value) } else { Change::Replace(value) }
}

/// Whether a path lies in a schema that this type does not have.
fn is_foreign(path: &str, of: &ResourceType) -> bool {
    let ours = std::iter::once(&of.schema).chain(of.extensions.iter().map(|extension| &extension.schema));
    let begins_with = |uri: &str| path.get(..uri.len()).is_some_and(|start| start.eq_ignore_ascii_case(uri));
    path.contains(':') && !ours.into_iter().any(|schema| begins_with(&schema.id))
}

/// An element given as a list of one.
fn only(value: &Value) -> &Value {
    match value {
        Value::Array(items) if items.len() == 1 => &items[0],
        other => other,
    }
}

fn place(path: &PatchPath<'_>) -> Place {
    Place {
        extension: path.target.extension.map(|schema| schema.id.clone().into_owned()),
        attribute: path.target.attribute.map(|attribute| attribute.name.clone().into_owned()),
        filter: path.element.clone(),
        sub: path.target.sub.map(|sub| sub.name.clone().into_owned()),
    }
}
