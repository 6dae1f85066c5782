//! Required permission of a route, shared by the management API and the portal.

use std::marker::PhantomData;

use crate::model::permission::Permission;

/// The permission that a route requires.
pub trait RequiredPermission: 'static {
    /// The required permission.
    const PERMISSION: Permission;
    /// Whether the caller must have access to all accounts.
    const OPERATOR_ONLY: bool = false;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident => $permission:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name;
        impl RequiredPermission for $name {
            const PERMISSION: Permission = Permission::$permission;
        }
    )+};
}

needs! {
    /// Read configurations.
    Read => ProvisioningRead,
    /// Create and change configurations.
    Create => ProvisioningCreate,
    /// Delete configurations.
    Delete => ProvisioningDelete,
    /// Create and revoke tokens and links.
    Tokens => ProvisioningTokens,
    /// Read users and groups.
    Directory => DirectoryRead,
    /// Read the request log.
    Requests => RequestsRead,
    /// Read the audit log.
    Audit => AuditRead,
    /// Manage the server.
    System => SystemAdmin,
}

/// The same permission, for callers with access to all accounts only.
pub struct OperatorOnly<N>(PhantomData<N>);

impl<N: RequiredPermission> RequiredPermission for OperatorOnly<N> {
    const PERMISSION: Permission = N::PERMISSION;
    const OPERATOR_ONLY: bool = true;
}
