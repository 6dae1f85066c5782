//! Sorting (RFC 7644 section 3.4.2.3): what a query asks for, and the order of what is found.

use std::cmp::Ordering;

use super::Error;
use super::filter::Field;
use super::path::AttrPath;
use super::schema::{Attribute, Kind, ResourceType, Returned};

/// What a query is sorted by, not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    path: AttrPath,
    /// `sortOrder` is `descending`.
    pub descending: bool,
}

/// The attribute that one resource type is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortField {
    /// The attribute; a sub-attribute where it is complex.
    pub field: Field,
    /// Whether every resource of the type has a value.
    pub always: bool,
}

impl Sort {
    /// Reads `sortBy` and `sortOrder`; nothing is sorted without the first.
    ///
    /// # Errors
    /// 400 invalidPath for what is no attribute path, 400 invalidValue for another order.
    pub fn read(by: Option<&str>, order: Option<&str>) -> Result<Option<Self>, Error> {
        let descending = match order {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("ascending") => false,
            Some(word) if word.eq_ignore_ascii_case("descending") => true,
            Some(_) => return Err(Error::value("sortOrder must be ascending or descending")),
        };
        let Some(by) = by else { return Ok(None) };
        let path = AttrPath::parse(by).map_err(|problem| Error::path(format!("sortBy: {problem}")))?;
        Ok(Some(Self { path, descending }))
    }

    /// Looks the attribute up in each type; `None` for a type that lacks it, whose resources then have no value.
    ///
    /// # Errors
    /// 400 invalidPath where no type has it, where it is complex, or where it is never returned.
    pub fn fields<'t>(&self, types: impl Iterator<Item = &'t ResourceType>) -> Result<Vec<Option<SortField>>, Error> {
        let mut fields = Vec::new();
        let mut unknown = None;
        for of in types {
            match self.path.resolve(of) {
                Ok(target) => fields.push(Some(self.field(&target)?)),
                Err(problem) if problem.is_unknown() => {
                    unknown = Some(problem);
                    fields.push(None);
                }
                Err(problem) => return Err(Error::path(format!("sortBy: {problem}"))),
            }
        }
        match unknown {
            Some(problem) if fields.iter().all(Option::is_none) => Err(Error::path(format!("sortBy: {problem}"))),
            _ => Ok(fields),
        }
    }

    fn field(&self, target: &super::path::Target<'_>) -> Result<SortField, Error> {
        let parts = || [target.attribute, target.sub].into_iter().flatten();
        if parts().any(|part| part.returned == Returned::Never) {
            // An order tells about values that no answer shows.
            return Err(Error::path(format!("sortBy: {target} is never returned and cannot be sorted by")));
        }
        let mut target = *target;
        if let (Some(attribute), None) = (target.attribute, target.sub)
            && attribute.multi_valued
        {
            // A bare list stands for the values of its elements, as in a filter.
            target.sub = attribute.default_sub();
        }
        let field = Field::of(&target).filter(|field| field.kind != Kind::Complex).ok_or_else(|| {
            let example = target.attribute.and_then(|attribute| attribute.sub_attributes.first());
            let example = example.map(|sub| format!(", such as {target}.{}", sub.name)).unwrap_or_default();
            Error::path(format!("sortBy: {} is complex; name one of its sub-attributes{example}", self.path))
        })?;
        let is_kept = |part: &Attribute| part.required || part.name == "id";
        let always = field.extension.is_none()
            && !field.multi_valued
            && (field.attribute == "meta" || (field.sub.is_none() && target.attribute.is_some_and(is_kept)));
        Ok(SortField { field, always })
    }
}

/// A value in the form in which it is compared: text folded where case does not count, a dateTime as its instant.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// A whole number, a boolean, or an instant.
    Whole(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text, ordered by code point.
    Text(String),
}

