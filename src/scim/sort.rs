//! Sorting (RFC 7644 section 3.4.2.3): the sort parameters of a query, and the order of resources.

use std::cmp::Ordering;

use super::filter::FilterField;
use super::path::{AttrPath, is_unknown_path};
use super::schema::{Attribute, DataType, ResourceType, Returned};
use crate::error::{Error, Reason, ScimType};

/// The sort parameters of a query, not yet resolved against a resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    path: AttrPath,
    /// `sortOrder` is `descending`.
    pub descending: bool,
}

/// The attribute by which resources of one type are sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortField {
    /// The attribute, or the sub-attribute of a complex attribute.
    pub field: FilterField,
    /// Whether every resource of the type has a value.
    pub always_present: bool,
}

impl Sort {
    /// Parses `sortBy` and `sortOrder`. Returns `None` without `sortBy`.
    ///
    /// # Errors
    /// 400 invalidPath if `sortBy` is not an attribute path, 400 invalidValue if `sortOrder` is another value.
    pub fn read(sort_by: Option<&str>, order: Option<&str>) -> Result<Option<Self>, Error> {
        let descending = match order {
            None => false,
            Some(order) if order.eq_ignore_ascii_case("ascending") => false,
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            Some(_) => return Err(Error::new(Reason::SortOrderInvalid)),
        };
        let Some(sort_by) = sort_by else { return Ok(None) };
        let path =
            AttrPath::parse(sort_by).map_err(|problem| problem.as_scim_type(ScimType::InvalidPath).within("sortBy"))?;
        Ok(Some(Self { path, descending }))
    }

    /// Resolves the attribute in each type; `None` for a type without it, whose resources then have no value.
    ///
    /// # Errors
    /// 400 invalidPath if no type has the attribute, if it is complex, or if it is never returned.
    pub fn fields<'t>(&self, types: impl Iterator<Item = &'t ResourceType>) -> Result<Vec<Option<SortField>>, Error> {
        let mut fields = Vec::new();
        let mut unknown = None;
        for resource_type in types {
            match self.path.resolve(resource_type) {
                Ok(target) => fields.push(Some(self.field(&target)?)),
                Err(problem) if is_unknown_path(&problem) => {
                    unknown = Some(problem);
                    fields.push(None);
                }
                Err(problem) => return Err(problem.as_scim_type(ScimType::InvalidPath).within("sortBy")),
            }
        }
        match unknown {
            Some(problem) if fields.iter().all(Option::is_none) => {
                Err(problem.as_scim_type(ScimType::InvalidPath).within("sortBy"))
            }
            _ => Ok(fields),
        }
    }

    fn field(&self, target: &super::path::ResolvedPath<'_>) -> Result<SortField, Error> {
        let parts = || [target.attribute, target.sub].into_iter().flatten();
        if parts().any(|part| part.returned == Returned::Never) {
            // The order would reveal values that no response contains.
            return Err(Reason::SortNeverReturned.on_field(target.to_string()).within("sortBy"));
        }
        let mut target = *target;
        if let (Some(attribute), None) = (target.attribute, target.sub)
            && attribute.multi_valued
        {
            // A list without sub-attribute is sorted by the `value` of its elements, as in a filter.
            target.sub = attribute.default_sub_attribute();
        }
        let field =
            FilterField::from_path(&target).filter(|field| field.kind != DataType::Complex).ok_or_else(|| {
                let example = target.attribute.and_then(|attribute| attribute.sub_attributes.first());
                let example = example.map(|sub| format!(", such as {target}.{}", sub.name)).unwrap_or_default();
                Reason::SortComplex.on_field(self.path.to_string()).with("example", example).within("sortBy")
            })?;
        let is_always_set = |part: &Attribute| part.required || part.name == "id";
        let always = field.extension.is_none()
            && !field.multi_valued
            && (field.attribute == "meta" || (field.sub.is_none() && target.attribute.is_some_and(is_always_set)));
        Ok(SortField { field, always_present: always })
    }
}

