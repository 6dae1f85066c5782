//! A logged call prepared for a page: masked for the reader, summarized in a sentence, and explained.

use serde_json::Value;

use crate::clock::Millis;
use crate::diagnosis::{self, CallContext, Explanation, relative_path};
use crate::error::Result;
use crate::management::request_log::{self, RequestLogQuery};
use crate::model::audit_context::AccountScope;
use crate::model::configuration::Configuration;
use crate::model::ids;
use crate::model::permission::Permission;
use crate::model::request::LoggedCall;
use crate::providers::IdentityProvider;
use crate::provisioning::resource_details;
use crate::scim::percent;
use crate::store::Snapshot;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::time_zone::TimeZoneChoice;
use crate::web::portal::timestamps::PageTime;
use crate::web::public_url::is_https;
use crate::web::request_log::mask_call;

/// Longest path in a list, in characters.
const PATH_MAX_CHARS: usize = 60;
/// Longest name in a list, in characters.
const NAME_MAX_CHARS: usize = 120;

/// The reader of the log, as far as it changes what is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogReader {
    /// Whether values of users may be shown (permission `directory.read`).
    pub(crate) sees_values: bool,
    is_secure: bool,
}

impl LogReader {
    pub(crate) fn new(signed: &SignedIn, public_url: &str) -> Self {
        let sees_values = signed.permissions.contains(Permission::DirectoryRead);
        Self { sees_values, is_secure: is_https(public_url) }
    }
}

/// A logged call with its parsed path and bodies.
#[derive(Debug, Clone)]
pub(crate) struct CallView {
    pub(crate) call: LoggedCall,
    relative_path: String,
    filter: Option<String>,
    request: Option<Value>,
    response: Option<Value>,
    name: Option<String>,
    configuration: String,
    is_secure: bool,
}

/// A call in a list.
#[derive(Debug, Clone)]
pub(crate) struct CallLine {
    pub(crate) id: String,
    pub(crate) at: PageTime,
    pub(crate) sentence: String,
    /// Display name of the resource, if the sentence contains it.
    name: Option<String>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) failed: bool,
    pub(crate) duration: String,
    /// Path of the page of the resource.
    pub(crate) resource: Option<String>,
    pub(crate) configuration: String,
    /// How often the same was sent, one directly after the other.
    pub(crate) times: usize,
    /// Name of the admin who sent it again.
    pub(crate) replayed_by: Option<String>,
    /// The day, if it is the first one of its day in a list; else empty.
    pub(crate) day: String,
    at_ms: Millis,
}

impl CallLine {
    /// The sentence before the name of the resource, the name with the path of the page of the resource, and the rest. The
    /// whole sentence is in the first part if there is nothing to link.
    pub(crate) fn parts(&self) -> (&str, Option<(&str, &str)>, &str) {
        let whole = (self.sentence.as_str(), None, "");
        let (Some(name), Some(path)) = (&self.name, &self.resource) else { return whole };
        match self.sentence.split_once(name.as_str()) {
            Some((before, after)) if !before.trim().is_empty() => (before, Some((name, path)), after),
            _ => whole,
        }
    }

    /// Whether an earlier request had the same effect, such as the same rejection.
    pub(crate) fn is_repeated_by(&self, earlier: &Self) -> bool {
        (&self.sentence, self.status, &self.configuration, &self.replayed_by)
            == (&earlier.sentence, earlier.status, &earlier.configuration, &earlier.replayed_by)
    }
}

/// Reads a page of the log of a configuration as lines, newest first, and where the next page starts.
pub(crate) fn read_call_lines(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    reader: LogReader,
    configuration: &Configuration,
    (query, limit): (&RequestLogQuery, u32),
) -> Result<(Vec<CallLine>, Option<String>)> {
    let (key, id) = (configuration.key, configuration.id.as_str());
    let found = request_log::list_calls_with_bodies(at, scope, id, query, limit)?;
    let lines = found.calls.into_iter().map(|call| Ok(CallView::read(at, reader, key, id, call)?.line()));
    Ok((lines.collect::<Result<Vec<CallLine>>>()?, found.next))
}

/// Unites requests that repeat the one before, of which the newest stays, and marks the first one of each day in the zone.
pub(crate) fn group_repeated(lines: Vec<CallLine>, zone: &TimeZoneChoice) -> Vec<CallLine> {
    let mut groups: Vec<CallLine> = Vec::new();
    for line in lines {
        match groups.last_mut().filter(|last| last.is_repeated_by(&line)) {
            Some(last) => last.times += line.times,
            None => groups.push(line),
        }
    }
    mark_days(groups.iter_mut(), zone);
    groups
}

