//! A write of an existing resource, as it waits for its transaction.

use std::sync::Arc;

use crate::error::Result;
use crate::provisioning::patches::{self, PatchWeight};
use crate::provisioning::resources::{self, ResourceWrite, WriteResult};
use crate::provisioning::{Members, Scope, deletion};
use crate::scim::entity_tag::VersionConditions;
use crate::scim::password::PasswordChange;
use crate::scim::patch::Patch;
use crate::scim::schema::ResourceType;
use crate::scim::validate::ResourceDraft;
use crate::store::Tx;

/// A write of an existing resource that is ready to be evaluated, in any thread.
pub(super) struct WriteRequest {
    pub(super) scope: Scope,
    pub(super) resource_type: Arc<ResourceType>,
    pub(super) id: String,
    pub(super) conditions: VersionConditions,
    pub(super) members: Members,
    pub(super) body: WriteBody,
}

/// What is written.
pub(super) enum WriteBody {
    Replace(ResourceDraft),
    Patch(Patch),
    Delete,
}

impl WriteRequest {
    pub(super) fn write(&self) -> ResourceWrite<'_> {
        let (conditions, members) = (Some(&self.conditions), self.members);
        ResourceWrite { conditions, members, ..ResourceWrite::new(&self.scope, &self.resource_type, &self.id) }
    }

    pub(super) fn password(&self) -> Option<&PasswordChange> {
        match &self.body {
            WriteBody::Replace(draft) => draft.password.as_ref(),
            WriteBody::Patch(patch) => patch.password.as_ref(),
            WriteBody::Delete => None,
        }
    }

    /// Whether the write has too many members for one transaction, whatever the resource is.
    pub(super) fn is_large(&self) -> bool {
        match &self.body {
            WriteBody::Replace(draft) => resources::has_many_members(draft),
            WriteBody::Patch(patch) => PatchWeight::of(patch).has_many_members(),
            WriteBody::Delete => false,
        }
    }

    /// Runs the write in the transaction if it is small for the resource. Otherwise returns `None` without a change.
    pub(super) fn run_small(&self, tx: &Tx<'_>) -> Result<Option<SmallWrite>> {
        let write = self.write();
        Ok(match &self.body {
            WriteBody::Replace(draft) => {
                resources::replace_small_resource(tx, &write, draft)?.map(|done| SmallWrite::Complete(Some(done)))
            }
            WriteBody::Patch(patch) => {
                let weight = PatchWeight::of(patch);
                let done = patches::patch_small_resource(tx, &write, patch, weight)?;
                done.map(|done| SmallWrite::Complete(Some(done)))
            }
            WriteBody::Delete => Some(match deletion::delete_resource(tx, &write)? {
                None => SmallWrite::Complete(None),
                Some(key) => SmallWrite::DeletionStarted(key),
            }),
        })
    }
}

/// Result of a write that ran in one transaction.
pub(super) enum SmallWrite {
    Complete(Option<WriteResult>),
    DeletionStarted(i64),
}

/// Result of one attempt to write.
pub(super) enum AttemptedWrite {
    /// The write is complete. The resource, if it still exists.
    Done(Option<WriteResult>),
    /// Other writes changed the resource during each evaluation.
    Outdated,
}
