//! The passwords of a job are hashed before its first write, so that its writes keep their order.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::target::Target;
use crate::error::Result;
use crate::scim::bulk::{Item, Method};
use crate::scim::dialect::Rules;
use crate::scim::password::{ClearText, Password, PasswordDigest};
use crate::scim::{patch, validate};
use crate::web::hashing::{HASHES_AT_ONCE, Hashing};

/// The passwords that items set, with the item's number. What an item gets wrong is said when it runs.
pub(super) fn named(items: &[Item], targets: &[Option<Target>], rules: Rules) -> Vec<(usize, ClearText)> {
    if !rules.keep_passwords {
        return Vec::new();
    }
    let each = items.iter().zip(targets).enumerate();
    let found = each.filter_map(|(number, (item, target))| match password(item, target.as_ref()?, rules)? {
        Password::Clear(clear) => Some((number, clear)),
        Password::Hashed(_) | Password::Removed => None,
    });
    found.collect()
}

fn password(item: &Item, target: &Target, rules: Rules) -> Option<Password> {
    match item.method.filter(|_| item.refusal.is_none())? {
        Method::Post | Method::Put => validate::resource(&item.data, &target.of, rules).ok()?.password,
        Method::Patch => patch::read(&item.data, &target.of, rules).ok()?.password,
        Method::Delete => None,
    }
}

/// Hashes them all.
pub(super) async fn hash(hashing: &Hashing, all: Vec<(usize, ClearText)>) -> Result<HashMap<usize, PasswordDigest>> {
    let one = |(number, clear)| async move { Ok((number, hashing.hash_in_turn(clear).await?)) };
    stream::iter(all).map(one).buffer_unordered(HASHES_AT_ONCE).try_collect().await
}
