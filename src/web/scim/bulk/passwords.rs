//! The passwords of a bulk request are hashed before its first write, so that the writes stay in order.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::target::BulkTarget;
use crate::error::Result;
use crate::scim::bulk::{BulkItem, BulkMethod};
use crate::scim::dialect::DialectRules;
use crate::scim::password::{ClearText, PasswordChange, PasswordDigest};
use crate::scim::{patch, validate};
use crate::web::password_hashing::{HASHES_AT_ONCE, HashingLane, PasswordHashing};

/// Returns the passwords in the items, with the item index. Errors of an item are reported when it runs.
pub(super) fn find_passwords(
    items: &[BulkItem],
    targets: &[Option<BulkTarget>],
    rules: DialectRules,
) -> Vec<(usize, ClearText)> {
    if !rules.store_passwords {
        return Vec::new();
    }
    let each = items.iter().zip(targets).enumerate();
    let found = each.filter_map(|(number, (item, target))| match find_password(item, target.as_ref()?, rules)? {
        PasswordChange::SetClearText(clear) => Some((number, clear)),
        PasswordChange::SetDigest(_) | PasswordChange::Remove => None,
    });
    found.collect()
}

fn find_password(item: &BulkItem, target: &BulkTarget, rules: DialectRules) -> Option<PasswordChange> {
    match item.method.filter(|_| item.error.is_none())? {
        BulkMethod::Post | BulkMethod::Put => {
            validate::read_resource(&item.data, &target.resource_type, rules).ok()?.password
        }
        BulkMethod::Patch => patch::parse_patch(&item.data, &target.resource_type, rules).ok()?.password,
        BulkMethod::Delete => None,
    }
}

/// Hashes all passwords.
///
/// # Errors
/// Errors of [`PasswordHashing`].
pub(super) async fn hash_passwords(
    hashing: &PasswordHashing,
    all: Vec<(usize, ClearText)>,
) -> Result<HashMap<usize, PasswordDigest>> {
    let one = |(number, clear)| async move { Ok((number, hashing.hash_queued(HashingLane::Users, clear).await?)) };
    stream::iter(all).map(one).buffer_unordered(HASHES_AT_ONCE).try_collect().await
}
