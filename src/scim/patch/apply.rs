//! Attribute edits applied to one document (RFC 7644 sections 3.5.2.1 to 3.5.2.3).
//!
//! The cost of an edit depends on the document, so all work is counted, and what is computed for one edit is stored for
//! the next ones: the comparison keys of elements, and the index of equal elements.

use serde_json::{Map, Value};

use super::list_state::{ListState, charge_elements, is_empty_object, is_primary};
use super::{AttributeChange, AttributeEdit, EditPath, PatchEdit, label_operation};
use crate::error::{Error, Reason};
use crate::scim::dialect::DialectRules;
use crate::scim::distinct::remove_listed;
use crate::scim::filter::Predicate;
use crate::scim::filter::evaluate::matches_element;
use crate::scim::schema::{Attribute, DataType, ResourceType};
use crate::scim::validate::{Attributes, check_length, is_blank};
use crate::scim::work::WorkBudget;

/// Applies the attribute edits of a request in order; edits of members are not about the document. After an error the
/// document may be partly changed; the caller must discard it.
///
/// # Errors
/// 400 noTarget if a value path selects nothing to replace, 400 mutability if a required attribute would be removed, 400
/// tooMany above the budget. The detail names the operation.
pub fn apply_edits(
    edits: &[PatchEdit],
    to: &mut Attributes,
    of: &ResourceType,
    rules: DialectRules,
    work: &mut WorkBudget,
) -> Result<(), Error> {
    let mut editor = DocumentEditor { of, rules, work, lists: Vec::new() };
    for edit in edits {
        if let PatchEdit::Attribute(edit) = edit {
            editor.apply(edit, to).map_err(|error| error.within(&label_operation(edit.operation)))?;
        }
    }
    Ok(())
}

/// The edits of one request on one document.
struct DocumentEditor<'e> {
    of: &'e ResourceType,
    rules: DialectRules,
    work: &'e mut WorkBudget,
    lists: Vec<ListState<'e>>,
}

impl<'e> DocumentEditor<'e> {
    fn apply(&mut self, edit: &AttributeEdit, to: &mut Attributes) -> Result<(), Error> {
        self.work.charge_visits(4)?;
        let path = &edit.path;
        match (&path.extension, &path.attribute) {
            (Some(uri), None) => self.edit_extension(edit, to, uri),
            (Some(uri), Some(name)) => {
                let Some(attribute) = self.of.extension(uri).and_then(|schema| schema.attribute(name)) else {
                    return Ok(());
                };
                let mut inner = match to.shift_remove(uri) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                let done = self.edit_container(edit, attribute, &mut inner);
                if !inner.is_empty() {
                    to.insert(uri.clone(), Value::Object(inner));
                }
                done
            }
            (None, Some(name)) => match self.of.attribute(name) {
                Some(attribute) => self.edit_container(edit, attribute, to),
                None => Ok(()),
            },
            (None, None) => Ok(()),
        }
    }

    fn edit_extension(&mut self, edit: &AttributeEdit, to: &mut Attributes, uri: &str) -> Result<(), Error> {
        self.lists.clear();
        if let AttributeChange::Add(value) | AttributeChange::Replace(value) = &edit.change
            && let Value::Object(parts) = value
        {
            self.work.charge_copies(value, 1)?;
            let mut inner = match to.shift_remove(uri) {
                Some(Value::Object(inner)) => inner,
                _ => Map::new(),
            };
            merge_parts(&mut inner, parts);
            if !inner.is_empty() {
                to.insert(uri.to_owned(), Value::Object(inner));
            }
        } else {
            to.shift_remove(uri);
        }
        Ok(())
    }

    fn edit_container(
        &mut self,
        edit: &AttributeEdit,
        attribute: &'e Attribute,
        container: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let removes_all =
            edit.change == AttributeChange::Remove && edit.path.sub.is_none() && edit.path.filter.is_none();
        if attribute.required && removes_all {
            return Err(Reason::AttributeNotRemovable.on_field(attribute.name.to_string()));
        }
        if attribute.multi_valued {
            let mut list = match container.shift_remove(&*attribute.name) {
                Some(Value::Array(list)) => list,
                Some(single) => vec![single],
                None => Vec::new(),
            };
            let done = self.edit_list(edit, attribute, &mut list);
            if !list.is_empty() {
                container.insert(attribute.name.clone().into_owned(), Value::Array(list));
            }
            return done;
        }
        if attribute.kind == DataType::Complex {
            return self.edit_object(edit, attribute, container);
        }
        if let AttributeChange::Add(value) | AttributeChange::Replace(value) = &edit.change {
            if attribute.required && is_blank(value) {
                return Err(Reason::AttributeRequired.on_field(attribute.name.to_string()));
            }
            self.work.charge_copies(value, 1)?;
            container.insert(attribute.name.clone().into_owned(), value.clone());
        } else {
            container.shift_remove(&*attribute.name);
        }
        Ok(())
    }

