//! Attribute edits applied to one document (RFC 7644 sections 3.5.2.1 to 3.5.2.3).

use serde_json::{Map, Value};

use super::{AttributeChange, AttributeEdit, EditPath, label_operation};
use crate::error::{Error, Reason};
use crate::scim::dialect::DialectRules;
use crate::scim::filter::Predicate;
use crate::scim::filter::evaluate::matches_element;
use crate::scim::schema::{Attribute, DataType, ResourceType};
use crate::scim::validate::{Attributes, check_length, is_blank, push_distinct};

/// Applies one edit. After an error the document may be partly changed; the caller must discard it.
///
/// # Errors
/// 400 noTarget if a value path selects nothing to replace, 400 mutability if a required attribute would be removed.
/// The detail names the operation.
pub fn apply_edit(
    edit: &AttributeEdit,
    to: &mut Attributes,
    of: &ResourceType,
    rules: DialectRules,
) -> Result<(), Error> {
    let path = &edit.path;
    let done = match (&path.extension, &path.attribute) {
        (Some(uri), None) => {
            edit_extension(edit, to, uri);
            Ok(())
        }
        (Some(uri), Some(name)) => {
            let Some(attribute) = of.extension(uri).and_then(|schema| schema.attribute(name)) else { return Ok(()) };
            let mut inner = match to.shift_remove(uri) {
                Some(Value::Object(inner)) => inner,
                _ => Map::new(),
            };
            let done = edit_container(edit, attribute, &mut inner, rules);
            if !inner.is_empty() {
                to.insert(uri.clone(), Value::Object(inner));
            }
            done
        }
        (None, Some(name)) => match of.attribute(name) {
            Some(attribute) => edit_container(edit, attribute, to, rules),
            None => Ok(()),
        },
        (None, None) => Ok(()),
    };
    done.map_err(|error| error.within(&label_operation(edit.operation)))
}

