//! The view that a caller has of a resource type: attributes that repeat data of a type that the caller may not read are
//! not in it. Filters, sorting, projection, PATCH paths and `/Schemas` all resolve names in the view, so none of them can
//! reveal such data.

use std::sync::Arc;

use crate::scim::schema::{Attribute, ResourceType, Schema};

impl ResourceType {
    /// Returns the view of a caller for whom `is_readable` returns whether it may read a type, or `None` if the view has
    /// all attributes.
    #[must_use]
    pub fn limited_view(&self, is_readable: &impl Fn(&str) -> bool) -> Option<Self> {
        let schemas = || std::iter::once(&self.schema).chain(self.extensions.iter().map(|extension| &extension.schema));
        if schemas().all(|schema| schema.attributes.iter().all(|attribute| is_visible_whole(attribute, is_readable))) {
            return None;
        }
        let mut view = self.clone();
        remove_hidden(Arc::make_mut(&mut view.schema), is_readable);
        for extension in &mut view.extensions {
            remove_hidden(Arc::make_mut(&mut extension.schema), is_readable);
        }
        Some(view)
    }
}

fn is_visible(attribute: &Attribute, is_readable: &impl Fn(&str) -> bool) -> bool {
    attribute.source_type.is_none_or(is_readable)
}

fn is_visible_whole(attribute: &Attribute, is_readable: &impl Fn(&str) -> bool) -> bool {
    is_visible(attribute, is_readable) && attribute.sub_attributes.iter().all(|sub| is_visible(sub, is_readable))
}

fn remove_hidden(schema: &mut Schema, is_readable: &impl Fn(&str) -> bool) {
    schema.attributes.retain(|attribute| is_visible(attribute, is_readable));
    for attribute in &mut schema.attributes {
        attribute.sub_attributes.retain(|sub| is_visible(sub, is_readable));
    }
}

#[cfg(test)]
mod tests {
    use crate::scim::filter::ScimFilter;
    use crate::scim::path::AttrPath;
    use crate::scim::schema::{GROUP_TYPE, USER_TYPE, standard_types};

    #[test]
    fn a_view_has_no_attribute_that_repeats_an_unreadable_type() {
        let users = USER_TYPE.limited_view(&|name| name == "User").unwrap();
        let groups = GROUP_TYPE.limited_view(&|name| name == "Group").unwrap();
        for (view, hidden) in [(&users, "groups.display"), (&users, "groups"), (&groups, "members.display")] {
            assert!(AttrPath::parse(hidden).unwrap().resolve(view).is_err(), "{hidden}");
            assert!(ScimFilter::parse(&format!("not ({hidden} pr)")).unwrap().check(view).is_err(), "{hidden}");
        }
        assert!(groups.members().is_some_and(|members| members.sub_attributes.len() == 3));
        assert!(USER_TYPE.limited_view(&|_| true).is_none() && GROUP_TYPE.limited_view(&|_| true).is_none());
    }

    /// A write through a view discards what the view lacks, so stored values must never be hidden.
    #[test]
    fn only_read_only_attributes_can_be_hidden() {
        let mut hidden = 0;
        for resource_type in standard_types() {
            let extensions = resource_type.extensions.iter().map(|extension| &extension.schema);
            for attribute in
                std::iter::once(&resource_type.schema).chain(extensions).flat_map(|schema| &schema.attributes)
            {
                for part in std::iter::once(attribute).chain(&attribute.sub_attributes) {
                    hidden += usize::from(part.source_type.is_some());
                    assert!(part.source_type.is_none() || part.is_read_only(), "{}", part.name);
                }
            }
        }
        assert_eq!(hidden, 3);
    }
}
