//! Parses the body of a PATCH into edits and checks all rules that do not depend on the stored document.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{AttributeChange, AttributeEdit, EditPath, Patch, PatchEdit, label_operation};
use crate::error::{Error, Reason, ScimType};
use crate::scim::dialect::{ActiveRemoval, DialectRules, NoteCode};
use crate::scim::filter::StringSyntax;
use crate::scim::members::{MemberEdit, read_members};
use crate::scim::password::PasswordChange;
use crate::scim::patch::path::PatchPath;
use crate::scim::path::{has_period_after_urn, is_unknown_path, shorten_text};
use crate::scim::schema::undeclared::{UndeclaredAttributes, UndeclaredSource};
use crate::scim::schema::{Attribute, DataType, Mutability, ResourceType};
use crate::scim::urn;
use crate::scim::validate::{NullHandling, ValueReader};

/// Maximum number of operations in one request.
pub const OPERATIONS_MAX: usize = 10_000;

/// Parses the body of a PATCH for a resource of this type.
///
/// # Errors
/// The errors of RFC 7644 section 3.5.2 and table 9: 400 invalidSyntax, invalidPath, invalidFilter, invalidValue,
/// noTarget (remove without path) or mutability; 413 above the limits. The detail begins with the number of the
/// operation.
pub fn parse_patch(body: &Value, of: &ResourceType, rules: DialectRules) -> Result<Patch, Error> {
    let Value::Object(object) = body else {
        return Err(Error::new(Reason::OperationsBodyNotObject));
    };
    let mut reader = PatchReader::new(of, rules);
    reader.check_schemas(find_member(object, "schemas"))?;
    let operations = match find_member(object, "Operations") {
        Some(Value::Array(operations)) => operations,
        Some(_) => return Err(Error::new(Reason::OperationsNotArray)),
        None => return Err(Error::new(Reason::OperationsMissing)),
    };
    if operations.is_empty() {
        // Microsoft's validator sends a PATCH without operations.
        if rules.strict {
            return Err(Error::new(Reason::OperationsEmpty));
        }
        reader.reading.notes.add(NoteCode::NoOperations);
    }
    if operations.len() > OPERATIONS_MAX {
        return Err(Reason::TooManyOperations.with("max", OPERATIONS_MAX));
    }
    for (index, operation) in operations.iter().enumerate() {
        reader.operation = index;
        reader.read_operation(operation).map_err(|error| error.within(&label_operation(index)))?;
    }
    let ValueReader { notes, undeclared, .. } = reader.reading;
    Ok(Patch { edits: reader.edits, password: reader.password, notes, undeclared })
}

impl UndeclaredSource for Patch {
    fn take_undeclared(&mut self) -> UndeclaredAttributes {
        std::mem::take(&mut self.undeclared)
    }

    fn collect_undeclared(body: &Value, of: &ResourceType) -> UndeclaredAttributes {
        let mut reader = PatchReader::new(of, DialectRules::LENIENT);
        let operations = body.as_object().and_then(|body| find_member(body, "Operations")).and_then(Value::as_array);
        for operation in operations.into_iter().flatten().take(OPERATIONS_MAX) {
            // Another mistake in the body does not matter here.
            let _ = reader.read_operation(operation);
        }
        reader.reading.undeclared
    }
}

fn find_member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatchOp {
    Add,
    Replace,
    Remove,
}

struct PatchReader<'t> {
    of: &'t ResourceType,
    operation: usize,
    edits: Vec<PatchEdit>,
    reading: ValueReader<'t>,
    password: Option<PasswordChange>,
}

impl<'t> PatchReader<'t> {
    fn new(of: &'t ResourceType, rules: DialectRules) -> Self {
        Self { of, operation: 0, edits: Vec::new(), reading: ValueReader::new(of, rules), password: None }
    }