    /// Edits a single-valued complex attribute. A filter (`manager[value eq "7"]`) selects the value only if it matches.
    fn edit_object(
        &mut self,
        edit: &AttributeEdit,
        attribute: &'e Attribute,
        container: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let path = &edit.path;
        let selected = match (&path.filter, container.get(&*attribute.name)) {
            (None, _) => true,
            (Some(filter), Some(value)) => self.matches(filter, attribute, 0, value)?,
            (Some(_), None) => false,
        };
        let mut object = if selected {
            match container.get_mut(&*attribute.name).map(Value::take) {
                Some(Value::Object(object)) => object,
                _ => Map::new(),
            }
        } else {
            let Some(created) = create_unmatched_target(edit, self.rules)? else { return Ok(()) };
            created
        };
        self.list_state(attribute).forget_all();
        match &edit.change {
            AttributeChange::Remove | AttributeChange::RemoveListed(_) => match &path.sub {
                None => object.clear(),
                Some(sub) => {
                    object.shift_remove(sub);
                }
            },
            AttributeChange::Add(value) | AttributeChange::Replace(value) => {
                self.work.charge_copies(value, 1)?;
                // The interop profile replaces the whole value. Other clients mean only the sub-attributes in the value.
                if self.rules.strict && path.sub.is_none() && matches!(edit.change, AttributeChange::Replace(_)) {
                    object.clear();
                }
                set_value(&mut object, path, value);
            }
        }
        if object.is_empty() {
            container.shift_remove(&*attribute.name);
        } else {
            container.insert(attribute.name.clone().into_owned(), Value::Object(object));
        }
        Ok(())
    }

    /// Edits the elements that the path selects, then ensures that at most one is primary and none are equal.
    fn edit_list(
        &mut self,
        edit: &AttributeEdit,
        attribute: &'e Attribute,
        list: &mut Vec<Value>,
    ) -> Result<(), Error> {
        let before = list.len();
        let touched = match (&edit.path.filter, &edit.path.sub) {
            (None, None) => self.edit_whole_list(edit, attribute, list)?,
            (None, Some(_)) => self.edit_every_element(edit, attribute, list)?,
            (Some(filter), _) => self.edit_selected_elements(edit, filter, attribute, list)?,
        };
        if attribute.sub_attribute("primary").is_some() {
            self.keep_new_primary(list, &touched)?;
        }
        let has_empty = touched.iter().any(|&index| list.get(index).is_some_and(is_empty_object));
        if edit.path.filter.is_some() || edit.path.sub.is_some() {
            let is_changed = |index: &usize| *index >= before || can_change_identity(edit, &list[*index]);
            let changed: Vec<usize> = touched.into_iter().filter(is_changed).collect();
            if !changed.is_empty() && list.len() > 1 {
                find_list_state(&mut self.lists, attribute).merge_twins(list, &changed, self.work)?;
            }
        }
        if has_empty {
            self.remove_empty_elements(attribute, list)?;
        }
        check_length(list, format_args!("{}", attribute.name))
    }

    /// Returns the indexes of elements that were added as primary. An existing element stays primary only if no added
    /// element is primary. In a replaced list at most one element is primary, because parsing ensures it.
    fn edit_whole_list(
        &mut self,
        edit: &AttributeEdit,
        attribute: &'e Attribute,
        list: &mut Vec<Value>,
    ) -> Result<Vec<usize>, Error> {
        match &edit.change {
            AttributeChange::Add(value @ Value::Array(given)) => {
                self.work.charge_copies(value, 1)?;
                return self.add_elements(given, attribute, list);
            }
            AttributeChange::Replace(value @ Value::Array(given)) => {
                self.work.charge_copies(value, 1)?;
                list.clone_from(given);
                self.list_state(attribute).forget_all();
            }
            AttributeChange::RemoveListed(given) => {
                charge_elements(list, self.work)?;
                charge_elements(given, self.work)?;
                let mut gone = vec![false; list.len()];
                remove_listed(list, given, |index| gone[index] = true);
                self.list_state(attribute).forget_removed(|index| gone[index]);
            }
            _ => {
                list.clear();
                self.list_state(attribute).forget_all();
            }
        }
        Ok(Vec::new())
    }

