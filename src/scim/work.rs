//! The work of one request on one document, counted while it is done. A request can name a small amount of work or a very
//! large one with the same number of bytes, so a limit on its size alone does not protect the server.
//!
//! One unit is about one nanosecond or less on current hardware.

use serde_json::Value;

use crate::error::{Error, Reason};

/// Maximum work of one request on one document, about 0.1 s: see the unit above.
pub const WORK_MAX: u64 = 100_000_000;
/// Maximum length of the stored text of one resource, in bytes.
pub const RESOURCE_MAX_BYTES: usize = 1024 * 1024;

/// Work of visiting one element of a list, or evaluating one comparison, in addition to the bytes compared.
pub(crate) const VISIT_UNITS: u64 = 32;
/// Work of copying one byte of a value into a document. It also limits the memory that a request can use.
pub(super) const COPY_UNITS: u64 = 8;
/// Work of folding one byte that is not ASCII.
const FOLD_UNITS: u64 = 100;

/// The work that a request has done so far, and its limit.
#[derive(Debug, Clone)]
pub struct WorkBudget {
    used: u64,
    max: u64,
}

impl Default for WorkBudget {
    fn default() -> Self {
        Self::with_max(WORK_MAX)
    }
}

impl WorkBudget {
    /// A budget with another limit than [`WORK_MAX`].
    pub fn with_max(max: u64) -> Self {
        Self { used: 0, max }
    }

    /// Counts work.
    ///
    /// # Errors
    /// 400 tooMany above the limit.
    pub fn charge(&mut self, units: u64) -> Result<(), Error> {
        self.used = self.used.saturating_add(units);
        if self.used > self.max { Err(Error::new(Reason::RequestTooExpensive)) } else { Ok(()) }
    }

    /// Counts a visit of `count` elements.
    pub(crate) fn charge_visits(&mut self, count: usize) -> Result<(), Error> {
        self.charge(VISIT_UNITS.saturating_mul(to_units(count)))
    }

    /// Counts `bytes` that are compared, hashed or searched.
    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Error> {
        self.charge(to_units(bytes))
    }

    /// Counts the copy of a value into `copies` positions.
    pub(super) fn charge_copies(&mut self, value: &Value, copies: usize) -> Result<(), Error> {
        let bytes = to_units(measure_value(value, usize::MAX));
        self.charge(bytes.saturating_mul(COPY_UNITS).saturating_mul(to_units(copies)))
    }

    /// Returns the work done so far.
    pub fn used(&self) -> u64 {
        self.used
    }
}

fn to_units(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Returns the work of folding a text into this key.
pub(crate) fn count_fold_units(text: &str, key: &str) -> u64 {
    if text.is_ascii() {
        return to_units(text.len());
    }
    let foreign = |text: &str| text.bytes().filter(|byte| !byte.is_ascii()).count();
    to_units(text.len()) + FOLD_UNITS * to_units(foreign(text).max(foreign(key)))
}

/// Size of a JSON value in memory, about the length of its text. Stops counting above `max`.
pub fn measure_value(value: &Value, max: usize) -> usize {
    const VALUE_BYTES: usize = 16;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => VALUE_BYTES,
        Value::String(text) => VALUE_BYTES + text.len(),
        Value::Array(items) => add_sizes(items.iter().map(|item| (0, item)), max),
        Value::Object(parts) => add_sizes(parts.iter().map(|(name, part)| (name.len(), part)), max),
    }
}

fn add_sizes<'v>(parts: impl Iterator<Item = (usize, &'v Value)>, max: usize) -> usize {
    let mut sum = 16_usize;
    for (name, part) in parts {
        if sum > max {
            break;
        }
        sum = sum.saturating_add(name).saturating_add(measure_value(part, max - sum.min(max)));
    }
    sum
}

/// Checks the length of the text to store. A resource that is already longer may become shorter.
///
/// # Errors
/// 413 above [`RESOURCE_MAX_BYTES`].
pub fn check_resource_length(after: usize, before: usize) -> Result<(), Error> {
    if after > RESOURCE_MAX_BYTES && after >= before {
        return Err(Reason::ResourceTooLarge.with("max", RESOURCE_MAX_BYTES / 1024));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn work_above_the_limit_is_too_many() {
        let mut work = WorkBudget::with_max(100);
        assert!(work.charge_bytes(100).is_ok());
        let error = work.charge_visits(1).unwrap_err();
        assert_eq!((error.status(), error.scim_type()), (400, Some(crate::error::ScimType::TooMany)));
        assert!(WorkBudget::default().charge(u64::MAX).is_err());
    }

    #[test]
    fn measuring_a_value_stops_at_the_maximum() {
        let small = json!({"a": ["b", 1, null]});
        assert!((50..120).contains(&measure_value(&small, usize::MAX)));
        let large = Value::Array(vec![json!("x".repeat(1000)); 1000]);
        assert!(measure_value(&large, usize::MAX) > 1_000_000);
        assert!((10_000..12_100).contains(&measure_value(&large, 10_000)));
    }

    #[test]
    fn a_resource_above_the_limit_may_only_become_shorter() {
        for (after, before, ok) in [(1, 0, true), (RESOURCE_MAX_BYTES, 0, true), (RESOURCE_MAX_BYTES + 1, 0, false)] {
            assert_eq!(check_resource_length(after, before).is_ok(), ok);
        }
        assert!(check_resource_length(RESOURCE_MAX_BYTES + 1, RESOURCE_MAX_BYTES + 2).is_ok());
        assert!(check_resource_length(RESOURCE_MAX_BYTES + 2, RESOURCE_MAX_BYTES + 2).is_err());
    }

    #[test]
    fn folding_costs_the_longer_of_text_and_key() {
        assert_eq!(count_fold_units("Abc", "abc"), 3);
        assert_eq!(count_fold_units("é", "é"), 2 + 200);
        let key = crate::scim::fold::fold_case("\u{fdfa}").into_owned();
        assert!(count_fold_units("\u{fdfa}", &key) > 2_000);
    }
}
