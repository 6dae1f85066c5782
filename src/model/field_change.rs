//! A change to an optional value.

use serde::{Deserialize, Deserializer};

/// A change to an optional value, as it is read from a JSON body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldChange<T> {
    /// Leave the value unchanged: the JSON member is absent (the field needs `#[serde(default)]`).
    #[default]
    Keep,
    /// Remove the value: the JSON member is null.
    Clear,
    /// Replace the value.
    Set(T),
}

impl<T> FieldChange<T> {
    /// Applies `convert` to the new value, if there is one.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> FieldChange<U> {
        match self {
            Self::Keep => FieldChange::Keep,
            Self::Clear => FieldChange::Clear,
            Self::Set(value) => FieldChange::Set(convert(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FieldChange<T> {
    fn deserialize<D: Deserializer<'de>>(member: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(member)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_differs_from_an_absent_member() {
        #[derive(Deserialize)]
        struct TestBody {
            #[serde(default)]
            end: FieldChange<i64>,
        }
        for (text, change) in
            [("{}", FieldChange::Keep), (r#"{"end":null}"#, FieldChange::Clear), (r#"{"end":3}"#, FieldChange::Set(3))]
        {
            assert_eq!(serde_json::from_str::<TestBody>(text).unwrap().end, change);
        }
        assert!(serde_json::from_str::<TestBody>(r#"{"end":"x"}"#).is_err());
        assert_eq!(FieldChange::Set(3).map(|number| number * 2), FieldChange::Set(6));
    }
}
