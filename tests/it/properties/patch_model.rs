//! A second implementation of PATCH, as close to RFC 7644 section 3.5.2 as possible, without any code of the product.
//!
//! Where the RFC leaves a choice, the model makes the product's choice and marks it with "Choice". It supports only the
//! attributes of [`super::users`] and assumes well-formed operations.

use serde_json::{Map, Value, json};

use crate::sample::ENTERPRISE;

type Document = Map<String, Value>;

/// The `scimType` of an error.
type Refusal = &'static str;

/// The document after all operations, or the `scimType` of the first error.
pub(super) fn patched(mut document: Document, operations: &[Value]) -> Result<Document, Refusal> {
    for operation in operations {
        let verb = operation["op"].as_str().unwrap();
        match operation.get("path") {
            Some(path) => apply(&mut document, verb, path.as_str().unwrap(), &operation["value"])?,
            None => {
                for (name, value) in operation["value"].as_object().unwrap() {
                    apply(&mut document, verb, name, value)?;
                }
            }
        }
        drop_empty(&mut document);
    }
    Ok(document)
}

fn apply(document: &mut Document, verb: &str, path: &str, value: &Value) -> Result<(), Refusal> {
    if path == ENTERPRISE {
        return whole(document, verb, ENTERPRISE, value);
    }
    if let Some(inner) = path.strip_prefix(ENTERPRISE).and_then(|rest| rest.strip_prefix(':')) {
        let mut extension =
            document.remove(ENTERPRISE).map_or_else(Map::new, |value| value.as_object().unwrap().clone());
        let done = apply(&mut extension, verb, inner, value);
        document.insert(ENTERPRISE.into(), extension.into());
        return done;
    }
    if path.contains('[') {
        return in_elements(document, verb, path, value);
    }
    match path.split_once('.') {
        Some((name, part)) => {
            let object = document.entry(name).or_insert_with(|| json!({})).as_object_mut().unwrap();
            whole(object, verb, part, value)
        }
        None => whole(document, verb, path, value),
    }
}

/// An attribute or sub-attribute without a filter.
fn whole(parent: &mut Document, verb: &str, name: &str, value: &Value) -> Result<(), Refusal> {
    // Section 3.5.2.2: a required attribute cannot be removed.
    if verb == "remove" && name == "userName" {
        return Err("mutability");
    }
    // Choice: null leaves `active` unchanged; only a remove operation removes it.
    if name == "active" && verb != "remove" && value.is_null() {
        return Ok(());
    }
    // RFC 7643 section 2.5: null and an empty list are no value. Section 3.5.2.1: adding no value does not change a
    // list.
    let nothing = value.is_null() || *value == json!([]);
    match (verb, value) {
        ("add", Value::Array(items)) => {
            let mut list = list_of(parent, name);
            let mut primary = None;
            for item in items {
                let at = add_element(&mut list, item);
                if item["primary"] == true {
                    primary = Some(at);
                }
            }
            only_primary(&mut list, primary);
            parent.insert(name.into(), list.into());
        }
        ("remove", _) => drop(parent.remove(name)),
        _ if nothing => drop(parent.remove(name)),
        // Choice: replace on a complex attribute changes the named sub-attributes, as add does.
        (_, Value::Object(parts)) => {
            let object = parent.entry(name).or_insert_with(|| json!({})).as_object_mut().unwrap();
            for (part, value) in parts {
                whole(object, verb, part, value)?;
            }
        }
        _ => drop(parent.insert(name.into(), value.clone())),
    }
    Ok(())
}

fn list_of(parent: &Document, name: &str) -> Vec<Value> {
    parent.get(name).map_or_else(Vec::new, |list| list.as_array().unwrap().clone())
}

/// RFC 7643 section 2.4: value and type identify an element. Choice: adding it again completes it.
fn add_element(list: &mut Vec<Value>, item: &Value) -> usize {
    let same = list.iter().position(|existing| existing["value"] == item["value"] && existing["type"] == item["type"]);
    let at = same.unwrap_or_else(|| {
        list.push(json!({}));
        list.len() - 1
    });
    for (part, value) in item.as_object().unwrap() {
        list[at].as_object_mut().unwrap().insert(part.clone(), value.clone());
    }
    at
}

