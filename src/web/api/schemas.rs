//! Schemas that a configuration adds to users and groups.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answered, ReadRefusals, WriteRefusals, created, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Create, Read};
use super::configurations::known;
use super::cursor::{Page, PageQuery};
use crate::clock;
use crate::directory::extensions::{self, NewExtension};
use crate::store::extensions::Extension;

/// What a schema extends
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
enum ExtendedType {
    User,
    Group,
}

/// A schema of a configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SchemaExtension)]
pub(super) struct Shown {
    /// URN of the schema
    id: String,
    #[schema(inline, value_type = ExtendedType)]
    resource_type: String,
    /// Whether each resource must carry it
    required: bool,
    #[schema(format = DateTime)]
    created_at: String,
    /// The Schema document of RFC 7643 section 7, as it was given
    #[schema(value_type = Object)]
    schema: Value,
}

impl From<Extension> for Shown {
    fn from(row: Extension) -> Self {
        let (id, resource_type, required) = (row.id, row.resource_type, row.required);
        let schema = serde_json::from_str(&row.document).unwrap_or_default();
        Self { id, resource_type, required, created_at: clock::rfc3339(row.created_at), schema }
    }
}

/// The schemas that a configuration has added
///
/// In the order of their URNs.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas",
    tag = "Schemas",
    operation_id = "listSchemas",
    params(
        ("id" = String, Path, description = "The configuration"),
        PageQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 200, description = "One page", body = Page<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Read>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let query = call.query::<PageQuery>()?;
    let (limit, place) = (query.limit()?, query.place::<String>()?);
    let found = read_aside(&call.state, move |at| extensions::list(at, &by.reach, &id)).await?;
    let on_page = found.into_iter().filter(|row| place.as_ref().is_none_or(|place| row.id > *place)).collect();
    Ok(document(&Page::of(on_page, limit, |row| row.id.clone(), Shown::from)))
}

/// A Schema document: RFC 7643 section 7
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is read as it is")]
pub(super) struct SchemaDocument {
    /// URN of the schema, in a namespace of your own
    #[schema(
        max_length = 1024,
        pattern = r"^(?![uU][rR][nN]:[iI][eE][tT][fF]:[pP][aA][rR][aA][mM][sS]:[sS][cC][iI][mM]:)[uU][rR][nN](:[A-Za-z0-9._-]+){2,}$"
    )]
    id: String,
    name: Option<String>,
    description: Option<String>,
    /// Names are told apart whatever their case
    #[schema(min_items = 1, max_items = 200)]
    attributes: Vec<AttributeDocument>,
}

/// An attribute of a schema. A complex one has `subAttributes`, which are not complex themselves
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is read as it is")]
pub(super) struct AttributeDocument {
    #[schema(max_length = 1024, pattern = r"^[A-Za-z][A-Za-z0-9_$-]*$")]
    name: String,
    /// string without it
    #[schema(inline)]
    r#type: Option<AttributeType>,
    description: Option<String>,
    multi_valued: Option<bool>,
    required: Option<bool>,
    case_exact: Option<bool>,
    canonical_values: Option<Vec<String>>,
    /// readWrite without it
    #[schema(inline)]
    mutability: Option<Mutability>,
    /// default without it; what is writeOnly is returned never
    #[schema(inline)]
    returned: Option<Returned>,
    reference_types: Option<Vec<String>>,
    /// Whether `eq` on it is answered by an index; text only
    indexed: Option<bool>,
    sub_attributes: Option<Vec<Value>>,
}

/// Kind of values
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is read as it is")]
enum AttributeType {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Binary,
    Reference,
    Complex,
}

/// Who may write
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is read as it is")]
enum Mutability {
    ReadWrite,
    ReadOnly,
    Immutable,
    WriteOnly,
}

/// When it is shown
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is read as it is")]
enum Returned {
    Always,
    Default,
    Request,
    Never,
}

/// A schema to be added
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewSchemaExtension)]
pub(super) struct NewBody {
    #[schema(inline)]
    resource_type: ExtendedType,
    /// Whether each resource must carry it from now on
    required: Option<bool>,
    #[schema(value_type = SchemaDocument)]
    schema: Value,
}

/// Add a schema to a configuration
///
/// Its attributes are accepted, kept, filtered and shown from the next request on.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas",
    tag = "Schemas",
    operation_id = "addSchema",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    request_body = NewBody,
    responses((status = 201, description = "The schema", body = Shown), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn add(allowed: Allowed<Create>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let (body, state) = call.body::<NewBody>().await?;
    let resource_type = match body.resource_type {
        ExtendedType::User => "User",
        ExtendedType::Group => "Group",
    };
    let required = body.required.unwrap_or(false);
    let new = NewExtension { resource_type: resource_type.to_owned(), required, document: body.schema };
    let added = write(&state, move |tx| extensions::add(tx, &by, &id, &new)).await?;
    Ok(created(&Shown::from(added)))
}

/// One schema of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas/{urn}",
    tag = "Schemas",
    operation_id = "getSchema",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("urn" = String, Path, description = "URN of the schema"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 200, description = "The schema", body = Shown), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn read(allowed: Allowed<Read>, call: Call) -> Answered {
    let (id, urn) = (call.part("id"), call.part("urn"));
    let found = call.state.store.read_inline(|at| extensions::within(at, &allowed.by.reach, &id, &urn))?;
    Ok(document(&Shown::from(found)))
}

/// What a removal takes with it
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Remove the values that resources have under it
    #[param(required = false)]
    purge: bool,
}

/// Remove a schema from a configuration
///
/// 409 while resources have values under it, unless they are to be purged.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas/{urn}",
    tag = "Schemas",
    operation_id = "removeSchema",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("urn" = String, Path, description = "URN of the schema"),
        DeleteQuery,
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn remove(allowed: Allowed<Create>, call: Call) -> Answered {
    let (by, id, urn) = (allowed.by, call.part("id"), call.part("urn"));
    call.state.store.read_inline(|at| extensions::within(at, &by.reach, &id, &urn))?;
    let purge = call.query::<DeleteQuery>()?.purge;
    write(&call.state, move |tx| extensions::delete(tx, &by, &id, &urn, purge)).await?;
    Ok(done())
}
