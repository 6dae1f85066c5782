//! Attributes that an identity provider sends and no schema of the configuration declares.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, Create, Read};
use super::configurations::find_configuration;
use super::cursor::{CursorPage, PageQuery};
use super::schema_extensions::{AttributeType, ExtendedResourceType, SchemaExtensionResponse};
use crate::clock;
use crate::error::Result;
use crate::management::schema_extensions::undeclared::{
    self, AttributeDeclaration, Declarability, DeclarationObstacle, UNDECLARED_MAX, UndeclaredEntry,
};
use crate::store::Tx;
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response};

/// An attribute that the identity provider sends and no schema declares. Its values are not stored
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UndeclaredAttribute)]
pub(super) struct UndeclaredAttributeResponse {
    /// Full path: `name`, `name.sub`, `URN:name` or `URN:name.sub`
    name: String,
    /// The resource type of the requests
    resource_type: String,
    /// Type of a value that was sent; null if only null was sent
    #[schema(inline)]
    r#type: Option<AttributeType>,
    /// Whether a list was sent
    multi_valued: bool,
    /// Number of requests that contained it
    calls: i64,
    /// Number of these requests that were refused, because the preset is strict
    refused_calls: i64,
    #[schema(format = DateTime)]
    first_seen: String,
    #[schema(format = DateTime)]
    last_seen: String,
    /// URN of the schema in which it can be declared; null if you choose the schema, or it cannot be declared
    schema: Option<String>,
    /// Why it cannot be declared; null if it can
    #[schema(inline)]
    obstacle: Option<ObstacleName>,
}

/// Why an attribute cannot be declared
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ObstacleName {
    StandardSchema,
    OtherResourceType,
    InvalidName,
    Nested,
}

impl From<DeclarationObstacle> for ObstacleName {
    fn from(obstacle: DeclarationObstacle) -> Self {
        match obstacle {
            DeclarationObstacle::StandardSchema => Self::StandardSchema,
            DeclarationObstacle::OtherResourceType => Self::OtherResourceType,
            DeclarationObstacle::InvalidName => Self::InvalidName,
            DeclarationObstacle::Nested => Self::Nested,
        }
    }
}

impl From<UndeclaredEntry> for UndeclaredAttributeResponse {
    fn from(entry: UndeclaredEntry) -> Self {
        let (schema, obstacle) = match entry.declarability {
            Declarability::InSchema(schema) => (Some(schema), None),
            Declarability::AnySchema => (None, None),
            Declarability::Impossible(obstacle) => (None, Some(obstacle.into())),
        };
        let used = entry.used;
        Self {
            name: used.name,
            resource_type: used.resource_type,
            r#type: used.kind.map(AttributeType::from),
            multi_valued: used.multi_valued,
            calls: used.calls,
            refused_calls: used.refused,
            first_seen: clock::format_rfc3339(used.first_seen),
            last_seen: clock::format_rfc3339(used.last_seen),
            schema,
            obstacle,
        }
    }
}

/// List the attributes that the identity provider sends and no schema declares
///
/// Ordered by resource type and name. A configuration has at most 200; the least recently sent ones leave. Calls of the last
/// minute may be missing from the counts after a restart.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/undeclared-attributes",
    tag = "Custom attributes",
    params(("id" = String, Path, description = "The configuration"), PageQuery),
    responses((status = 200, description = "One page", body = CursorPage<UndeclaredAttributeResponse>), ReadErrors)
)]
pub(super) async fn list_undeclared_attributes(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let query = call.query::<PageQuery>()?;
    let (limit, after) = (query.limit()?, query.position::<(String, String)>()?);
    let state = call.state.clone();
    let found = call.read(move |at| {
        let pending = |key| state.usage.undeclared.list_pending(key);
        undeclared::list_undeclared(at, &context.scope, &id, pending)
    });
    let position = undeclared::entry_position;
    let found = found.await?.into_iter();
    let on_page = found.filter(|entry| after.as_ref().is_none_or(|after| position(entry) > *after)).collect();
    Ok(json_response(&CursorPage::from_rows(on_page, limit, position, UndeclaredAttributeResponse::from)))
}

/// An attribute to declare
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttributeDeclaration)]
pub(super) struct AttributeDeclarationBody {
    #[schema(inline)]
    resource_type: ExtendedResourceType,
    /// As listed
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Default: the type of the value that was sent, or `string`
    #[schema(inline)]
    r#type: Option<AttributeType>,
    /// Default: whether a list was sent
    multi_valued: Option<bool>,
    /// URN of the schema, for an attribute that is sent without one
    #[schema(max_length = 1024)]
    schema: Option<String>,
}

/// Attributes to declare
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DeclareAttributes)]
pub(super) struct DeclareAttributesBody {
    #[schema(min_items = 1, max_items = 200)]
    attributes: Vec<AttributeDeclarationBody>,
}

/// The schemas that declare the attributes
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeclaredSchemas)]
pub(super) struct DeclaredSchemasResponse {
    schemas: Vec<SchemaExtensionResponse>,
}

impl AttributeDeclarationBody {
    fn into_declaration(self) -> AttributeDeclaration {
        AttributeDeclaration {
            resource_type: self.resource_type.as_str().to_owned(),
            name: self.name,
            kind: self.r#type.map(Into::into),
            multi_valued: self.multi_valued,
            schema: self.schema,
        }
    }
}

/// Declare attributes that the identity provider sends
///
/// Adds their schemas to the configuration, or extends those that it has. A complex attribute is declared with its listed
/// sub-attributes. Requests store the attributes from the next one on, and they leave the list.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/undeclared-attributes/declare",
    tag = "Custom attributes",
    params(("id" = String, Path, description = "The configuration")),
    request_body = DeclareAttributesBody,
    responses((status = 200, description = "The schemas", body = DeclaredSchemasResponse), WriteErrors)
)]
pub(super) async fn declare_attributes(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    let key = find_configuration(&call.state.store, &context, &id)?.key;
    let body = call.body::<DeclareAttributesBody>().await?;
    let chosen: Vec<_> = body.attributes.into_iter().map(AttributeDeclarationBody::into_declaration).collect();
    if chosen.len() > UNDECLARED_MAX {
        return Err(crate::error::Reason::SchemaTooManyAttributes.with("max", UNDECLARED_MAX).into());
    }
    let pending = call.state.usage.undeclared.list_pending(key);
    let declare = move |tx: &Tx<'_>| {
        let declared = undeclared::declare_attributes(tx, &context, &id, (&chosen, &pending))?;
        declared.into_iter().map(SchemaExtensionResponse::from_stored).collect::<Result<_>>()
    };
    write_and_respond(&call, StatusCode::OK, declare, |schemas| DeclaredSchemasResponse { schemas }).await
}