/// A value in the form in which it is compared: case-insensitive text is folded, a dateTime is a number of
/// microseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum SortValue {
    /// An integer, a boolean, or a timestamp.
    Integer(i64),
    /// A decimal number.
    Decimal(f64),
    /// Text, ordered by code point.
    Text(String),
}

impl SortValue {
    /// Numbers come before text. Text is compared by bytes, which for UTF-8 is the order of code points.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Text(_), _) => Ordering::Greater,
            (_, Self::Text(_)) => Ordering::Less,
            (Self::Integer(left), Self::Integer(right)) => left.cmp(right),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an integer is compared with a decimal number as f64")]
    fn as_f64(&self) -> f64 {
        match self {
            Self::Integer(value) => *value as f64,
            Self::Decimal(value) => *value,
            Self::Text(_) => f64::INFINITY,
        }
    }
}

/// The position of a resource in a sorted sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct SortPosition {
    /// Its sort value; `None` if it has none, or if the query has no `sortBy`.
    pub key: Option<SortValue>,
    /// Its number in the order of creation, the tie-breaker.
    pub row: i64,
}

impl SortPosition {
    /// Compares in ascending order; resources without a value come last (RFC 7644 section 3.4.2.3). Descending is the
    /// reverse.
    pub fn compare(&self, other: &Self) -> Ordering {
        let key_order = match (&self.key, &other.key) {
            (Some(left), Some(right)) => left.compare(right),
            (left, right) => left.is_none().cmp(&right.is_none()),
        };
        key_order.then(self.row.cmp(&other.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE, standard_types};

    fn resolve(sort_by: &str, types: &[&ResourceType]) -> Result<Vec<Option<SortField>>, Error> {
        Sort::read(Some(sort_by), None)?.unwrap().fields(types.iter().copied())
    }

    #[test]
    fn sort_order_is_ascending_or_descending() {
        for (order, descending) in [(None, false), (Some("ascending"), false), (Some("Descending"), true)] {
            assert_eq!(Sort::read(Some("userName"), order).unwrap().unwrap().descending, descending);
        }
        for order in ["up", "", "desc"] {
            let refused = Sort::read(Some("userName"), Some(order)).unwrap_err();
            assert_eq!(refused.scim_type().unwrap().as_str(), "invalidValue");
        }
        assert_eq!(Sort::read(None, Some("descending")).unwrap(), None);
    }

    #[test]
    fn an_unsortable_attribute_is_an_invalid_path() {
        for sort_by in
            ["", "name", "meta", "addresses", "manager", "shoeSize", "emails.x", "password", "a b", "urn:x:y"]
        {
            let refused = resolve(sort_by, &[&USER_TYPE]).unwrap_err();
            assert_eq!(refused.scim_type().unwrap().as_str(), "invalidPath", "{sort_by}: {refused}");
        }
    }

    #[test]
    fn a_list_is_sorted_by_its_values_and_a_type_without_the_attribute_has_none() {
        let fields = resolve("EMAILS", &standard_types().map(|resource_type| &**resource_type)).unwrap();
        assert_eq!(fields[0].as_ref().unwrap().field.to_string(), "emails.value");
        assert_eq!(fields[1], None);
        for (sort_by, resource_type, always) in [
            ("userName", &USER_TYPE, true),
            ("id", &USER_TYPE, true),
            ("meta.created", &GROUP_TYPE, true),
            ("name.familyName", &USER_TYPE, false),
            ("displayName", &GROUP_TYPE, true),
            ("displayName", &USER_TYPE, false),
            ("schemas", &USER_TYPE, false),
            ("externalId", &USER_TYPE, false),
        ] {
            assert_eq!(
                resolve(sort_by, &[resource_type]).unwrap()[0].as_ref().unwrap().always_present,
                always,
                "{sort_by}"
            );
        }
    }

    #[test]
    fn resources_without_a_value_sort_last() {
        let at = |key: Option<SortValue>, row| SortPosition { key, row };
        let text = |value: &str| Some(SortValue::Text(value.to_owned()));
        let sorted = [
            at(Some(SortValue::Integer(-1)), 9),
            at(Some(SortValue::Decimal(0.5)), 8),
            at(Some(SortValue::Integer(1)), 7),
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
