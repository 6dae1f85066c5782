//! The form of a webhook: its fields, and the errors at them. Creation and settings share it.

use std::collections::BTreeMap;

use crate::auth::jwt::SigningKey;
use crate::delivery::sealing;
use crate::error::{Error, Reason};
use crate::model::event::PUBLISHED_KINDS;
use crate::model::webhook::headers::{SealedHeader, check_headers};
use crate::model::webhook::{
    BATCH_MAX, PayloadMode, RATE_LIMIT_MAX, Webhook, WebhookFormat, WebhookSettings, mask_url,
};
use crate::outgoing::OutgoingRules;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;

/// Stands for a stored value that a page does not show.
const MASK: &str = "***";

/// The subjects of events, with their headings.
const SUBJECTS: [(&str, &str); 3] =
    [("user", texts::labels::USERS), ("group", texts::labels::GROUPS), ("configuration", texts::labels::CONNECTIONS)];

/// Values of the form by field name. A checked kind is sent under `kind.` and its name.
pub(crate) type WebhookFields = BTreeMap<String, String>;

/// A choice of the form: value, label, and a line about it.
pub(crate) type FormChoice = (&'static str, &'static str, &'static str);

/// A kind of events: its name, what it reports, and whether it is checked.
pub(crate) type KindChoice = (&'static str, &'static str, bool);

/// A form that was sent, or is displayed.
#[derive(Default)]
pub(crate) struct WebhookForm {
    pub(crate) fields: WebhookFields,
    pub(crate) problems: Vec<FormError>,
}

impl WebhookForm {
    /// The form of a new webhook.
    pub(crate) fn with_defaults() -> Self {
        let defaults = [
            ("events", "all"),
            ("format", WebhookFormat::Standard.as_str()),
            ("payload", PayloadMode::Full.as_str()),
            ("batchSize", "100"),
            ("start", "latest"),
            ("signature", "hmac"),
        ];
        Self { fields: defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), problems: Vec::new() }
    }

    /// The form of a stored webhook. Values that may be secret are masked.
    pub(crate) fn of_webhook(webhook: &Webhook) -> Self {
        let settings = &webhook.settings;
        let headers: Vec<String> = webhook.headers.iter().map(|header| format!("{}: {MASK}", header.name)).collect();
        let mut fields: WebhookFields = [
            ("url", mask_url(&settings.url)),
            ("description", settings.description.clone()),
            ("events", if settings.kinds.is_some() { "some" } else { "all" }.to_owned()),
            ("format", settings.format.as_str().to_owned()),
            ("payload", settings.payload.as_str().to_owned()),
            ("batchSize", settings.batch_size.to_string()),
            ("rateLimit", settings.rate_limit.map(|rate| rate.to_string()).unwrap_or_default()),
            ("headers", headers.join("\n")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for kind in settings.list_kinds().ok().flatten().unwrap_or_default() {
            fields.insert(format!("kind.{kind}"), "on".to_owned());
        }
        Self { fields, problems: Vec::new() }
    }

    pub(crate) fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    /// Whether a choice is selected.
    pub(crate) fn is_chosen(&self, field: &str, value: &str) -> bool {
        self.value(field) == value
    }

    pub(crate) fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    /// Whether one of the fields that are folded has an error.
    pub(crate) fn has_folded_problem(&self) -> bool {
        let folded = ["payload", "batchSize", "rateLimit", "headers", "signature"];
        self.problems.iter().any(|problem| folded.contains(&problem.field))
    }

    pub(crate) fn add_problem(&mut self, field: &'static str, sentence: impl Into<String>) {
        self.problems.push(FormError { field, sentence: sentence.into() });
    }

    /// Adds an error of the management functions at its field, or at the URL.
    ///
    /// # Errors
    /// The error, if it is not about the input.
    pub(crate) fn add_error(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_about_input() {
            return Err(error);
        }
        let fields = ["description", "kinds", "batchSize", "rateLimit", "headers", "start", "account"];
        let field = fields.into_iter().find(|field| error.field() == Some(field)).unwrap_or("url");
        self.add_problem(field, render_sentence(&error));
        Ok(())
    }

    /// The kinds by subject, each with its heading.
    pub(crate) fn kinds(&self) -> Vec<(&'static str, Vec<KindChoice>)> {
        let of_subject = |subject: &str| {
            let kinds = PUBLISHED_KINDS.into_iter().filter(|kind| kind.split('.').next() == Some(subject));
            kinds.map(|kind| (kind, describe_kind(kind), self.is_chosen(&format!("kind.{kind}"), "on"))).collect()
        };
        SUBJECTS.into_iter().map(|(subject, heading)| (heading, of_subject(subject))).collect()
    }

    /// The formats.
    pub(crate) fn formats() -> [FormChoice; 3] {
        [
            ("standard", texts::labels::ROLLCALL, texts::webhooks::ABOUT_FORMAT_STANDARD),
            ("frontegg", texts::webhooks::FORMAT_FRONTEGG, texts::webhooks::ABOUT_FORMAT_FRONTEGG),
            ("set", texts::webhooks::FORMAT_SET, texts::webhooks::ABOUT_FORMAT_SET),
        ]
    }

    pub(crate) fn payloads() -> [FormChoice; 2] {
        [
            ("full", texts::webhooks::PAYLOAD_FULL, texts::webhooks::ABOUT_PAYLOAD_FULL),
            ("thin", texts::webhooks::PAYLOAD_THIN, texts::webhooks::ABOUT_PAYLOAD_THIN),
        ]
    }

    pub(crate) fn starts() -> [FormChoice; 2] {
        [
            ("latest", texts::webhooks::START_LATEST, texts::webhooks::ABOUT_START_LATEST),
            ("backfill", texts::webhooks::START_BACKFILL, texts::webhooks::ABOUT_START_BACKFILL),
        ]
    }

    pub(crate) fn signatures() -> [FormChoice; 2] {
        [
            ("hmac", texts::labels::SECRET, texts::webhooks::ABOUT_SECRET),
            ("ed25519", texts::webhooks::KEY_PAIR, texts::webhooks::ABOUT_KEY_PAIR),
        ]
    }

    /// Reads the settings, and adds an error for each field that is not valid. `stored` is the webhook that is changed.
    pub(crate) fn read_settings(&mut self, rules: &OutgoingRules, stored: Option<&Webhook>) -> WebhookSettings {
        let url = self.read_url(rules, stored);
        let kinds = self.read_kinds(stored);
        let format = self.value("format").parse();
        let payload = self.value("payload").parse();
        if format.is_err() {
            self.add_problem("format", texts::webhooks::CHOOSE_FORMAT);
        }
        if payload.is_err() {
            self.add_problem("payload", texts::webhooks::CHOOSE_PAYLOAD);
        }
        let settings = WebhookSettings {
            description: self.value("description").trim().to_owned(),
            kinds,
            format: format.unwrap_or(WebhookFormat::Standard),
            payload: payload.unwrap_or(PayloadMode::Full),
            batch_size: self.read_number("batchSize", BATCH_MAX).unwrap_or(BATCH_MAX),
            rate_limit: self.read_number("rateLimit", RATE_LIMIT_MAX),
            url,
        };
        let has_problem = self.problem("kinds").is_some();
        if !has_problem && settings.list_sent_kinds().is_ok_and(|kinds| kinds.is_some_and(|kinds| kinds.is_empty())) {
            self.add_problem("kinds", texts::webhooks::CHOOSE_KIND_OF_SET);
        }
        let described = WebhookSettings {
            description: settings.description.clone(),
            ..WebhookSettings::new(EXAMPLE_URL.to_owned())
        };
        if let Err(error) = described.check() {
            self.add_problem("description", render_sentence(&error));
        }
        settings
    }

    fn read_url(&mut self, rules: &OutgoingRules, stored: Option<&Webhook>) -> String {
        let given = self.value("url").trim().to_owned();
        if let Some(stored) = stored.filter(|stored| mask_url(&stored.settings.url) == given) {
            return stored.settings.url.clone();
        }
        if stored.is_some() && given.contains(MASK) {
            self.add_problem("url", texts::webhooks::WRITE_URL_WITHOUT_MASK);
            return given;
        }
        match sealing::check_settings(rules, &WebhookSettings::new(given.clone())) {
            Err(error) if given.is_empty() || error.reason() == Reason::WebhookUrlInvalid => {
                let sentence = texts::webhooks::WRITE_URL_OF_APP;
                self.add_problem("url", sentence);
            }
            Err(error) => {
                let problem = error.param("problem").map_or_else(|| render_sentence(&error), str::to_owned);
                self.add_problem("url", texts::labels::say_url_refused(&problem));
            }
            Ok(()) => {}
        }
        given
    }

    /// The kinds as they are stored. A subject with all of its kinds is one item. `None`: all kinds.
    fn read_kinds(&mut self, stored: Option<&Webhook>) -> Option<Vec<String>> {
        if !self.is_chosen("events", "some") {
            return None;
        }
        let mut chosen = Vec::new();
        for (heading, kinds) in self.kinds() {
            let checked: Vec<&str> = kinds.iter().filter(|(_, _, is_on)| *is_on).map(|(kind, _, _)| *kind).collect();
            let subject = SUBJECTS.iter().find(|(_, name)| *name == heading).map_or("", |(subject, _)| subject);
            if checked.len() == kinds.len() {
                chosen.push(format!("{subject}.*"));
            } else {
                chosen.extend(checked.into_iter().map(str::to_owned));
            }
        }
        if chosen.is_empty() {
            self.add_problem("kinds", texts::webhooks::CHOOSE_KIND);
        }
        // The same kinds in another spelling are no change.
        let expand = |kinds: &[String]| {
            let settings =
                WebhookSettings { kinds: Some(kinds.to_vec()), ..WebhookSettings::new(EXAMPLE_URL.to_owned()) };
            settings.list_kinds().ok().flatten()
        };
        let before = stored.and_then(|webhook| webhook.settings.kinds.clone());
        match before {
            Some(before) if sorted(expand(&before)) == sorted(expand(&chosen)) => Some(before),
            _ => Some(chosen),
        }
    }

    fn read_number(&mut self, field: &'static str, max: u32) -> Option<u32> {
        let text = self.value(field).trim().to_owned();
        if text.is_empty() && field == "rateLimit" {
            return None;
        }
        let number = text.parse().ok().filter(|number| (1..=max).contains(number));
        if number.is_none() {
            self.add_problem(field, texts::webhooks::ask_for_number(max));
        }
        number
    }

    /// Reads the headers, one on each line, and encrypts their values for the webhook with this id. A masked value keeps what
    /// is stored. Adds an error if one is not valid.
    ///
    /// # Errors
    /// There are no random numbers.
    pub(crate) fn read_headers(
        &mut self,
        signing_key: &SigningKey,
        id: &str,
        stored: &[SealedHeader],
    ) -> Result<Vec<SealedHeader>, Error> {
        let given = match parse_header_lines(self.value("headers")) {
            Ok(given) => given,
            Err(sentence) => {
                self.add_problem("headers", sentence);
                return Ok(Vec::new());
            }
        };
        let checked = match check_headers(&given) {
            Ok(checked) => checked,
            Err(error) => {
                self.add_error(error)?;
                return Ok(Vec::new());
            }
        };
        let mut sealed = Vec::with_capacity(checked.len());
        for (name, value) in checked {
            match stored.iter().find(|header| header.name == name) {
                Some(before) if value == MASK => sealed.push(before.clone()),
                _ if value == MASK => self.add_problem("headers", texts::webhooks::ask_for_header_value(&name)),
                _ => sealed.extend(sealing::seal_headers(signing_key, id, &[(name, value)])?),
            }
        }
        Ok(sealed)
    }
}

const EXAMPLE_URL: &str = "https://app.example.com/";

fn sorted(kinds: Option<Vec<&'static str>>) -> Option<Vec<&'static str>> {
    kinds.map(|mut kinds| {
        kinds.sort_unstable();
        kinds
    })
}

/// Reads lines of the form `Name: value`. Empty lines are skipped.
fn parse_header_lines(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or(texts::webhooks::WRITE_HEADER_LINES)?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// What an event of this kind reports.
pub(crate) fn describe_kind(kind: &str) -> &'static str {
    match kind {
        "user.created" => texts::webhooks::USER_CREATED,
        "user.updated" => texts::webhooks::USER_UPDATED,
        "user.deactivated" => texts::webhooks::USER_DEACTIVATED,
        "user.reactivated" => texts::webhooks::USER_REACTIVATED,
        "user.deleted" => texts::webhooks::USER_DELETED,
        "user.restored" => texts::webhooks::USER_RESTORED,
        "group.created" => texts::webhooks::GROUP_CREATED,
        "group.updated" => texts::webhooks::GROUP_UPDATED,
        "group.deleted" => texts::webhooks::GROUP_DELETED,
        "group.restored" => texts::webhooks::GROUP_RESTORED,
        "group.member_added" => texts::webhooks::GROUP_MEMBER_ADDED,
        "group.member_removed" => texts::webhooks::GROUP_MEMBER_REMOVED,
        "configuration.created" => texts::webhooks::CONNECTION_CREATED,
        "configuration.updated" => texts::webhooks::CONNECTION_UPDATED,
        "configuration.deleted" => texts::webhooks::CONNECTION_DELETED,
        "configuration.held" => texts::webhooks::CONNECTION_HELD,
        "configuration.tested" => texts::webhooks::TEST_EVENT_SENT,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> WebhookForm {
        let mut form = WebhookForm::with_defaults();
        form.fields.insert("url".to_owned(), "https://app.example.com/events".to_owned());
        form.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        form
    }

    fn find_problems(fields: &[(&str, &str)]) -> Vec<&'static str> {
        let mut form = form(fields);
        form.read_settings(&OutgoingRules::default(), None);
        form.problems.iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn every_kind_has_a_description_and_a_subject() {
        let form = WebhookForm::with_defaults();
        let listed: Vec<&str> = form.kinds().into_iter().flat_map(|(_, kinds)| kinds).map(|(kind, ..)| kind).collect();
        assert_eq!(listed, PUBLISHED_KINDS);
        assert!(PUBLISHED_KINDS.into_iter().all(|kind| !describe_kind(kind).is_empty()));
    }

    #[test]
    fn each_field_that_is_not_valid_has_an_error() {
        assert_eq!(find_problems(&[]), [""; 0]);
        assert_eq!(find_problems(&[("url", "")]), ["url"]);
        assert_eq!(find_problems(&[("url", "https://127.0.0.1/x")]), ["url"]);
        assert_eq!(find_problems(&[("events", "some")]), ["kinds"]);
        let wrong = [("url", "x"), ("batchSize", "0"), ("rateLimit", "-1"), ("description", "a\u{7}"), ("format", "x")];
        assert_eq!(find_problems(&wrong), ["url", "format", "batchSize", "rateLimit", "description"]);
    }

    #[test]
    fn all_kinds_of_a_subject_are_one_item() {
        let mut all = form(&[("events", "some"), ("kind.user.created", "on")]);
        let settings = all.read_settings(&OutgoingRules::default(), None);
        assert_eq!(settings.kinds.as_deref(), Some(&["user.created".to_owned()][..]));
        let fields = PUBLISHED_KINDS.map(|kind| (format!("kind.{kind}"), "on".to_owned()));
        all.fields.extend(fields);
        let settings = all.read_settings(&OutgoingRules::default(), None);
        assert_eq!(settings.kinds.unwrap(), ["user.*", "group.*", "configuration.*"]);
    }

    #[test]
    fn headers_are_lines_with_a_colon() {
        let read = parse_header_lines(" X-Key : a:b \r\n\nauthorization: Bearer x\n").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read, [pair("X-Key", "a:b"), pair("authorization", "Bearer x")]);
        assert!(parse_header_lines("X-Key").is_err());
    }
}
