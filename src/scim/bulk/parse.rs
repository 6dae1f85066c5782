//! Parses the body of a bulk request.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{BulkItem, BulkJob, BulkMethod, OPERATIONS_MAX};
use crate::error::{Error, Reason};
use crate::scim::dialect::DialectRules;
use crate::scim::entity_tag::EntityTags;
use crate::scim::urn;

/// Parses the body of a bulk request. An error in one item is stored in that item.
///
/// # Errors
/// 400 invalidSyntax if the body is not a `BulkRequest` with operations, 400 invalidValue if `failOnErrors` is not an
/// integer of at least 1, 413 above [`OPERATIONS_MAX`].
pub fn parse_bulk_job(body: Value, rules: DialectRules) -> Result<BulkJob, Error> {
    let Value::Object(mut object) = body else {
        return Err(Error::new(Reason::OperationsBodyNotObject));
    };
    check_schemas(take_member(&mut object, "schemas"))?;
    let errors_max = parse_errors_max(take_member(&mut object, "failOnErrors"))?;
    let operations = match take_member(&mut object, "Operations") {
        Some(Value::Array(operations)) if !operations.is_empty() => operations,
        Some(Value::Array(_)) => return Err(Error::new(Reason::OperationsEmpty)),
        Some(_) => return Err(Error::new(Reason::OperationsNotArray)),
        None => return Err(Error::new(Reason::OperationsMissing)),
    };
    if operations.len() > OPERATIONS_MAX {
        let given = operations.len();
        return Err(Reason::BulkTooManyOperations.with("max", OPERATIONS_MAX).with("given", given));
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

fn check_schemas(schemas: Option<Value>) -> Result<(), Error> {
    let named = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(urn::BULK_REQUEST));
    match schemas {
        Some(Value::Array(uris)) if uris.iter().any(named) => Ok(()),
        _ => Err(Reason::SchemasIncomplete.with("schema", urn::BULK_REQUEST)),
    }
}

fn parse_errors_max(given: Option<Value>) -> Result<Option<usize>, Error> {
    let Some(given) = given else { return Ok(None) };
    let number = given.as_u64().filter(|number| *number > 0);
    let number = number.ok_or_else(|| Error::new(Reason::FailOnErrorsInvalid))?;
    Ok(Some(usize::try_from(number).unwrap_or(usize::MAX)))
}

fn parse_item(operation: Value, rules: DialectRules) -> BulkItem {
    let mut item = BulkItem::default();
    let read = match operation {
        Value::Object(parts) => fill_item(&mut item, parts, rules),
        _ => Err(Error::new(Reason::BulkOperationInvalid)),
    };
    item.error = read.err();
    item
}

/// Sets the fields of the item. After an error the remaining fields stay empty.
fn fill_item(item: &mut BulkItem, mut parts: Map<String, Value>, rules: DialectRules) -> Result<(), Error> {
    // The result repeats these members. They are read first, so that the client can identify a rejected item.
    let method = take_member(&mut parts, "method");
    item.method = method.as_ref().and_then(Value::as_str).and_then(self::parse_method);
    let bulk_id = take_member(&mut parts, "bulkId");
    item.bulk_id = bulk_id.as_ref().and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let path = take_member(&mut parts, "path");
    path.as_ref().and_then(Value::as_str).unwrap_or_default().clone_into(&mut item.path);
    let Some(method) = item.method else {
        return Err(Error::new(Reason::BulkMethodInvalid));
    };
    if bulk_id.is_some() && item.bulk_id.is_none() {
        return Err(Error::new(Reason::BulkIdInvalid));
    }
    if method == BulkMethod::Post && item.bulk_id.is_none() {
        return Err(Error::new(Reason::BulkIdMissing));
    }
    if item.path.is_empty() {
        return Err(Error::new(Reason::BulkPathMissing));
    }
    item.version = match take_member(&mut parts, "version") {
        // RFC 7644 section 3.7: this is the version of the resource. A resource to be created has none.
        None => None,
        Some(_) if method == BulkMethod::Post => None,
        Some(Value::String(tag)) => Some(EntityTags::parse(&tag, rules.strict)?),
        Some(_) => return Err(Error::new(Reason::BulkVersionInvalid)),
    };
    item.data = match (method, take_member(&mut parts, "data")) {
        (BulkMethod::Delete, _) => Value::Null,
        (_, None) => {
            return Err(Reason::BulkDataMissing.with("method", method.as_str()));
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
    BulkMethod::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(name))
}

/// RFC 7644 section 3.7: a bulkId is unique within the job. The first POST with a bulkId is valid, later ones are
/// rejected.
fn reject_duplicates(items: &mut [BulkItem]) {
    let mut used = HashSet::new();
    for item in items {
        let Some(name) = item.created_bulk_id().map(str::to_owned) else { continue };
        if !used.insert(name) && item.error.is_none() {
            item.error = Some(Error::new(Reason::BulkIdTwice));
        }
    }
}
