//! The section "Usage" of a connection and of an account: what is used of each quota, and the form for the limits.

use std::collections::BTreeMap;

use crate::clock::Millis;
use crate::diagnosis::connection_status::format_ago;
use crate::doctor::format_size;
use crate::management::quotas::QuotaChanges;
use crate::model::field_change::FieldChange;
use crate::model::quota::{ActiveUserLimit, LIMIT_MAX, OwnerQuotas, QuotaKind, QuotaStatus, check_message};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::texts::formats::group_digits;

/// Values of the form by field name.
pub(super) type QuotaForm = BTreeMap<String, String>;

/// Field of the form with the sentence for calls above the limit of active users.
const MESSAGE: &str = "message";
/// Bytes in one MiB, the unit of the form.
const MIB: u64 = 1 << 20;

/// The usage section of a page.
pub(crate) struct UsageSection {
    /// Address that receives the form; `None` if the admin may not change limits.
    pub(crate) form_address: Option<String>,
    /// One line for each quota.
    pub(crate) lines: Vec<UsageLine>,
    /// The sentence for calls above the limit of active users, as the form shows it.
    pub(crate) message: String,
    /// Error of the sentence.
    pub(crate) message_problem: Option<String>,
    /// Calls that were refused because of the limit, as a sentence.
    pub(crate) refused: Option<String>,
}

/// One quota on a page.
pub(crate) struct UsageLine {
    status: QuotaStatus,
    /// Value of the field of the form.
    pub(crate) field: String,
    /// Error of the field.
    pub(crate) problem: Option<String>,
}

impl UsageSection {
    /// Creates the section.
    pub(super) fn new(found: OwnerQuotas, form_address: Option<String>, now: Millis) -> Self {
        let OwnerQuotas { quotas, active_users } = found;
        let lines = quotas.iter().map(|status| UsageLine { status: *status, field: own_limit(status), problem: None });
        Self {
            form_address,
            lines: lines.collect(),
            refused: describe_refused(&active_users, now),
            message: active_users.message.unwrap_or_default(),
            message_problem: None,
        }
    }

    /// Shows the sent values of a form again, with the problems.
    pub(super) fn show_form(&mut self, fields: &QuotaForm) {
        for line in &mut self.lines {
            if let Some(text) = fields.get(line.key()) {
                line.problem = parse_limit(line.status.kind, text).err();
                line.field.clone_from(text);
            }
        }
        if let Some(text) = fields.get(MESSAGE) {
            self.message_problem = check_message(text).err().map(|error| render_sentence(&error));
            self.message.clone_from(text);
        }
    }

    /// Whether the form has errors.
    pub(crate) fn has_problems(&self) -> bool {
        self.message_problem.is_some() || self.lines.iter().any(|line| line.problem.is_some())
    }

    /// The warnings, as sentences.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.lines.iter().filter_map(UsageLine::warning).collect()
    }
}

impl UsageLine {
    pub(crate) fn key(&self) -> &'static str {
        self.status.kind.as_str()
    }

    pub(crate) fn label(&self) -> &'static str {
        texts::usage::label_quota(self.status.kind)
    }

    /// Label of the field, with the unit.
    pub(crate) fn field_label(&self) -> String {
        if self.status.kind.counts_bytes() { texts::usage::add_unit_mib(self.label()) } else { self.label().to_owned() }
    }

    pub(crate) fn amount(&self) -> String {
        self.format_amount(self.status.used)
    }

    pub(crate) fn limit(&self) -> String {
        self.status.limit.map_or_else(|| texts::usage::NO_LIMIT.to_owned(), |limit| self.format_amount(limit))
    }

    pub(crate) fn percent(&self) -> Option<u64> {
        self.status.percent()
    }

    /// The same, at most 100, for the bar.
    pub(crate) fn bar(&self) -> u64 {
        self.status.percent().unwrap_or_default().min(100)
    }

    pub(crate) fn is_override(&self) -> bool {
        self.status.is_override
    }

    pub(crate) fn is_near(&self) -> bool {
        self.warning().is_some()
    }

    fn format_amount(&self, amount: u64) -> String {
        if self.status.kind.counts_bytes() { format_size(amount) } else { group_digits(amount) }
    }

    /// The warning from 80 % on. A full request log is normal: it removes its oldest calls.
    fn warning(&self) -> Option<String> {
        if !self.status.is_near_limit() || self.status.kind == QuotaKind::RequestLogBytes {
            return None;
        }
        let (label, amount, limit) = (self.label(), self.amount(), self.limit());
        Some(if self.status.is_exhausted() {
            texts::usage::say_limit_reached(label, &limit, &amount)
        } else {
            texts::usage::say_limit_near(label, self.bar(), &amount, &limit)
        })
    }
}

fn describe_refused(active_users: &ActiveUserLimit, now: Millis) -> Option<String> {
    let ago = format_ago(now - active_users.last_refused_at?);
    let count = active_users.refused;
    Some(texts::usage::say_users_rejected(count, &group_digits(count), &ago))
}

