//! The reader for all incoming JSON. It is stricter than `serde_json::Value`, which accepts duplicate keys and keeps
//! the last one: here a name may occur once, regardless of case (RFC 7643 section 2.1), and all sizes are limited.

mod layout;

use crate::error::{Error, Reason};
use crate::scim::path::shorten_text;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub use self::layout::JsonLayout;
use self::layout::create_map;

/// Maximum nesting depth of arrays and objects.
pub const DEPTH_MAX: usize = 64;
/// Maximum length of a string, in bytes.
pub const STRING_MAX_BYTES: usize = 64 * 1024;
/// Maximum number of values in one document: 100,000 members with four sub-attributes each, plus a reserve.
pub const VALUES_MAX: usize = 600_000;
/// Below this number of names a linear search for duplicates is faster than a set.
const LINEAR_SEARCH_MAX: usize = 24;

/// Parses one JSON document. Names that differ only in case are equal.
///
/// # Errors
/// 400 invalidSyntax for anything that is not one well-formed JSON text in UTF-8, for a name that occurs twice in
/// one object and for nesting deeper than [`DEPTH_MAX`]; 400 invalidValue for a NUL character; 413 above the other
/// limits.
pub fn parse_json(bytes: &[u8]) -> Result<Value, Error> {
    parse_json_with(bytes, &IGNORE_CASE, None)
}

/// Parses a document of which the layout is known: it uses no more memory than the layout says.
///
/// # Errors
/// Those of [`parse_json`].
pub fn parse_measured_json(bytes: &[u8], layout: &JsonLayout) -> Result<Value, Error> {
    parse_json_with(bytes, &IGNORE_CASE, Some(layout))
}

/// Parses a JSON document that is not SCIM: names that differ in case are different names.
///
/// # Errors
/// Those of [`parse_json`].
pub fn parse_case_exact_json(bytes: &[u8]) -> Result<Value, Error> {
    parse_json_with(bytes, &CASE_EXACT, None)
}

/// Like [`parse_case_exact_json`], for a document of which the layout is known.
///
/// # Errors
/// Those of [`parse_json`].
pub fn parse_measured_case_exact_json(bytes: &[u8], layout: &JsonLayout) -> Result<Value, Error> {
    parse_json_with(bytes, &CASE_EXACT, Some(layout))
}

/// How names are compared.
struct NameComparison {
    is_same: fn(&str, &str) -> bool,
    /// Returns the same key for equal names.
    key: fn(&str) -> String,
}

const IGNORE_CASE: NameComparison = NameComparison { is_same: str::eq_ignore_ascii_case, key: str::to_ascii_lowercase };
const CASE_EXACT: NameComparison = NameComparison { is_same: str::eq, key: str::to_owned };

fn parse_json_with(bytes: &[u8], names: &NameComparison, layout: Option<&JsonLayout>) -> Result<Value, Error> {
    let (error, hasher) = (RefCell::new(None), RandomState::new());
    let state = JsonReaderState { error, values: Cell::new(0), containers: Cell::new(0), layout, names, hasher };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read =
        JsonReader { state: &state, depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|problem| {
        state.error.take().unwrap_or_else(|| {
            let (line, column) = (problem.line(), problem.column());
            Reason::JsonInvalid.with("line", line).with("column", column)
        })
    })
}

/// State of the nested readers: the reason for the rejection, and the number of values so far.
struct JsonReaderState<'s> {
    error: RefCell<Option<Error>>,
    values: Cell<usize>,
    /// Lists and objects so far.
    containers: Cell<usize>,
    layout: Option<&'s JsonLayout>,
    names: &'s NameComparison,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct JsonReader<'s> {
    state: &'s JsonReaderState<'s>,
    depth: usize,
}

