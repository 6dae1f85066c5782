//! How users, groups and members are shown, and how a page of them is asked for.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::Refusal;
use super::cursor::{self, Page, PageQuery};
use super::moments::moment;
use crate::clock;
use crate::directory::people::{self, Found, Mark, Whose};
use crate::error::Error;
use crate::model::actor::Reach;
use crate::scim::text;
use crate::store::people::{Filter, Member, Place};

/// What manages a user or group: provisioning by SCIM 2.0. The word of other clients of this API.
const MANAGED_BY: &str = "scim2";

/// Whose users or groups are wanted
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhoseQuery {
    /// Only those of this account
    account: Option<String>,
    /// Only those of this configuration, which may be deleted
    configuration: Option<String>,
}

impl WhoseQuery {
    /// Nothing where another account than the caller's is asked for.
    pub(super) fn whose(self, reach: &Reach) -> Option<Whose> {
        let is_within = self.account.as_deref().is_none_or(|account| reach.covers(account));
        let account = self.account.or_else(|| reach.account().map(str::to_owned));
        is_within.then_some(Whose { account, configuration: self.configuration })
    }
}

/// Which users are wanted; conditions are combined by "and"
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct UserQuery {
    /// The whole userName, in any letter case
    user_name: Option<String>,
    /// The whole externalId, exactly
    external_id: Option<String>,
    /// Only those that are active, or that are not
    active: Option<bool>,
    /// Only those that changed at that moment or later; the page is then in the order of changes. A change during a
    /// pause counts from when it was made: the event feed tells more exactly
    #[param(format = DateTime)]
    updated_since: Option<String>,
}

impl UserQuery {
    pub(super) fn filter(self) -> Result<Filter, Refusal> {
        Ok(Filter {
            user_name_key: self.user_name.map(|name| text::key(&name).into_owned()),
            external_id: self.external_id,
            active: self.active,
            updated_since: moment("updatedSince", self.updated_since.as_deref())?,
        })
    }
}

/// Which groups are wanted; conditions are combined by "and"
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct GroupQuery {
    /// The whole externalId, exactly
    external_id: Option<String>,
    /// Only those that changed at that moment or later; the page is then in the order of changes
    #[param(format = DateTime)]
    updated_since: Option<String>,
}

impl GroupQuery {
    pub(super) fn filter(self) -> Result<Filter, Refusal> {
        let updated_since = moment("updatedSince", self.updated_since.as_deref())?;
        Ok(Filter { external_id: self.external_id, updated_since, ..Filter::default() })
    }
}

/// A cursor, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Resume {
    configuration: i64,
    /// When the last resource changed, its row and its id; none to begin with the first.
    place: Option<(i64, i64, String)>,
}

impl From<Resume> for Mark {
    fn from(resume: Resume) -> Self {
        let place = resume.place.map(|(changed, row, id)| Place { changed, row, id });
        Self { configuration: resume.configuration, place }
    }
}

impl From<Mark> for Resume {
    fn from(mark: Mark) -> Self {
        let place = mark.place.map(|place| (place.changed, place.row, place.id));
        Self { configuration: mark.configuration, place }
    }
}

/// Where a page begins and how long it may be.
pub(super) fn window(query: &PageQuery) -> Result<(Option<Mark>, usize), Refusal> {
    let limit = usize::try_from(query.limit()?).unwrap_or(usize::MAX);
    Ok((query.place::<Resume>()?.map(Mark::from), limit))
}

/// A page as it is answered.
pub(super) fn page<R, T: TryFrom<R, Error = Error>>(found: people::Page<R>) -> Result<Page<T>, Error> {
    Ok(Page {
        items: found.items.into_iter().map(T::try_from).collect::<Result<_, Error>>()?,
        next_cursor: found.next.and_then(|mark| cursor::cursor(&Resume::from(mark))),
    })
}

/// A user that an identity provider has provisioned
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(super) struct ShownUser {
    id: String,
    account_id: String,
    configuration_id: String,
    /// Always `scim2`: change it at the identity provider
    managed_by: &'static str,
    /// Whether the configuration is deleted and only what it left is here
    leftover: bool,
    #[schema(value_type = Option<String>, required)]
    user_name: Value,
    #[schema(value_type = Option<String>, required)]
    external_id: Value,
    #[schema(value_type = Option<bool>, required)]
    active: Value,
    #[schema(value_type = Option<String>, required)]
    display_name: Value,
    /// As in the resource; empty where there are none
    #[schema(value_type = Vec<Object>)]
    emails: Value,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_modified: String,
    /// How often it has changed, from 1
    #[schema(minimum = 1)]
    version: i64,
    /// The SCIM resource: `schemas` and all attributes that were provisioned. Never a password
    #[schema(value_type = Object)]
    resource: Value,
}

impl TryFrom<Found> for ShownUser {
    type Error = Error;

    fn try_from(Found { source, stored }: Found) -> Result<Self, Error> {
        let resource = parsed(&stored.id, &stored.body)?;
        let emails = resource.get("emails").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        Ok(Self {
            account_id: source.account,
            configuration_id: source.id,
            managed_by: MANAGED_BY,
            leftover: source.deleted_at.is_some(),
            user_name: resource["userName"].clone(),
            external_id: resource["externalId"].clone(),
            active: resource["active"].clone(),
            display_name: resource["displayName"].clone(),
            emails,
            created_at: clock::rfc3339(stored.created_at),
            last_modified: clock::rfc3339(stored.last_modified),
            version: stored.version,
            id: stored.id,
            resource,
        })
    }
}

/// A group that an identity provider has provisioned. Its members are a list of their own
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Group)]
pub(super) struct ShownGroup {
    id: String,
    account_id: String,
    configuration_id: String,
    /// Always `scim2`: change it at the identity provider
    managed_by: &'static str,
    /// Whether the configuration is deleted and only what it left is here
    leftover: bool,
    #[schema(value_type = Option<String>, required)]
    display_name: Value,
    #[schema(value_type = Option<String>, required)]
    external_id: Value,
    #[schema(minimum = 0)]
    member_count: i64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_modified: String,
    /// How often it has changed, from 1
    #[schema(minimum = 1)]
    version: i64,
    /// The SCIM resource: `schemas` and all attributes that were provisioned, without the members
    #[schema(value_type = Object)]
    resource: Value,
}

impl TryFrom<Found> for ShownGroup {
    type Error = Error;

    fn try_from(Found { source, stored }: Found) -> Result<Self, Error> {
        let resource = parsed(&stored.id, &stored.body)?;
        Ok(Self {
            account_id: source.account,
            configuration_id: source.id,
            managed_by: MANAGED_BY,
            leftover: source.deleted_at.is_some(),
            display_name: resource["displayName"].clone(),
            external_id: resource["externalId"].clone(),
            member_count: stored.member_count,
            created_at: clock::rfc3339(stored.created_at),
            last_modified: clock::rfc3339(stored.last_modified),
            version: stored.version,
            id: stored.id,
            resource,
        })
    }
}

fn parsed(id: &str, body: &str) -> Result<Value, Error> {
    serde_json::from_str(body).map_err(|problem| Error::Database(format!("stored text of {id}: {problem}")))
}

/// A member of a group
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupMember)]
pub(super) struct ShownMember {
    id: String,
    /// `User` or `Group`
    r#type: String,
    /// Its displayName
    #[schema(required)]
    display: Option<String>,
}

impl TryFrom<Member> for ShownMember {
    type Error = Error;

    fn try_from(member: Member) -> Result<Self, Error> {
        Ok(Self { id: member.id, r#type: member.resource_type, display: member.label })
    }
}
