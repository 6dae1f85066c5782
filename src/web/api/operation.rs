//! Parts of the `OpenAPI` document that are generated for every operation: tags, required permission, and parameters.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use crate::model::permission::Permission;

/// Adds the tags, the required permission and the descriptions of path parameters to an operation. `needs` is the
/// permission and whether it is reserved for the operator.
pub(super) fn complete_operation(
    operation: &mut Operation,
    path: &str,
    tags: &[&str],
    needs: Option<(Permission, bool)>,
) {
    operation.tags = Some(tags.iter().map(|&tag| tag.to_owned()).collect());
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            remove_null(parameter);
            if parameter.parameter_in == ParameterIn::Path && parameter.description.is_none() {
                parameter.description = Some(format!("Id of the {}", describe_path_parameter(path, &parameter.name)));
            }
        }
    }
    let access = match needs {
        None => "Needs no credentials.".to_owned(),
        Some((permission, is_operators)) => {
            operation.extensions.get_or_insert_default().insert("x-permission".to_owned(), permission.as_str().into());
            let key = permission.token_key().map(|key| format!(", in user tokens `{key}`")).unwrap_or_default();
            let only = if is_operators { " Only the operator's own credentials have it." } else { "" };
            format!("Needs the permission `{permission}`{key}.{only}")
        }
    };
    operation.description = Some(match operation.description.take() {
        Some(description) if !description.is_empty() => format!("{description}\n\n{access}"),
        _ => access,
    });
}

/// Returns the `Idempotency-Key` header, which every POST accepts.
pub(super) fn build_idempotency_parameter() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(8)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "A new random key for each new request, such as a UUID. If the same request with the same key is sent again \
             within a day, it has no further effect and gets the same response.",
        ))
        .schema(Some(text.pattern(Some("^[!-~]{8,255}$"))))
        .build()
}

/// Returns the noun that a path parameter identifies: the segment before it, in the singular.
fn describe_path_parameter(path: &str, name: &str) -> String {
    let before = path.split('/').take_while(|part| part.trim_matches(['{', '}']) != name).last().unwrap_or_default();
    match before {
        "scim2" | "temp" | "leftovers" => "configuration".to_owned(),
        several => several.strip_suffix('s').unwrap_or(several).replace('-', " "),
    }
}

/// Removes `null` from the types of a parameter. Optional parameters are absent, not null: a query or a header cannot
/// express null.
fn remove_null(parameter: &mut Parameter) {
    let is_null = |schema: &RefOr<Schema>| matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    match &mut parameter.schema {
        Some(RefOr::T(Schema::Object(object))) => remove_null_type(&mut object.schema_type),
        Some(RefOr::T(Schema::Array(array))) => remove_null_type(&mut array.schema_type),
        Some(RefOr::T(Schema::OneOf(choice))) => {
            choice.items.retain(|schema| !is_null(schema));
            if let [only] = choice.items.as_slice() {
                parameter.schema = Some(only.clone());
            }
        }
        _ => {}
    }
}

fn remove_null_type(kind: &mut SchemaType) {
    if let SchemaType::Array(types) = kind {
        types.retain(|one| *one != Type::Null);
        if let [only] = types.as_slice() {
            *kind = SchemaType::Type(only.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::OperationBuilder;

    use super::*;

    #[test]
    fn the_description_of_an_operation_includes_the_permission() {
        let mut operation = OperationBuilder::new().description(Some("Purges.")).build();
        complete_operation(&mut operation, "/leftovers", &["Leftovers"], Some((Permission::ProvisioningDelete, true)));
        let description = operation.description.unwrap();
        assert!(
            description
                .starts_with("Purges.\n\nNeeds the permission `provisioning.delete`, in user tokens `fe.secure.")
        );
        assert!(description.ends_with("Only the operator's own credentials have it."));
        assert_eq!(operation.tags.unwrap(), ["Leftovers"]);
    }

    #[test]
    fn a_path_parameter_is_named_after_the_segment_before_it() {
        let path = "/v1/configurations/scim2/{id}/requests/{requestId}";
        assert_eq!(
            (describe_path_parameter(path, "id"), describe_path_parameter(path, "requestId")),
            ("configuration".into(), "request".into())
        );
        assert_eq!(describe_path_parameter("/v1/api-keys/{id}", "id"), "api key");
    }

    #[test]
    fn an_optional_parameter_is_not_nullable() {
        let text = ObjectBuilder::new().schema_type(SchemaType::Array(vec![Type::String, Type::Null]));
        let mut parameter = ParameterBuilder::new().schema(Some(text)).build();
        remove_null(&mut parameter);
        let Some(RefOr::T(Schema::Object(object))) = parameter.schema else { panic!("an object schema") };
        assert!(object.schema_type == SchemaType::Type(Type::String));
    }
}