/// Section 3.5.2: a new primary value sets `primary` of the previous one to false.
fn only_primary(list: &mut [Value], chosen: Option<usize>) {
    for (at, item) in list.iter_mut().enumerate() {
        if chosen.is_some_and(|chosen| chosen != at) && item.get("primary") == Some(&json!(true)) {
            item["primary"] = json!(false);
        }
    }
}

/// The path is `name[filter]` or `name[filter].part`.
fn in_elements(document: &mut Document, verb: &str, path: &str, value: &Value) -> Result<(), Refusal> {
    let (name, rest) = path.split_once('[').unwrap();
    let (filter, part) = rest.rsplit_once(']').unwrap();
    let part = part.strip_prefix('.');
    let mut list = list_of(document, name);
    let mut chosen: Vec<usize> = (0..list.len()).filter(|&at| selects(filter, &list[at])).collect();
    if chosen.is_empty() {
        match (verb, equal_terms(filter)) {
            // Choice: removing an absent value is no error.
            ("remove", _) => return Ok(()),
            // Choice: add creates an element that matches the filter. Section 3.5.2.3: replace has no target.
            ("add", Some(terms)) => {
                list.push(terms);
                chosen.push(list.len() - 1);
            }
            _ => return Err("noTarget"),
        }
    }
    for &at in &chosen {
        match (verb, part) {
            ("remove", None) => list[at] = json!({}),
            ("remove", Some(part)) => {
                let element = list[at].as_object_mut().unwrap();
                element.remove(part);
                // Choice: an element with nothing but `type` and `primary` is removed too.
                if element.keys().all(|left| left == "type" || left == "primary") {
                    element.clear();
                }
            }
            (_, Some(part)) => list[at][part] = value.clone(),
            (_, None) => {
                // Choice: the terms of the filter stay true for an element that is replaced.
                let base = if verb == "add" { list[at].clone() } else { equal_terms(filter).unwrap_or(json!({})) };
                list[at] = base;
                for (part, value) in value.as_object().unwrap() {
                    list[at][part] = value.clone();
                }
            }
        }
    }
    // Choice: if several values become primary at once, the first one is kept.
    let primary = chosen.iter().copied().find(|&at| list[at]["primary"] == true);
    only_primary(&mut list, primary);
    merge_twins(&mut list, &chosen);
    document.insert(name.into(), list.into());
    Ok(())
}

/// RFC 7643 section 2.4: no two elements with equal value and type. Choice: elements that an operation makes equal are one
/// element, where the first of them was. Its parts are those of the primary one, then of the chosen ones, then of the
/// others.
fn merge_twins(list: &mut Vec<Value>, chosen: &[usize]) {
    let whole = |element: &Value| {
        let mut whole = element.clone();
        whole.as_object_mut().unwrap().shift_remove("primary");
        whole
    };
    let is_twin = |a: &Value, b: &Value| match (a.get("value"), b.get("value")) {
        (None, None) => whole(a) == whole(b),
        (left, right) => left == right && a.get("type") == b.get("type"),
    };
    let mut gone = Vec::new();
    for &at in chosen {
        let twins: Vec<usize> = (0..list.len()).filter(|&other| is_twin(&list[at], &list[other])).collect();
        if list[at] == json!({}) || gone.contains(&at) || twins.len() == 1 {
            continue;
        }
        let mut parts = json!({});
        let primary = twins.iter().filter(|&&twin| list[twin]["primary"] == true);
        let edited = twins.iter().filter(|twin| chosen.contains(twin));
        for &twin in primary.chain(edited).chain(&twins) {
            for (part, value) in list[twin].as_object().unwrap() {
                if parts.get(part).is_none() {
                    parts[part] = value.clone();
                }
            }
        }
        list[twins[0]] = parts;
        gone.extend(&twins[1..]);
    }
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
}

