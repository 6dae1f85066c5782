//! What deleted configurations left.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Answered, ReadRefusals, WriteRefusals, document, done};
use super::call::{Call, read_aside, write};
use super::caller::{Allowed, Delete, Operator};
use super::cursor::{Page, PageQuery};
use crate::clock;
use crate::directory::leftovers::{self, Left};
use crate::directory::people::Whose;
use crate::model::actor::Reach;

/// What a deleted configuration has left
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Leftover)]
pub(super) struct Shown {
    configuration_id: String,
    connection_name: String,
    account_id: String,
    #[schema(format = DateTime, required)]
    deleted_at: Option<String>,
    /// How many users
    #[schema(minimum = 0)]
    users: i64,
    /// How many groups
    #[schema(minimum = 0)]
    groups: i64,
}

impl From<Left> for Shown {
    fn from((left, counts): Left) -> Self {
        let counts: BTreeMap<String, i64> = counts.into_iter().collect();
        let count = |of: &str| counts.get(of).copied().unwrap_or(0);
        Self {
            configuration_id: left.source.id,
            connection_name: left.connection_name,
            account_id: left.source.account,
            deleted_at: left.source.deleted_at.map(clock::rfc3339),
            users: count("User"),
            groups: count("Group"),
        }
    }
}

/// Which leftovers are wanted
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only those of this account
    account: Option<String>,
}

impl Filter {
    /// Nothing where the account is not the one in the header.
    fn whose(self, reach: &Reach) -> Option<Whose> {
        let is_within = self.account.as_deref().is_none_or(|account| reach.covers(account));
        let account = self.account.or_else(|| reach.account().map(str::to_owned));
        is_within.then_some(Whose { account, configuration: None })
    }
}

/// Leftovers
///
/// Configurations that were deleted while their users and groups were kept.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/leftovers",
    tag = "Leftovers",
    operation_id = "listLeftovers",
    params(PageQuery, Filter, ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 200, description = "Leftovers, oldest configuration first", body = Page<Shown>), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn list(allowed: Allowed<Operator<Delete>>, call: Call) -> Answered {
    let query = call.query::<PageQuery>()?;
    let (after, limit) = (query.place::<i64>()?.unwrap_or(0), query.limit()?);
    let found = match call.query::<Filter>()?.whose(&allowed.by.reach) {
        None => Vec::new(),
        Some(whose) => {
            read_aside(&call.state, move |at| leftovers::list(at, whose.account.as_deref(), after, limit + 1)).await?
        }
    };
    Ok(document(&Page::of(found, limit, |(left, _)| left.source.configuration, Shown::from)))
}

/// Purge leftovers
///
/// Removes the users and groups of a deleted configuration for good. They are gone from every list once their `deleted`
/// events have been told: at once, or within seconds where they are many.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/leftovers/{configurationId}",
    tag = "Leftovers",
    operation_id = "purgeLeftovers",
    params(("configurationId" = String, Path),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")),
    responses((status = 204, description = "Done"), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn purge(allowed: Allowed<Operator<Delete>>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("configurationId"));
    write(&call.state, move |tx| leftovers::purge(tx, &by, &id)).await?;
    Ok(done())
}