    /// RFC 7644 section 3.5.2 requires the PatchOp URI; some clients omit it.
    fn check_schemas(&mut self, schemas: Option<&Value>) -> Result<(), Error> {
        let named = match schemas {
            None | Some(Value::Null) => false,
            Some(Value::Array(uris)) => {
                uris.iter().any(|uri| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(urn::PATCH_OP)))
            }
            Some(_) => return Err(Error::new(Reason::SchemasInvalid)),
        };
        if !named {
            if self.reading.rules.strict {
                return Err(Reason::SchemasIncomplete.with("schema", urn::PATCH_OP));
            }
            self.reading.notes.add(NoteCode::PatchOpAssumed);
        }
        Ok(())
    }

    fn read_operation(&mut self, operation: &Value) -> Result<(), Error> {
        let Value::Object(parts) = operation else {
            return Err(Error::new(Reason::OperationNotObject));
        };
        // Microsoft Entra ID sends "Add", "Replace" and "Remove".
        let op = match find_member(parts, "op") {
            Some(Value::String(name)) if name.eq_ignore_ascii_case("add") => PatchOp::Add,
            Some(Value::String(name)) if name.eq_ignore_ascii_case("replace") => PatchOp::Replace,
            Some(Value::String(name)) if name.eq_ignore_ascii_case("remove") => PatchOp::Remove,
            Some(_) => return Err(Error::new(Reason::OpUnknown)),
            None => return Err(Error::new(Reason::OpMissing)),
        };
        let value = find_member(parts, "value");
        if op == PatchOp::Add && value.is_none() {
            return Err(Error::new(Reason::AddWithoutValue));
        }
        match find_member(parts, "path") {
            None | Some(Value::Null) => self.read_operation_without_path(op, value),
            // An absent value is a mistake of the client; null clears the attribute (RFC 7643 section 2.5).
            Some(Value::String(_)) if op == PatchOp::Replace && value.is_none() => {
                Err(Error::new(Reason::ReplaceWithoutValue))
            }
            Some(Value::String(text)) => self.read_operation_with_path(op, text, value),
            Some(_) => Err(Error::new(Reason::PathNotText)),
        }
    }

    fn read_operation_with_path(&mut self, op: PatchOp, text: &str, value: Option<&Value>) -> Result<(), Error> {
        if self.reading.rules.strict && has_unusual_urn(text, self.of) {
            return Err(Reason::PathAttributeUnknown
                .with("path", shorten_text(text))
                .with("resource_type", &self.of.name));
        }
        let syntax = if self.reading.rules.strict { StringSyntax::Json } else { StringSyntax::Lenient };
        match PatchPath::parse_with(text, self.of, syntax) {
            Ok(path) => self.edit(op, &path, value.unwrap_or(&Value::Null), true),
            // An unknown attribute is skipped as in the body of a PUT, so that the other operations take effect.
            Err(problem)
                if is_unknown_path(&problem)
                    && !self.reading.rules.strict
                    && !selects_members(text, &problem, self.of) =>
            {
                let is_foreign = is_in_foreign_schema(text, self.of);
                let code =
                    if is_foreign { NoteCode::UnknownExtensionIgnored } else { NoteCode::UnknownAttributeIgnored };
                let name = remove_filter(text);
                self.reading.undeclared.add(self.of, &name, value.unwrap_or(&Value::Null));
                self.reading.notes.add_for(code, shorten_text(&name));
                Ok(())
            }
            // The attributes of the base schema, as if the operation had no path.
            Err(problem) if problem.reason() == Reason::PathWholeSchema && !self.reading.rules.strict => {
                self.read_operation_without_path(op, value)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Without a path, the member names of the value are the targets. Microsoft Entra ID sends paths as member names
    /// (`name.givenName`, `urn:…:User:department`).
    fn read_operation_without_path(&mut self, op: PatchOp, value: Option<&Value>) -> Result<(), Error> {
        if op == PatchOp::Remove {
            // RFC 7644 section 3.5.2.2.
            return Err(Error::new(Reason::RemoveWithoutPath));
        }
        if self.reading.rules.strict {
            return Err(Error::new(Reason::PathMissing));
        }
        let value = value.map(|value| self.reading.unwrap_list_of_one(value, format_args!("value")));
        let Some(Value::Object(parts)) = value else {
            return Err(Error::new(Reason::ValueNotObject));
        };
        for (name, value) in parts {
            match PatchPath::parse(name, self.of) {
                Ok(path) => self.edit(op, &path, value, false)?,
                Err(problem) if problem.reason() == Reason::PathWholeSchema && value.is_object() => {
                    self.read_operation_without_path(op, Some(value))?;
                }
                Err(_) => self.reading.note_unknown(format_args!("{}", remove_filter(name)), value)?,
            }
        }
        Ok(())
    }

    fn edit(&mut self, op: PatchOp, path: &PatchPath<'_>, value: &Value, explicit: bool) -> Result<(), Error> {
        let target = &path.target;
        if let Some(attribute) = target.attribute {
            if attribute.name == "schemas" {
                return self.schemas_edit(op, value, explicit);
            }
            let sub_is_read_only = path.target.sub.is_some_and(Attribute::is_read_only);
            if attribute.is_read_only() || sub_is_read_only {
                // RFC 7644 section 3.5.2. Okta includes the id in the value object; it is ignored.
                return if explicit {
                    Err(Reason::AttributeReadOnly.on_field(path.target.to_string()))
                } else {
                    Ok(())
                };
            }
            if self.of.members().is_some_and(|members| members.name == attribute.name) {
                return self.member_edit(op, path, value);
            }
            if attribute.mutability == Mutability::WriteOnly {
                if target.extension.is_none() && self.reading.is_stored_password(attribute) {
                    // The last operation on the password takes precedence.
                    let given = self.reading.password(attribute, value)?.filter(|_| op != PatchOp::Remove);
                    self.password = Some(given.unwrap_or(PasswordChange::Remove));
                    return Ok(());
                }
                if path.element.is_none() && path.target.sub.is_none() {
                    self.reading.value(attribute, value, format_args!("{}", attribute.name))?;
                }
                self.reading.notes.add_for(NoteCode::ValueDiscarded, &attribute.name);
                return Ok(());
            }
        }
        let is_whole_element = path.element.is_some() && path.target.sub.is_none();
        if self.reading.rules.strict && is_whole_element && op != PatchOp::Remove {
            return Err(Error::new(Reason::PathNeedsSubAttribute));
        }
        let edit_path = build_edit_path(path);
        if let Some(change) = self.change(op, path, value, &edit_path)? {
            self.edits.push(PatchEdit::Attribute(Box::new(AttributeEdit {
                operation: self.operation,
                path: edit_path,
                change,
            })));
        }
        Ok(())
    }

    /// `schemas` is derived from the attributes of the resource, so an operation on it is valid or invalid but has no
    /// effect.
    fn schemas_edit(&mut self, op: PatchOp, value: &Value, explicit: bool) -> Result<(), Error> {
        let names_base = |value: &Value| value.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(&self.of.schema.id));
        let names_base = value.as_array().map_or_else(|| names_base(value), |uris| uris.iter().any(names_base));
        let loses_base = match op {
            PatchOp::Add => false,
            PatchOp::Replace => !names_base,
            PatchOp::Remove => names_base || value.is_null(),
        };
        if explicit && loses_base {
            return Err(Reason::SchemasImmutable.with("schema", &self.of.schema.id));
        }
        self.reading.notes.add(NoteCode::SchemasDerived);
        Ok(())
    }

    /// Returns the change of an operation; `None` if it adds nothing.
    fn change(
        &mut self,
        op: PatchOp,
        path: &PatchPath<'_>,
        value: &Value,
        edit_path: &EditPath,
    ) -> Result<Option<AttributeChange>, Error> {
        let ignores_null =
            path.target.extension.is_none() && path.target.attribute.is_some_and(Attribute::ignores_null);
        if op == PatchOp::Remove {
            return match self.reading.rules.active_removal {
                ActiveRemoval::Refuse if ignores_null => {
                    Err(Reason::AttributeNotRemovable.on_field(edit_path.to_string()))
                }
                ActiveRemoval::Keep if ignores_null => {
                    self.reading.notes.add_for(NoteCode::ValueRetained, edit_path);
                    Ok(None)
                }
                _ => self.removal(path, value).map(Some),
            };
        }
        let named = self.named_value(path, value, edit_path)?;
        if named.is_none() && ignores_null {
            return self.reading.ignore_null(format_args!("{edit_path}")).map(|()| None);
        }
        let container = path.target.attribute.is_none_or(|attribute| attribute.multi_valued);
        let adds_nothing = op == PatchOp::Add && (!value.is_null() || (container && path.target.sub.is_none()));
        Ok(match named {
            Some(value) => Some(build_change(op, value)),
            // RFC 7644 section 3.5.2.1: an empty list or object adds nothing; existing values do not change.
            None if adds_nothing => None,
            // RFC 7643 section 2.5: null and an empty list mean unassigned.
            None => Some(AttributeChange::Remove),
        })
    }

    /// Returns the value of an operation in canonical form; `None` if it assigns nothing.
    fn named_value(
        &mut self,
        path: &PatchPath<'_>,
        value: &Value,
        edit_path: &EditPath,
    ) -> Result<Option<Value>, Error> {
        let path_text = edit_path.to_string();
        let Some(attribute) = path.target.attribute else {
            let extension = path.target.extension.map(|schema| &*schema.attributes).unwrap_or_default();
            self.reading.nulls = NullHandling::Keep;
            let read = self.reading.extension(extension, value, &path_text);
            self.reading.nulls = NullHandling::Drop;
            return read;
        };
        let one_element = path.element.is_some();
        match path.target.sub {
            Some(sub) => self.reading.value(sub, value, format_args!("{path_text}")),
            None if attribute.kind == DataType::Complex && (one_element || !attribute.multi_valued) => {
                self.reading.nulls = NullHandling::Keep;
                let element = if one_element { unwrap_single(value) } else { value };
                let read = self.reading.single(attribute, element, format_args!("{path_text}"));
                self.reading.nulls = NullHandling::Drop;
                read
            }
            None => self.reading.value(attribute, value, format_args!("{path_text}")),
        }
    }

    /// Microsoft Entra ID and `OneLogin` remove elements of a list by listing them in `value`. If the server ignored
    /// the value, it would remove all elements.
    fn removal(&mut self, path: &PatchPath<'_>, value: &Value) -> Result<AttributeChange, Error> {
        let Some(attribute) = path.target.attribute else { return Ok(AttributeChange::Remove) };
        let whole_list = attribute.multi_valued && path.element.is_none() && path.target.sub.is_none();
        if !whole_list || value.is_null() || self.reading.rules.strict {
            return Ok(AttributeChange::Remove);
        }
        match self.reading.value(attribute, value, format_args!("{}", attribute.name))? {
            Some(Value::Array(listed)) => Ok(AttributeChange::RemoveListed(listed)),
            // An empty list removes no elements.
            _ => Ok(AttributeChange::RemoveListed(Vec::new())),
        }
    }

    fn member_edit(&mut self, op: PatchOp, path: &PatchPath<'_>, value: &Value) -> Result<(), Error> {
        if let Some(sub) = path.target.sub {
            // RFC 7643 section 4.2: members are added or removed; their sub-attributes are immutable.
            return Err(Reason::MemberAttributeImmutable.on_field(format!("members.{}", sub.name)));
        }
        let edit = match (op, &path.element) {
            (PatchOp::Remove, Some(element)) => match element.equal_terms().as_deref() {
                Some([("value", Value::String(id))]) => MemberEdit::Remove(vec![id.clone()]),
                _ => MemberEdit::RemoveWhere(Box::new(element.clone())),
            },
            (PatchOp::Remove, None) if value.is_null() || self.reading.rules.strict => MemberEdit::Replace(Vec::new()),
            (PatchOp::Remove, None) => {
                let listed = read_members(value, self.reading.rules.strict)?;
                MemberEdit::Remove(listed.into_iter().map(|member| member.id).collect())
            }
            (PatchOp::Add | PatchOp::Replace, Some(_)) => {
                return Err(Error::new(Reason::MemberImmutable));
            }
            (PatchOp::Add, None) => MemberEdit::Add(read_members(value, self.reading.rules.strict)?),
            (PatchOp::Replace, None) => MemberEdit::Replace(read_members(value, self.reading.rules.strict)?),
        };
        self.edits.push(PatchEdit::Members(self.operation, edit));
        Ok(())
    }
}

fn build_change(op: PatchOp, value: Value) -> AttributeChange {
    if op == PatchOp::Add { AttributeChange::Add(value) } else { AttributeChange::Replace(value) }
}

/// Returns the attribute that a path names, without the filter, which may contain personal data.
fn remove_filter(path: &str) -> Cow<'_, str> {
    match (path.find('['), path.rfind(']')) {
        (Some(open), Some(close)) if open < close => Cow::Owned(format!("{}{}", &path[..open], &path[close + 1..])),
        (Some(open), _) => Cow::Borrowed(&path[..open]),
        _ => Cow::Borrowed(path),
    }
}

