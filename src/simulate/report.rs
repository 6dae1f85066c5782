//! The report of a run: as text, as JSON, and as XML of `JUnit`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::player::{CheckOutcome, CheckResult, ConversationReport};

/// Everything that was checked for one provider.
#[derive(Debug, Clone)]
pub struct SimulationReport {
    /// Name of the provider.
    pub provider: String,
    /// URL of the server.
    pub url: String,
    /// The conversations.
    pub conversations: Vec<ConversationReport>,
}

impl CheckOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "failed",
            Self::Noted => "note",
            Self::Skipped => "skipped",
        }
    }

    /// As the first column of a line.
    fn as_label(self) -> &'static str {
        match self {
            Self::Passed => "ok  ",
            Self::Failed => "FAIL",
            Self::Noted => "note",
            Self::Skipped => "skip",
        }
    }
}

impl SimulationReport {
    /// Whether the provider works with the server: no required check failed or could not be sent.
    pub fn is_success(&self) -> bool {
        self.count(CheckOutcome::Failed) == 0
    }

    fn checks(&self) -> impl Iterator<Item = &CheckResult> {
        self.conversations.iter().flat_map(|conversation| &conversation.checks)
    }

    fn count(&self, outcome: CheckOutcome) -> usize {
        self.checks().filter(|check| check.outcome == outcome).count()
    }

    /// One sentence with the numbers of checks.
    pub fn summary(&self) -> String {
        let all = self.checks().count();
        format!(
            "{all} checks: {} ok, {} failed, {} notes, {} skipped",
            self.count(CheckOutcome::Passed),
            self.count(CheckOutcome::Failed),
            self.count(CheckOutcome::Noted),
            self.count(CheckOutcome::Skipped),
        )
    }

    /// One line for each check, details of those that did not pass, and the summary.
    pub fn render_text(&self) -> String {
        let mut text = String::new();
        for conversation in &self.conversations {
            let _ = writeln!(text, "{} ({})", conversation.title, conversation.name);
            for check in &conversation.checks {
                let _ = writeln!(text, "  {}  {} ({} ms)", check.outcome.as_label(), check.name, check.millis);
                if check.outcome != CheckOutcome::Passed {
                    append_details(&mut text, check);
                }
            }
            if !conversation.left.is_empty() {
                let _ = writeln!(text, "  not removed from the server: {}", conversation.left.join(", "));
            }
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.summary());
        text
    }

    /// One JSON document.
    pub fn render_json(&self) -> Value {
        let conversations = self.conversations.iter().map(|conversation| {
            json!({
                "name": conversation.name,
                "title": conversation.title,
                "checks": conversation.checks.iter().map(check_to_json).collect::<Vec<_>>(),
                "notRemoved": conversation.left,
            })
        });
        json!({
            "provider": self.provider,
            "url": self.url,
            "passed": self.is_success(),
            "summary": {
                "ok": self.count(CheckOutcome::Passed),
                "failed": self.count(CheckOutcome::Failed),
                "notes": self.count(CheckOutcome::Noted),
                "skipped": self.count(CheckOutcome::Skipped),
            },
            "conversations": conversations.collect::<Vec<_>>(),
        })
    }

