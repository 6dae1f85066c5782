//! Schemas as data (RFC 7643 sections 2 and 7). Validation, filters, PATCH, projection, the SQL compiler and the
//! `/Schemas` document all use the same table, so they are always consistent.

use std::borrow::Cow;

use super::format::ValueFormat;
use super::urn;
use crate::named_enum::named_enum;

mod common;
mod enterprise_user;
mod group;
pub mod parse;
mod resource_type;
mod schema_view;
pub(crate) mod stored_attributes;
pub mod undeclared;
mod user;

pub use common::COMMON;
pub use enterprise_user::ENTERPRISE_USER;
pub use group::GROUP;
pub use resource_type::{
    GROUP_TYPE, ResourceType, ResourceTypeExtension, USER_TYPE, find_standard_type, standard_types,
};
pub use user::USER;

/// Text of a schema: built into the program, or loaded at run time.
pub type SchemaText = Cow<'static, str>;

named_enum! {
    /// Data type of an attribute (RFC 7643 section 2.3).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DataType {
        /// Unicode text.
        String = "string",
        /// `true` or `false`.
        Boolean = "boolean",
        /// A number with a fraction.
        Decimal = "decimal",
        /// A whole number.
        Integer = "integer",
        /// An xsd:dateTime with date and time.
        DateTime = "dateTime",
        /// Base64 text.
        Binary = "binary",
        /// A URI.
        Reference = "reference",
        /// An object of sub-attributes.
        Complex = "complex",
    }
}

named_enum! {
    /// Whether and when a client may write an attribute.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Mutability {
        /// A client cannot write it.
        ReadOnly = "readOnly",
        /// A client can write it at any time.
        ReadWrite = "readWrite",
        /// A client can write it only when it creates the resource or element.
        Immutable = "immutable",
        /// A client can write it but not read it.
        WriteOnly = "writeOnly",
    }
}

named_enum! {
    /// When an attribute is part of a response.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Returned {
        /// In every response.
        Always = "always",
        /// In no response.
        Never = "never",
        /// Unless the client excludes it.
        Default = "default",
        /// Only if the client names it.
        Request = "request",
    }
}

named_enum! {
    /// The scope in which a value must be unique.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Uniqueness {
        /// Not unique.
        None = "none",
        /// Unique within the service provider, which is the configuration here.
        Server = "server",
        /// Globally unique.
        Global = "global",
    }
}

/// One attribute or sub-attribute and its characteristics (RFC 7643 section 7).
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Canonical spelling.
    pub name: SchemaText,
    /// Human-readable description.
    pub description: SchemaText,
    /// Data type.
    pub kind: DataType,
    /// Whether the attribute has a list of values.
    pub multi_valued: bool,
    /// Whether a resource or element must have a value.
    pub required: bool,
    /// Whether and when a client may write it.
    pub mutability: Mutability,
    /// When it is part of a response.
    pub returned: Returned,
    /// The scope in which a value is unique.
    pub uniqueness: Uniqueness,
    /// Whether comparisons are case-sensitive.
    pub case_exact: bool,
    /// Suggested values.
    pub canonical_values: Vec<SchemaText>,
    /// Permitted targets of a reference: resource type names, `external`, `uri`.
    pub reference_types: Vec<SchemaText>,
    /// Sub-attributes of a complex attribute.
    pub sub_attributes: Vec<Attribute>,
    /// Whether the store has an index for `eq`.
    pub indexed: bool,
    /// The value of an absent attribute in a filter: an absent `primary` is `false` (RFC 7643 section 2.4).
    pub default_if_absent: Option<bool>,
    /// A text format that the strict preset enforces in addition to the data type.
    pub format: Option<ValueFormat>,
    /// Whether the attribute is listed in `/Schemas`.
    pub listed: bool,
    /// The resource type whose data the attribute repeats. Callers that may not read that type do not see it.
    pub source_type: Option<&'static str>,
}

