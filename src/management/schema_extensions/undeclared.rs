//! Attributes that the identity provider of a configuration sends and no schema declares, and the declaration of a schema
//! from them. Values are not stored: they can be personal data.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{Error, Reason, Result};
use crate::management::configurations;
use crate::management::schema_extensions::{
    self, ExtensionChange, NewExtension, StoredExtension, extend_extension, load_resource_types,
};
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::named_enum::named_enum;
use crate::scim::path::AttrPath;
use crate::scim::schema::undeclared::DeclaredName;
use crate::scim::schema::{DataType, ResourceType};
use crate::scim::urn;
pub use crate::store::tables::undeclared_attributes::UndeclaredUse;
use crate::store::tables::{configurations as configuration_rows, undeclared_attributes as rows};
use crate::store::{Snapshot, Tx};

/// Maximum number of undeclared attributes of one configuration. The least recently seen ones leave.
pub const UNDECLARED_MAX: usize = 200;

named_enum! {
    /// Why an attribute cannot be declared.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DeclarationObstacle {
        /// It is part of a standard schema, which cannot be extended.
        StandardSchema = "standard_schema",
        /// Its schema extends another resource type.
        OtherResourceType = "other_resource_type",
        /// A schema cannot have an attribute with this name.
        InvalidName = "invalid_name",
        /// It is an object inside an object (RFC 7643 section 2.3.8 has one level).
        Nested = "nested",
    }
}

impl DeclarationObstacle {
    /// The obstacle in words.
    pub fn description(self) -> &'static str {
        match self {
            Self::StandardSchema => "it is part of a standard schema, which cannot be extended",
            Self::OtherResourceType => "its schema extends another resource type",
            Self::InvalidName => "a schema cannot have an attribute with this name",
            Self::Nested => "it is an object inside an object",
        }
    }
}

/// Where an attribute can be declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declarability {
    /// In the schema whose URN it is sent with.
    InSchema(String),
    /// It is sent without the URN of an extension: in any schema that the configuration adds.
    AnySchema,
    /// Not at all.
    Impossible(DeclarationObstacle),
}

/// An undeclared attribute, and where it can be declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeclaredEntry {
    /// The attribute and its calls.
    pub used: UndeclaredUse,
    /// Where it can be declared.
    pub declarability: Declarability,
}

/// An attribute to declare.
#[derive(Debug, Clone, Default)]
pub struct AttributeDeclaration {
    /// Name of the resource type.
    pub resource_type: String,
    /// Full path, as listed.
    pub name: String,
    /// Its type. `None` for the type of the value that was sent.
    pub kind: Option<DataType>,
    /// Whether it has a list of values. `None` if the value that was sent decides.
    pub multi_valued: Option<bool>,
    /// URN of the schema, for an attribute that is sent without one.
    pub schema: Option<String>,
}

/// Adds calls with undeclared attributes of a configuration. The least recently seen attributes beyond
/// [`UNDECLARED_MAX`] are removed. Does nothing if the configuration is deleted.
pub fn store_undeclared_use(tx: &Tx<'_>, configuration: i64, uses: &[UndeclaredUse]) -> Result<()> {
    if configuration_rows::find_configuration_by_key(tx, configuration)?.is_none() {
        return Ok(());
    }
    uses.iter().try_for_each(|used| rows::add_undeclared_use(tx, configuration, used))?;
    rows::delete_least_recent(tx, configuration, UNDECLARED_MAX).map(drop)
}

