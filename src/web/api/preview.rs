//! The preview of a configuration: what the application would receive on going live, and what may be wrong with it.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{AllowedCaller, Directory};
use crate::error::Error;
use crate::model::quota::QuotaKind;
use crate::provisioning::directory::preview::{
    self, AttributeFill, Preview, PreviewExtent, PreviewItem, PreviewProblem,
};
use crate::store::Snapshot;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::resource_responses::{GroupResponse, UserResponse};
use crate::web::api::response::{ApiResult, ReadErrors, render_json, rendered_response};

/// Expected values
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// The domains of the account, such as `example.com,example.org`, at most 100. Other domains are reported as unmapped.
    /// Without the list, a domain is unmapped if fewer than 5 % of the users with an address have it, and no other
    /// configuration of the account has it
    #[param(
        required = false,
        pattern = r"^([^,\s@\x00-\x1f\x7f-\x9f]{1,253}(,[^,\s@\x00-\x1f\x7f-\x9f]{1,253}){0,99})?$"
    )]
    domains: String,
}

/// Numbers of all users, groups and memberships of the configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PreviewCounts {
    #[schema(minimum = 0)]
    users: u64,
    #[schema(minimum = 0)]
    active_users: u64,
    #[schema(minimum = 0)]
    groups: u64,
    #[schema(minimum = 0)]
    memberships: u64,
}

/// How many users and groups were examined, the oldest first. At most 25,000 of each, and 200,000 e-mail addresses of other
/// configurations of the account
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PreviewExtent)]
struct PreviewExtentResponse {
    #[schema(minimum = 0)]
    users: u64,
    #[schema(minimum = 0)]
    groups: u64,
    #[schema(minimum = 0)]
    other_addresses: u64,
    /// Whether not all of them were examined
    is_cut: bool,
}

impl From<PreviewExtent> for PreviewExtentResponse {
    fn from(extent: PreviewExtent) -> Self {
        let PreviewExtent { users, groups, other_addresses, is_cut } = extent;
        Self { users, groups, other_addresses, is_cut }
    }
}

/// How many of the examined users have a value of an attribute
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttributeFill)]
struct AttributeFillResponse {
    /// Path, such as `name.givenName`
    attribute: String,
    #[schema(minimum = 0)]
    users: u64,
    /// Share of the examined users, in whole percent
    #[schema(minimum = 0, maximum = 100)]
    percent: u64,
}

/// One thing that a problem is about
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PreviewItem)]
struct PreviewItemResponse {
    /// Name of the user or group, e-mail address, or domain
    name: String,
    /// Id of the user or group
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resource_id: Option<String>,
    /// Number of users with the domain
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    users: Option<u64>,
    /// Ids of other configurations with users of this address, at most ten
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    configurations: Vec<String>,
}

impl From<PreviewItem> for PreviewItemResponse {
    fn from(item: PreviewItem) -> Self {
        let PreviewItem { name, resource_id, users, configurations } = item;
        Self { name, resource_id, users, configurations: configurations.into_iter().map(|other| other.id).collect() }
    }
}

/// Something that may be wrong
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewProblem)]
struct PreviewProblemResponse {
    /// `usersWithoutEmail`; `sharedEmails`: addresses that users of other configurations of the account have, too;
    /// `groupsWithoutMembers`; `unmappedDomains`: domains of e-mail addresses that are not expected
    problem: &'static str,
    /// How many users, addresses, groups or domains it is about; 0 if there is no such problem
    #[schema(minimum = 0)]
    count: u64,
    /// The first 100 of them
    items: Vec<PreviewItemResponse>,
}

impl From<PreviewProblem> for PreviewProblemResponse {
    fn from(found: PreviewProblem) -> Self {
        let PreviewProblem { kind, count, items } = found;
        Self { problem: kind.as_str(), count, items: items.into_iter().map(PreviewItemResponse::from).collect() }
    }
}

/// What the application would receive from a configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Preview)]
pub(super) struct PreviewResponse {
    /// Whether the configuration was created staged and is not live yet
    staged: bool,
    /// Whether changes are published to your application
    sync_to_user_management: bool,
    counts: PreviewCounts,
    examined: PreviewExtentResponse,
    /// The attributes of users in the order of their schemas, also those without values
    attributes: Vec<AttributeFillResponse>,
    /// The ten oldest users
    sample_users: Vec<UserResponse>,
    /// The 100 largest of the examined groups
    groups: Vec<GroupResponse>,
    /// One entry for each kind of problem
    problems: Vec<PreviewProblemResponse>,
}

impl TryFrom<Preview> for PreviewResponse {
    type Error = Error;

    fn try_from(found: Preview) -> Result<Self, Error> {
        let fill = |AttributeFill { path, users }: &AttributeFill| AttributeFillResponse {
            attribute: path.clone(),
            users: *users,
            percent: found.percent(*users),
        };
        Ok(Self {
            staged: found.configuration.staged,
            sync_to_user_management: found.configuration.sync,
            counts: PreviewCounts {
                users: found.count(QuotaKind::Users),
                active_users: found.count(QuotaKind::ActiveUsers),
                groups: found.count(QuotaKind::Groups),
                memberships: found.count(QuotaKind::Members),
            },
            attributes: found.attributes.iter().map(fill).collect(),
            examined: found.examined.into(),
            sample_users: found.sample_users.into_iter().map(UserResponse::try_from).collect::<Result<_, Error>>()?,
            groups: found.groups.into_iter().map(GroupResponse::try_from).collect::<Result<_, Error>>()?,
            problems: found.problems.into_iter().map(PreviewProblemResponse::from).collect(),
        })
    }
}

/// Preview a configuration
///
/// What your application would receive if the configuration went live now: numbers, which attributes the users have, the
/// first users, the largest groups, and what may be wrong. For configurations that were created with `staged`, before
/// `syncToUserManagement` is set to true; it works for others as well, and shows their current state. Changes nothing.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/preview",
    tag = "Configurations",
    params(("id" = String, Path, description = "The configuration"), PreviewQuery),
    responses((status = 200, description = "The preview", body = PreviewResponse), ReadErrors)
)]
pub(super) async fn get_preview(allowed: AllowedCaller<Directory>, call: ApiRequest) -> ApiResult {
    let domains = preview::parse_domains(&call.query::<PreviewQuery>()?.domains)?;
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let read = move |at: &Snapshot<'_>| {
        render_json(&PreviewResponse::try_from(preview::read_preview(at, &scope, &id, &domains)?)?)
    };
    Ok(rendered_response(call.read(read).await?))
}
