//! The documents in docs/, embedded in the program.

use crate::compressed_text::{CompressedText, compressed_text};

/// A document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManualDocument {
    /// Its name, which is that of the file in docs/ without `.md`.
    pub topic: &'static str,
    /// What it is about, in one line.
    pub summary: &'static str,
    /// Its text, in Markdown.
    pub text: CompressedText,
}

/// The documents, for operators first.
pub const DOCUMENTS: &[ManualDocument] = &[
    document("install", "Packages, containers, and the setup in 30 minutes", compressed_text!("docs/install.md")),
    document("settings", "The settings file, its keys, flags and variables", compressed_text!("docs/settings.md")),
    document("https", "Certificates from Let's Encrypt, own files, or a proxy", compressed_text!("docs/https.md")),
    document("proxy", "Rollcall behind nginx, Caddy or a load balancer", compressed_text!("docs/proxy.md")),
    document("portal", "Sign-in, roles, connections, setup links", compressed_text!("docs/portal.md")),
    document("backup", "Backups, and how to restore them", compressed_text!("docs/backup.md")),
    document("high-availability", "The replica of the database", compressed_text!("docs/high-availability.md")),
    document("commands", "Every command in one line", compressed_text!("docs/commands.md")),
    document("upgrade", "New versions, and the way back", compressed_text!("docs/upgrade.md")),
    document("monitoring", "Health checks, metrics, alerts and logs", compressed_text!("docs/monitoring.md")),
    document(
        "simulate",
        "Checks of any SCIM server with the requests of identity providers, and the demo",
        compressed_text!("docs/simulate.md"),
    ),
    document("sizing", "Hardware and disk space", compressed_text!("docs/sizing.md")),
    document(
        "scaling",
        "Several instances: when to split, and how an account moves",
        compressed_text!("docs/scaling.md"),
    ),
    document("performance", "The cost of requests, measured", compressed_text!("docs/performance.md")),
    document("security", "What is protected, limits, and duties of the operator", compressed_text!("docs/security.md")),
    document(
        "reliability",
        "What is promised about faults, and how it is tested",
        compressed_text!("docs/reliability.md"),
    ),
    document(
        "personal-data",
        "What is stored about users; export and erasure",
        compressed_text!("docs/personal-data.md"),
    ),
    document(
        "mass-removals",
        "Holds for identity providers that remove much at once",
        compressed_text!("docs/mass-removals.md"),
    ),
    document("providers", "The identity providers and their presets", compressed_text!("docs/providers.md")),
    document("switches", "The switches of a configuration", compressed_text!("docs/switches.md")),
    document(
        "management-api",
        "The API for accounts, configurations and tokens",
        compressed_text!("docs/management-api.md"),
    ),
    document("clients", "Typed clients for Python and TypeScript", compressed_text!("docs/clients.md")),
    document("callers", "Credentials and permissions of the management API", compressed_text!("docs/callers.md")),
    document("event-feed", "The event feed and the lists, for applications", compressed_text!("docs/event-feed.md")),
    document("events", "Every kind of event, with examples", compressed_text!("docs/events.md")),
    document("webhooks", "Signed events, sent to your application", compressed_text!("docs/webhooks.md")),
    document("errors", "Every error code, with its fix", compressed_text!("docs/errors.md")),
    document("limits", "What one client may send", compressed_text!("docs/limits.md")),
    document("conformance", "The requirements of SCIM 2.0, and their tests", compressed_text!("docs/conformance.md")),
    document(
        "comparison",
        "Rollcall, WorkOS, Polis, Frontegg and own code, with sources",
        compressed_text!("docs/comparison.md"),
    ),
    document("architecture", "The parts of the program, and the decisions", compressed_text!("docs/architecture.md")),
    document("licences", "The libraries in the program", compressed_text!("docs/licences.md")),
];

const fn document(topic: &'static str, summary: &'static str, text: CompressedText) -> ManualDocument {
    ManualDocument { topic, summary, text }
}

/// Returns the document about the topic; `.md` after its name is ignored.
pub fn find_document(topic: &str) -> Option<&'static ManualDocument> {
    let topic = topic.strip_suffix(".md").unwrap_or(topic);
    DOCUMENTS.iter().find(|document| document.topic.eq_ignore_ascii_case(topic))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_in_docs_is_a_document() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = files.filter_map(|name| Some(name.strip_suffix(".md")?.to_owned())).collect();
        let listed: BTreeSet<String> = DOCUMENTS.iter().map(|document| document.topic.to_owned()).collect();
        assert_eq!(listed, files);
        assert!(DOCUMENTS.iter().all(|document| document.text.read().unwrap().starts_with("# ")));
    }

    #[test]
    fn a_document_is_found_by_its_name_or_that_of_its_file() {
        assert_eq!(find_document("https"), find_document("HTTPS.md"));
        assert_eq!(find_document("https").map(|document| document.topic), Some("https"));
        assert_eq!(find_document("../https"), None);
    }
}
