//! A logged call made ready for a page: without what its reader may not see, in a sentence, with its explanations.

use serde_json::Value;

use super::moments::Moment;
use super::session::Signed;
use crate::directory::records;
use crate::error::Result;
use crate::model::explanation::{self, Explanation, Facts};
use crate::model::ids;
use crate::model::permission::Permission;
use crate::model::provider::Provider;
use crate::model::request::LoggedCall;
use crate::scim::percent;
use crate::store::Snapshot;
use crate::web::public_url::is_https;
use crate::web::requests::masked;

/// Longest path in a list.
const PATH_MAX_CHARS: usize = 60;
/// Bases that name no connection.
const OTHER_BASES: [&str; 2] = ["/api/scim/resource/v2", "/scim/v2"];

/// Who reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// Whether people's values may be seen.
    pub(super) is_open: bool,
    is_secure: bool,
}

impl Reader {
    pub(super) fn new(signed: &Signed, public_url: &str) -> Self {
        let is_open = signed.permissions.allow(Permission::DirectoryRead);
        Self { is_open, is_secure: is_https(public_url) }
    }
}

/// A call, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) call: LoggedCall,
    below: String,
    filter: Option<String>,
    request: Option<Value>,
    response: Option<Value>,
    name: Option<String>,
    configuration: String,
    is_secure: bool,
}

/// A call in a list.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) at: Moment,
    pub(super) sentence: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) failed: bool,
    pub(super) took: String,
    /// Address of the resource's page.
    pub(super) resource: Option<String>,
    pub(super) configuration: String,
}

impl Told {
    /// Takes a call with its bodies apart, and looks the name of its resource up.
    pub(super) fn read(
        at: &Snapshot<'_>,
        reader: Reader,
        configuration: i64,
        configuration_id: &str,
        call: LoggedCall,
    ) -> Result<Self> {
        let name = if reader.is_open { name(at, configuration, &call)? } else { None };
        let call = if reader.is_open { call } else { masked(call) };
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let filter = percent::pairs(query).into_iter().find(|(name, _)| name.eq_ignore_ascii_case("filter"));
        let below = below(path, configuration_id);
        Ok(Self {
            below: percent::decoded(below).unwrap_or_else(|| below.to_owned()),
            filter: filter.map(|(_, filter)| filter),
            request: parsed(call.request.text.as_deref()),
            response: parsed(call.response.text.as_deref()),
            name,
            configuration: configuration_id.to_owned(),
            is_secure: reader.is_secure,
            call,
        })
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            call: &self.call,
            below: &self.below,
            filter: self.filter.as_deref(),
            request: self.request.as_ref(),
            response: self.response.as_ref(),
            name: self.name.as_deref(),
            is_secure: self.is_secure,
        }
    }

    /// What is said about it, and where to mend it at this provider.
    pub(super) fn explained(&self, provider: &Provider) -> Vec<Explanation> {
        explanation::explain(&self.facts(), provider)
    }

    /// The call as it stands in a list.
    pub(super) fn line(&self) -> Line {
        let call = &self.call;
        let below = short(&self.below);
        let path: String = below.chars().take(PATH_MAX_CHARS).collect();
        let is_cut = path.len() < below.len();
        Line {
            id: call.id.clone(),
            at: Moment::of(call.at),
            sentence: explanation::sentence(&self.facts()),
            method: call.method.clone(),
            path: if is_cut { format!("{path}…") } else { path },
            status: call.status,
            failed: call.failed,
            took: took(call.duration_us),
            resource: self.resource(),
            configuration: self.configuration.clone(),
        }
    }

    fn resource(&self) -> Option<String> {
        let kind = match self.call.resource_type.as_deref()? {
            "User" => "users",
            "Group" => "groups",
            _ => return None,
        };
        Some(format!("/connections/{}/{kind}/{}", self.configuration, self.call.resource_id.as_deref()?))
    }
}

fn parsed(text: Option<&str>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}

/// What people call the resource: as it was sent, as it was answered, or as it is now.
fn name(at: &Snapshot<'_>, configuration: i64, call: &LoggedCall) -> Result<Option<String>> {
    let in_body = |text: Option<&str>| parsed(text).as_ref().and_then(records::name_in);
    let is_sent = matches!(&*call.method, "POST" | "PUT");
    let sent = if is_sent { in_body(call.request.text.as_deref()) } else { None };
    let named = sent.or_else(|| in_body(call.response.text.as_deref()));
    match (named, &call.resource_type, &call.resource_id) {
        (None, Some(of), Some(id)) => records::name(at, configuration, of, id),
        (named, ..) => Ok(named),
    }
}

/// The path below the provisioning URL.
fn below<'p>(path: &'p str, configuration_id: &str) -> &'p str {
    if let Some((_, below)) = path.split_once(configuration_id) {
        return below;
    }
    OTHER_BASES.iter().find_map(|base| path.strip_prefix(base)).unwrap_or(path)
}

/// The path with the ends of ids only.
fn short(path: &str) -> String {
    let part = |part: &str| if ids::is_id(part) { format!("…{}", ids::short(part)) } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A span for people, from microseconds.
fn took(us: i64) -> String {
    match us {
        ..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{} s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_shown_from_the_provisioning_url_on() {
        for (path, shown) in [
            ("/directory/resources/scim/v2.0/7/Users", "/Users"),
            ("/scim/v2/Users/9", "/Users/9"),
            ("/api/scim/resource/v2/Groups", "/Groups"),
            ("/elsewhere", "/elsewhere"),
        ] {
            assert_eq!(below(path, "7"), shown);
        }
    }

    #[test]
    fn ids_are_shown_by_their_ends() {
        assert_eq!(short("/Users/01890a5d-ac96-774b-bcce-b302099a8057"), "/Users/…9a8057");
        assert_eq!(short("/Users/bob"), "/Users/bob");
    }

    #[test]
    fn spans_have_the_unit_that_fits() {
        assert_eq!([999, 1_500, 2_000_001].map(took), ["999 µs", "1 ms", "2 s"]);
    }
}
