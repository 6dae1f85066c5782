//! Schemas as data (RFC 7643 sections 2 and 7): one table drives validation, filters, PATCH, projection,
//! the SQL compiler and the `/Schemas` document, so they cannot disagree.

use std::borrow::Cow;

use super::format::Format;

mod common;
mod enterprise_user;
mod group;
pub mod load;
mod resource_type;
mod user;

pub use common::COMMON;
pub use enterprise_user::ENTERPRISE_USER;
pub use group::GROUP;
pub use resource_type::{Extension, GROUP_TYPE, ResourceType, USER_TYPE, standard_type, standard_types};
pub use user::USER;

/// Text of a table: written in the program, or loaded at run time.
pub type Text = Cow<'static, str>;

/// Data type of an attribute (RFC 7643 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Unicode text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number with a fraction.
    Decimal,
    /// A whole number.
    Integer,
    /// An xsd:dateTime with date and time.
    DateTime,
    /// Base64 text.
    Binary,
    /// A URI.
    Reference,
    /// An object of sub-attributes.
    Complex,
}

impl Kind {
    /// The word of RFC 7643 section 7.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::DateTime => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        }
    }
}

/// Who may write an attribute, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    /// Never by a client.
    ReadOnly,
    /// At any time.
    ReadWrite,
    /// Once, when the resource or element is made.
    Immutable,
    /// Written and never read.
    WriteOnly,
}

impl Mutability {
    /// The word of RFC 7643 section 7.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::ReadWrite => "readWrite",
            Self::Immutable => "immutable",
            Self::WriteOnly => "writeOnly",
        }
    }
}

/// When an attribute is part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// Whatever is asked.
    Always,
    /// In no answer.
    Never,
    /// Unless projected away.
    Default,
    /// Only when named.
    Request,
}

impl Returned {
    /// The word of RFC 7643 section 7.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Default => "default",
            Self::Request => "request",
        }
    }
}

/// How far a value must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uniqueness {
    /// Not at all.
    None,
    /// Within the service provider; here that is the configuration.
    Server,
    /// Everywhere.
    Global,
}

impl Uniqueness {
    /// The word of RFC 7643 section 7.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Server => "server",
            Self::Global => "global",
        }
    }
}

/// One attribute or sub-attribute and its characteristics (RFC 7643 section 7).
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Canonical spelling.
    pub name: Text,
    /// What it is, for people.
    pub description: Text,
    /// Data type.
    pub kind: Kind,
    /// Whether the value is a list.
    pub multi_valued: bool,
    /// Whether a resource (or element) must have it.
    pub required: bool,
    /// Who may write it.
    pub mutability: Mutability,
    /// When it is answered.
    pub returned: Returned,
    /// How far it is unique.
    pub uniqueness: Uniqueness,
    /// Whether letter case counts in comparisons.
    pub case_exact: bool,
    /// Suggested values.
    pub canonical_values: Vec<Text>,
    /// What a reference may point to: resource type names, `external`, `uri`.
    pub reference_types: Vec<Text>,
    /// Sub-attributes of a complex attribute.
    pub sub_attributes: Vec<Attribute>,
    /// Whether the store keeps an index for `eq`.
    pub indexed: bool,
    /// What absence means in a filter: a missing `primary` is `false` (RFC 7643 section 2.4).
    pub absent_means: Option<bool>,
    /// What the strict preset insists on beyond the data type.
    pub format: Option<Format>,
    /// Whether the attribute is listed in `/Schemas`.
    pub listed: bool,
}

impl Attribute {
    fn new(kind: Kind, name: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            kind,
            multi_valued: false,
            required: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            case_exact: matches!(kind, Kind::Binary | Kind::Reference),
            canonical_values: Vec::new(),
            reference_types: Vec::new(),
            sub_attributes: Vec::new(),
            indexed: false,
            absent_means: None,
            format: None,
            listed: true,
        }
    }

    pub(crate) fn string(name: &'static str, description: &'static str) -> Self {
        Self::new(Kind::String, name, description)
    }

    pub(crate) fn boolean(name: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Boolean, name, description)
    }

    pub(crate) fn date_time(name: &'static str, description: &'static str) -> Self {
        Self::new(Kind::DateTime, name, description)
    }

    pub(crate) fn binary(name: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Binary, name, description)
    }

    /// Erratum 6001: references are compared with case.
    pub(crate) fn reference(name: &'static str, description: &'static str, to: &[&'static str]) -> Self {
        let mut attribute = Self::new(Kind::Reference, name, description);
        attribute.reference_types = to.iter().map(|word| Text::Borrowed(*word)).collect();
        attribute
    }

    pub(crate) fn complex(name: &'static str, description: &'static str, sub: Vec<Self>) -> Self {
        let mut attribute = Self::new(Kind::Complex, name, description);
        attribute.sub_attributes = sub;
        attribute
    }

    pub(crate) fn list(mut self) -> Self {
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

    pub(crate) fn always(mut self) -> Self {
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

    pub(crate) fn canonical(mut self, words: &[&'static str]) -> Self {
        self.canonical_values = words.iter().map(|word| Text::Borrowed(*word)).collect();
        self
    }

    pub(crate) fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }

    pub(crate) fn absent_means(mut self, value: bool) -> Self {
        self.absent_means = Some(value);
        self
    }

    pub(crate) fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    pub(crate) fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    /// The sub-attribute of that name, without regard to case (RFC 7643 section 2.1).
    pub fn sub(&self, name: &str) -> Option<&Attribute> {
        named(&self.sub_attributes, name)
    }

    /// The sub-attribute that a bare comparison means: `emails co "x"` is `emails.value co "x"`.
    pub fn default_sub(&self) -> Option<&Attribute> {
        self.sub("value")
    }

    /// Whether a client can never write it.
    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }
}

/// A schema: its URI and its attributes.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The URI, which is also the id of the Schema resource.
    pub id: Text,
    /// Short name.
    pub name: Text,
    /// What it describes, for people.
    pub description: Text,
    /// The attributes, in the order they are answered.
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// The attribute of that name, without regard to case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        named(&self.attributes, name)
    }
}

fn named<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
