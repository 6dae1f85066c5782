//! The hold on mass removals of a configuration: its state, and the decision about it.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::caller::{AllowedCaller, Create, Directory, Read, RequiredPermission};
use super::configurations::find_configuration;
use crate::clock;
use crate::error::Reason;
use crate::management::configurations::holds::{self, HoldOrder, HoldState, HoldStatus};
use crate::model::hold::{EXEMPT_MINUTES_MAX, HoldReason};
use crate::model::permission::Permissions;
use crate::web::api::cursor::{self, PageQuery};
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response};

/// The hold of a configuration. Numbers and names are null and empty unless it is held
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub(super) struct HoldResponse {
    /// `held`: changes are stored but not published until someone decides. `releasing`: the decision is being carried out
    state: HoldState,
    /// When the hold began
    #[schema(format = DateTime, required)]
    since: Option<String>,
    /// What was removed: many users, memberships or groups, or a protected user
    #[schema(required)]
    reason: Option<HoldReason>,
    /// How many were removed, in the window before the hold and during it
    #[schema(required, minimum = 0)]
    counted: Option<i64>,
    /// With how many removals the hold began
    #[schema(required, minimum = 1)]
    threshold: Option<i64>,
    /// Length of the window
    #[schema(required, minimum = 1)]
    window_minutes: Option<u32>,
    /// How many of the removals had been published before the hold began. They stay published
    #[schema(required, minimum = 0)]
    published: Option<i64>,
    /// What was removed: user names, names of groups, or `group: member`
    names: Vec<String>,
    /// `cursor` of the next names; null if there are no more
    #[schema(required)]
    next_cursor: Option<String>,
    /// Until then nothing is held
    #[schema(format = DateTime, required)]
    exempt_until: Option<String>,
    /// What the last rejection could not undo, at most 100
    #[schema(max_items = 100)]
    conflicts: Vec<RejectionConflict>,
}

/// A user or group with a change that could not be undone
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RejectionConflict {
    /// Its id
    id: String,
    /// Code of the reason, such as that its name is in use
    reason: String,
}

impl RejectionConflict {
    pub(super) fn list(conflicts: Vec<(String, String)>) -> Vec<Self> {
        conflicts.into_iter().map(|(id, reason)| Self { id, reason }).collect()
    }
}

impl HoldResponse {
    /// `sees_names` is whether the caller may read users and groups.
    fn new(found: HoldStatus, sees_names: bool) -> Self {
        let HoldStatus { state, record, names, next, exempt_until, conflicts } = found;
        let record = record.as_ref();
        Self {
            state,
            since: record.map(|record| clock::format_rfc3339(record.since)),
            reason: record.map(|record| record.reason),
            counted: record.map(|record| record.counted),
            threshold: record.map(|record| record.threshold),
            window_minutes: record.map(|record| record.window_minutes),
            published: record.map(|record| record.published),
            names: if sees_names { names } else { Vec::new() },
            next_cursor: next.filter(|_| sees_names).and_then(|position| cursor::encode_cursor(&position)),
            exempt_until: exempt_until.map(clock::format_rfc3339),
            conflicts: RejectionConflict::list(conflicts),
        }
    }
}

fn sees_names(permissions: Permissions) -> bool {
    Directory::find_missing(permissions).is_none()
}

/// Get the hold of a configuration
///
/// A configuration is held when its identity provider removes many users, memberships or groups in a short time
/// (`hold` of the settings). What it then writes is answered and stored as always, but nothing of it reaches the event feed,
/// the webhooks and the lists of the account. Names are in the order of their ids, at most `limit` on a page; they need the
/// permission `directory.read`.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/hold",
    tag = "Configurations",
    params(("id" = String, Path, description = "The configuration"), PageQuery),
    responses((status = 200, description = "The hold", body = HoldResponse), ReadErrors)
)]
pub(super) async fn get_hold(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let query = call.query::<PageQuery>()?;
    let (limit, after) = (query.limit()?, query.position::<(String, String)>()?);
    let found =
        call.read(move |at| holds::find_status(at, &scope, &id, (after, limit), clock::current_millis())).await?;
    Ok(json_response(&HoldResponse::new(found, sees_names(allowed.permissions))))
}

