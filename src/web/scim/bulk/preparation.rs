//! The preparation of bulk items: references are replaced, and bodies are checked and prepared. This is most of the work of
//! an item. It needs no database, so it is done off the event loop, in the share of the configuration.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web::Data;
use serde_json::Value;

use super::target::BulkTarget;
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::model::configuration::ConfigurationKey;
use crate::provisioning::bulk::PendingCreate;
use crate::scim::bulk::BulkMethod;
use crate::scim::bulk::references::{self, CreatedResource};
use crate::scim::dialect::DialectRules;
use crate::scim::entity_tag::EntityTags;
use crate::scim::password::{PasswordChange, PasswordDigest};
use crate::scim::path::shorten_text;
use crate::scim::validate;
use crate::web::scim::resource_body::ResourceBodyReader;
use crate::web::scim::writes::PreparedWrite;
use crate::web::state::AppState;

/// Created resources by bulkId.
pub(super) type CreatedResources = HashMap<String, CreatedResource>;

/// An item of which the preparation may start.
pub(super) struct ItemInput {
    /// Index of the item.
    pub(super) number: usize,
    /// Absent if the method is not supported.
    pub(super) method: Option<BulkMethod>,
    /// The resource.
    pub(super) target: BulkTarget,
    /// Its bulkId, if it is a POST with one.
    pub(super) bulk_id: Option<String>,
    /// The body.
    pub(super) data: Value,
    /// The required version.
    pub(super) version: Option<EntityTags>,
    /// Digest of the password in the body.
    pub(super) hashed: Option<PasswordDigest>,
}

/// A step of which the preparation may start.
pub(super) enum StepInput {
    /// One item.
    Item(Box<ItemInput>),
    /// POST operations that refer to each other.
    Cycle(Vec<ItemInput>),
    /// Items that were refused during planning.
    Refused(Vec<RefusedItem>),
}

/// An item that is not executed.
pub(super) struct RefusedItem {
    /// Index of the item.
    pub(super) number: usize,
    /// Why.
    pub(super) error: Error,
    /// URL of its resource, if it is known.
    pub(super) location: Option<String>,
}

/// An item that is ready to be written.
pub(super) struct PreparedItem {
    /// Index of the item.
    pub(super) number: usize,
    /// The method.
    pub(super) method: BulkMethod,
    /// The resource, with an id if it exists.
    pub(super) target: BulkTarget,
    /// The required version.
    pub(super) version: Option<EntityTags>,
    /// The body, or its error: an error of the resource itself has priority over it.
    pub(super) write: Result<PreparedWrite>,
}

/// A step that is ready to be written.
pub(super) enum PreparedStep {
    /// One item.
    Item(Box<PreparedItem>),
    /// Creates of a cycle, with the index of each item.
    Cycle(Vec<usize>, Vec<PendingCreate>),
    /// Items that are not executed.
    Refused(Vec<RefusedItem>),
}

/// Prepares steps, on any thread.
pub(super) struct StepPreparation {
    /// Resources that earlier items created.
    pub(super) created: Arc<CreatedResources>,
    /// Where undeclared attributes are recorded.
    pub(super) state: Data<AppState>,
    /// The configuration.
    pub(super) configuration: ConfigurationKey,
    /// Its rules.
    pub(super) rules: DialectRules,
    /// URL that the resources start with.
    pub(super) base: String,
}

impl StepPreparation {
    /// Prepares one step.
    pub(super) fn prepare(&self, step: StepInput) -> PreparedStep {
        match step {
            StepInput::Item(item) => self.prepare_item(*item),
            StepInput::Cycle(items) => self.prepare_cycle(items),
            StepInput::Refused(refused) => PreparedStep::Refused(refused),
        }
    }

    fn reader(&self) -> ResourceBodyReader<'_> {
        let log = &self.state.usage.undeclared;
        ResourceBodyReader { log, configuration: self.configuration, rules: self.rules }
    }

    fn prepare_item(&self, mut item: ItemInput) -> PreparedStep {
        let resolved = self.resolve_references(&mut item, &HashMap::new());
        let method = resolved.and_then(|()| item.method.ok_or_else(|| Error::new(Reason::BulkMethodMissing)));
        let ItemInput { number, target, data, version, hashed, .. } = item;
        match method {
            Ok(method) => {
                let write = PreparedWrite::prepare(method, &data, &target.resource_type, self.reader());
                let write = write.map(|write| write.with_digest(hashed));
                PreparedStep::Item(Box::new(PreparedItem { number, method, target, version, write }))
            }
            Err(error) => {
                let location = target.location(&self.base);
                PreparedStep::Refused(vec![RefusedItem { number, error, location }])
            }
        }
    }

    /// Prepares creates that refer to each other. Their ids are assigned first.
    fn prepare_cycle(&self, items: Vec<ItemInput>) -> PreparedStep {
        let mut ids = HashMap::new();
        for ItemInput { target, bulk_id, .. } in &items {
            if let Some(name) = bulk_id {
                let id = clock::new_id();
                let location = target.resource_location(&self.base, &id);
                ids.insert(name.clone(), CreatedResource { id, location });
            }
        }
        let numbers: Vec<usize> = items.iter().map(|item| item.number).collect();
        let mut creates = Vec::with_capacity(items.len());
        for item in items {
            let number = item.number;
            match self.prepare_create(item, &ids) {
                Ok(create) => creates.push(create),
                Err(error) => return PreparedStep::Refused(refuse_cycle(&numbers, number, &error)),
            }
        }
        PreparedStep::Cycle(numbers, creates)
    }

    fn prepare_create(&self, mut item: ItemInput, ids: &CreatedResources) -> Result<PendingCreate> {
        let id = item.bulk_id.as_ref().and_then(|name| ids.get(name)).map(|made| made.id.clone());
        self.resolve_references(&mut item, ids)?;
        let resource_type = item.target.resource_type;
        let mut draft = self.reader().read(&item.data, &resource_type, validate::read_new_resource)?;
        if let Some(hashed) = item.hashed {
            draft.password = Some(PasswordChange::SetDigest(hashed));
        }
        Ok(PendingCreate { resource_type, id: id.unwrap_or_default(), draft })
    }

    /// Replaces `bulkId` references in the path and the body of an item.
    fn resolve_references(&self, item: &mut ItemInput, cycle: &CreatedResources) -> Result<()> {
        let made = |name: &str| self.created.get(name).or_else(|| cycle.get(name));
        let resolved = references::replace_references(&mut item.data, &made).and_then(|()| item.target.resolve(&made));
        resolved
            .map_err(|name| Reason::BulkReferenceFailed.with("bulk_id", format_args!("\"{}\"", shorten_text(&name))))
    }
}

/// The results of a cycle of which one item has an error.
pub(super) fn refuse_cycle(numbers: &[usize], failed: usize, error: &Error) -> Vec<RefusedItem> {
    let refuse = |&number: &usize| {
        let error = if number == failed { error.clone() } else { Error::new(Reason::BulkCycleRejected) };
        RefusedItem { number, error, location: None }
    };
    numbers.iter().map(refuse).collect()
}
