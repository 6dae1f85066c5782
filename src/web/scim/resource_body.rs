//! Reads the bodies of writes, and records the attributes in them that no schema declares.

use serde_json::Value;

use crate::clock;
use crate::error::Result;
use crate::model::configuration::ConfigurationKey;
use crate::scim::dialect::DialectRules;
use crate::scim::schema::ResourceType;
use crate::scim::schema::undeclared::{UndeclaredSource, find_undeclared};
use crate::web::undeclared_log::UndeclaredLog;

/// Reads a body for a resource type.
pub(super) type ReadBody<T> = fn(&Value, &ResourceType, DialectRules) -> Result<T>;

/// Reads bodies of one configuration, on any thread.
#[derive(Clone, Copy)]
pub(super) struct ResourceBodyReader<'r> {
    /// Where undeclared attributes are recorded.
    pub(super) log: &'r UndeclaredLog,
    /// The configuration.
    pub(super) configuration: ConfigurationKey,
    /// Its rules.
    pub(super) rules: DialectRules,
}

impl ResourceBodyReader<'_> {
    /// Reads a body, and records the attributes that no schema declares.
    ///
    /// # Errors
    /// Errors of the body.
    pub(super) fn read<T: UndeclaredSource>(
        self,
        body: &Value,
        resource_type: &ResourceType,
        read: ReadBody<T>,
    ) -> Result<T> {
        let mut result = read(body, resource_type, self.rules);
        let found = find_undeclared(&mut result, body, resource_type);
        if !found.is_empty() {
            self.log.record(self.configuration, found, result.is_err(), clock::current_millis());
        }
        result
    }
}