/// Name of the schema of the decisions `allow` and `reject`.
const FINAL_DECISION: &str = "FinalHoldDecision";
/// Name of the schema of the decision `allow-for`.
const TEMPORARY_DECISION: &str = "TemporaryHoldDecision";

/// What is done with the changes that are held.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HoldAnswer {
    Allow,
    AllowFor,
    Reject,
}

/// The decision about a hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DecideHoldBody {
    decision: HoldAnswer,
    minutes: Option<u32>,
}

/// Two forms: `minutes` is required with `allow-for`, and not allowed with the others.
impl PartialSchema for DecideHoldBody {
    fn schema() -> RefOr<Schema> {
        let forms = OneOfBuilder::new().description(Some("The decision about a hold"));
        let forms = forms.item(Ref::from_schema_name(FINAL_DECISION)).item(Ref::from_schema_name(TEMPORARY_DECISION));
        RefOr::T(Schema::OneOf(forms.build()))
    }
}

impl ToSchema for DecideHoldBody {
    fn name() -> Cow<'static, str> {
        "HoldDecision".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((FINAL_DECISION.to_owned(), build_final_decision()));
        schemas.push((TEMPORARY_DECISION.to_owned(), build_temporary_decision()));
    }
}

fn build_final_decision() -> RefOr<Schema> {
    let decision = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["allow", "reject"]));
    let description = "`allow`: publish the changes. `reject`: undo the removals, and publish all other changes";
    ObjectBuilder::new()
        .description(Some("A decision that ends a hold"))
        .property("decision", decision.description(Some(description)))
        .property("minutes", ObjectBuilder::new().schema_type(Type::Null))
        .required("decision")
        .into()
}

fn build_temporary_decision() -> RefOr<Schema> {
    let decision = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["allow-for"]));
    let minutes = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(EXEMPT_MINUTES_MAX));
    ObjectBuilder::new()
        .description(Some("A decision that ends a hold and prevents others for some time"))
        .property("decision", decision.description(Some("Publish the changes, and hold nothing for `minutes`")))
        .property("minutes", minutes.description(Some("For how long nothing is held")))
        .required("decision")
        .required("minutes")
        .into()
}

impl DecideHoldBody {
    fn order(&self) -> Result<HoldOrder, Reason> {
        match (self.decision, self.minutes) {
            (HoldAnswer::Allow, None) => Ok(HoldOrder::Allow),
            (HoldAnswer::Reject, None) => Ok(HoldOrder::Reject),
            (HoldAnswer::AllowFor, Some(minutes)) => Ok(HoldOrder::AllowFor(minutes)),
            (HoldAnswer::AllowFor, None) => Err(Reason::HoldMinutesMissing),
            (HoldAnswer::Allow | HoldAnswer::Reject, Some(_)) => Err(Reason::HoldMinutesUnused),
        }
    }
}

/// Decide about a hold
///
/// `reject` undoes the removals since the hold began, with the same ids: deactivations, deletions of users and groups, and
/// removed memberships. All other changes of that time are published. The identity provider sends the same removals again
/// unless its cause is corrected there: the first of them within 30 days holds the configuration again.
///
/// 202 if more is to be done than one call may do: then the state is `releasing` until the rest is published.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/hold",
    tag = "Configurations",
    params(("id" = String, Path, description = "The configuration")),
    request_body = DecideHoldBody,
    responses(
        (status = 200, description = "The hold after the decision", body = HoldResponse),
        (status = 202, description = "The decision is being carried out", body = HoldResponse),
        WriteErrors
    )
)]
pub(super) async fn decide_hold(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let (sees_names, context, id) = (sees_names(allowed.permissions), allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let order = call.body::<DecideHoldBody>().await?.order()?;
    let done = call.write(move |tx| {
        holds::decide_hold(tx, &context, &id, order)?;
        holds::find_status(tx, &context.scope, &id, (None, holds::NAMES_MAX), tx.now)
    });
    let done = done.await?;
    let status = if done.state == HoldState::Releasing { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(HoldResponse::new(done, sees_names)))
}
