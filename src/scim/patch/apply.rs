//! Attribute edits applied to one document (RFC 7644 sections 3.5.2.1 to 3.5.2.3).

use serde_json::{Map, Value};

use super::{AttributeEdit, Change, Place, label};
use crate::scim::Error;
use crate::scim::dialect::Rules;
use crate::scim::filter::Predicate;
use crate::scim::matches::matches_element;
use crate::scim::schema::{Attribute, Kind, ResourceType};
use crate::scim::validate::{Attributes, check_length, is_blank, push_distinct};

/// Applies one edit. The document may be half changed after an error: the caller throws it away.
///
/// # Errors
/// 400 noTarget where a value path selects nothing that could be replaced, 400 mutability where a required
/// attribute would go; the detail names the operation.
pub fn apply(edit: &AttributeEdit, to: &mut Attributes, of: &ResourceType, rules: Rules) -> Result<(), Error> {
    let place = &edit.place;
    let done = match (&place.extension, &place.attribute) {
        (Some(uri), None) => {
            whole_extension(edit, to, uri);
            Ok(())
        }
        (Some(uri), Some(name)) => {
            let Some(attribute) = of.extension(uri).and_then(|schema| schema.attribute(name)) else { return Ok(()) };
            let mut inner = match to.shift_remove(uri) {
                Some(Value::Object(inner)) => inner,
                _ => Map::new(),
            };
            let done = in_container(edit, attribute, &mut inner, rules);
            if !inner.is_empty() {
                to.insert(uri.clone(), Value::Object(inner));
            }
            done
        }
        (None, Some(name)) => match of.attribute(name) {
            Some(attribute) => in_container(edit, attribute, to, rules),
            None => Ok(()),
        },
        (None, None) => Ok(()),
    };
    done.map_err(|error| error.within(&label(edit.operation)))
}

fn whole_extension(edit: &AttributeEdit, to: &mut Attributes, uri: &str) {
    if let Change::Add(Value::Object(parts)) | Change::Replace(Value::Object(parts)) = &edit.change {
        let mut inner = match to.shift_remove(uri) {
            Some(Value::Object(inner)) => inner,
            _ => Map::new(),
        };
        merge(&mut inner, parts);
        if !inner.is_empty() {
            to.insert(uri.to_owned(), Value::Object(inner));
        }
    } else {
        to.shift_remove(uri);
    }
}

fn in_container(
    edit: &AttributeEdit,
    attribute: &Attribute,
    container: &mut Map<String, Value>,
    rules: Rules,
) -> Result<(), Error> {
    let removes_all = edit.change == Change::Remove && edit.place.sub.is_none() && edit.place.filter.is_none();
    if attribute.required && removes_all {
        return Err(Error::mutability(format!("{} is required and cannot be removed", attribute.name)));
    }
    if attribute.multi_valued {
        let mut list = match container.shift_remove(&*attribute.name) {
            Some(Value::Array(list)) => list,
            Some(single) => vec![single],
            None => Vec::new(),
        };
        let done = in_list(edit, attribute, &mut list, rules);
        list.retain(|item| !is_hollow(item));
        if !list.is_empty() {
            container.insert(attribute.name.clone().into_owned(), Value::Array(list));
        }
        return done;
    }
    if attribute.kind == Kind::Complex {
        return in_object(edit, attribute, container, rules);
    }
    if let Change::Add(value) | Change::Replace(value) = &edit.change {
        if attribute.required && is_blank(value) {
            return Err(Error::value(format!("{} is required and must not be empty", attribute.name)));
        }
        container.insert(attribute.name.clone().into_owned(), value.clone());
    } else {
        container.shift_remove(&*attribute.name);
    }
    Ok(())
}

/// A complex attribute with one value. A filter on it (`manager[value eq "7"]`) asks whether that value is meant.
fn in_object(
    edit: &AttributeEdit,
    attribute: &Attribute,
    container: &mut Map<String, Value>,
    rules: Rules,
) -> Result<(), Error> {
    let place = &edit.place;
    let before = container.get(&*attribute.name).cloned();
    let selected = match (&place.filter, &before) {
        (None, _) => true,
        (Some(filter), Some(value)) => matches_element(filter, value),
        (Some(_), None) => false,
    };
    let mut object = match before {
        Some(Value::Object(object)) if selected => object,
        _ => Map::new(),
    };
    if !selected {
        match missing_target(edit, rules)? {
            Some(made) => object = made,
            None => return Ok(()),
        }
    }
    match &edit.change {
        Change::Remove | Change::RemoveListed(_) => match &place.sub {
            None => object.clear(),
            Some(sub) => {
                object.shift_remove(sub);
            }
        },
        Change::Add(value) | Change::Replace(value) => {
            // The interop profile replaces the whole value; everybody else means the parts that are named.
            if rules.strict && place.sub.is_none() && matches!(edit.change, Change::Replace(_)) {
                object.clear();
            }
            set(&mut object, place, value);
        }
    }
    if object.is_empty() {
        container.shift_remove(&*attribute.name);
    } else {
        container.insert(attribute.name.clone().into_owned(), Value::Object(object));
    }
    Ok(())
}

/// Edits the elements that the place selects, then settles which one is primary.
fn in_list(edit: &AttributeEdit, attribute: &Attribute, list: &mut Vec<Value>, rules: Rules) -> Result<(), Error> {
    let touched = match (&edit.place.filter, &edit.place.sub) {
        (None, None) => whole_list(edit, list),
        (None, Some(_)) => every_element(edit, list),
        (Some(filter), _) => selected_elements(edit, filter, list, rules)?,
    };
    if attribute.sub("primary").is_some() {
        keep_new_primary(list, &touched);
    }
    check_length(list, format_args!("{}", attribute.name))
}

