//! From the body of a job to items.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Item, Job, Method, OPERATIONS_MAX};
use crate::scim::dialect::Rules;
use crate::scim::version::Tags;
use crate::scim::{Error, urn};

/// Reads the body of a job. What is wrong with one item is kept in that item.
///
/// # Errors
/// 400 invalidSyntax where the body is no `BulkRequest` with operations, 400 invalidValue for a `failOnErrors` that
/// is no number from 1 on, 413 above [`OPERATIONS_MAX`].
pub fn read(body: Value, rules: Rules) -> Result<Job, Error> {
    let Value::Object(mut object) = body else {
        return Err(Error::syntax("the body must be a JSON object with Operations"));
    };
    check_schemas(take(&mut object, "schemas"))?;
    let errors_max = errors_max(take(&mut object, "failOnErrors"))?;
    let operations = match take(&mut object, "Operations") {
        Some(Value::Array(operations)) if !operations.is_empty() => operations,
        Some(Value::Array(_)) => return Err(Error::syntax("Operations must not be empty")),
        Some(_) => return Err(Error::syntax("Operations must be an array")),
        None => return Err(Error::syntax("the body must have Operations")),
    };
    if operations.len() > OPERATIONS_MAX {
        let given = operations.len();
        return Err(Error::too_large(format!("a job may hold at most {OPERATIONS_MAX} operations, not {given}")));
    }
    let mut items: Vec<Item> = operations.into_iter().map(|operation| item(operation, rules)).collect();
    refuse_doubles(&mut items);
    Ok(Job { errors_max, items })
}

/// Removes the member of that name, without regard to case; null is nothing.
fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let known = object.keys().find(|known| known.eq_ignore_ascii_case(name))?.clone();
    object.swap_remove(&known).filter(|value| !value.is_null())
}

fn check_schemas(schemas: Option<Value>) -> Result<(), Error> {
    let named = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(urn::BULK_REQUEST));
    match schemas {
        Some(Value::Array(uris)) if uris.iter().any(named) => Ok(()),
        _ => Err(Error::syntax(format!("schemas must name {}", urn::BULK_REQUEST))),
    }
}

fn errors_max(given: Option<Value>) -> Result<Option<usize>, Error> {
    let Some(given) = given else { return Ok(None) };
    let number = given.as_u64().filter(|number| *number > 0);
    let number = number.ok_or_else(|| {
        Error::value("failOnErrors must be a whole number from 1 on; leave it out to run the whole job")
    })?;
    Ok(Some(usize::try_from(number).unwrap_or(usize::MAX)))
}

fn item(operation: Value, rules: Rules) -> Item {
    let mut item = Item::default();
    let read = match operation {
        Value::Object(parts) => fill(&mut item, parts, rules),
        _ => Err(Error::syntax("an operation must be an object with method and path")),
    };
    item.refusal = read.err();
    item
}

/// Fills in what can be read; after an error the rest is missing.
fn fill(item: &mut Item, mut parts: Map<String, Value>, rules: Rules) -> Result<(), Error> {
    // What the result repeats is read first, so that a refused item can still be told apart.
    let method = take(&mut parts, "method");
    item.method = method.as_ref().and_then(Value::as_str).and_then(self::method);
    let bulk_id = take(&mut parts, "bulkId");
    item.bulk_id = bulk_id.as_ref().and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let path = take(&mut parts, "path");
    path.as_ref().and_then(Value::as_str).unwrap_or_default().clone_into(&mut item.path);
    let Some(method) = item.method else {
        return Err(Error::syntax("method must be POST, PUT, PATCH or DELETE"));
    };
    if bulk_id.is_some() && item.bulk_id.is_none() {
        return Err(Error::syntax("bulkId must be text that is not empty"));
    }
    if method == Method::Post && item.bulk_id.is_none() {
        return Err(Error::syntax("POST needs a bulkId, which the result repeats"));
    }
    if item.path.is_empty() {
        return Err(Error::syntax("path is missing: /Users, /Users/ID, /Groups or /Groups/ID"));
    }
    item.version = match take(&mut parts, "version") {
        // RFC 7644 section 3.7: the version is that of the resource; before a create there is none.
        None => None,
        Some(_) if method == Method::Post => None,
        Some(Value::String(tag)) => Some(Tags::parse(&tag)?),
        Some(_) => return Err(Error::value("version must be text, an entity tag such as W/\"3\"")),
    };
    item.data = match (method, take(&mut parts, "data")) {
        (Method::Delete, _) => Value::Null,
        (_, None) => return Err(Error::syntax(format!("{} needs data, the body of the single call", method.as_str()))),
        // Erratum 5050: data is a whole PatchOp. Its operations alone can mean nothing else.
        (Method::Patch, Some(Value::Array(operations))) if !rules.strict => {
            json!({"schemas": [urn::PATCH_OP], "Operations": operations})
        }
        (_, Some(data)) => data,
    };
    Ok(())
}

fn method(word: &str) -> Option<Method> {
    let all = [Method::Post, Method::Put, Method::Patch, Method::Delete];
    all.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(word))
}

/// RFC 7644 section 3.7: a bulkId is unique within the job. The first create of that name stands.
fn refuse_doubles(items: &mut [Item]) {
    let mut taken = HashSet::new();
    for item in items {
        let Some(name) = item.creates().map(str::to_owned) else { continue };
        if !taken.insert(name) && item.refusal.is_none() {
            item.refusal = Some(Error::syntax("an earlier POST of this job has the same bulkId; each needs its own"));
        }
    }
}
