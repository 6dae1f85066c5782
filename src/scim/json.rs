//! The one reader for all JSON that comes in. Stricter than `serde_json::Value`, which keeps the last of two
//! equal keys: here a name may stand once, whatever its letter case (RFC 7643 section 2.1), and everything has a bound.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Error;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 64;
/// Longest string, in bytes.
pub const STRING_MAX_BYTES: usize = 64 * 1024;
/// Most values in one document: 100,000 members with four parts each, and room.
pub const VALUES_MAX: usize = 600_000;
/// From this many names on a set looks for doubles, below it a walk is quicker.
const WALK_MAX: usize = 24;

/// Reads one JSON document.
///
/// # Errors
/// 400 invalidSyntax for anything that is not one well-formed JSON text in UTF-8, for a name that stands twice in
/// one object and for nesting deeper than [`DEPTH_MAX`]; 400 invalidValue for a NUL character; 413 above the other bounds.
pub fn read(bytes: &[u8]) -> Result<Value, Error> {
    read_by(bytes, str::eq_ignore_ascii_case, str::to_ascii_lowercase)
}

/// The same for documents that are not of SCIM: names that differ in letter case are two names.
///
/// # Errors
/// Those of [`read`].
pub fn read_case_exact(bytes: &[u8]) -> Result<Value, Error> {
    read_by(bytes, str::eq, str::to_owned)
}

/// `same` says whether two names are one, and `key` gives both the same key then.
fn read_by(bytes: &[u8], same: fn(&str, &str) -> bool, key: fn(&str) -> String) -> Result<Value, Error> {
    let state = State { refused: RefCell::new(None), values: RefCell::new(0), same, key };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read =
        Reader { state: &state, depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|problem| {
        state.refused.take().unwrap_or_else(|| {
            let (line, column) = (problem.line(), problem.column());
            Error::syntax(format!("the body is not valid JSON (line {line}, column {column})"))
        })
    })
}

/// What the nested readers share: why they stopped, and how many values they made.
struct State {
    refused: RefCell<Option<Error>>,
    values: RefCell<usize>,
    same: fn(&str, &str) -> bool,
    key: fn(&str) -> String,
}

#[derive(Clone, Copy)]
struct Reader<'s> {
    state: &'s State,
    depth: usize,
}

impl Reader<'_> {
    fn refuse<E: serde::de::Error>(self, error: Error) -> E {
        self.state.refused.borrow_mut().get_or_insert(error);
        E::custom("refused")
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(self.refuse(Error::syntax(format!("the body is nested deeper than {DEPTH_MAX} levels"))));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let mut values = self.state.values.borrow_mut();
        *values += 1;
        if *values > VALUES_MAX {
            return Err(self.refuse(Error::too_large(format!("the body holds more than {VALUES_MAX} values"))));
        }
        Ok(())
    }

    fn text<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.len() > STRING_MAX_BYTES {
            return Err(self.refuse(Error::too_large(format!("a string is longer than {STRING_MAX_BYTES} bytes"))));
        }
        if text.contains('\0') {
            return Err(self.refuse(Error::value("a string contains the character NUL; remove it")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
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
        self.text(value)?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.text(&value)?;
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            self.count()?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        let mut seen = HashSet::new();
        while let Some(name) = entries.next_key::<String>()? {
            self.text(&name)?;
            self.count()?;
            if self.state.is_taken(&map, &mut seen, &name) {
                let shown: String = name.chars().take(40).collect();
                return Err(self.refuse(Error::syntax(format!("the name {shown:?} stands twice in one object"))));
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

impl State {
    fn is_taken(&self, map: &Map<String, Value>, seen: &mut HashSet<String>, name: &str) -> bool {
        if map.len() < WALK_MAX {
            return map.keys().any(|known| (self.same)(known, name));
        }
        if seen.is_empty() {
            seen.extend(map.keys().map(|known| (self.key)(known)));
        }
        !seen.insert((self.key)(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::ScimType;

    #[track_caller]
    fn refused(text: &str) -> Error {
        read(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn well_formed_documents_come_through_unchanged() {
        for text in [r#"{"a":[1,-2,1.5,true,null,"é"],"b":{"a":""}}"#, "[]", "\"x\"", " 0 "] {
            assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_name_stands_once_whatever_its_case_or_escapes() {
        for text in
            [r#"{"a":1,"a":2}"#, r#"{"userName":1,"USERNAME":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"b":1,"B":1}]}"#]
        {
            assert_eq!(refused(text).scim_type, Some(ScimType::InvalidSyntax), "{text}");
        }
        let many: Vec<String> = (0..60).map(|n| format!("\"n{n}\":1")).collect();
        assert!(read(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        assert_eq!(refused(&format!("{{{},\"N7\":1}}", many.join(","))).status, 400);
    }

    #[test]
    fn outside_of_scim_letter_case_tells_names_apart() {
        assert!(read_case_exact(br#"{"z":1,"Z":{"a":2,"A":3}}"#).is_ok());
        let many: Vec<String> = (0..60).map(|n| format!("\"n{n}\":1")).collect();
        assert!(read_case_exact(format!("{{{},\"N7\":1}}", many.join(",")).as_bytes()).is_ok());
        for text in [r#"{"a":1,"a":2}"#.to_owned(), format!("{{{},\"n7\":1}}", many.join(","))] {
            assert_eq!(read_case_exact(text.as_bytes()).unwrap_err().status, 400, "{text}");
        }
    }

    #[test]
    fn broken_text_is_invalid_syntax() {
        for text in ["", "{", "[1,]", "{\"a\":NaN}", "{} {}", "// x\n{}", "\"\\ud800\"", "'a'", "{\"a\":1e999}"] {
            assert_eq!(refused(text).scim_type, Some(ScimType::InvalidSyntax), "{text}");
        }
        assert_eq!(read(b"\"\xff\"").unwrap_err().scim_type, Some(ScimType::InvalidSyntax));
    }

    #[test]
    fn bounds_hold() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read(deep(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&deep(DEPTH_MAX + 1)).scim_type, Some(ScimType::InvalidSyntax));
        assert_eq!(refused(&deep(200_000)).status, 400);
        assert_eq!(refused(&format!("\"{}\"", "x".repeat(STRING_MAX_BYTES + 1))).status, 413);
        assert_eq!(refused(&format!("[{}0]", "0,".repeat(VALUES_MAX))).status, 413);
        assert_eq!(refused("\"a\\u0000b\"").scim_type, Some(ScimType::InvalidValue));
    }
}
