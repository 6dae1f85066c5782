//! Settings of a configuration: its name, its provider, and the switches that say how requests are read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answered, ReadRefusals, WriteRefusals, document};
use super::call::{Call, write};
use super::caller::{Allowed, Create, Read};
use super::configurations::known;
use super::words::Name;
use crate::clock;
use crate::directory::settings::{self, SettingsChange};
use crate::model::change::Change;
use crate::model::configuration::{Configuration, provisioning_url};
use crate::model::switches::{self, Preset};

/// What is set of a configuration
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub(super) struct Shown {
    connection_name: String,
    source: &'static str,
    /// Name of the identity provider where the source does not say it
    #[schema(required)]
    provider: Option<String>,
    /// The preset from which the switches started
    preset: Preset,
    /// What the identity provider is given as its SCIM base URL
    #[schema(format = "uri")]
    provisioning_url: String,
    /// Whether changes reach your application
    sync_to_user_management: bool,
    switches: switches::Shown,
    /// The last provisioning write that succeeded
    #[schema(format = DateTime, required)]
    last_sync: Option<String>,
    /// The last call with a right token
    #[schema(format = DateTime, required)]
    last_seen: Option<String>,
}

impl Shown {
    fn of(one: Configuration, public_url: &str) -> Self {
        Self {
            source: one.source.as_str(),
            preset: one.switches.preset,
            provisioning_url: provisioning_url(public_url, &one.id),
            sync_to_user_management: one.sync,
            switches: switches::Shown::from(&one.switches),
            last_sync: one.last_sync.map(clock::rfc3339),
            last_seen: one.last_seen.map(clock::rfc3339),
            connection_name: one.connection_name,
            provider: one.provider,
        }
    }
}

/// The settings of a configuration
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/settings",
    tag = "Settings",
    operation_id = "getSettings",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    responses((status = 200, description = "The settings", body = Shown), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn read(allowed: Allowed<Read>, call: Call) -> Answered {
    let found = known(&call.state, &allowed.by, &call.part("id"))?;
    Ok(document(&Shown::of(found, &call.state.public_url())))
}

/// Settings to be changed; what is left out stays as it is
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SettingsUpdate)]
pub(super) struct UpdateBody {
    connection_name: Option<Name>,
    /// Name of the identity provider; null for none
    #[serde(default)]
    #[schema(value_type = Option<Name>)]
    provider: Change<Name>,
    /// All switches take the values of this preset
    preset: Option<Preset>,
    /// Single switches, after the preset
    switches: Option<switches::Changes>,
}

/// Change settings of a configuration
///
/// The next request follows them. Making group names unique is refused while groups share one.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}/settings",
    tag = "Settings",
    operation_id = "updateSettings",
    params(
        ("id" = String, Path, description = "The configuration"),
        ("frontegg-tenant-id" = Option<String>, Header, description = "The account")
    ),
    request_body = UpdateBody,
    responses((status = 200, description = "The settings as they are now", body = Shown), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn update(allowed: Allowed<Create>, call: Call) -> Answered {
    let (by, id) = (allowed.by, call.part("id"));
    known(&call.state, &by, &id)?;
    let (body, state) = call.body::<UpdateBody>().await?;
    let change = SettingsChange {
        connection_name: body.connection_name.map(|name| name.0),
        provider: body.provider.map(|name| name.0),
        preset: body.preset,
        switches: body.switches.unwrap_or_default(),
    };
    let changed = write(&state, move |tx| settings::change(tx, &by, &id, &change)).await?;
    Ok(document(&Shown::of(changed, &state.public_url())))
}
