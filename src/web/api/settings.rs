//! Settings of a configuration: its name, its provider, and the switches for the interpretation of requests.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, Create, Read};
use super::configurations::find_configuration;
use crate::clock;
use crate::error::Error;
use crate::management::configuration_settings::{self, SettingsChange};
use crate::management::configurations;
use crate::management::configurations::holds;
use crate::model::audit_context::AccountScope;
use crate::model::configuration::{Configuration, provisioning_url};
use crate::model::field_change::FieldChange;
use crate::model::hold::{HoldChanges, HoldSettings};
use crate::model::switches::{self, Preset};
use crate::store::Snapshot;
use crate::web::api::request_types::{ApiRequest, DisplayName};
use crate::web::api::response::{ApiResult, ReadErrors, WriteErrors, json_response};

/// The settings of a configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub(super) struct SettingsResponse {
    connection_name: String,
    source: &'static str,
    /// Name of the identity provider, if the source does not determine it
    #[schema(required)]
    provider: Option<String>,
    /// The preset on which the switches are based
    preset: Preset,
    /// The SCIM base URL for the identity provider
    #[schema(format = "uri")]
    provisioning_url: String,
    /// Whether changes are published to your application
    sync_to_user_management: bool,
    switches: switches::SwitchesResponse,
    /// When mass removals are held
    hold: HoldSettings,
    /// Users whose deactivation or deletion is always held: a `userName` or an `externalId` each
    #[schema(max_items = 100)]
    protected_users: Vec<String>,
    /// Time of the last successful provisioning write
    #[schema(format = DateTime, required)]
    last_sync: Option<String>,
    /// Time of the last call with a valid token
    #[schema(format = DateTime, required)]
    last_seen: Option<String>,
}

impl SettingsResponse {
    fn new((configuration, hold, protected_users): LoadedSettings, public_url: &str) -> Self {
        Self {
            source: configuration.source.as_str(),
            preset: configuration.switches.preset,
            provisioning_url: provisioning_url(public_url, &configuration.id),
            sync_to_user_management: configuration.sync,
            hold,
            protected_users,
            switches: switches::SwitchesResponse::from(&configuration.switches),
            last_sync: configuration.last_sync.map(clock::format_rfc3339),
            last_seen: configuration.last_seen.map(clock::format_rfc3339),
            connection_name: configuration.connection_name,
            provider: configuration.provider,
        }
    }
}

type LoadedSettings = (Configuration, HoldSettings, Vec<String>);

fn load_settings(at: &Snapshot<'_>, scope: &AccountScope, id: &str) -> Result<LoadedSettings, Error> {
    let found = configurations::find_configuration(at, scope, id)?;
    Ok((found, holds::find_hold(at, scope, id)?.settings, holds::list_protected_users(at, scope, id)?))
}

/// Get the settings of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/settings",
    tag = "Settings",
    params(("id" = String, Path, description = "The configuration")),
    responses((status = 200, description = "The settings", body = SettingsResponse), ReadErrors)
)]
pub(super) async fn get_settings(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (scope, id) = (allowed.account_scope(), call.path_parameter("id"));
    let found = call.read_inline(|at| load_settings(at, &scope, &id))?;
    Ok(json_response(&SettingsResponse::new(found, &call.state.server.public_url())))
}

/// Changes to settings; absent members keep their value
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SettingsUpdate)]
pub(super) struct UpdateSettingsBody {
    connection_name: Option<DisplayName>,
    /// Name of the identity provider; null for none
    #[serde(default)]
    #[schema(value_type = Option<DisplayName>)]
    provider: FieldChange<DisplayName>,
    /// Sets all switches to the values of this preset
    preset: Option<Preset>,
    /// Individual switches, applied after the preset
    switches: Option<switches::SwitchChanges>,
    /// When mass removals are held
    hold: Option<HoldChanges>,
    /// Users whose deactivation or deletion is always held: a `userName` or an `externalId` each. Replaces the list
    #[schema(max_items = 100)]
    protected_users: Option<Vec<String>>,
}

/// Change settings of a configuration
///
/// The settings apply from the next request on. 409 if group names are to become unique while several groups have the same
/// name.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}/settings",
    tag = "Settings",
    params(("id" = String, Path, description = "The configuration")),
    request_body = UpdateSettingsBody,
    responses((status = 200, description = "The settings after the change", body = SettingsResponse), WriteErrors)
)]
pub(super) async fn update_settings(allowed: AllowedCaller<Create>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.body::<UpdateSettingsBody>().await?;
    let change = SettingsChange {
        connection_name: body.connection_name.map(|name| name.0),
        provider: body.provider.map(|name| name.0),
        preset: body.preset,
        switches: body.switches.unwrap_or_default(),
        hold: body.hold.unwrap_or_default(),
        protected_users: body.protected_users,
    };
    let changed = call.write(move |tx| {
        configuration_settings::change_settings(tx, &context, &id, &change)?;
        load_settings(tx, &context.scope, &id)
    });
    let changed = changed.await?;
    Ok(json_response(&SettingsResponse::new(changed, &call.state.server.public_url())))
}
