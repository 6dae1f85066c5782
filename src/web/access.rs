//! What a place asks of whoever comes: named once, for the management API and the pages alike.

use std::marker::PhantomData;

use crate::model::permission::Permission;

/// What a place asks of whoever comes.
pub trait Needs: 'static {
    /// The permission without which it stays closed.
    const PERMISSION: Permission;
    /// Whether only those may come who may touch every account.
    const OPERATOR_ONLY: bool = false;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident => $permission:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name;
        impl Needs for $name {
            const PERMISSION: Permission = Permission::$permission;
        }
    )+};
}

needs! {
    /// See configurations.
    Read => ProvisioningRead,
    /// Make and change configurations.
    Create => ProvisioningCreate,
    /// Delete configurations.
    Delete => ProvisioningDelete,
    /// Make and revoke tokens and links.
    Tokens => ProvisioningTokens,
    /// See users and groups.
    Directory => DirectoryRead,
    /// See the request log.
    Requests => RequestsRead,
    /// See the audit log.
    Audit => AuditRead,
    /// Run the server.
    System => SystemAdmin,
}

/// The same for those only who may touch every account.
pub struct Operator<N>(PhantomData<N>);

impl<N: Needs> Needs for Operator<N> {
    const PERMISSION: Permission = N::PERMISSION;
    const OPERATOR_ONLY: bool = true;
}