/// The limit of its own, as the form shows it: empty for the default.
fn own_limit(status: &QuotaStatus) -> String {
    let limit = status.limit.unwrap_or_default();
    match (status.is_override, status.kind.counts_bytes()) {
        (false, _) => String::new(),
        (true, false) => limit.to_string(),
        (true, true) => limit.div_ceil(MIB).to_string(),
    }
}

/// Reads the form. Only fields that differ from what the page shows are changes, so that a limit in bytes is not rounded.
///
/// # Errors
/// One of the fields is not valid.
pub(super) fn read_changes(found: &OwnerQuotas, fields: &QuotaForm) -> Result<QuotaChanges, ()> {
    let mut changes = QuotaChanges::default();
    for status in &found.quotas {
        let Some(text) = fields.get(status.kind.as_str()) else { continue };
        if text.trim() != own_limit(status) {
            changes.limits.push((status.kind, parse_limit(status.kind, text).map_err(drop)?));
        }
    }
    if let Some(text) = fields.get(MESSAGE) {
        let message = check_message(text).map_err(drop)?;
        changes.message = FieldChange::Set(message.unwrap_or_default().to_owned());
    }
    Ok(changes)
}

fn parse_limit(kind: QuotaKind, text: &str) -> Result<Option<u64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (unit, most) = if kind.counts_bytes() { (MIB, LIMIT_MAX / MIB) } else { (1, LIMIT_MAX) };
    let number = text.parse::<u64>().ok().filter(|number| *number <= most);
    let sentence = || texts::usage::say_limit_invalid(most);
    number.map(|number| Some(number * unit)).ok_or_else(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(kind: QuotaKind, used: u64, limit: u64, is_override: bool) -> QuotaStatus {
        QuotaStatus { kind, used, limit: Some(limit).filter(|limit| *limit > 0), is_override }
    }

    fn quotas_of(quotas: &[QuotaStatus]) -> OwnerQuotas {
        OwnerQuotas { quotas: quotas.to_vec(), active_users: ActiveUserLimit::default() }
    }

    #[test]
    fn refused_calls_are_a_sentence() {
        let refused = |refused, last_refused_at| ActiveUserLimit { message: None, refused, last_refused_at };
        assert_eq!(describe_refused(&refused(0, None), 0), None);
        let one = describe_refused(&refused(1, Some(0)), 60_000).unwrap();
        assert_eq!(one, "1 request was rejected because of the limit of active users, 1 minute ago.");
        let many = describe_refused(&refused(1_200, Some(0)), 0).unwrap();
        assert!(many.starts_with("1,200 requests were rejected") && many.ends_with("the last just now."), "{many}");
    }

    #[test]
    fn the_sentence_of_the_form_is_checked() {
        let form = |text: &str| QuotaForm::from([(MESSAGE.to_owned(), text.to_owned())]);
        let read = |text: &str| read_changes(&quotas_of(&[]), &form(text)).map(|changes| changes.message);
        assert_eq!(read(" Call us. "), Ok(FieldChange::Set("Call us.".to_owned())));
        assert_eq!(read(""), Ok(FieldChange::Set(String::new())));
        assert_eq!(read("a\nb"), Err(()));
        assert_eq!(read_changes(&quotas_of(&[]), &QuotaForm::new()), Ok(QuotaChanges::default()));
    }

    #[test]
    fn only_changed_fields_are_changes_and_bytes_are_in_mebibytes() {
        let found = quotas_of(&[
            status(QuotaKind::Users, 1, 10, true),
            status(QuotaKind::Groups, 1, 10, false),
            status(QuotaKind::Bytes, 1, MIB + 1, true),
        ]);
        let form = |fields: [(&str, &str); 3]| {
            fields.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect::<QuotaForm>()
        };
        let same = form([("users", "10"), ("groups", ""), ("bytes", "2")]);
        assert_eq!(read_changes(&found, &same), Ok(QuotaChanges::default()));
        let other = form([("users", ""), ("groups", "0"), ("bytes", "3")]);
        let limits = vec![(QuotaKind::Users, None), (QuotaKind::Groups, Some(0)), (QuotaKind::Bytes, Some(3 * MIB))];
        assert_eq!(read_changes(&found, &other).map(|changes| changes.limits), Ok(limits));
        for wrong in ["-1", "x", "1.5", "99999999999999999999"] {
            assert_eq!(read_changes(&found, &form([("users", wrong), ("groups", ""), ("bytes", "2")])), Err(()));
        }
    }

    #[test]
    fn a_warning_is_a_sentence_from_eighty_percent_on() {
        let found = [
            status(QuotaKind::Users, 8, 10, true),
            status(QuotaKind::Groups, 10, 10, true),
            status(QuotaKind::Members, 7, 10, true),
            status(QuotaKind::RequestLogBytes, 10, 10, true),
        ];
        let warnings = UsageSection::new(quotas_of(&found), None, 0).warnings();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("80 %") && warnings[1].contains("is reached"), "{warnings:?}");
    }
}
