//! The documents in docs/, embedded in the program.

/// A document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManualDocument {
    /// Its name, which is that of the file in docs/ without `.md`.
    pub topic: &'static str,
    /// What it is about, in one line.
    pub summary: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

/// The documents, for operators first.
pub const DOCUMENTS: &[ManualDocument] = &[
    document("install", "Packages, containers, and the setup in 30 minutes", include_str!("../docs/install.md")),
    document("settings", "The settings file, its keys, flags and variables", include_str!("../docs/settings.md")),
    document("https", "Certificates from Let's Encrypt, own files, or a proxy", include_str!("../docs/https.md")),
    document("proxy", "Rollcall behind nginx, Caddy or a load balancer", include_str!("../docs/proxy.md")),
    document("portal", "Sign-in, roles, connections, setup links", include_str!("../docs/portal.md")),
    document("backup", "Backups, and how to restore them", include_str!("../docs/backup.md")),
    document("commands", "Every command in one line", include_str!("../docs/commands.md")),
    document("upgrade", "New versions, and the way back", include_str!("../docs/upgrade.md")),
    document("monitoring", "Health checks, metrics, alerts and logs", include_str!("../docs/monitoring.md")),
    document(
        "simulate",
        "Checks of any SCIM server with the requests of identity providers, and the demo",
        include_str!("../docs/simulate.md"),
    ),
    document("sizing", "Hardware and disk space", include_str!("../docs/sizing.md")),
    document("performance", "The cost of requests, measured", include_str!("../docs/performance.md")),
    document("security", "What is protected, limits, and duties of the operator", include_str!("../docs/security.md")),
    document(
        "reliability",
        "What is promised about faults, and how it is tested",
        include_str!("../docs/reliability.md"),
    ),
    document(
        "personal-data",
        "What is stored about users; export and erasure",
        include_str!("../docs/personal-data.md"),
    ),
    document(
        "mass-removals",
        "Holds for identity providers that remove much at once",
        include_str!("../docs/mass-removals.md"),
    ),
    document("providers", "The identity providers and their presets", include_str!("../docs/providers.md")),
    document("switches", "The switches of a configuration", include_str!("../docs/switches.md")),
    document(
        "management-api",
        "The API for accounts, configurations and tokens",
        include_str!("../docs/management-api.md"),
    ),
    document("clients", "Typed clients for Python and TypeScript", include_str!("../docs/clients.md")),
    document("callers", "Credentials and permissions of the management API", include_str!("../docs/callers.md")),
    document("event-feed", "The event feed and the lists, for applications", include_str!("../docs/event-feed.md")),
    document("events", "Every kind of event, with examples", include_str!("../docs/events.md")),
    document("webhooks", "Signed events, sent to your application", include_str!("../docs/webhooks.md")),
    document("errors", "Every error code, with its fix", include_str!("../docs/errors.md")),
    document("limits", "What one client may send", include_str!("../docs/limits.md")),
    document("conformance", "The requirements of SCIM 2.0, and their tests", include_str!("../docs/conformance.md")),
    document(
        "comparison",
        "Rollcall, WorkOS, Polis, Frontegg and own code, with sources",
        include_str!("../docs/comparison.md"),
    ),
    document("architecture", "The parts of the program, and the decisions", include_str!("../docs/architecture.md")),
    document("licences", "The libraries in the program", include_str!("../docs/licences.md")),
];

const fn document(topic: &'static str, summary: &'static str, text: &'static str) -> ManualDocument {
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
        assert!(DOCUMENTS.iter().all(|document| document.text.starts_with("# ")));
    }

    #[test]
    fn a_document_is_found_by_its_name_or_that_of_its_file() {
        assert_eq!(find_document("https"), find_document("HTTPS.md"));
        assert_eq!(find_document("https").map(|document| document.topic), Some("https"));
        assert_eq!(find_document("../https"), None);
    }
}
