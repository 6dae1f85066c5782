//! Which fields the table `resource_values` answers; [`crate::scim::index`] says which rows it holds.

use crate::scim::filter::{Field, Operator};
use crate::scim::schema::{Kind, ResourceType};

/// Whether values of the field are rows of `resource_values`.
pub(super) fn has_rows(resource_type: &ResourceType, field: &Field) -> bool {
    field.indexed
        && (field.multi_valued || field.extension.is_some())
        && !field.sub_multi_valued
        && matches!(field.kind, Kind::String | Kind::Reference)
        && super::filter_sql::Links::of(resource_type, field).is_none()
}

/// Whether the operator can be answered from the keys' order.
pub(super) fn by_key(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::Sw)
}
