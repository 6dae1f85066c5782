//! Parses the body of a bulk request.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{BulkItem, BulkJob, BulkMethod, OPERATIONS_MAX};
use crate::scim::dialect::DialectRules;
use crate::scim::entity_tag::EntityTags;
use crate::scim::{ScimError, urn};

/// Parses the body of a bulk request. An error in one item is stored in that item.
///
/// # Errors
/// 400 invalidSyntax if the body is not a `BulkRequest` with operations, 400 invalidValue if `failOnErrors` is not an
/// integer of at least 1, 413 above [`OPERATIONS_MAX`].
pub fn parse_bulk_job(body: Value, rules: DialectRules) -> Result<BulkJob, ScimError> {
    let Value::Object(mut object) = body else {
        return Err(ScimError::invalid_syntax("the body must be a JSON object with Operations"));
    };
    check_schemas(take_member(&mut object, "schemas"))?;
    let errors_max = parse_errors_max(take_member(&mut object, "failOnErrors"))?;
    let operations = match take_member(&mut object, "Operations") {
        Some(Value::Array(operations)) if !operations.is_empty() => operations,
        Some(Value::Array(_)) => return Err(ScimError::invalid_syntax("Operations must not be empty")),
        Some(_) => return Err(ScimError::invalid_syntax("Operations must be an array")),
        None => return Err(ScimError::invalid_syntax("the body must have Operations")),
    };
    if operations.len() > OPERATIONS_MAX {
        let given = operations.len();
        return Err(ScimError::too_large(format!("a job may hold at most {OPERATIONS_MAX} operations, not {given}")));
    }
    let mut items: Vec<BulkItem> = operations.into_iter().map(|operation| parse_item(operation, rules)).collect();
    reject_duplicates(&mut items);
    Ok(BulkJob { errors_max, items })
}

/// Removes and returns the member with that name, case-insensitively. Returns `None` for null.
fn take_member(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    object.swap_remove(&key).filter(|value| !value.is_null())
}

fn check_schemas(schemas: Option<Value>) -> Result<(), ScimError> {
    let named = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(urn::BULK_REQUEST));
    match schemas {
        Some(Value::Array(uris)) if uris.iter().any(named) => Ok(()),
        _ => Err(ScimError::invalid_syntax(format!("schemas must name {}", urn::BULK_REQUEST))),
    }
}

fn parse_errors_max(given: Option<Value>) -> Result<Option<usize>, ScimError> {
    let Some(given) = given else { return Ok(None) };
    let number = given.as_u64().filter(|number| *number > 0);
    let number = number.ok_or_else(|| {
        ScimError::invalid_value("failOnErrors must be a whole number of at least 1; omit it to run the whole job")
    })?;
    Ok(Some(usize::try_from(number).unwrap_or(usize::MAX)))
}

fn parse_item(operation: Value, rules: DialectRules) -> BulkItem {
    let mut item = BulkItem::default();
    let read = match operation {
        Value::Object(parts) => fill_item(&mut item, parts, rules),
        _ => Err(ScimError::invalid_syntax("an operation must be an object with method and path")),
    };
    item.error = read.err();
    item
}

/// Sets the fields of the item. After an error the remaining fields stay empty.
fn fill_item(item: &mut BulkItem, mut parts: Map<String, Value>, rules: DialectRules) -> Result<(), ScimError> {
    // The result repeats these members. They are read first, so that the client can identify a rejected item.
    let method = take_member(&mut parts, "method");
    item.method = method.as_ref().and_then(Value::as_str).and_then(self::parse_method);
    let bulk_id = take_member(&mut parts, "bulkId");
    item.bulk_id = bulk_id.as_ref().and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let path = take_member(&mut parts, "path");
    path.as_ref().and_then(Value::as_str).unwrap_or_default().clone_into(&mut item.path);
    let Some(method) = item.method else {
        return Err(ScimError::invalid_syntax("method must be POST, PUT, PATCH or DELETE"));
    };
    if bulk_id.is_some() && item.bulk_id.is_none() {
        return Err(ScimError::invalid_syntax("bulkId must be text that is not empty"));
    }
    if method == BulkMethod::Post && item.bulk_id.is_none() {
        return Err(ScimError::invalid_syntax("POST needs a bulkId, which the result repeats"));
    }
    if item.path.is_empty() {
        return Err(ScimError::invalid_syntax("path is required: /Users, /Users/ID, /Groups or /Groups/ID"));
    }
    item.version = match take_member(&mut parts, "version") {
        // RFC 7644 section 3.7: this is the version of the resource. A resource to be created has none.
        None => None,
        Some(_) if method == BulkMethod::Post => None,
        Some(Value::String(tag)) => Some(EntityTags::parse(&tag)?),
        Some(_) => return Err(ScimError::invalid_value("version must be text, an entity tag such as W/\"3\"")),
    };
    item.data = match (method, take_member(&mut parts, "data")) {
        (BulkMethod::Delete, _) => Value::Null,
        (_, None) => {
            return Err(ScimError::invalid_syntax(format!(
                "{} needs data, the body of the single call",
                method.as_str()
            )));
        }
        // Erratum 5050: data is a complete PatchOp. An array of operations is unambiguous, so it is accepted too.
        (BulkMethod::Patch, Some(Value::Array(operations))) if !rules.strict => {
            json!({"schemas": [urn::PATCH_OP], "Operations": operations})
        }
        (_, Some(data)) => data,
    };
    Ok(())
}

fn parse_method(name: &str) -> Option<BulkMethod> {
    let all = [BulkMethod::Post, BulkMethod::Put, BulkMethod::Patch, BulkMethod::Delete];
    all.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(name))
}

/// RFC 7644 section 3.7: a bulkId is unique within the job. The first POST with a bulkId is valid, later ones are
/// rejected.
fn reject_duplicates(items: &mut [BulkItem]) {
    let mut used = HashSet::new();
    for item in items {
        let Some(name) = item.created_bulk_id().map(str::to_owned) else { continue };
        if !used.insert(name) && item.error.is_none() {
            item.error =
                Some(ScimError::invalid_syntax("an earlier POST of this job has the same bulkId; each needs its own"));
        }
    }
}