/// Sets the day of the first line of each day in the zone. Lines are ordered by their time.
pub(crate) fn mark_days<'l>(lines: impl Iterator<Item = &'l mut CallLine>, zone: &TimeZoneChoice) {
    let mut last = String::new();
    for line in lines {
        let day = zone.format_day(line.at_ms);
        line.day = if day == last { String::new() } else { day.clone() };
        last = day;
    }
}

impl CallView {
    /// Parses the path and the bodies of a call, and looks up the name of its resource.
    ///
    /// # Errors
    /// The errors of the database.
    pub(crate) fn read(
        at: &Snapshot<'_>,
        reader: LogReader,
        configuration: i64,
        configuration_id: &str,
        call: LoggedCall,
    ) -> Result<Self> {
        let name = if reader.sees_values { resource_name(at, configuration, &call)? } else { None };
        let call = if reader.sees_values { call } else { mask_call(call) };
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let filter =
            percent::parse_query_string(query).into_iter().find(|(name, _)| name.eq_ignore_ascii_case("filter"));
        let below = relative_path(path, configuration_id);
        Ok(Self {
            relative_path: percent::decode_percent(below).unwrap_or_else(|| below.to_owned()),
            filter: filter.map(|(_, filter)| filter),
            request: parse_body(call.request.text.as_deref()),
            response: parse_body(call.response.text.as_deref()),
            name: name.map(|name| shorten_name(&name)),
            configuration: configuration_id.to_owned(),
            is_secure: reader.is_secure,
            call,
        })
    }

    fn facts(&self) -> CallContext<'_> {
        CallContext {
            call: &self.call,
            relative_path: &self.relative_path,
            filter: self.filter.as_deref(),
            request: self.request.as_ref(),
            response: self.response.as_ref(),
            name: self.name.as_deref(),
            is_secure: self.is_secure,
        }
    }

    /// Explanations of the call, with the setting to change at this provider.
    pub(crate) fn explanations(&self, provider: &IdentityProvider) -> Vec<Explanation> {
        diagnosis::explain_call(&self.facts(), provider)
    }

    /// Whether the call was a change that had no effect.
    pub(crate) fn left_unchanged(&self) -> bool {
        diagnosis::left_unchanged(&self.facts())
    }

    /// The call as a row of a list.
    pub(crate) fn line(&self) -> CallLine {
        let call = &self.call;
        let below = shorten_path(&self.relative_path);
        let path: String = below.chars().take(PATH_MAX_CHARS).collect();
        let is_cut = path.len() < below.len();
        CallLine {
            id: call.id.clone(),
            at: PageTime::from_millis(call.at),
            sentence: diagnosis::summarize_call(&self.facts()),
            name: self.name.clone(),
            times: 1,
            replayed_by: call.replayed_by.clone(),
            day: String::new(),
            at_ms: call.at,
            method: call.method.clone(),
            path: if is_cut { format!("{path}…") } else { path },
            status: call.status,
            failed: call.failed,
            duration: texts::formats::format_microseconds(call.duration_us),
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

fn parse_body(text: Option<&str>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}

/// Display name of the resource: from the request, from the response, or as stored now.
fn resource_name(at: &Snapshot<'_>, configuration: i64, call: &LoggedCall) -> Result<Option<String>> {
    let in_body = |text: Option<&str>| parse_body(text).as_ref().and_then(resource_details::extract_name);
    let is_sent = matches!(&*call.method, "POST" | "PUT");
    let sent = if is_sent { in_body(call.request.text.as_deref()) } else { None };
    let named = sent.or_else(|| in_body(call.response.text.as_deref()));
    match (named, &call.resource_type, &call.resource_id) {
        (None, Some(of), Some(id)) => resource_details::find_resource_name(at, configuration, of, id),
        (named, ..) => Ok(named),
    }
}

/// A name with at most 120 characters, for a list.
pub(crate) fn shorten_name(name: &str) -> String {
    match name.char_indices().nth(NAME_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// The path with every id shortened to its last characters.
fn shorten_path(path: &str) -> String {
    let part = |part: &str| if ids::is_id(part) { format!("…{}", ids::shorten_id(part)) } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shortened_to_their_ends() {
        assert_eq!(shorten_path("/Users/01890a5d-ac96-774b-bcce-b302099a8057"), "/Users/…9a8057");
        assert_eq!(shorten_path("/Users/bob"), "/Users/bob");
    }

    #[test]
    fn a_long_name_is_shortened_in_lists() {
        assert_eq!(shorten_name("Ann"), "Ann");
        assert_eq!(shorten_name(&"ü".repeat(5_000)), format!("{}…", "ü".repeat(120)));
    }
}
