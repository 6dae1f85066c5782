//! Parts of the `OpenAPI` document that are generated for every operation: id, tags, required permission and credentials,
//! the parameters in the path, and the header of the account.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ObjectBuilder, RefOr, Required, Schema, Type};

use crate::web::api::routes::AccessRule;

/// Name of the one security scheme.
pub(super) const BEARER: &str = "bearer";

/// The header that selects an account.
const ACCOUNT_HEADER: &str = "frontegg-tenant-id";

/// Path of the accounts themselves, which the header does not select.
const ACCOUNTS_PATH: &str = "/directory/resources/v1/accounts";

/// Completes an operation. What its handler documents itself stays. `needs` are the permissions and whether they are
/// reserved for the operator.
pub(super) fn complete_operation(operation: &mut Operation, path: &str, tags: &[&str], needs: Option<AccessRule>) {
    operation.tags = Some(tags.iter().map(|&tag| tag.to_owned()).collect());
    operation.operation_id = operation.operation_id.as_deref().map(to_camel_case);
    operation.security = Some(vec![match needs {
        Some(_) => SecurityRequirement::new::<_, [String; 0], String>(BEARER, []),
        None => SecurityRequirement::default(),
    }]);
    let has_account = needs.is_some() && !path.starts_with(ACCOUNTS_PATH);
    complete_parameters(operation.parameters.get_or_insert_default(), path, has_account);
    operation.parameters.take_if(|parameters| parameters.is_empty());
    let access = match needs {
        None => "Needs no credentials.".to_owned(),
        Some((permission, second, is_operators)) => {
            operation.extensions.get_or_insert_default().insert("x-permission".to_owned(), permission.as_str().into());
            let key = permission.token_key().map(|key| format!(", in user tokens `{key}`")).unwrap_or_default();
            let only = if is_operators { " Only the operator's own credentials have it." } else { "" };
            let second = second.map(|second| format!(" and the permission `{second}`")).unwrap_or_default();
            format!("Needs the permission `{permission}`{key}{second}.{only}")
        }
    };
    operation.description = Some(match operation.description.take() {
        Some(description) if !description.is_empty() => format!("{description}\n\n{access}"),
        _ => access,
    });
}

/// Adds the parameters in the path and the header of the account, if they are not documented.
fn complete_parameters(parameters: &mut Vec<RefOr<Parameter>>, path: &str, has_account: bool) {
    for parameter in parameters.iter_mut() {
        if let RefOr::T(parameter) = parameter {
            remove_null(parameter);
        }
    }
    let find = |parameters: &[RefOr<Parameter>], name: &str| {
        parameters.iter().position(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == name))
    };
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for (at, name) in names.enumerate() {
        let documented = find(parameters, name).map(|found| parameters.remove(found));
        let added = || {
            let parameter = build_text_parameter(name, ParameterIn::Path, &describe_path_parameter(path, name));
            parameter.required(Required::True).build().into()
        };
        parameters.insert(at, documented.unwrap_or_else(added));
    }
    if has_account && find(parameters, ACCOUNT_HEADER).is_none() {
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
        let parameter = build_text_parameter(ACCOUNT_HEADER, ParameterIn::Header, "The account");
        parameters.push(parameter.schema(Some(text)).required(Required::False).build().into());
    }
}

fn build_text_parameter(name: &str, parameter_in: ParameterIn, description: &str) -> ParameterBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new().name(name).parameter_in(parameter_in).description(Some(description)).schema(Some(text))
}

/// Converts the name of a function to an operation id.
fn to_camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut id = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        id.extend(letters.next().map(|initial| initial.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
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

/// Returns the description of a path parameter. The noun is the segment before it, in the singular.
fn describe_path_parameter(path: &str, name: &str) -> String {
    let before = path.split('/').take_while(|part| part.trim_matches(['{', '}']) != name).last().unwrap_or_default();
    match before {
        "scim2" | "temp" | "leftovers" => "Id of the configuration".to_owned(),
        "schemas" => "URN of the schema".to_owned(),
        several => format!("Id of the {}", several.strip_suffix('s').unwrap_or(several).replace('-', " ")),
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
    use crate::model::permission::Permission;

    #[test]
    fn the_description_of_an_operation_includes_the_permission() {
        let mut operation = OperationBuilder::new().description(Some("Purges.")).build();
        complete_operation(
            &mut operation,
            "/leftovers",
            &["Retained data"],
            Some((Permission::ProvisioningDelete, None, true)),
        );
        let description = operation.description.unwrap();
        assert!(
            description
                .starts_with("Purges.\n\nNeeds the permission `provisioning.delete`, in user tokens `fe.secure.")
        );
        assert!(description.ends_with("Only the operator's own credentials have it."));
        assert_eq!(operation.tags.unwrap(), ["Retained data"]);
    }

    #[test]
    fn a_path_parameter_is_named_after_the_segment_before_it() {
        let path = "/v1/configurations/scim2/{id}/requests/{requestId}";
        assert_eq!(
            (describe_path_parameter(path, "id"), describe_path_parameter(path, "requestId")),
            ("Id of the configuration".into(), "Id of the request".into())
        );
        assert_eq!(describe_path_parameter("/v1/api-keys/{id}", "id"), "Id of the api key");
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
