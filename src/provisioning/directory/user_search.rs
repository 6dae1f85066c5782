//! The search over all configurations of an account scope: users, deleted users, groups, and logged calls.

use crate::clock::Millis;
use crate::error::Result;
use crate::model::audit_context::AccountScope;
use crate::model::ids;
use crate::model::request::LoggedCall;
use crate::provisioning::directory::DirectoryResource;
use crate::provisioning::resource_details::{self, RESULTS_MAX};
use crate::scim::fold;
use crate::store::Snapshot;
use crate::store::tables::directory::{self, DirectorySource};
use crate::store::tables::resources::{ResourceCollection, StoredResource};
use crate::store::tables::{request_log, tombstones};

/// Maximum number of configurations that one search reads.
const SOURCES_MAX: u32 = 1_000;
/// Number of the newest configurations whose last calls are searched, and most calls of each and of all of them together. Their
/// bodies are unpacked, which takes 10 µs each.
const SEARCHED_LOGS: usize = 20;
const SEARCHED_CALLS: u32 = 300;
const SEARCHED_CALLS_TOTAL: u32 = 1_500;
/// Most failed calls that are searched of each configuration, and of all of them together.
const SEARCHED_FAILURES: u32 = 100;
const SEARCHED_FAILURES_TOTAL: u32 = 5_000;

/// The configurations of an account scope that are not deleted.
#[derive(Debug)]
pub struct SearchedSources {
    sources: Vec<DirectorySource>,
    /// Whether there are more, which are not searched.
    pub is_truncated: bool,
}

/// What of the request logs was searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchedCalls {
    /// Number of configurations.
    pub configurations: usize,
    /// Failed calls of each.
    pub failures: u32,
    /// The newest configurations, whose other calls were searched, too.
    pub newest: usize,
    /// Calls of each of those.
    pub calls: u32,
}

/// A deleted user.
#[derive(Debug)]
pub struct DeletedUser {
    /// The configuration.
    pub source: DirectorySource,
    /// Public id.
    pub id: String,
    /// When it was deleted.
    pub deleted_at: Millis,
}

/// Lists the configurations to search, at most 1,000.
pub fn list_searched_sources(at: &Snapshot<'_>, account_scope: &AccountScope) -> Result<SearchedSources> {
    let most = usize::try_from(SOURCES_MAX).unwrap_or(usize::MAX);
    let mut sources = directory::list_sources(at, account_scope.filter(None).as_ref(), 0, SOURCES_MAX + 1)?;
    let is_truncated = sources.len() > most;
    sources.truncate(most);
    sources.retain(|source| source.deleted_at.is_none());
    Ok(SearchedSources { sources, is_truncated })
}

impl SearchedSources {
    /// Returns the users whose `userName`, `externalId`, e-mail address or id equals the text. At most about [`RESULTS_MAX`].
    pub fn find_users(&self, at: &Snapshot<'_>, text: &str) -> Result<Vec<DirectoryResource>> {
        self.collect_resources(at, "User", |collection| resource_details::find_exact_matches(at, collection, text))
    }

    /// Returns the groups whose `displayName` or `externalId` starts with the text, or whose id equals it. At most about
    /// [`RESULTS_MAX`].
    pub fn find_groups(&self, at: &Snapshot<'_>, text: &str) -> Result<Vec<DirectoryResource>> {
        self.collect_resources(at, "Group", |ResourceCollection { configuration, resource_type }| {
            resource_details::search_resources(at, configuration, resource_type, text)
        })
    }

    /// Returns the configuration whose request log has a call with this id.
    pub fn find_call_source(&self, at: &Snapshot<'_>, id: &str) -> Result<Option<&DirectorySource>> {
        if !ids::is_id(id) {
            return Ok(None);
        }
        for source in &self.sources {
            if request_log::find_request_by_id(at, source.configuration, id)?.is_some() {
                return Ok(Some(source));
            }
            at.renew_if_due()?;
        }
        Ok(None)
    }

    /// Returns the users whose `userName`, `displayName`, e-mail address or `externalId` starts with the text. At most about [`RESULTS_MAX`].
    pub fn find_users_by_prefix(&self, at: &Snapshot<'_>, text: &str) -> Result<Vec<DirectoryResource>> {
        let key = fold::fold_case(text);
        self.collect_resources(at, "User", |collection| {
            directory::list_resources_by_prefix(at, collection, (&key, text), RESULTS_MAX)
        })
    }

    fn collect_resources(
        &self,
        at: &Snapshot<'_>,
        resource_type: &str,
        find: impl Fn(ResourceCollection<'_>) -> Result<Vec<StoredResource>>,
    ) -> Result<Vec<DirectoryResource>> {
        let mut found = Vec::new();
        for source in &self.sources {
            let of_source = find(ResourceCollection { configuration: source.configuration, resource_type })?;
            found.extend(of_source.into_iter().map(|stored| DirectoryResource { source: source.clone(), stored }));
            if found.len() >= RESULTS_MAX {
                break;
            }
            at.renew_if_due()?;
        }
        Ok(found)
    }

    /// Returns the user with this `userName`, `externalId` or id that was deleted last, while its last state is stored.
    pub fn find_deleted_user(&self, at: &Snapshot<'_>, text: &str) -> Result<Option<DeletedUser>> {
        let mut newest: Option<DeletedUser> = None;
        let key = fold::fold_case(text);
        for source in &self.sources {
            let collection = ResourceCollection { configuration: source.configuration, resource_type: "User" };
            if let Some((id, deleted_at)) = tombstones::find_deletion(at, collection, &key, text)?
                && newest.as_ref().is_none_or(|newest| newest.deleted_at < deleted_at)
            {
                newest = Some(DeletedUser { source: source.clone(), id, deleted_at });
            }
            at.renew_if_due()?;
        }
        Ok(newest)
    }

    /// Returns the newest calls that contain one of the texts, at most `limit`, each with its configuration. Of each
    /// configuration, the last failed calls are searched, and of the newest ones all last calls, to bound the time.
    pub fn find_calls(
        &self,
        at: &Snapshot<'_>,
        texts: [&str; 2],
        limit: u32,
    ) -> Result<(Vec<(DirectorySource, LoggedCall)>, SearchedCalls)> {
        let configurations = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let failures = (SEARCHED_FAILURES_TOTAL / configurations.max(1)).min(SEARCHED_FAILURES);
        let newest = self.sources.len().min(SEARCHED_LOGS);
        let calls_each = (SEARCHED_CALLS_TOTAL / u32::try_from(newest.max(1)).unwrap_or(u32::MAX)).min(SEARCHED_CALLS);
        let mut found = Vec::new();
        for (number, source) in self.sources.iter().rev().enumerate() {
            let mut calls = request_log::search_failed_requests(at, source.configuration, texts, (failures, limit))?;
            if number < SEARCHED_LOGS {
                calls.extend(request_log::search_requests(at, source.configuration, texts, calls_each, limit)?);
            }
            found.extend(calls.into_iter().map(|call| (source.clone(), call)));
            at.renew_if_due()?;
        }
        found.sort_by(|(_, one), (_, other)| other.id.cmp(&one.id));
        found.dedup_by(|(_, one), (_, other)| one.id == other.id);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((found, SearchedCalls { configurations: self.sources.len(), failures, newest, calls: calls_each }))
    }
}
