//! Members of a body that are named by their full path, such as `urn:…:User:department` or `name.givenName`. Microsoft
//! Entra ID sends such names in PATCH, and some clients also send them in POST and PUT.

use serde_json::{Map, Value};

use super::{ResourceDraft, ValueReader};
use crate::error::Error;
use crate::scim::path::{AttrPath, ResolvedPath};
use crate::scim::schema::ResourceType;

impl ValueReader<'_> {
    /// Reads a member whose name is the path of an attribute. A value that the body also has in the usual form is ignored.
    pub(super) fn read_flattened(&mut self, name: &str, value: &Value, draft: &mut ResourceDraft) -> Result<(), Error> {
        let Some(ResolvedPath { extension, attribute: Some(attribute), sub }) = resolve_member(name, self.of) else {
            return Ok(());
        };
        let nested = sub.map(|sub| nest_value(&sub.name, value.clone()));
        match extension {
            None if sub.is_none() && draft.mentions(&attribute.name) => Ok(()),
            None if sub.is_none() => self.read_member(&attribute.name, value, draft).map(drop),
            None => {
                let nested = nested.unwrap_or_default();
                if let Some(read) = self.stored_value(attribute, &nested, format_args!("{}", attribute.name))? {
                    draft.mentioned.push(attribute.name.clone().into_owned());
                    add_absent(&mut draft.attributes, &attribute.name, read);
                }
                Ok(())
            }
            Some(schema) => {
                let object = nest_value(&attribute.name, nested.unwrap_or_else(|| value.clone()));
                if let Some(read) = self.extension(&schema.attributes, &object, &schema.id)? {
                    add_absent(&mut draft.attributes, &schema.id, read);
                }
                Ok(())
            }
        }
    }
}

/// Resolves the name of a member of a body that is not the name of an attribute or extension. A plain name is searched in
/// the extensions that the configuration has added: their attributes may arrive without the URN.
pub(super) fn resolve_member<'t>(name: &str, of: &'t ResourceType) -> Option<ResolvedPath<'t>> {
    let target = AttrPath::parse(name).ok()?.resolve(of).ok()?;
    let attribute = target.attribute?;
    if target.sub.is_some() && attribute.multi_valued {
        return None;
    }
    let is_plain = !name.contains([':', '.']);
    match target.extension {
        Some(schema) if is_plain && schema.is_standard() => None,
        _ => Some(target),
    }
}

/// Returns the value in the object that contains it.
fn nest_value(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// Adds the members that an object does not have, at both levels.
fn add_absent(object: &mut Map<String, Value>, name: &str, value: Value) {
    match (object.get_mut(name), value) {
        (Some(Value::Object(present)), Value::Object(added)) => {
            added.into_iter().for_each(|(name, value)| add_absent(present, &name, value));
        }
        (Some(_), _) => {}
        (None, value) => {
            object.insert(name.to_owned(), value);
        }
    }
}
