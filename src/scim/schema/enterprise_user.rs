//! The enterprise extension of User (RFC 7643 sections 4.3 and 8.7.1, errata applied).

use std::sync::LazyLock;

use super::{Attribute, Schema};
use crate::scim::urn;

/// `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`.
pub static ENTERPRISE_USER: LazyLock<Schema> = LazyLock::new(|| Schema {
    id: urn::ENTERPRISE_USER.into(),
    name: "EnterpriseUser".into(),
    description: "Enterprise User".into(),
    attributes: vec![
        Attribute::string("employeeNumber", "Number or code given by the organization."),
        Attribute::string("costCenter", "Name of the cost center."),
        Attribute::string("organization", "Name of the organization."),
        Attribute::string("division", "Name of the division."),
        Attribute::string("department", "Name of the department."),
        Attribute::complex(
            "manager",
            "The user's manager.",
            vec![
                // Erratum 8472: the comparison of an id is case-sensitive.
                Attribute::string("value", "Id of the manager's User resource.").case_exact().indexed(),
                Attribute::reference("$ref", "URL of the manager's User resource.", &["User"]),
                Attribute::string("displayName", "The manager's displayName.").read_only().repeats("User"),
            ],
        ),
    ],
});