/// Evaluates a filter of the forms that [`super::users`] generates.
fn selects(filter: &str, element: &Value) -> bool {
    if let Some(inner) = filter.strip_prefix("not (") {
        return !selects(inner.strip_suffix(')').unwrap(), element);
    }
    if let Some((left, right)) = filter.split_once(" or ") {
        return selects(left, element) || selects(right, element);
    }
    if let Some((left, right)) = filter.split_once(" and ") {
        return selects(left, element) && selects(right, element);
    }
    let mut terms = filter.splitn(3, ' ');
    let (name, operator, literal) = (terms.next().unwrap(), terms.next().unwrap(), terms.next().unwrap_or_default());
    let found = element.get(name);
    match (operator, name) {
        ("pr", _) => found.is_some(),
        // RFC 7643 section 2.4: without `primary` an element is not primary.
        (_, "primary") => found.is_some_and(|found| *found == true) == (literal == "true"),
        _ => {
            let expected = literal.trim_matches('"');
            let equal = found.and_then(Value::as_str).is_some_and(|text| text.eq_ignore_ascii_case(expected));
            equal == (operator == "eq")
        }
    }
}

/// The element that a filter of equalities describes; `None` for any other filter.
fn equal_terms(filter: &str) -> Option<Value> {
    let mut element = json!({});
    for term in filter.split(" and ") {
        let (name, literal) = term.split_once(" eq ")?;
        let plain = name.chars().all(char::is_alphabetic) && !literal.contains(" or ");
        let value: Value = serde_json::from_str(literal).ok().filter(|_| plain)?;
        // Two different terms on one sub-attribute describe no element.
        if element.get(name).is_some_and(|existing| *existing != value) {
            return None;
        }
        element[name] = value;
    }
    Some(element)
}

/// RFC 7643 section 2.5: removes empty values.
fn drop_empty(document: &mut Document) {
    for value in document.values_mut() {
        match value {
            Value::Array(items) => items.retain(|item| *item != json!({})),
            Value::Object(parts) => drop_empty(parts),
            _ => {}
        }
    }
    document.retain(|_, value| *value != json!({}) && *value != json!([]));
}

#[test]
fn the_model_passes_the_examples_of_the_rfc() {
    // RFC 7644 sections 3.5.2.1 to 3.5.2.3, with the attributes that the model supports.
    let user = json!({"emails": [{"value": "b", "type": "home"}, {"value": "w", "type": "work"}], "nickName": "n"});
    let after = |operation: Value| patched(user.as_object().unwrap().clone(), &[operation]).map(Value::from);
    assert_eq!(
        after(json!({"op": "add", "value": {"emails": [{"value": "b", "type": "home"}], "nickName": "Babs"}})),
        Ok(json!({"emails": user["emails"], "nickName": "Babs"}))
    );
    assert_eq!(
        after(json!({"op": "remove", "path": "emails[type eq \"work\" and value eq \"W\"]"})),
        Ok(json!({"emails": [{"value": "b", "type": "home"}], "nickName": "n"}))
    );
    assert_eq!(after(json!({"op": "remove", "path": "emails"})), Ok(json!({"nickName": "n"})));
    assert_eq!(
        after(json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "new"}))
            .map(|user| user["emails"][1].clone()),
        Ok(json!({"value": "new", "type": "work"}))
    );
    assert_eq!(after(json!({"op": "replace", "path": "emails[type eq \"fax\"].value", "value": "x"})), Err("noTarget"));
    assert_eq!(
        patched(
            user.as_object().unwrap().clone(),
            &[
                json!({"op": "replace", "path": "emails[type pr].value", "value": "x"}),
                json!({"op": "replace", "path": "emails[type pr].type", "value": "work"}),
            ]
        )
        .map(|user| user["emails"].clone()),
        Ok(json!([{"value": "x", "type": "work"}]))
    );
}