    fn add_elements(
        &mut self,
        given: &[Value],
        attribute: &'e Attribute,
        list: &mut Vec<Value>,
    ) -> Result<Vec<usize>, Error> {
        let mut primary = Vec::new();
        for item in given {
            let index = find_list_state(&mut self.lists, attribute).add_element(list, item, self.work)?;
            if is_primary(item) {
                primary.push(index);
            }
        }
        Ok(primary)
    }

    /// Edits a sub-attribute of all elements (`emails.type`).
    fn edit_every_element(
        &mut self,
        edit: &AttributeEdit,
        attribute: &'e Attribute,
        list: &mut Vec<Value>,
    ) -> Result<Vec<usize>, Error> {
        if list.is_empty() && edit.change != AttributeChange::Remove {
            list.push(Value::Object(Map::new()));
        }
        self.charge_change(edit, list.len())?;
        self.list_state(attribute).forget_all();
        for item in list.iter_mut() {
            edit_element(edit, item);
        }
        Ok((0..list.len()).collect())
    }

    fn edit_selected_elements(
        &mut self,
        edit: &AttributeEdit,
        filter: &Predicate,
        attribute: &'e Attribute,
        list: &mut Vec<Value>,
    ) -> Result<Vec<usize>, Error> {
        let mut touched = Vec::new();
        for (index, item) in list.iter().enumerate() {
            if self.matches(filter, attribute, index, item)? {
                touched.push(index);
            }
        }
        if touched.is_empty() {
            let Some(created) = create_unmatched_target(edit, self.rules)? else { return Ok(touched) };
            list.push(Value::Object(created));
            touched.push(list.len() - 1);
        }
        if self.rules.strict && touched.len() > 1 {
            return Err(Reason::FilterSelectsSeveral.on_field(edit.path.to_string()));
        }
        self.charge_change(edit, touched.len())?;
        // The whole element is removed or replaced. A replaced element still matches the filter.
        let is_whole = edit.path.sub.is_none() && !matches!(edit.change, AttributeChange::Add(_));
        let initial = if edit.change == AttributeChange::Remove { None } else { required_terms(filter) };
        let initial = Value::Object(initial.filter(|_| is_whole).unwrap_or_default());
        if is_whole {
            self.work.charge_copies(&initial, touched.len())?;
        }
        for &index in &touched {
            self.list_state(attribute).forget_keys(index);
            if is_whole {
                list[index].clone_from(&initial);
            }
            edit_element(edit, &mut list[index]);
        }
        // Empty elements are removed later, so these indexes are still valid.
        Ok(touched)
    }

    fn matches(
        &mut self,
        filter: &Predicate,
        attribute: &'e Attribute,
        index: usize,
        item: &Value,
    ) -> Result<bool, Error> {
        self.work.charge_visits(1)?;
        let state = find_list_state(&mut self.lists, attribute);
        matches_element(filter, item, state.keys_of(index), self.work)
    }

    /// RFC 7644 section 3.5.2: if a value becomes primary, the other values are no longer primary.
    fn keep_new_primary(&mut self, list: &mut [Value], touched: &[usize]) -> Result<(), Error> {
        self.work.charge_visits(touched.len())?;
        let chosen = touched.iter().find(|&&index| list.get(index).is_some_and(is_primary));
        let Some(&chosen) = chosen else { return Ok(()) };
        self.work.charge_visits(list.len())?;
        for (index, item) in list.iter_mut().enumerate() {
            if index != chosen && is_primary(item) {
                item["primary"] = Value::Bool(false);
            }
        }
        Ok(())
    }

    fn remove_empty_elements(&mut self, attribute: &'e Attribute, list: &mut Vec<Value>) -> Result<(), Error> {
        self.work.charge_visits(list.len())?;
        let gone: Vec<bool> = list.iter().map(is_empty_object).collect();
        list.retain(|item| !is_empty_object(item));
        self.list_state(attribute).forget_removed(|index| gone[index]);
        Ok(())
    }

