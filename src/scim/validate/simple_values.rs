//! Values that are not complex.

use serde_json::Value;

use super::{ValuePath, ValueReader};
use crate::error::{Error, Reason};
use crate::scim::dialect::{self, NoteCode};
use crate::scim::json::{wrong_boolean_error, wrong_type_error};
use crate::scim::schema::{Attribute, DataType};
use crate::scim::timestamp;

impl ValueReader<'_> {
    /// RFC 7643 section 2.3.1 allows a service provider to accept only canonical values. Only the interop profile does
    /// this.
    pub(super) fn check_canonical(
        &self,
        attribute: &Attribute,
        value: &Value,
        path: ValuePath<'_>,
    ) -> Result<(), Error> {
        let canonical = &attribute.canonical_values;
        let is_canonical = |text: &str| canonical.iter().any(|other| other.eq_ignore_ascii_case(text));
        if self.rules.strict && !canonical.is_empty() && !value.as_str().is_some_and(is_canonical) {
            return Err(Reason::ValueNotCanonical.on_field(path.to_string()).with("allowed", canonical.join(", ")));
        }
        Ok(())
    }

    pub(super) fn check_format(&self, attribute: &Attribute, value: &Value, path: ValuePath<'_>) -> Result<(), Error> {
        match (attribute.format, value.as_str()) {
            (Some(format), Some(text)) if self.rules.strict && !format.fits(text) => {
                Err(wrong_type_error(path, format.description(), value))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn boolean(&mut self, value: &Value, path: ValuePath<'_>) -> Result<Value, Error> {
        match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(text) if !self.rules.strict => match dialect::parse_boolean_text(text) {
                Some(flag) => {
                    self.notes.add_for(NoteCode::BooleanAsText, path);
                    Ok(Value::Bool(flag))
                }
                None => Err(wrong_boolean_error(path, value)),
            },
            _ => Err(wrong_boolean_error(path, value)),
        }
    }
}

/// Returns a value that is neither boolean nor complex (RFC 7643 section 2.3).
pub(super) fn read_simple(kind: DataType, value: &Value, path: ValuePath<'_>) -> Result<Value, Error> {
    let fits = match (kind, value) {
        (DataType::String | DataType::Reference, Value::String(_)) | (DataType::Decimal, Value::Number(_)) => true,
        (DataType::Integer, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (DataType::DateTime, Value::String(text)) => timestamp::parse_timestamp(text).is_some(),
        (DataType::Binary, Value::String(text)) => is_base64(text),
        _ => false,
    };
    if fits { Ok(value.clone()) } else { Err(wrong_type_error(path, describe_type(kind), value)) }
}

fn describe_type(kind: DataType) -> &'static str {
    match kind {
        DataType::String => "text",
        DataType::Reference => "a URI as text",
        DataType::Decimal => "a number",
        DataType::Integer => "a whole number",
        DataType::DateTime => "a dateTime such as 2026-01-31T12:00:00Z",
        DataType::Binary => "base64 text",
        DataType::Boolean => "true or false",
        DataType::Complex => "an object",
    }
}

/// RFC 7643 section 2.3.6: base64. Padding is optional; line breaks occur in certificates.
fn is_base64(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let body = text.trim_end().trim_end_matches('=');
    let padding = text.trim_end().len() - body.len();
    let valid =
        body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte) || byte.is_ascii_whitespace());
    let length = digits.count() - padding;
    valid && padding <= 2 && length % 4 != 1 && (padding == 0 || (length + padding).is_multiple_of(4))
}
