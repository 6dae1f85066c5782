//! Schema extensions of a configuration.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Create, Read};
use super::configurations::find_configuration;
use super::cursor::{CursorPage, PageQuery};
use crate::clock;
use crate::error::Result;
use crate::management::schema_extensions::{self, NewExtension, StoredExtension};
use crate::provisioning::resource_details;
use crate::scim::schema::DataType;
use crate::store::Tx;
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};

/// The resource type that a schema extends
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub(super) enum ExtendedResourceType {
    User,
    Group,
}

impl ExtendedResourceType {
    /// Name of the resource type.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

/// A schema extension of a configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SchemaExtension)]
pub(super) struct SchemaExtensionResponse {
    /// URN of the schema
    id: String,
    #[schema(inline, value_type = ExtendedResourceType)]
    resource_type: String,
    /// Whether each resource must have the extension
    required: bool,
    #[schema(format = DateTime)]
    created_at: String,
    /// The Schema document (RFC 7643 section 7), unchanged
    #[schema(value_type = Object)]
    schema: Value,
}

impl SchemaExtensionResponse {
    pub(super) fn from_stored(row: StoredExtension) -> Result<Self> {
        let (id, resource_type, required) = (row.id, row.resource_type, row.required);
        let schema = resource_details::parse_stored_json(&id, &row.document)?;
        Ok(Self { id, resource_type, required, created_at: clock::format_rfc3339(row.created_at), schema })
    }
}

/// List the schema extensions of a configuration
///
/// Ordered by URN.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas",
    tag = "Custom attributes",
    params(("id" = String, Path, description = "The configuration"), PageQuery),
    responses((status = 200, description = "One page", body = CursorPage<SchemaExtensionResponse>), ReadErrors)
)]
pub(super) async fn list_schemas(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let query = call.query::<PageQuery>()?;
    let (limit, after) = (query.limit()?, query.position::<String>()?);
    let found = call.read(move |at| schema_extensions::list_extensions(at, &context.scope, &id)).await?;
    let on_page = found.into_iter().filter(|row| after.as_ref().is_none_or(|after| row.id > *after));
    let on_page = on_page.map(SchemaExtensionResponse::from_stored).collect::<Result<Vec<_>>>()?;
    Ok(json_response(&CursorPage::from_rows(on_page, limit, |row| row.id.clone(), std::convert::identity)))
}

/// A Schema document (RFC 7643 section 7)
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only used for the OpenAPI document")]
pub(super) struct SchemaDocument {
    /// URN of the schema; not that of a standard schema or message
    #[schema(max_length = 1024, pattern = r"^[uU][rR][nN](:[A-Za-z0-9._-]+){2,}$")]
    id: String,
    name: Option<String>,
    description: Option<String>,
    /// Names must be unique; case is ignored
    #[schema(min_items = 1, max_items = 200)]
    attributes: Vec<AttributeDocument>,
}

/// An attribute of a schema. A complex attribute has `subAttributes`, which cannot be complex
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only used for the OpenAPI document")]
pub(super) struct AttributeDocument {
    #[schema(max_length = 1024, pattern = r"^[A-Za-z][A-Za-z0-9_$-]*$")]
    name: String,
    /// Default `string`
    #[schema(inline)]
    r#type: Option<AttributeType>,
    description: Option<String>,
    multi_valued: Option<bool>,
    required: Option<bool>,
    case_exact: Option<bool>,
    canonical_values: Option<Vec<String>>,
    /// Default `readWrite`
    #[schema(inline)]
    mutability: Option<AttributeMutability>,
    /// Default `default`; `writeOnly` attributes are never returned
    #[schema(inline)]
    returned: Option<AttributeReturned>,
    reference_types: Option<Vec<String>>,
    /// Whether an index supports `eq` filters on the attribute; only for strings
    indexed: Option<bool>,
    sub_attributes: Option<Vec<Value>>,
}

/// Data type of an attribute (RFC 7643 section 2.3)
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum AttributeType {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Binary,
    Reference,
    Complex,
}

