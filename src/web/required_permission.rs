//! Required permission of a route, shared by the management API and the portal.

use std::marker::PhantomData;

use crate::model::permission::{Permission, Permissions};

/// The permission that a route requires.
pub trait RequiredPermission: 'static {
    /// The required permission.
    const PERMISSION: Permission;
    /// A second required permission.
    const SECOND_PERMISSION: Option<Permission> = None;
    /// Whether the caller must have access to all accounts.
    const OPERATOR_ONLY: bool = false;

    /// Returns a required permission that is not in the set.
    fn find_missing(permissions: Permissions) -> Option<Permission> {
        [Some(Self::PERMISSION), Self::SECOND_PERMISSION].into_iter().flatten().find(|one| !permissions.contains(*one))
    }
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
    /// Change and revoke tokens and links.
    Tokens => ProvisioningTokens,
    /// Read users and groups.
    Directory => DirectoryRead,
    /// Read the request log.
    Requests => RequestsRead,
    /// Read the audit log.
    Audit => AuditRead,
    /// Manage the server.
    System => SystemAdmin,
    /// Manage webhooks.
    Webhooks => WebhooksManage,
}

/// Create tokens and links. A token reads users and groups, so its creator must be allowed to.
pub struct MintTokens;

impl RequiredPermission for MintTokens {
    const PERMISSION: Permission = Permission::ProvisioningTokens;
    const SECOND_PERMISSION: Option<Permission> = Some(Permission::DirectoryRead);
}

/// Restore deleted users and groups, which shows their names.
pub struct RestoreDeleted;

impl RequiredPermission for RestoreDeleted {
    const PERMISSION: Permission = Permission::ProvisioningCreate;
    const SECOND_PERMISSION: Option<Permission> = Some(Permission::DirectoryRead);
}

/// Export the personal data of a user: users, groups and the request log.
pub struct ExportPersonalData;

impl RequiredPermission for ExportPersonalData {
    const PERMISSION: Permission = Permission::RequestsRead;
    const SECOND_PERMISSION: Option<Permission> = Some(Permission::DirectoryRead);
}

/// Erase the personal data of a user, which deletes the user.
pub struct ErasePersonalData;

impl RequiredPermission for ErasePersonalData {
    const PERMISSION: Permission = Permission::ProvisioningDelete;
    const SECOND_PERMISSION: Option<Permission> = Some(Permission::DirectoryRead);
}

/// The same permission, for callers with access to all accounts only.
pub struct OperatorOnly<N>(PhantomData<N>);

impl<N: RequiredPermission> RequiredPermission for OperatorOnly<N> {
    const PERMISSION: Permission = N::PERMISSION;
    const SECOND_PERMISSION: Option<Permission> = N::SECOND_PERMISSION;
    const OPERATOR_ONLY: bool = true;
}