    /// A `JUnit` document, with a test suite for each conversation. Its counts are those of the summary.
    pub fn render_junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            xml,
            "<testsuites name=\"rollcall simulate {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
            escape_xml(&self.provider),
            self.checks().count(),
            self.count(CheckOutcome::Failed),
            self.count(CheckOutcome::Skipped),
        );
        for conversation in &self.conversations {
            let count = |outcome| conversation.checks.iter().filter(|check| check.outcome == outcome).count();
            let (failures, skipped) = (count(CheckOutcome::Failed), count(CheckOutcome::Skipped));
            let _ = writeln!(
                xml,
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
                escape_xml(&conversation.name),
                conversation.checks.len(),
            );
            for check in &conversation.checks {
                append_test_case(&mut xml, &conversation.name, check);
            }
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

fn append_test_case(xml: &mut String, suite: &str, check: &CheckResult) {
    let seconds = f64::from(u32::try_from(check.millis).unwrap_or(u32::MAX)) / 1_000.0;
    let _ = write!(
        xml,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\">",
        escape_xml(suite),
        escape_xml(&check.name)
    );
    let mut details = String::new();
    append_details(&mut details, check);
    let problems = escape_xml(&check.problems.join("; "));
    let _ = match check.outcome {
        CheckOutcome::Passed => Ok(()),
        CheckOutcome::Failed => {
            write!(xml, "<failure message=\"{problems}\">{}</failure>", escape_xml(&details))
        }
        CheckOutcome::Skipped => write!(xml, "<skipped message=\"{problems}\"/>"),
        CheckOutcome::Noted => write!(xml, "<system-out>{}</system-out>", escape_xml(&details)),
    };
    xml.push_str("</testcase>\n");
}

fn check_to_json(check: &CheckResult) -> Value {
    json!({
        "name": check.name,
        "result": check.outcome.as_str(),
        "level": check.level.as_str(),
        "rules": check.rules,
        "rule": check.rule,
        "reason": check.reason,
        "source": {"kind": check.source.kind, "title": check.source.title, "url": check.source.url},
        "problems": check.problems,
        "request": check.request,
        "answer": check.answer,
        "milliseconds": check.millis,
    })
}

/// What a developer needs to correct a failure.
fn append_details(text: &mut String, check: &CheckResult) {
    let mut add = |label: &str, content: &str| {
        for (number, line) in content.lines().enumerate() {
            let _ = writeln!(text, "        {:<10}{line}", if number == 0 { label } else { "" });
        }
    };
    for problem in &check.problems {
        add("problem", problem);
    }
    add("sent", &check.request);
    add("answer", &check.answer);
    add("expected", &check.rule);
    add("why", &check.reason);
    add("source", &format!("{}: {}, {}", check.source.kind, check.source.title, check.source.url));
    add("level", check.level.as_str());
}

/// Escapes text for XML 1.0, and replaces characters that it cannot contain.
fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            _ if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{CheckLevel, SourceLink};

    fn check(name: &str, outcome: CheckOutcome, level: CheckLevel) -> CheckResult {
        CheckResult {
            name: name.to_owned(),
            outcome,
            level,
            rules: vec!["stored".to_owned()],
            rule: "Answer 200.".to_owned(),
            reason: "It reads it.".to_owned(),
            source: SourceLink { kind: "documented".to_owned(), title: "T".to_owned(), url: "https://x/".to_owned() },
            request: "GET /Users".to_owned(),
            answer: "500\n\n<a & \u{1}b>".to_owned(),
            problems: vec!["status: expected 200, got 500".to_owned()],
            millis: 3,
        }
    }

    fn report(checks: Vec<CheckResult>) -> SimulationReport {
        let conversation = ConversationReport {
            name: "c".to_owned(),
            title: "C".to_owned(),
            checks,
            left: vec!["/Users/1".to_owned()],
        };
        SimulationReport { provider: "p".to_owned(), url: "http://h".to_owned(), conversations: vec![conversation] }
    }

    #[test]
    fn a_failed_check_fails_the_run_and_all_formats_have_the_same_counts() {
        use {CheckLevel::*, CheckOutcome::*};
        for (outcome, level, is_success) in [
            (Passed, Required, true),
            (Failed, Required, false),
            (Skipped, Required, true),
            (Skipped, Recommended, true),
            (Noted, Recommended, true),
        ] {
            let report = report(vec![check("a", outcome, level)]);
            assert_eq!(report.is_success(), is_success, "{outcome:?} {level:?}");
            let (failed, skipped) = (u8::from(outcome == Failed), u8::from(outcome == Skipped));
            let text = report.summary();
            assert!(
                text.contains(&format!("{failed} failed")) && text.ends_with(&format!("{skipped} skipped")),
                "{text}"
            );
            let json = &report.render_json()["summary"];
            assert_eq!((&json["failed"], &json["skipped"]), (&json!(failed), &json!(skipped)), "{outcome:?} {level:?}");
            let xml = report.render_junit();
            let counts = format!("failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\"");
            assert_eq!(xml.matches(&counts).count(), 2, "of the document and of the suite: {xml}");
            let elements = (xml.matches("<failure ").count(), xml.matches("<skipped ").count());
            assert_eq!(elements, (failed.into(), skipped.into()), "{xml}");
        }
    }

    #[test]
    fn each_format_has_the_failure_with_its_reason_and_its_source() {
        let checks = vec![
            check("bad", CheckOutcome::Failed, CheckLevel::Required),
            check("odd", CheckOutcome::Noted, CheckLevel::Recommended),
        ];
        let report = report(checks);
        let text = report.render_text();
        for part in
            ["FAIL  bad", "note  odd", "expected 200, got 500", "It reads it.", "https://x/", "/Users/1", "1 failed"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let json = report.render_json();
        assert_eq!(json["conversations"][0]["checks"][0]["result"], "failed");
        assert_eq!((&json["passed"], &json["summary"]["notes"]), (&json!(false), &json!(1)));
        let xml = report.render_junit();
        assert!(xml.contains("&lt;a &amp; \u{fffd}b&gt;") && xml.contains("failures=\"1\""), "{xml}");
        assert_eq!((xml.matches("<testcase ").count(), xml.matches("<failure ").count()), (2, 1));
    }
}
