//! What is said of every operation in the same way: its group, who may call it, and what its parameters can hold.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use crate::model::permission::Permission;

/// Completes what stands above a handler with what its arguments say.
pub(super) fn complete(operation: &mut Operation, path: &str, tags: &[&str], needs: Option<(Permission, bool)>) {
    operation.tags = Some(tags.iter().map(|&tag| tag.to_owned()).collect());
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            never_null(parameter);
            if parameter.parameter_in == ParameterIn::Path && parameter.description.is_none() {
                parameter.description = Some(format!("Id of the {}", noun(path, &parameter.name)));
            }
        }
    }
    let who = match needs {
        None => "Needs no credentials.".to_owned(),
        Some((permission, is_operators)) => {
            operation.extensions.get_or_insert_default().insert("x-permission".to_owned(), permission.as_str().into());
            let key = permission.token_key().map(|key| format!(", in user tokens `{key}`")).unwrap_or_default();
            let only = if is_operators { " Only the operator's own credentials have it." } else { "" };
            format!("Needs the permission `{permission}`{key}.{only}")
        }
    };
    operation.description = Some(match operation.description.take() {
        Some(description) if !description.is_empty() => format!("{description}\n\n{who}"),
        _ => who,
    });
}

/// The header that every POST takes.
pub(super) fn idempotency_key() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(8)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "A new random key for each new request, such as a UUID. The same request with the same key within a day is \
             answered like the first time and does nothing.",
        ))
        .schema(Some(text.pattern(Some("^[!-~]{8,255}$"))))
        .build()
}

/// What a part of the path names: the segment before it, in the singular.
fn noun(path: &str, name: &str) -> String {
    let before = path.split('/').take_while(|part| part.trim_matches(['{', '}']) != name).last().unwrap_or_default();
    match before {
        "scim2" | "temp" | "leftovers" => "configuration".to_owned(),
        several => several.strip_suffix('s').unwrap_or(several).replace('-', " "),
    }
}

/// A parameter that may be left out is no value that may be null: neither a query nor a header can say that.
fn never_null(parameter: &mut Parameter) {
    let is_null = |schema: &RefOr<Schema>| matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    match &mut parameter.schema {
        Some(RefOr::T(Schema::Object(object))) => not_null(&mut object.schema_type),
        Some(RefOr::T(Schema::Array(array))) => not_null(&mut array.schema_type),
        Some(RefOr::T(Schema::OneOf(choice))) => {
            choice.items.retain(|schema| !is_null(schema));
            if let [only] = choice.items.as_slice() {
                parameter.schema = Some(only.clone());
            }
        }
        _ => {}
    }
}

fn not_null(kind: &mut SchemaType) {
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
    fn an_operation_says_who_may_call_it() {
        let mut operation = OperationBuilder::new().description(Some("Purges.")).build();
        complete(&mut operation, "/leftovers", &["Leftovers"], Some((Permission::ProvisioningDelete, true)));
        let said = operation.description.unwrap();
        assert!(said.starts_with("Purges.\n\nNeeds the permission `provisioning.delete`, in user tokens `fe.secure."));
        assert!(said.ends_with("Only the operator's own credentials have it."));
        assert_eq!(operation.tags.unwrap(), ["Leftovers"]);
    }

    #[test]
    fn a_part_of_the_path_is_named_after_what_stands_before_it() {
        let path = "/v1/configurations/scim2/{id}/requests/{requestId}";
        assert_eq!((noun(path, "id"), noun(path, "requestId")), ("configuration".into(), "request".into()));
        assert_eq!(noun("/v1/api-keys/{id}", "id"), "api key");
    }

    #[test]
    fn a_parameter_that_may_be_left_out_is_not_null() {
        let text = ObjectBuilder::new().schema_type(SchemaType::Array(vec![Type::String, Type::Null]));
        let mut parameter = ParameterBuilder::new().schema(Some(text)).build();
        never_null(&mut parameter);
        let Some(RefOr::T(Schema::Object(object))) = parameter.schema else { panic!("an object schema") };
        assert!(object.schema_type == SchemaType::Type(Type::String));
    }
}
