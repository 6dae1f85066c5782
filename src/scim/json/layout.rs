//! The sizes of a JSON document before it is parsed: each list and object then gets memory for exactly its elements, and
//! the memory for the whole document can be reserved.

use std::mem::size_of;

use serde_json::{Map, Value};

use super::{DEPTH_MAX, LINEAR_SEARCH_MAX, VALUES_MAX};
use crate::error::{Error, Reason};

/// The sizes of a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLayout {
    /// Elements of each list and members of each object, in the order in which they begin.
    lengths: Vec<u32>,
    memory: usize,
}

/// A list or object that has not ended.
struct OpenContainer {
    index: usize,
    is_object: bool,
    /// Whether it has an element.
    has_element: bool,
}

/// The state of the measurement.
#[derive(Default)]
struct Measurement {
    lengths: Vec<u32>,
    open: Vec<OpenContainer>,
    values: usize,
    memory: usize,
}

impl JsonLayout {
    /// Measures a text. A text that is not valid JSON has some layout; the parser refuses it.
    ///
    /// # Errors
    /// 413 above [`VALUES_MAX`], 400 for nesting deeper than [`DEPTH_MAX`].
    pub fn measure(text: &[u8]) -> Result<Self, Error> {
        let mut measured = Measurement::default();
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'"' => {
                    let length = find_string_end(rest);
                    measured.begin_element();
                    measured.memory += allocated(length);
                    rest = rest.get(length + 1..).unwrap_or_default();
                }
                b'[' | b'{' => measured.open(byte == b'{')?,
                b']' | b'}' => measured.close(),
                b',' => measured.count_element()?,
                b' ' | b'\n' | b'\r' | b'\t' | b':' => {}
                _ => measured.begin_element(),
            }
        }
        let memory = measured.memory + measured.lengths.capacity() * size_of::<u32>();
        Ok(Self { lengths: measured.lengths, memory })
    }

    /// Returns the memory that the parsed document uses at most, in bytes.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Returns the number of elements of a list or object.
    pub(super) fn length(&self, index: usize) -> usize {
        self.lengths.get(index).map_or(0, |length| *length as usize)
    }
}

impl Measurement {
    fn begin_element(&mut self) {
        if let Some(container) = self.open.last_mut() {
            container.has_element = true;
        }
    }

    fn open(&mut self, is_object: bool) -> Result<(), Error> {
        self.begin_element();
        if self.open.len() == DEPTH_MAX {
            return Err(Reason::JsonTooDeep.with("max", DEPTH_MAX));
        }
        // A document of one list has one more list or object than values.
        if self.lengths.len() > VALUES_MAX {
            return Err(Reason::JsonTooManyValues.with("max", VALUES_MAX));
        }
        self.open.push(OpenContainer { index: self.lengths.len(), is_object, has_element: false });
        self.lengths.push(0);
        Ok(())
    }

    /// Counts the element in front of a comma.
    fn count_element(&mut self) -> Result<(), Error> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Reason::JsonTooManyValues.with("max", VALUES_MAX));
        }
        if let Some(container) = self.open.last() {
            self.lengths[container.index] += 1;
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(container) = self.open.pop() else { return };
        let length = &mut self.lengths[container.index];
        *length += u32::from(container.has_element);
        self.values += usize::from(container.has_element);
        let length = *length as usize;
        self.memory += if container.is_object { object_memory(length) } else { allocated(length * size_of::<Value>()) };
    }
}

/// Returns the number of bytes in front of the quotation mark that ends a string.
fn find_string_end(text: &[u8]) -> usize {
    let mut position = 0;
    while let Some(found) = text[position..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        position += found;
        if text[position] == b'"' {
            return position;
        }
        // The character after a backslash does not end the string.
        position = (position + 2).min(text.len());
    }
    text.len()
}

/// Returns the memory of an object: its entries with a hash, the table of their positions, and the set that finds names
/// that occur twice.
fn object_memory(length: usize) -> usize {
    if length == 0 {
        return 0;
    }
    let entry = size_of::<u64>() + size_of::<String>() + size_of::<Value>();
    let table = count_buckets(length) * (size_of::<usize>() + 1) + 16;
    let names = if length > LINEAR_SEARCH_MAX { table } else { 0 };
    allocated(length * entry) + allocated(table) + names
}

fn count_buckets(length: usize) -> usize {
    if length < 4 { 4 } else { (length * 8 / 7 + 1).next_power_of_two() }
}

/// Returns the memory for an allocation of that size: the allocator rounds it up to 16 bytes, and a larger one by at most
/// an eighth.
fn allocated(bytes: usize) -> usize {
    let rounded = if bytes <= 128 { bytes } else { bytes + bytes / 8 };
    rounded.next_multiple_of(16)
}

/// Creates an object with memory for its members.
pub(super) fn create_map(length: usize) -> Map<String, Value> {
    if length == 0 { Map::new() } else { Map::with_capacity(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Vec<u32> {
        JsonLayout::measure(text.as_bytes()).unwrap().lengths
    }

    #[test]
    fn lists_and_objects_are_counted_in_the_order_in_which_they_begin() {
        assert_eq!(lengths(r#"{"a":[1, {"b":"]},{\"[","c":[]},"x"],"d":{ }}"#), [2, 3, 2, 0, 0]);
        assert_eq!(lengths(r#"[[ ],["\\"],[{}],"[,\\\",]", null]"#), [5, 0, 1, 1, 0]);
        assert_eq!(lengths(" 17 "), [0_u32; 0]);
        // A text that is not valid JSON does no harm.
        for text in ["]]}}", "[,,,", "\"a", "\"\\", "[1}}", ",,"] {
            JsonLayout::measure(text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn documents_above_the_limits_are_refused_without_parsing() {
        let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert!(JsonLayout::measure(list(VALUES_MAX).as_bytes()).is_ok());
        assert!(JsonLayout::measure(list(VALUES_MAX + 2).as_bytes()).is_err_and(|error| error.status() == 413));
        assert!(JsonLayout::measure("[[],".repeat(VALUES_MAX).as_bytes()).is_err());
        let deep = |depth: usize| "[".repeat(depth);
        assert!(JsonLayout::measure(deep(DEPTH_MAX).as_bytes()).is_ok());
        assert!(JsonLayout::measure(deep(DEPTH_MAX + 1).as_bytes()).is_err_and(|error| error.status() == 400));
    }
}