fn edit_extension(edit: &AttributeEdit, to: &mut Attributes, uri: &str) {
    if let AttributeChange::Add(Value::Object(parts)) | AttributeChange::Replace(Value::Object(parts)) = &edit.change {
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
}

fn edit_container(
    edit: &AttributeEdit,
    attribute: &Attribute,
    container: &mut Map<String, Value>,
    rules: DialectRules,
) -> Result<(), Error> {
    let removes_all = edit.change == AttributeChange::Remove && edit.path.sub.is_none() && edit.path.filter.is_none();
    if attribute.required && removes_all {
        return Err(Reason::AttributeNotRemovable.on_field(attribute.name.to_string()));
    }
    if attribute.multi_valued {
        let mut list = match container.shift_remove(&*attribute.name) {
            Some(Value::Array(list)) => list,
            Some(single) => vec![single],
            None => Vec::new(),
        };
        let done = edit_list(edit, attribute, &mut list, rules);
        list.retain(|item| !is_empty_object(item));
        if !list.is_empty() {
            container.insert(attribute.name.clone().into_owned(), Value::Array(list));
        }
        return done;
    }
    if attribute.kind == DataType::Complex {
        return edit_object(edit, attribute, container, rules);
    }
    if let AttributeChange::Add(value) | AttributeChange::Replace(value) = &edit.change {
        if attribute.required && is_blank(value) {
            return Err(Reason::AttributeRequired.on_field(attribute.name.to_string()));
        }
        container.insert(attribute.name.clone().into_owned(), value.clone());
    } else {
        container.shift_remove(&*attribute.name);
    }
    Ok(())
}

/// Edits a single-valued complex attribute. A filter (`manager[value eq "7"]`) selects the value only if it matches.
fn edit_object(
    edit: &AttributeEdit,
    attribute: &Attribute,
    container: &mut Map<String, Value>,
    rules: DialectRules,
) -> Result<(), Error> {
    let path = &edit.path;
    let before = container.get(&*attribute.name).cloned();
    let selected = match (&path.filter, &before) {
        (None, _) => true,
        (Some(filter), Some(value)) => matches_element(filter, value),
        (Some(_), None) => false,
    };
    let mut object = match before {
        Some(Value::Object(object)) if selected => object,
        _ => Map::new(),
    };
    if !selected {
        match create_unmatched_target(edit, rules)? {
            Some(created) => object = created,
            None => return Ok(()),
        }
    }
    match &edit.change {
        AttributeChange::Remove | AttributeChange::RemoveListed(_) => match &path.sub {
            None => object.clear(),
            Some(sub) => {
                object.shift_remove(sub);
            }
        },
        AttributeChange::Add(value) | AttributeChange::Replace(value) => {
            // The interop profile replaces the whole value. Other clients mean only the sub-attributes in the value.
            if rules.strict && path.sub.is_none() && matches!(edit.change, AttributeChange::Replace(_)) {
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

/// Edits the elements that the path selects, then ensures that at most one is primary.
fn edit_list(
    edit: &AttributeEdit,
    attribute: &Attribute,
    list: &mut Vec<Value>,
    rules: DialectRules,
) -> Result<(), Error> {
    let touched = match (&edit.path.filter, &edit.path.sub) {
        (None, None) => edit_whole_list(edit, list),
        (None, Some(_)) => edit_every_element(edit, list),
        (Some(filter), _) => edit_selected_elements(edit, filter, list, rules)?,
    };
    if attribute.sub_attribute("primary").is_some() {
        keep_new_primary(list, &touched);
    }
    check_length(list, format_args!("{}", attribute.name))
}

/// Returns the indexes of elements that were added as primary. An existing element stays primary only if no added
/// element is primary. In a replaced list at most one element is primary, because parsing ensures it.
fn edit_whole_list(edit: &AttributeEdit, list: &mut Vec<Value>) -> Vec<usize> {
    match &edit.change {
        AttributeChange::Add(Value::Array(given)) => {
            let added = given.iter().map(|item| (push_distinct(list, item.clone()), is_primary(item)));
            return added.filter_map(|(index, primary)| primary.then_some(index)).collect();
        }
        AttributeChange::Replace(Value::Array(given)) => list.clone_from(given),
        AttributeChange::RemoveListed(given) => {
            list.retain(|item| !given.iter().any(|named| identifies_element(named, item)));
        }
        _ => list.clear(),
    }
    Vec::new()
}

/// Whether a remove by value selects the element: by its `value`, else by all sub-attributes.
fn identifies_element(named: &Value, item: &Value) -> bool {
    match (named.get("value"), item.get("value")) {
        (Some(a), Some(b)) => a == b,
        _ => named == item,
    }
}

/// Edits a sub-attribute of all elements (`emails.type`).
fn edit_every_element(edit: &AttributeEdit, list: &mut Vec<Value>) -> Vec<usize> {
    if list.is_empty() && edit.change != AttributeChange::Remove {
        list.push(Value::Object(Map::new()));
    }
    for item in list.iter_mut() {
        edit_element(edit, item);
    }
    (0..list.len()).collect()
}

fn edit_selected_elements(
    edit: &AttributeEdit,
    filter: &Predicate,
    list: &mut Vec<Value>,
    rules: DialectRules,
) -> Result<Vec<usize>, Error> {
    let mut touched: Vec<usize> = (0..list.len()).filter(|&index| matches_element(filter, &list[index])).collect();
    if touched.is_empty() {
        let Some(created) = create_unmatched_target(edit, rules)? else { return Ok(touched) };
        list.push(Value::Object(created));
        touched.push(list.len() - 1);
    }
    if rules.strict && touched.len() > 1 {
        return Err(Reason::FilterSelectsSeveral.on_field(edit.path.to_string()));
    }
    for &index in &touched {
        if edit.path.sub.is_none() && !matches!(edit.change, AttributeChange::Add(_)) {
            // The whole element is removed or replaced. A replaced element still matches the filter.
            let initial = if edit.change == AttributeChange::Remove { None } else { required_terms(filter) };
            list[index] = Value::Object(initial.unwrap_or_default());
        }
        edit_element(edit, &mut list[index]);
    }
    // The caller removes empty elements later, so these indexes are still valid.
    Ok(touched)
}

/// Handles a value path that selects nothing: returns the element to create, or `None` if the edit has no effect.
///
/// RFC 7644 section 3.5.2.3 requires noTarget for *replace*; section 3.5.2.1 allows *add* to create the element.
/// The `eq` terms of the filter are the content of the new element.
fn create_unmatched_target(edit: &AttributeEdit, rules: DialectRules) -> Result<Option<Map<String, Value>>, Error> {
    let creates = match edit.change {
        AttributeChange::Remove | AttributeChange::RemoveListed(_) if !rules.strict => return Ok(None),
        AttributeChange::Remove | AttributeChange::RemoveListed(_) => false,
        AttributeChange::Add(_) => true,
        AttributeChange::Replace(_) => rules.create_on_no_target,
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

/// RFC 7644 section 3.5.2: if a value becomes primary, the other values are no longer primary.
fn keep_new_primary(list: &mut [Value], touched: &[usize]) {
    let Some(&chosen) = touched.iter().find(|&&index| list.get(index).is_some_and(is_primary)) else { return };
    for (index, item) in list.iter_mut().enumerate() {
        if index != chosen && is_primary(item) {
            item["primary"] = Value::Bool(false);
        }
    }
}

fn is_primary(item: &Value) -> bool {
    item.get("primary") == Some(&Value::Bool(true))
}

fn is_empty_object(value: &Value) -> bool {
    matches!(value, Value::Object(parts) if parts.is_empty())
}