/// Whether the error is in the filter of a path to members. It is never skipped: a client that removes members must not
/// be answered with success while they stay members.
fn selects_members(path: &str, problem: &Error, of: &ResourceType) -> bool {
    let container = path.split('[').next().and_then(|container| container.rsplit(':').next()).unwrap_or_default();
    let is_members = of.members().is_some_and(|members| members.name.eq_ignore_ascii_case(container));
    is_members && problem.scim_type() == Some(ScimType::InvalidFilter)
}

/// Whether a path is in a schema that this type does not have.
fn is_in_foreign_schema(path: &str, of: &ResourceType) -> bool {
    path.contains(':') && !of.schemas().any(|schema| begins_with(path, &schema.id))
}

/// Whether a path is in a schema of the type under an obsolete URN, or has a period after the URN.
fn has_unusual_urn(path: &str, of: &ResourceType) -> bool {
    of.schemas().any(|schema| {
        has_period_after_urn(path, schema) || schema.obsolete_ids().iter().any(|urn| begins_with(path, urn))
    })
}

fn begins_with(path: &str, urn: &str) -> bool {
    path.get(..urn.len()).is_some_and(|start| start.eq_ignore_ascii_case(urn))
}

/// Returns the element of a list with one element, else the value itself.
fn unwrap_single(value: &Value) -> &Value {
    match value {
        Value::Array(items) if items.len() == 1 => &items[0],
        other => other,
    }
}

fn build_edit_path(path: &PatchPath<'_>) -> EditPath {
    EditPath {
        extension: path.target.extension.map(|schema| schema.id.clone().into_owned()),
        attribute: path.target.attribute.map(|attribute| attribute.name.clone().into_owned()),
        filter: path.element.clone(),
        sub: path.target.sub.map(|sub| sub.name.clone().into_owned()),
    }
}