impl From<DataType> for AttributeType {
    fn from(kind: DataType) -> Self {
        match kind {
            DataType::String => Self::String,
            DataType::Boolean => Self::Boolean,
            DataType::Decimal => Self::Decimal,
            DataType::Integer => Self::Integer,
            DataType::DateTime => Self::DateTime,
            DataType::Binary => Self::Binary,
            DataType::Reference => Self::Reference,
            DataType::Complex => Self::Complex,
        }
    }
}

impl From<AttributeType> for DataType {
    fn from(kind: AttributeType) -> Self {
        match kind {
            AttributeType::String => Self::String,
            AttributeType::Boolean => Self::Boolean,
            AttributeType::Decimal => Self::Decimal,
            AttributeType::Integer => Self::Integer,
            AttributeType::DateTime => Self::DateTime,
            AttributeType::Binary => Self::Binary,
            AttributeType::Reference => Self::Reference,
            AttributeType::Complex => Self::Complex,
        }
    }
}

/// When the attribute can be written
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only used for the OpenAPI document")]
enum AttributeMutability {
    ReadWrite,
    ReadOnly,
    Immutable,
    WriteOnly,
}

/// When the attribute is returned
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only used for the OpenAPI document")]
enum AttributeReturned {
    Always,
    Default,
    Request,
    Never,
}

/// A schema extension to add
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewSchemaExtension)]
pub(super) struct AddSchemaBody {
    #[schema(inline)]
    resource_type: ExtendedResourceType,
    /// Whether each resource must have the extension from now on; default false
    required: Option<bool>,
    #[schema(value_type = SchemaDocument)]
    schema: Value,
}

/// Add a schema extension to a configuration
///
/// The attributes are accepted, stored, filterable and returned from the next request on.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas",
    tag = "Custom attributes",
    params(("id" = String, Path, description = "The configuration")),
    request_body = AddSchemaBody,
    responses((status = 201, description = "The schema", body = SchemaExtensionResponse), WriteErrors)
)]
pub(super) async fn add_schema(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.body::<AddSchemaBody>().await?;
    let (resource_type, required) = (body.resource_type.as_str(), body.required.unwrap_or(false));
    let new = NewExtension { resource_type: resource_type.to_owned(), required, document: body.schema };
    let add = move |tx: &Tx<'_>| {
        SchemaExtensionResponse::from_stored(schema_extensions::add_extension(tx, &context, &id, &new)?)
    };
    write_and_respond(&call, StatusCode::CREATED, add, std::convert::identity).await
}

/// Get a schema extension of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas/{urn}",
    tag = "Custom attributes",
    params(("id" = String, Path, description = "The configuration")),
    responses((status = 200, description = "The schema", body = SchemaExtensionResponse), ReadErrors)
)]
pub(super) async fn get_schema(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (id, urn) = (call.path_parameter("id"), call.path_parameter("urn"));
    let found = call.read_inline(|at| schema_extensions::find_extension(at, &allowed.context.scope, &id, &urn))?;
    Ok(json_response(&SchemaExtensionResponse::from_stored(found)?))
}

/// Options of a removal
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveSchemaQuery {
    /// Also remove the values of the extension from all resources
    #[param(required = false)]
    purge: bool,
}

/// Remove a schema extension from a configuration
///
/// 409 if resources have values of the extension, unless `purge` is true.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/schemas/{urn}",
    tag = "Custom attributes",
    params(("id" = String, Path, description = "The configuration"), RemoveSchemaQuery),
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn remove_schema(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let (context, id, urn) = (allowed.context, call.path_parameter("id"), call.path_parameter("urn"));
    call.read_inline(|at| schema_extensions::find_extension(at, &context.scope, &id, &urn))?;
    let purge = call.query::<RemoveSchemaQuery>()?.purge;
    call.write(move |tx| schema_extensions::delete_extension(tx, &context, &id, &urn, purge)).await?;
    Ok(no_content_response())
}
