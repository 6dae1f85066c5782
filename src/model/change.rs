//! A change of something that may also have no value.

use serde::{Deserialize, Deserializer};

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is: a JSON member that is absent, where its field has `#[serde(default)]`.
    #[default]
    Keep,
    /// It goes: null.
    Clear,
    /// It is replaced.
    Set(T),
}

impl<T> Change<T> {
    /// The same change of something made from the value.
    pub fn map<U>(self, made: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(made(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(member: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(member)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_the_same_as_nothing() {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            end: Change<i64>,
        }
        for (text, change) in
            [("{}", Change::Keep), (r#"{"end":null}"#, Change::Clear), (r#"{"end":3}"#, Change::Set(3))]
        {
            assert_eq!(serde_json::from_str::<Body>(text).unwrap().end, change);
        }
        assert!(serde_json::from_str::<Body>(r#"{"end":"x"}"#).is_err());
        assert_eq!(Change::Set(3).map(|number| number * 2), Change::Set(6));
    }
}
