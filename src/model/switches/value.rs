//! The types of switch values: how a form shows them, and which values they accept.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock::Millis;

/// The highest number of resources per page.
pub(crate) const PAGE_MAX: u32 = 1_000;
/// The longest time for which deleted users and groups can be restored, in days.
pub(crate) const TOMBSTONE_DAYS_MAX: u32 = 365;
const DAY_MS: Millis = 86_400_000;

/// The input of a switch in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchInput {
    /// A checkbox.
    Flag,
    /// One of these values, each with its label.
    Choice(&'static [(&'static str, &'static str)]),
    /// A number within these bounds.
    Number(u32, u32),
    /// Names separated by commas; empty for all.
    Names,
}

impl SwitchInput {
    /// Returns the accepted values, such as `1 to 1000`.
    pub fn describe_values(self) -> String {
        match self {
            Self::Flag => "true, false".to_owned(),
            Self::Choice(options) => options.iter().map(|(value, _)| *value).collect::<Vec<_>>().join(", "),
            Self::Number(min, max) => format!("{min} to {max}"),
            Self::Names => "names".to_owned(),
        }
    }
}

/// A type of switch values.
pub(super) trait SwitchValue {
    /// The input in a form.
    const INPUT: SwitchInput;

    /// Checks the value on its own.
    fn check(&self, _key: &str) -> crate::error::Result<()> {
        Ok(())
    }
}

impl SwitchValue for bool {
    const INPUT: SwitchInput = SwitchInput::Flag;
}

/// A number of resources.
impl SwitchValue for u32 {
    const INPUT: SwitchInput = SwitchInput::Number(1, PAGE_MAX);

    fn check(&self, key: &str) -> crate::error::Result<()> {
        check_range(key, *self, (1, PAGE_MAX))
    }
}

fn check_range(key: &str, number: u32, (min, max): (u32, u32)) -> crate::error::Result<()> {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    let detail = crate::error::Reason::NumberOutOfRange.with("min", min).with("max", max);
    Err(detail.on_field(format!("switches.{key}")))
}

/// Days for which deleted users and groups can be restored
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(minimum = 0, maximum = 365)]
pub struct TombstoneDays(u32);

impl TombstoneDays {
    /// The default.
    pub const DEFAULT: Self = Self(30);

    /// A number of days, which can be out of range.
    pub fn new(days: u32) -> Self {
        Self(days)
    }

    /// Whether deleted users and groups cannot be restored.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The time in milliseconds.
    pub fn millis(self) -> Millis {
        Millis::from(self.0) * DAY_MS
    }
}

impl SwitchValue for TombstoneDays {
    const INPUT: SwitchInput = SwitchInput::Number(0, TOMBSTONE_DAYS_MAX);

    fn check(&self, key: &str) -> crate::error::Result<()> {
        check_range(key, self.0, (0, TOMBSTONE_DAYS_MAX))
    }
}

impl SwitchValue for Vec<String> {
    const INPUT: SwitchInput = SwitchInput::Names;
}

/// A switch with its texts.
#[derive(Debug)]
pub struct SwitchRow {
    /// Key in the management API, and name of the form field.
    pub key: &'static str,
    /// The description in the management API and in `docs/switches.md`.
    pub description: &'static str,
    /// The label of the form field.
    pub label: &'static str,
    /// The help text of the form field: when to change the switch.
    pub help: &'static str,
    /// The input in a form.
    pub input: SwitchInput,
}

impl SwitchRow {
    /// Reads the text of a form field or an argument; returns `None` if the switch does not accept it.
    pub fn parse(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        match self.input {
            SwitchInput::Flag => match text {
                "on" | "true" => Some(Value::from(true)),
                // A form does not send a checkbox that is off.
                "off" | "false" | "" => Some(Value::from(false)),
                _ => None,
            },
            SwitchInput::Choice(options) => options.iter().any(|(value, _)| *value == text).then(|| Value::from(text)),
            SwitchInput::Number(..) => text.parse::<u32>().ok().map(Value::from),
            SwitchInput::Names => {
                Some(text.split([',', ' ', '\n']).filter(|name| !name.is_empty()).map(str::trim).collect())
            }
        }
    }
}