/// Returns the positions of what was added as primary: an element that is there already may be completed beside it
/// and keeps the mark only where nobody new has it. A replaced list was brought down to one primary when it was read.
fn whole_list(edit: &AttributeEdit, list: &mut Vec<Value>) -> Vec<usize> {
    match &edit.change {
        Change::Add(Value::Array(given)) => {
            let added = given.iter().map(|item| (push_distinct(list, item.clone()), is_primary(item)));
            return added.filter_map(|(index, primary)| primary.then_some(index)).collect();
        }
        Change::Replace(Value::Array(given)) => list.clone_from(given),
        Change::RemoveListed(given) => list.retain(|item| !given.iter().any(|named| names_element(named, item))),
        _ => list.clear(),
    }
    Vec::new()
}

/// In a removal by value an element is named by its `value`, else by all of its parts.
fn names_element(named: &Value, item: &Value) -> bool {
    match (named.get("value"), item.get("value")) {
        (Some(a), Some(b)) => a == b,
        _ => named == item,
    }
}

/// A sub-attribute of all elements (`emails.type`).
fn every_element(edit: &AttributeEdit, list: &mut Vec<Value>) -> Vec<usize> {
    if list.is_empty() && edit.change != Change::Remove {
        list.push(Value::Object(Map::new()));
    }
    for item in list.iter_mut() {
        edit_element(edit, item);
    }
    (0..list.len()).collect()
}

fn selected_elements(
    edit: &AttributeEdit,
    filter: &Predicate,
    list: &mut Vec<Value>,
    rules: Rules,
) -> Result<Vec<usize>, Error> {
    let mut touched: Vec<usize> = (0..list.len()).filter(|&index| matches_element(filter, &list[index])).collect();
    if touched.is_empty() {
        let Some(made) = missing_target(edit, rules)? else { return Ok(touched) };
        list.push(Value::Object(made));
        touched.push(list.len() - 1);
    }
    if rules.strict && touched.len() > 1 {
        return Err(Error::filter(format!("the filter of {} selects more than one value", edit.place)));
    }
    for &index in &touched {
        if edit.place.sub.is_none() && !matches!(edit.change, Change::Add(_)) {
            // All of the element goes, or is replaced; what the filter says of it stays true then.
            let kept = if edit.change == Change::Remove { None } else { required_terms(filter) };
            list[index] = Value::Object(kept.unwrap_or_default());
        }
        edit_element(edit, &mut list[index]);
    }
    // What was emptied is dropped by the caller, so positions still hold here.
    Ok(touched)
}

/// What to do where a value path selects nothing: nothing (`None`), or make this element.
///
/// RFC 7644 section 3.5.2.3 answers noTarget to *replace*; section 3.5.2.1 lets *add* make what is missing.
/// A filter of `eq` terms says what the element must look like.
fn missing_target(edit: &AttributeEdit, rules: Rules) -> Result<Option<Map<String, Value>>, Error> {
    let makes = match edit.change {
        Change::Remove | Change::RemoveListed(_) if !rules.strict => return Ok(None),
        Change::Remove | Change::RemoveListed(_) => false,
        Change::Add(_) => true,
        Change::Replace(_) => rules.create_on_missing_target,
    };
    let terms = edit.place.filter.as_ref().filter(|_| makes).and_then(required_terms);
    terms.map(Some).ok_or_else(|| Error::no_target(format!("the path {} selects nothing", edit.place)))
}

/// What an element that a filter of `eq` terms selects looks like; nothing does where two terms contradict each other.
fn required_terms(filter: &Predicate) -> Option<Map<String, Value>> {
    let mut element = Map::new();
    for (name, value) in filter.equal_terms()? {
        if element.get(name).is_some_and(|known| *known != value) {
            return None;
        }
        element.insert(name.to_owned(), value);
    }
    Some(element)
}

fn edit_element(edit: &AttributeEdit, item: &mut Value) {
    let Value::Object(object) = item else { return };
    match &edit.change {
        Change::Add(value) | Change::Replace(value) => set(object, &edit.place, value),
        Change::Remove | Change::RemoveListed(_) => {
            if let Some(sub) = &edit.place.sub {
                object.shift_remove(sub);
            }
            // An element that says no more than of which type it is holds nothing.
            if object.keys().all(|name| name == "type" || name == "primary") {
                object.clear();
            }
        }
    }
}

fn set(object: &mut Map<String, Value>, place: &Place, value: &Value) {
    match (&place.sub, value) {
        (Some(sub), value) => {
            object.insert(sub.clone(), value.clone());
        }
        (None, Value::Object(parts)) => merge(object, parts),
        (None, _) => {}
    }
}

/// Sets the parts that are given; a null part is cleared. Complex parts merge likewise.
fn merge(object: &mut Map<String, Value>, parts: &Map<String, Value>) {
    for (name, part) in parts {
        match part {
            Value::Null => {
                object.shift_remove(name);
            }
            Value::Object(inner) => {
                let mut merged = match object.shift_remove(name) {
                    Some(Value::Object(known)) => known,
                    _ => Map::new(),
                };
                merge(&mut merged, inner);
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

/// RFC 7644 section 3.5.2: a value that becomes primary takes the mark from the others.
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

fn is_hollow(value: &Value) -> bool {
    matches!(value, Value::Object(parts) if parts.is_empty())
}