    fn list_state(&mut self, attribute: &'e Attribute) -> &mut ListState<'e> {
        find_list_state(&mut self.lists, attribute)
    }

    /// Counts the change of that many elements.
    fn charge_change(&mut self, edit: &AttributeEdit, elements: usize) -> Result<(), Error> {
        self.work.charge_visits(elements)?;
        match &edit.change {
            AttributeChange::Add(value) | AttributeChange::Replace(value) => self.work.charge_copies(value, elements),
            AttributeChange::Remove | AttributeChange::RemoveListed(_) => Ok(()),
        }
    }
}

fn find_list_state<'s, 'e>(lists: &'s mut Vec<ListState<'e>>, attribute: &'e Attribute) -> &'s mut ListState<'e> {
    let found = lists.iter().position(|state| state.is_about(attribute)).unwrap_or_else(|| {
        lists.push(ListState::new(attribute));
        lists.len() - 1
    });
    &mut lists[found]
}

/// Handles a value path that selects nothing: returns the element to create, or `None` if the edit has no effect.
///
/// RFC 7644 section 3.5.2.3 requires noTarget for *replace*; section 3.5.2.1 allows *add* to create the element.
/// The `eq` terms of the filter are the content of the new element.
fn create_unmatched_target(edit: &AttributeEdit, rules: DialectRules) -> Result<Option<Map<String, Value>>, Error> {
    let creates = match &edit.change {
        AttributeChange::Remove | AttributeChange::RemoveListed(_) if !rules.strict => return Ok(None),
        AttributeChange::Add(_) => true,
        AttributeChange::Replace(_) if rules.create_on_no_target => true,
        // There is nothing to clear.
        AttributeChange::Replace(Value::String(text)) if !rules.strict && text.trim().is_empty() => return Ok(None),
        AttributeChange::Remove | AttributeChange::RemoveListed(_) | AttributeChange::Replace(_) => false,
    };
    let terms = edit.path.filter.as_ref().filter(|_| creates).and_then(required_terms);
    terms.map(Some).ok_or_else(|| Reason::PathSelectsNothing.on_field(edit.path.to_string()))
}

/// Returns the element that a filter of `eq` terms describes; `None` for other filters and for contradictory terms.
fn required_terms(filter: &Predicate) -> Option<Map<String, Value>> {
    let mut element = Map::new();
    for (name, value) in filter.equal_terms()? {
        if element.get(name).is_some_and(|other| *other != value) {
            return None;
        }
        element.insert(name.to_owned(), value);
    }
    Some(element)
}

/// Whether an edit can make the element equal to another one: its type and value identify it, without a value all
/// sub-attributes do.
fn can_change_identity(edit: &AttributeEdit, element: &Value) -> bool {
    let is_identity = |sub: &String| sub == "value" || sub == "type";
    edit.path.sub.as_ref().is_none_or(is_identity) || element.get("value").is_none()
}

fn edit_element(edit: &AttributeEdit, item: &mut Value) {
    let Value::Object(object) = item else { return };
    match &edit.change {
        AttributeChange::Add(value) | AttributeChange::Replace(value) => set_value(object, &edit.path, value),
        AttributeChange::Remove | AttributeChange::RemoveListed(_) => {
            if let Some(sub) = &edit.path.sub {
                object.shift_remove(sub);
            }
            // An element with only `type` and `primary` has no content.
            if object.keys().all(|name| name == "type" || name == "primary") {
                object.clear();
            }
        }
    }
}

fn set_value(object: &mut Map<String, Value>, path: &EditPath, value: &Value) {
    match (&path.sub, value) {
        (Some(sub), value) => {
            object.insert(sub.clone(), value.clone());
        }
        (None, Value::Object(parts)) => merge_parts(object, parts),
        (None, _) => {}
    }
}

/// Sets the given members; a null member is removed. Complex members are merged recursively.
fn merge_parts(object: &mut Map<String, Value>, parts: &Map<String, Value>) {
    for (name, part) in parts {
        match part {
            Value::Null => {
                object.shift_remove(name);
            }
            Value::Object(inner) => {
                let mut merged = match object.shift_remove(name) {
                    Some(Value::Object(existing)) => existing,
                    _ => Map::new(),
                };
                merge_parts(&mut merged, inner);
                if !merged.is_empty() {
                    object.insert(name.clone(), Value::Object(merged));
                }
            }
            other => {
                object.insert(name.clone(), other.clone());
            }
        }
    }
}
