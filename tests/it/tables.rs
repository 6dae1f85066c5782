//! The tables in `docs/` that are generated from tables in the program.

use std::fs;
use std::path::Path;

use rollcall::limit_table::{LimitRow, list_limits};
use rollcall::model::switches::{Preset, SWITCHES, SwitchRow, Switches, SwitchesResponse};
use rollcall::providers::{IdentityProvider, PROVIDERS};
use serde_json::Value;

const END: &str = "<!-- end -->";

/// Compares the table between the two comments with the generated one. With `TEST_WRITES=1`, writes it instead.
fn assert_table(file: &str, start: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(start).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let table = format!("\n{table}");
    if std::env::var_os("TEST_WRITES").is_some() {
        fs::write(path, format!("{before}{start}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written, table, "TEST_WRITES=1 cargo test --test it tables rewrites docs/{file}");
}

fn provider_row(provider: &IdentityProvider) -> String {
    let minutes = provider.max_call_interval / 60_000;
    let interval = match minutes % (24 * 60) {
        0 if minutes == 24 * 60 => "1 day".to_owned(),
        0 => format!("{} days", minutes / (24 * 60)),
        _ => format!("{minutes} minutes"),
    };
    format!(
        "| {} | `{}` | {} | `{}` | {interval} | {} | {} | {} | {} |\n",
        provider.name,
        provider.source,
        provider.provider.map_or_else(String::new, |value| format!("`{value}`")),
        provider.preset.as_str(),
        if provider.is_connection_test.is_some() { "yes" } else { "no" },
        provider.list_methods()[0].method.label(),
        provider.steps_checked_on,
        provider.notes.join(" ").replace('|', "\\|"),
    )
}

#[test]
fn the_documented_providers_are_those_of_the_program() {
    let mut table = String::from(
        "| name | source | provider | preset | calls at least every | test recognized | recommended credential | steps checked | notes |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    table.extend(PROVIDERS.iter().map(provider_row));
    assert_table("providers.md", "<!-- generated from src/providers -->", &table);
}

/// The text without the tags of the HTML that pages show.
fn without_tags(html: &str) -> String {
    html.split('<').enumerate().map(|(at, part)| if at == 0 { part } else { part.split_once('>').unwrap().1 }).collect()
}

#[test]
fn the_documented_ways_to_send_everything_again_are_those_of_the_program() {
    let mut table = String::from("| provider | action | how | checked |\n| --- | --- | --- | --- |\n");
    for provider in PROVIDERS {
        for hint in provider.resync {
            let (name, action, how) = (provider.name, hint.action, without_tags(hint.description));
            let row = format!("| {name} | [{action}]({}) | {how} | {} |\n", hint.help_url, hint.checked_on);
            table.push_str(&row);
        }
    }
    assert_table("providers.md", "<!-- send again, from src/providers -->", &table);
}

/// The section of a provider in `docs/providers.md`, up to the next heading.
fn provider_section<'d>(document: &'d str, name: &str) -> &'d str {
    let (_, section) = document.split_once(&format!("\n### {name}\n")).unwrap_or_else(|| panic!("no section {name}"));
    section.split("\n#").next().unwrap_or(section)
}

#[test]
fn each_provider_has_a_section_with_its_preset_and_existing_switches_and_tests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let document = fs::read_to_string(path).unwrap();
    for provider in PROVIDERS {
        let section = provider_section(&document, provider.name);
        let preset = provider.preset;
        let values = SWITCHES.iter().filter_map(|row| {
            let value = value_in(&preset.switches(), row);
            (value != value_in(&Switches::default(), row)).then(|| format!("`{}` = {value}", row.key))
        });
        let values: Vec<String> = values.collect();
        let values = if values.is_empty() { "the defaults".to_owned() } else { values.join(", ") };
        let expected = format!("Preset `{}`: {values}.", preset.as_str());
        assert!(section.contains(&expected), "the section {} must say: {expected}", provider.name);
    }
    let rows: Vec<&str> = document.lines().filter(|line| line.contains("`it::")).collect();
    assert!(rows.len() >= 4 * PROVIDERS.len(), "{} rows", rows.len());
    for line in rows {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [sends, answer, switch, tests] = cells[..] else { panic!("expected four cells: {line}") };
        assert!(!sends.is_empty() && !answer.is_empty(), "{line}");
        let key = switch.trim_matches('`');
        assert!(key.is_empty() || SWITCHES.iter().any(|row| row.key == key), "no such switch: {line}");
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() && named.iter().all(|test| crate::conformance::exists(test)), "no such test: {line}");
    }
}

/// The value of a switch in a preset.
fn value_in(switches: &Switches, row: &SwitchRow) -> String {
    match &serde_json::to_value(SwitchesResponse::from(switches)).unwrap()[row.key] {
        Value::Array(names) if names.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn switch_row(row: &SwitchRow) -> String {
    let default = value_in(&Switches::default(), row);
    let others = Preset::ALL.map(|preset| (preset, value_in(&preset.switches(), row)));
    let others = others.iter().filter(|(_, value)| *value != default);
    let others: Vec<String> = others.map(|(preset, value)| format!("{}: {value}", preset.as_str())).collect();
    format!(
        "| `{}` | {} | {} | {default} | {} | {}. {} |\n",
        row.key,
        row.label,
        row.input.describe_values(),
        others.join(", "),
        row.description.trim(),
        row.help
    )
}

#[test]
fn the_documented_switches_are_those_of_the_program() {
    let mut table = String::from(
        "| key | in the portal | values | default | other presets | meaning |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    table.extend(SWITCHES.iter().map(switch_row));
    assert_table("switches.md", "<!-- generated from src/model/switches/table.rs -->", &table);
}

fn limit_row(row: &LimitRow) -> String {
    let key = row.key.map(|key| format!(" (`{key}`)")).unwrap_or_default();
    format!("| {}{key} | {} | {} |\n", row.what, row.value, row.beyond)
}

#[test]
fn the_documented_limits_are_those_of_the_program() {
    let mut table = String::from("| what | maximum | beyond it |\n| --- | --- | --- |\n");
    table.extend(list_limits().iter().map(limit_row));
    assert_table("security.md", "<!-- generated from src/limit_table.rs -->", &table);
}

#[test]
fn every_limit_that_can_be_set_is_a_setting() {
    let settings = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md")).unwrap();
    for key in list_limits().iter().filter_map(|row| row.key) {
        assert!(settings.contains(key), "{key}");
    }
}
