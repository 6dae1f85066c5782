//! Which fields can be searched in the table `resource_values`. [`crate::scim::index`] defines its rows.

use crate::scim::filter::{FilterField, FilterOperator};
use crate::scim::schema::{DataType, ResourceType};

/// Whether the values of the field are rows of `resource_values`.
pub(crate) fn has_value_rows(resource_type: &ResourceType, field: &FilterField) -> bool {
    field.indexed
        && (field.multi_valued || field.extension.is_some())
        && !field.sub_multi_valued
        && matches!(field.kind, DataType::String | DataType::Reference)
        && crate::store::filter_sql::MembershipLinks::from_field(resource_type, field).is_none()
}

/// Whether the operator can be evaluated by a search in the order of the keys.
pub(crate) fn is_searchable_by_key(operator: FilterOperator) -> bool {
    matches!(operator, FilterOperator::Eq | FilterOperator::Sw)
}