impl JsonReader<'_> {
    fn reject<E: serde::de::Error>(self, error: Error) -> E {
        self.state.error.borrow_mut().get_or_insert(error);
        E::custom("refused")
    }

    fn enter_level<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(self.reject(Reason::JsonTooDeep.with("max", DEPTH_MAX)));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn count_value<E: serde::de::Error>(self) -> Result<(), E> {
        let values = self.state.values.get() + 1;
        self.state.values.set(values);
        if values > VALUES_MAX {
            return Err(self.reject(Reason::JsonTooManyValues.with("max", VALUES_MAX)));
        }
        Ok(())
    }

    fn check_text<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.len() > STRING_MAX_BYTES {
            return Err(self.reject(Reason::JsonStringTooLong.with("max", STRING_MAX_BYTES)));
        }
        if text.contains('\0') {
            return Err(self.reject(Error::new(Reason::JsonNulCharacter)));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for JsonReader<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonReader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.check_text(value)?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.check_text(&value)?;
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.enter_level()?;
        let mut list = Vec::with_capacity(self.state.next_length());
        while let Some(item) = items.next_element_seed(inner)? {
            self.count_value()?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.enter_level()?;
        let length = self.state.next_length();
        let mut map = create_map(length);
        let mut seen = SeenNames { length, hashes: HashSet::new() };
        while let Some(name) = entries.next_key::<String>()? {
            self.check_text(&name)?;
            self.count_value()?;
            if self.state.is_duplicate(&map, &mut seen, &name) {
                let excerpt = shorten_text(&name);
                return Err(self.reject(Reason::JsonDuplicateName.with("name", format_args!("\"{excerpt}\""))));
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The names of a large object, as hashes: they need little memory.
struct SeenNames {
    /// Expected number of names.
    length: usize,
    hashes: HashSet<u64>,
}

impl JsonReaderState<'_> {
    /// Returns the number of elements of the list or object that begins now; 0 if it is not known.
    fn next_length(&self) -> usize {
        let index = self.containers.replace(self.containers.get() + 1);
        self.layout.map_or(0, |layout| layout.length(index))
    }

    fn is_duplicate(&self, map: &Map<String, Value>, seen: &mut SeenNames, name: &str) -> bool {
        let is_in_map = || map.keys().any(|other| (self.names.is_same)(other, name));
        if map.len() < LINEAR_SEARCH_MAX {
            return is_in_map();
        }
        let hash_name = |name: &str| self.hasher.hash_one((self.names.key)(name));
        if seen.hashes.is_empty() {
            seen.hashes.reserve(seen.length);
            seen.hashes.extend(map.keys().map(|other| hash_name(other)));
        }
        // Two names may have the same hash.
        !seen.hashes.insert(hash_name(name)) && is_in_map()
    }
}

/// Returns the error for a JSON value of another type than the attribute at `path` has.
pub(super) fn wrong_type_error(path: fmt::Arguments<'_>, expected: &str, found: &Value) -> Error {
    let error = Reason::ValueTypeWrong.on_field(path.to_string()).with("expected", expected);
    error.with("found", describe_type(found))
}

/// Returns the error for a JSON value that is not a boolean.
pub(super) fn wrong_boolean_error(path: fmt::Arguments<'_>, found: &Value) -> Error {
    Reason::BooleanWrong.on_field(path.to_string()).with("found", describe_type(found))
}

fn describe_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text that does not fit",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ScimType;

    #[track_caller]
    fn refused(text: &str) -> Error {
        parse_json(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn well_formed_documents_are_read_unchanged() {
        for text in [r#"{"a":[1,-2,1.5,true,null,"é"],"b":{"a":""}}"#, "[]", "\"x\"", " 0 "] {
            assert_eq!(parse_json(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_name_occurs_once_regardless_of_case_and_escapes() {
        for text in
            [r#"{"a":1,"a":2}"#, r#"{"userName":1,"USERNAME":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"b":1,"B":1}]}"#]
        {
            assert_eq!(refused(text).scim_type(), Some(ScimType::InvalidSyntax), "{text}");
        }
        let many: Vec<String> = (0..60).map(|n| format!("\"n{n}\":1")).collect();
        assert!(parse_json(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        assert_eq!(refused(&format!("{{{},\"N7\":1}}", many.join(","))).status(), 400);
    }

    #[test]
    fn outside_scim_names_are_case_sensitive() {
        assert!(parse_case_exact_json(br#"{"z":1,"Z":{"a":2,"A":3}}"#).is_ok());
        let many: Vec<String> = (0..60).map(|n| format!("\"n{n}\":1")).collect();
        assert!(parse_case_exact_json(format!("{{{},\"N7\":1}}", many.join(",")).as_bytes()).is_ok());
        for text in [r#"{"a":1,"a":2}"#.to_owned(), format!("{{{},\"n7\":1}}", many.join(","))] {
            assert_eq!(parse_case_exact_json(text.as_bytes()).unwrap_err().status(), 400, "{text}");
        }
    }

    #[test]
    fn malformed_text_is_invalid_syntax() {
        for text in ["", "{", "[1,]", "{\"a\":NaN}", "{} {}", "// x\n{}", "\"\\ud800\"", "'a'", "{\"a\":1e999}"] {
            assert_eq!(refused(text).scim_type(), Some(ScimType::InvalidSyntax), "{text}");
        }
        assert_eq!(parse_json(b"\"\xff\"").unwrap_err().scim_type(), Some(ScimType::InvalidSyntax));
    }

    #[test]
    fn limits_are_enforced() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse_json(deep(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&deep(DEPTH_MAX + 1)).scim_type(), Some(ScimType::InvalidSyntax));
        assert_eq!(refused(&deep(200_000)).status(), 400);
        assert_eq!(refused(&format!("\"{}\"", "x".repeat(STRING_MAX_BYTES + 1))).status(), 413);
        assert_eq!(refused(&format!("[{}0]", "0,".repeat(VALUES_MAX))).status(), 413);
        assert_eq!(refused("\"a\\u0000b\"").scim_type(), Some(ScimType::InvalidValue));
    }
}