impl Attribute {
    fn new(kind: DataType, name: impl Into<SchemaText>, description: impl Into<SchemaText>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            kind,
            multi_valued: false,
            required: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            case_exact: matches!(kind, DataType::Binary | DataType::Reference),
            canonical_values: Vec::new(),
            reference_types: Vec::new(),
            sub_attributes: Vec::new(),
            indexed: false,
            default_if_absent: None,
            format: None,
            listed: true,
            source_type: None,
        }
    }

    pub(crate) fn string(name: &'static str, description: &'static str) -> Self {
        Self::new(DataType::String, name, description)
    }

    pub(crate) fn boolean(name: &'static str, description: &'static str) -> Self {
        Self::new(DataType::Boolean, name, description)
    }

    pub(crate) fn date_time(name: &'static str, description: &'static str) -> Self {
        Self::new(DataType::DateTime, name, description)
    }

    pub(crate) fn binary(name: &'static str, description: &'static str) -> Self {
        Self::new(DataType::Binary, name, description)
    }

    /// Erratum 6001: the comparison of references is case-sensitive.
    pub(crate) fn reference(name: &'static str, description: &'static str, to: &[&'static str]) -> Self {
        let mut attribute = Self::new(DataType::Reference, name, description);
        attribute.reference_types = to.iter().map(|name| SchemaText::Borrowed(*name)).collect();
        attribute
    }

    pub(crate) fn complex(name: &'static str, description: &'static str, sub: Vec<Self>) -> Self {
        let mut attribute = Self::new(DataType::Complex, name, description);
        attribute.sub_attributes = sub;
        attribute
    }

    pub(crate) fn multi_valued(mut self) -> Self {
        self.multi_valued = true;
        self
    }

    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) fn read_only(mut self) -> Self {
        self.mutability = Mutability::ReadOnly;
        self
    }

    pub(crate) fn immutable(mut self) -> Self {
        self.mutability = Mutability::Immutable;
        self
    }

    pub(crate) fn write_only(mut self) -> Self {
        self.mutability = Mutability::WriteOnly;
        self.returned = Returned::Never;
        self
    }

    pub(crate) fn always_returned(mut self) -> Self {
        self.returned = Returned::Always;
        self
    }

    pub(crate) fn unique(mut self, uniqueness: Uniqueness) -> Self {
        self.uniqueness = uniqueness;
        self
    }

    pub(crate) fn case_exact(mut self) -> Self {
        self.case_exact = true;
        self
    }

    pub(crate) fn canonical(mut self, values: &[&'static str]) -> Self {
        self.canonical_values = values.iter().map(|value| SchemaText::Borrowed(*value)).collect();
        self
    }

    pub(crate) fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }

    pub(crate) fn default_if_absent(mut self, value: bool) -> Self {
        self.default_if_absent = Some(value);
        self
    }

    pub(crate) fn format(mut self, format: ValueFormat) -> Self {
        self.format = Some(format);
        self
    }

    pub(crate) fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    pub(crate) fn repeats(mut self, source_type: &'static str) -> Self {
        self.source_type = Some(source_type);
        self
    }

    /// Returns the sub-attribute with that name, case-insensitively (RFC 7643 section 2.1).
    pub fn sub_attribute(&self, name: &str) -> Option<&Attribute> {
        find_by_name(&self.sub_attributes, name)
    }

    /// Returns the sub-attribute that a comparison without sub-attribute uses: `emails co "x"` is
    /// `emails.value co "x"`.
    pub fn default_sub_attribute(&self) -> Option<&Attribute> {
        self.sub_attribute("value")
    }

    /// Whether an empty text cannot be its value.
    pub fn refuses_empty_text(&self) -> bool {
        !matches!(self.kind, DataType::String | DataType::Reference | DataType::Binary)
    }

    /// Whether null leaves its value unchanged: an empty value of a template must not change access, so `active` keeps its
    /// state.
    pub fn ignores_null(&self) -> bool {
        self.name == "active" && self.kind == DataType::Boolean
    }

    /// Whether clients cannot write it.
    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }
}

/// A schema: its URI and its attributes.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The URI, which is also the id of the Schema resource.
    pub id: SchemaText,
    /// Short name.
    pub name: SchemaText,
    /// Human-readable description.
    pub description: SchemaText,
    /// The attributes, in the order of the response.
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// Returns the attribute with that name, case-insensitively.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        find_by_name(&self.attributes, name)
    }

    /// Whether it is part of the standard, and not added by a configuration.
    pub fn is_standard(&self) -> bool {
        urn::is_standard(&self.id)
    }

    /// Returns URIs of earlier versions that some clients still send.
    pub fn obsolete_ids(&self) -> &'static [&'static str] {
        match &*self.id {
            urn::USER => &urn::OBSOLETE_USER,
            urn::GROUP => &urn::OBSOLETE_GROUP,
            urn::ENTERPRISE_USER => &urn::OBSOLETE_ENTERPRISE_USER,
            _ => &[],
        }
    }

    /// Whether a URI is the id of the schema or an obsolete one, in any case.
    pub fn has_id(&self, uri: &str) -> bool {
        self.id.eq_ignore_ascii_case(uri) || self.has_obsolete_id(uri)
    }

    /// Whether a URI is an obsolete id of the schema, in any case.
    pub fn has_obsolete_id(&self, uri: &str) -> bool {
        self.obsolete_ids().iter().any(|id| id.eq_ignore_ascii_case(uri))
    }
}

fn find_by_name<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
