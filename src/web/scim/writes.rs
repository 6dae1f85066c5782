//! Writes of an authenticated caller, for single calls and bulk jobs alike: what needs no transaction first,
//! then one call into `directory` inside one.

use std::sync::Arc;

use serde_json::Value;

use crate::clock;
use crate::directory::Scope;
use crate::directory::resources::{self, Done, Prepared};
use crate::error::Result;
use crate::scim;
use crate::scim::password::{Password, PasswordDigest};
use crate::scim::schema::ResourceType;
use crate::scim::version::Tags;
use crate::scim::{patch, validate};
use crate::store::Undo;
use crate::web::state::State;

/// Writes on one resource type. Each is queued by the first poll of its future, unless it has a password to hash, so
/// writes whose futures are first polled one after the other take effect in that order.
#[derive(Clone, Copy)]
pub(super) struct Writes<'r> {
    pub(super) state: &'r State,
    pub(super) scope: &'r Scope,
    pub(super) of: &'r Arc<ResourceType>,
    /// The digest of the password in the body, where that has been worked out.
    pub(super) hashed: Option<&'r PasswordDigest>,
}

impl Writes<'_> {
    /// Makes a resource. `members_max` is how many members the result may show, here and below.
    pub(super) async fn create(&self, body: &Value, members_max: i64) -> Result<Done> {
        let mut draft = validate::new_resource(body, self.of, resources::rules(self.scope))?;
        self.hash(&mut draft.password).await?;
        let prepared = Prepared::new(draft, self.of);
        let (scope, of, id) = (self.scope.clone(), Arc::clone(self.of), clock::new_id());
        let write = self
            .state
            .store
            .write(Undo::Unneeded, move |tx| resources::create(tx, &scope, &of, &id, &prepared, members_max));
        write.await
    }

    /// Replaces the resource with that id.
    pub(super) async fn replace(
        &self,
        id: &str,
        if_match: Option<Tags>,
        body: &Value,
        members_max: i64,
    ) -> Result<Done> {
        let draft = validate::resource(body, self.of, resources::rules(self.scope));
        let mut draft = draft.or_else(|refused| self.refuse_unless_missing(id, refused))?;
        self.hash(&mut draft.password).await?;
        let (scope, of, id) = (self.scope.clone(), Arc::clone(self.of), id.to_owned());
        let write = self.state.store.write(Undo::Unneeded, move |tx| {
            resources::replace(tx, &scope, &of, &id, if_match.as_ref(), &draft, members_max)
        });
        write.await
    }

    /// Applies a PATCH to the resource with that id.
    pub(super) async fn patch(&self, id: &str, if_match: Option<Tags>, body: &Value, members_max: i64) -> Result<Done> {
        let edits = patch::read(body, self.of, resources::rules(self.scope));
        let mut edits = edits.or_else(|refused| self.refuse_unless_missing(id, refused))?;
        self.hash(&mut edits.password).await?;
        let (scope, of, id) = (self.scope.clone(), Arc::clone(self.of), id.to_owned());
        let write = self.state.store.write(Undo::Unneeded, move |tx| {
            resources::patch(tx, &scope, &of, &id, if_match.as_ref(), &edits, members_max)
        });
        write.await
    }

    /// Removes the resource with that id.
    pub(super) async fn delete(&self, id: &str, if_match: Option<Tags>) -> Result<()> {
        let (scope, of, id) = (self.scope.clone(), Arc::clone(self.of), id.to_owned());
        let write = self
            .state
            .store
            .write(Undo::Unneeded, move |tx| resources::delete(tx, &scope, &of, &id, if_match.as_ref()));
        write.await
    }

    /// Hashing is slow: it is done before the write is queued.
    async fn hash(&self, password: &mut Option<Password>) -> Result<()> {
        match (password.as_ref(), self.hashed) {
            (Some(Password::Clear(_)), Some(digest)) => *password = Some(Password::Hashed(digest.clone())),
            _ => self.state.hashing.settle(password).await?,
        }
        Ok(())
    }

    /// 404 comes before anything that is wrong with a body.
    pub(super) fn refuse_unless_missing<T>(&self, id: &str, refused: scim::Error) -> Result<T> {
        self.state.store.read_inline(|at| resources::read(at, self.scope, self.of, id, -1))?;
        Err(refused.into())
    }
}