/// Returns the undeclared attributes of a configuration, ordered by resource type and name. `pending` are calls that are
/// not stored yet, by the key of the configuration.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_undeclared(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    id: &str,
    pending: impl FnOnce(i64) -> Vec<UndeclaredUse>,
) -> Result<Vec<UndeclaredEntry>> {
    let key = configurations::find_configuration(at, scope, id)?.key;
    let mut found = pending(key);
    for stored in rows::list_undeclared(at, key)? {
        match found.iter_mut().find(|one| one.has_name(&stored.resource_type, &stored.name)) {
            Some(known) => known.add(&stored),
            None => found.push(stored),
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let types = load_resource_types(at, key)?;
    let mut listed: Vec<UndeclaredEntry> = found.into_iter().filter_map(|used| build_entry(used, &types)).collect();
    listed.sort_by_key(entry_position);
    listed.truncate(UNDECLARED_MAX);
    Ok(listed)
}

/// The position of an entry in the list.
pub fn entry_position(entry: &UndeclaredEntry) -> (String, String) {
    (entry.used.resource_type.clone(), entry.used.name.to_lowercase())
}

/// Returns the entry of an attribute, or `None` if it is declared by now.
fn build_entry(used: UndeclaredUse, types: &[std::sync::Arc<ResourceType>]) -> Option<UndeclaredEntry> {
    let of = types.iter().find(|one| one.name == used.resource_type)?;
    let declarability = find_declarability(&used, of, types)?;
    Some(UndeclaredEntry { used, declarability })
}

/// Returns where an attribute can be declared, or `None` if it is declared by now.
fn find_declarability(
    used: &UndeclaredUse,
    of: &ResourceType,
    types: &[std::sync::Arc<ResourceType>],
) -> Option<Declarability> {
    let impossible = |obstacle| Some(Declarability::Impossible(obstacle));
    let name = DeclaredName::parse(&used.name);
    if let Ok(found) = AttrPath::parse(&used.name).and_then(|path| path.resolve(of)) {
        // A body with a standard attribute of an extension at the top level is not read as that attribute.
        let is_misplaced =
            name.schema.is_none() && found.extension.is_some_and(crate::scim::schema::Schema::is_standard);
        return if is_misplaced { impossible(DeclarationObstacle::StandardSchema) } else { None };
    }
    if !name.is_valid() {
        return impossible(DeclarationObstacle::InvalidName);
    }
    if name.sub.is_some() && used.kind == Some(DataType::Complex) {
        return impossible(DeclarationObstacle::Nested);
    }
    let Some(schema) = name.schema else {
        let is_standard = of.attribute(name.attribute).is_some();
        return if is_standard {
            impossible(DeclarationObstacle::StandardSchema)
        } else {
            Some(Declarability::AnySchema)
        };
    };
    if urn::is_standard(schema) {
        return impossible(DeclarationObstacle::StandardSchema);
    }
    let is_other = |other: &&std::sync::Arc<ResourceType>| other.name != of.name && other.extension(schema).is_some();
    if types.iter().any(|other| is_other(&other)) {
        return impossible(DeclarationObstacle::OtherResourceType);
    }
    Some(Declarability::InSchema(schema.to_owned()))
}

/// Declares listed attributes: adds their schemas, or extends those that the configuration has. Returns the schemas. They
/// are effective from the next request on.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope. `Invalid` if an attribute is not listed or
/// cannot be declared, or a schema would exceed a limit. It can fail after its first change: run it with `Store::write`.
pub fn declare_attributes(
    tx: &Tx<'_>,
    context: &AuditContext,
    id: &str,
    (chosen, pending): (&[AttributeDeclaration], &[UndeclaredUse]),
) -> Result<Vec<StoredExtension>> {
    if chosen.is_empty() {
        return Err(Reason::DeclarationEmpty.into());
    }
    let listed = list_undeclared(tx, &context.scope, id, |_| pending.to_vec())?;
    let mut plans: BTreeMap<(String, String), SchemaPlan> = BTreeMap::new();
    for declaration in chosen {
        let found = listed.iter().find(|one| one.used.has_name(&declaration.resource_type, &declaration.name));
        let found = found.ok_or_else(|| Reason::UndeclaredNotListed.with("name", quote_name(&declaration.name)))?;
        let schema = choose_schema(found, declaration)?;
        let key = (found.used.resource_type.clone(), schema.to_lowercase());
        let plan = plans.entry(key).or_insert_with(|| SchemaPlan::new(&found.used.resource_type, schema));
        plan.add(found, declaration, &listed);
    }
    let mut declared = Vec::new();
    for plan in plans.into_values() {
        declared.push(plan.write(tx, context, id)?);
    }
    delete_declared(tx, &context.scope, id)?;
    Ok(declared)
}

/// Deletes the rows of attributes that are declared by now.
fn delete_declared(tx: &Tx<'_>, scope: &AccountScope, id: &str) -> Result<()> {
    let key = configurations::find_configuration(tx, scope, id)?.key;
    let types = load_resource_types(tx, key)?;
    for used in rows::list_undeclared(tx, key)? {
        let of = types.iter().find(|one| one.name == used.resource_type);
        if of.is_none_or(|of| find_declarability(&used, of, &types).is_none()) {
            rows::delete_undeclared(tx, key, &used.resource_type, &used.name)?;
        }
    }
    Ok(())
}

fn quote_name(name: &str) -> String {
    format!("\"{}\"", crate::scim::path::shorten_text(name))
}

fn choose_schema(found: &UndeclaredEntry, declaration: &AttributeDeclaration) -> Result<String> {
    let name = || quote_name(&found.used.name);
    match (&found.declarability, &declaration.schema) {
        (Declarability::Impossible(obstacle), _) => {
            Err(Reason::UndeclaredImpossible.with("name", name()).with("obstacle", obstacle.description()))
        }
        (Declarability::InSchema(schema), None) => Ok(schema.clone()),
        (Declarability::InSchema(schema), Some(chosen)) if schema.eq_ignore_ascii_case(chosen) => Ok(schema.clone()),
        (Declarability::InSchema(schema), Some(_)) => {
            Err(Reason::DeclarationSchemaFixed.with("name", name()).with("schema", schema))
        }
        (Declarability::AnySchema, Some(chosen)) => Ok(chosen.clone()),
        (Declarability::AnySchema, None) => Err(Reason::DeclarationSchemaMissing.with("name", name())),
    }
}

/// The attributes to declare in one schema.
struct SchemaPlan {
    resource_type: String,
    schema: String,
    attributes: Vec<PlannedAttribute>,
}

/// An attribute or sub-attribute to declare.
#[derive(Debug, Clone)]
struct PlannedAttribute {
    name: String,
    kind: DataType,
    multi_valued: bool,
    parts: Vec<PlannedAttribute>,
}

impl PlannedAttribute {
    fn new(name: &str, kind: Option<DataType>, multi_valued: bool) -> Self {
        Self { name: name.to_owned(), kind: kind.unwrap_or(DataType::String), multi_valued, parts: Vec::new() }
    }

    fn to_document(&self) -> Value {
        let mut document = json!({"name": self.name, "type": self.kind.as_str(), "multiValued": self.multi_valued});
        if !self.parts.is_empty() {
            document["subAttributes"] = self.parts.iter().map(Self::to_document).collect();
        }
        document
    }
}

/// Returns the attribute with that name, case-insensitively; adds it if it is not planned.
fn plan_attribute(planned: &mut Vec<PlannedAttribute>, new: PlannedAttribute) -> &mut PlannedAttribute {
    let found = planned.iter().position(|one| one.name.eq_ignore_ascii_case(&new.name));
    let position = found.unwrap_or_else(|| {
        planned.push(new);
        planned.len() - 1
    });
    &mut planned[position]
}

impl SchemaPlan {
    fn new(resource_type: &str, schema: String) -> Self {
        Self { resource_type: resource_type.to_owned(), schema, attributes: Vec::new() }
    }

    /// Adds an attribute. A complex attribute gets its listed sub-attributes, and a sub-attribute its attribute.
    fn add(&mut self, found: &UndeclaredEntry, declaration: &AttributeDeclaration, listed: &[UndeclaredEntry]) {
        let (used, name) = (&found.used, DeclaredName::parse(&found.used.name));
        let kind = declaration.kind.or(used.kind);
        let multi_valued = declaration.multi_valued.unwrap_or(used.multi_valued);
        let container = used.name.strip_suffix(name.sub.unwrap_or_default()).unwrap_or_default().trim_end_matches('.');
        if let Some(sub) = name.sub {
            let whole = listed.iter().find(|one| one.used.has_name(&used.resource_type, container));
            let is_list = whole.is_some_and(|whole| whole.used.multi_valued);
            let new = PlannedAttribute::new(name.attribute, Some(DataType::Complex), is_list);
            let planned = plan_attribute(&mut self.attributes, new);
            planned.kind = DataType::Complex;
            let part = PlannedAttribute::new(sub, kind, multi_valued);
            let planned_part = plan_attribute(&mut planned.parts, part.clone());
            *planned_part = part;
            return;
        }
        let new = PlannedAttribute::new(name.attribute, kind, multi_valued);
        let planned = plan_attribute(&mut self.attributes, new);
        planned.multi_valued = multi_valued;
        if planned.parts.is_empty() {
            planned.kind = kind.unwrap_or(DataType::String);
        }
        if planned.kind != DataType::Complex {
            return;
        }
        let is_part = |one: &&UndeclaredEntry| {
            one.used.resource_type == used.resource_type && !matches!(one.declarability, Declarability::Impossible(_))
        };
        for part in listed.iter().filter(is_part) {
            let parsed = DeclaredName::parse(&part.used.name);
            let is_inside = parsed.attribute.eq_ignore_ascii_case(name.attribute) && parsed.schema == name.schema;
            if let (true, Some(sub)) = (is_inside, parsed.sub) {
                let part = PlannedAttribute::new(sub, part.used.kind, part.used.multi_valued);
                plan_attribute(&mut planned.parts, part);
            }
        }
    }

    /// Adds the schema, or extends the one that the configuration has.
    fn write(self, tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<StoredExtension> {
        let present = schema_extensions::list_extensions(tx, &context.scope, id)?;
        let Some(present) = present.into_iter().find(|row| row.id.eq_ignore_ascii_case(&self.schema)) else {
            let attributes: Vec<Value> = self.attributes.iter().map(PlannedAttribute::to_document).collect();
            let name = self.display_name();
            let document = json!({"id": self.schema, "name": name, "attributes": attributes});
            let new = NewExtension { resource_type: self.resource_type, required: false, document };
            return schema_extensions::add_extension(tx, context, id, &new);
        };
        if present.resource_type != self.resource_type {
            return Err(Reason::SchemaExists.with("id", &present.id));
        }
        let mut document: Value = serde_json::from_str(&present.document)
            .map_err(|problem| Error::undecodable(format_args!("stored schema {}", present.id), problem))?;
        if let Some(object) = document.as_object_mut() {
            self.attributes.iter().for_each(|planned| add_to_document(object, "attributes", planned));
        }
        let attributes = self.attributes.iter().map(|planned| planned.name.clone()).collect();
        extend_extension(tx, context, id, ExtensionChange { present, document, attributes })
    }

    /// The part of the URN that names the schema: not its version, and not the resource type.
    fn display_name(&self) -> &str {
        let is_name = |part: &&str| {
            !part.eq_ignore_ascii_case(&self.resource_type)
                && part.starts_with(|first: char| first.is_ascii_alphabetic())
        };
        self.schema.rsplit(':').find(is_name).unwrap_or(&self.schema)
    }
}

/// Adds an attribute to the list `member` of a schema document or attribute. If it has the attribute, adds the parts.
fn add_to_document(object: &mut Map<String, Value>, member: &str, planned: &PlannedAttribute) {
    let key = object.keys().find(|key| key.eq_ignore_ascii_case(member)).cloned().unwrap_or_else(|| member.to_owned());
    let list = object.entry(key).or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    let has_name = |one: &&mut Value| {
        one.get("name").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case(&planned.name))
    };
    match list.iter_mut().find(has_name).and_then(Value::as_object_mut) {
        Some(present) => planned.parts.iter().for_each(|part| add_to_document(present, "subAttributes", part)),
        None => list.push(planned.to_document()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::configuration_lifecycle::{
        NewConfiguration, create_configuration, delete_and_purge_configuration,
    };
    use crate::provisioning::purge;
    use crate::store::Store;

    fn use_of(name: &str, at: i64) -> UndeclaredUse {
        UndeclaredUse {
            resource_type: "User".to_owned(),
            name: name.to_owned(),
            kind: Some(DataType::String),
            multi_valued: false,
            calls: 1,
            refused: 0,
            first_seen: at,
            last_seen: at,
        }
    }

    #[test]
    fn the_least_recent_names_leave_and_a_purge_removes_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let new = NewConfiguration::sample("acme");
        let made = store.write_blocking(move |tx| create_configuration(tx, &AuditContext::server(), &new)).unwrap();
        let key = made.key;
        let write = |uses: Vec<UndeclaredUse>| {
            store.write_blocking(move |tx| store_undeclared_use(tx, key, &uses)).unwrap();
            store.read_inline(|at| rows::list_undeclared(at, key)).unwrap()
        };
        let number = |at: i64| use_of(&format!("n{at}"), at);
        assert_eq!(write((0..300).map(number).collect()).len(), UNDECLARED_MAX);
        let mut again = use_of("N299", 7);
        (again.kind, again.refused) = (None, 1);
        let stored = write(vec![again, use_of("new", 1_000)]);
        assert!(stored.len() == UNDECLARED_MAX && stored.iter().all(|one| one.last_seen > 100));
        let merged = stored.iter().find(|one| one.has_name("User", "n299")).unwrap();
        assert_eq!((merged.calls, merged.refused, merged.first_seen, merged.last_seen), (2, 1, 7, 299));
        assert_eq!(merged.kind, Some(DataType::String));
        let id = made.id;
        store
            .write_blocking(move |tx| delete_and_purge_configuration(tx, &AuditContext::server(), &id).map(drop))
            .unwrap();
        while let Some(purging) = store.read_inline(purge::find_next_purge).unwrap() {
            store.write_blocking(move |tx| purge::run_purge_step(tx, &purging, purge::ROWS_PER_STEP)).unwrap();
        }
        // Late counts of a deleted configuration are not stored.
        assert_eq!(write(vec![use_of("late", 2_000)]), []);
    }
}