impl Key {
    /// Numbers come before text; text goes by its bytes, which for UTF-8 is by code point.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Text(_), _) => Ordering::Greater,
            (_, Self::Text(_)) => Ordering::Less,
            (Self::Whole(left), Self::Whole(right)) => left.cmp(right),
            (left, right) => left.number().partial_cmp(&right.number()).unwrap_or(Ordering::Equal),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a whole number beside one with a fraction is compared as such")]
    fn number(&self) -> f64 {
        match self {
            Self::Whole(value) => *value as f64,
            Self::Real(value) => *value,
            Self::Text(_) => f64::INFINITY,
        }
    }
}

/// Where a resource stands in a sorted sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// Its value; `None` where it has none, or where nothing is sorted.
    pub key: Option<Key>,
    /// Its number in the order of creation, which settles ties.
    pub row: i64,
}

impl Position {
    /// The ascending order; what has no value comes last (RFC 7644 section 3.4.2.3). Descending is its reverse.
    pub fn compare(&self, other: &Self) -> Ordering {
        let by_key = match (&self.key, &other.key) {
            (Some(left), Some(right)) => left.compare(right),
            (left, right) => left.is_none().cmp(&right.is_none()),
        };
        by_key.then(self.row.cmp(&other.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE, standard_types};

    fn found(by: &str, types: &[&ResourceType]) -> Result<Vec<Option<SortField>>, Error> {
        Sort::read(Some(by), None)?.unwrap().fields(types.iter().copied())
    }

    #[test]
    fn an_order_is_one_of_two_words() {
        for (order, descending) in [(None, false), (Some("ascending"), false), (Some("Descending"), true)] {
            assert_eq!(Sort::read(Some("userName"), order).unwrap().unwrap().descending, descending);
        }
        for order in ["up", "", "desc"] {
            let refused = Sort::read(Some("userName"), Some(order)).unwrap_err();
            assert_eq!(refused.scim_type.unwrap().as_str(), "invalidValue");
        }
        assert_eq!(Sort::read(None, Some("descending")).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_sorted_by_is_an_invalid_path() {
        for by in ["", "name", "meta", "addresses", "manager", "shoeSize", "emails.x", "password", "a b", "urn:x:y"] {
            let refused = found(by, &[&USER_TYPE]).unwrap_err();
            assert_eq!(refused.scim_type.unwrap().as_str(), "invalidPath", "{by}: {refused}");
        }
    }

    #[test]
    fn a_list_is_sorted_by_its_values_and_a_type_may_lack_the_attribute() {
        let fields = found("EMAILS", &standard_types().map(|of| &**of)).unwrap();
        assert_eq!(fields[0].as_ref().unwrap().field.to_string(), "emails.value");
        assert_eq!(fields[1], None);
        for (by, of, always) in [
            ("userName", &USER_TYPE, true),
            ("id", &USER_TYPE, true),
            ("meta.created", &GROUP_TYPE, true),
            ("name.familyName", &USER_TYPE, false),
            ("displayName", &GROUP_TYPE, true),
            ("displayName", &USER_TYPE, false),
            ("schemas", &USER_TYPE, false),
            ("externalId", &USER_TYPE, false),
        ] {
            assert_eq!(found(by, &[of]).unwrap()[0].as_ref().unwrap().always, always, "{by}");
        }
    }

    #[test]
    fn what_has_no_value_stands_last() {
        let at = |key: Option<Key>, row| Position { key, row };
        let text = |value: &str| Some(Key::Text(value.to_owned()));
        let sorted = [
            at(Some(Key::Whole(-1)), 9),
            at(Some(Key::Real(0.5)), 8),
            at(Some(Key::Whole(1)), 7),
            at(text("a"), 1),
            at(text("a"), 2),
            at(text("z"), 0),
            at(text("ä"), 0),
            at(None, 1),
            at(None, 3),
        ];
        assert!(sorted.windows(2).all(|pair| pair[0].compare(&pair[1]).is_lt()));
    }
}
