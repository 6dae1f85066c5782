//! The form of an OAuth client, and the errors at its fields. Creation, settings and setup links share it.

use std::collections::BTreeMap;

use url::Url;

use crate::auth::secret::{self, BearerToken};
use crate::error::{Error, Reason};
use crate::management::oauth::{NewOauthClient, SecretDraft};
use crate::messages::render_message;
use crate::model::names;
use crate::model::oauth::scope::OauthScope;
use crate::model::oauth::{
    AssertionSource, ClientAuthentication, OauthClient, SECRET_LIFETIME_DEFAULT, TOKEN_LIFETIME_DEFAULT,
    TOKEN_LIFETIME_MAX, TOKEN_LIFETIME_MIN,
};
use crate::outgoing::OutgoingRules;
use crate::providers::credentials::CredentialMethod;
use crate::web::portal::forms::{FormError, find_field_error};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;

/// Lifetimes of access tokens to choose from, in seconds.
const TOKEN_LIFETIMES: [u32; 4] = [3_600, 7_200, 14_400, 21_600];

/// Lifetimes of secrets to choose from: the value of the form in seconds, and its label.
pub(crate) const SECRET_LIFETIMES: [(u32, &str); 6] = [
    (30 * 86_400, texts::credentials::AFTER_30_DAYS),
    (90 * 86_400, texts::credentials::AFTER_90_DAYS),
    (180 * 86_400, texts::credentials::AFTER_180_DAYS),
    (365 * 86_400, texts::credentials::AFTER_A_YEAR),
    (2 * 365 * 86_400, texts::credentials::AFTER_2_YEARS),
    (3 * 365 * 86_400, texts::credentials::AFTER_3_YEARS),
];

/// Scopes that the form suggests.
const SUGGESTED_SCOPES: [(&str, &str); 4] = [
    ("scim", texts::credentials::SCOPE_ALL),
    ("scim.read", texts::credentials::SCOPE_READ),
    ("scim.users", texts::credentials::SCOPE_USERS),
    ("scim.groups", texts::credentials::SCOPE_GROUPS),
];

/// Values of the form by field name.
pub(crate) type OauthClientFields = BTreeMap<String, String>;

/// The values of a valid form.
pub(crate) struct OauthClientSettings {
    pub(crate) label: String,
    pub(crate) scope: OauthScope,
    pub(crate) token_lifetime: u32,
    pub(crate) assertions: AssertionSource,
}

/// A client to create, and the text of its secret.
pub(crate) struct OauthClientDraft {
    pub(crate) client: NewOauthClient,
    pub(crate) secret: Option<BearerToken>,
}

/// A form that was sent, or is displayed.
pub(crate) struct OauthClientForm {
    authentication: ClientAuthentication,
    fields: OauthClientFields,
    pub(crate) problems: Vec<FormError>,
}

impl OauthClientForm {
    pub(crate) fn new(authentication: ClientAuthentication, fields: OauthClientFields) -> Self {
        Self { authentication, fields, problems: Vec::new() }
    }

    /// The form of a new client with this label.
    pub(crate) fn with_defaults(authentication: ClientAuthentication, label: &str) -> Self {
        let fields = [
            ("label", label.to_owned()),
            ("scope", OauthScope::full().as_str().to_owned()),
            ("accessTokenLifetime", TOKEN_LIFETIME_DEFAULT.to_string()),
            ("secretExpiresIn", SECRET_LIFETIME_DEFAULT.to_string()),
        ];
        Self::new(authentication, fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The form of a stored client.
    pub(crate) fn of_client(client: &OauthClient) -> Self {
        let AssertionSource { jwks, jwks_url, issuer, subject, audience } = client.assertions.clone();
        let fields = [
            ("label", Some(client.label.clone())),
            ("scope", Some(client.scope.as_str().to_owned())),
            ("accessTokenLifetime", Some(client.token_lifetime.to_string())),
            ("jwks", jwks),
            ("jwksUrl", jwks_url),
            ("issuer", issuer),
            ("subject", subject),
            ("audience", audience),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Self::new(client.authentication, fields.collect())
    }

    pub(crate) fn value(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    pub(crate) fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    pub(crate) fn add_problem(&mut self, field: &'static str, sentence: impl Into<String>) {
        self.problems.push(FormError { field, sentence: sentence.into() });
    }

    /// Key of the method.
    pub(crate) fn method(&self) -> &'static str {
        CredentialMethod::Client(self.authentication).key()
    }

    pub(crate) fn has_secrets(&self) -> bool {
        self.authentication == ClientAuthentication::Secret
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.authentication == ClientAuthentication::PrivateKeyJwt
    }

    pub(crate) fn is_federated(&self) -> bool {
        self.authentication == ClientAuthentication::Federated
    }

    /// Whether one of the fields that are folded has an error.
    pub(crate) fn has_folded_problem(&self) -> bool {
        self.problems.iter().any(|problem| ["scope", "accessTokenLifetime"].contains(&problem.field))
    }

    pub(crate) fn scopes() -> [(&'static str, &'static str); 4] {
        SUGGESTED_SCOPES
    }

    /// Lifetimes of access tokens: value, label, and whether it is chosen. A stored one that is none of them is listed too.
    pub(crate) fn token_lifetimes(&self) -> Vec<(u32, String, bool)> {
        let chosen = self.value("accessTokenLifetime").parse::<u32>().ok();
        let other = chosen.filter(|seconds| {
            (TOKEN_LIFETIME_MIN..=TOKEN_LIFETIME_MAX).contains(seconds) && !TOKEN_LIFETIMES.contains(seconds)
        });
        let all = TOKEN_LIFETIMES.into_iter().chain(other);
        all.map(|seconds| (seconds, texts::formats::count_hours_or_minutes(seconds), chosen == Some(seconds))).collect()
    }

    pub(crate) fn secret_lifetimes() -> [(u32, &'static str); 6] {
        SECRET_LIFETIMES
    }

    pub(crate) fn is_secret_lifetime(&self, seconds: u32) -> bool {
        self.value("secretExpiresIn") == seconds.to_string()
    }

    /// Adds an error of the management functions at its field, or at the name.
    ///
    /// # Errors
    /// The error, if it is not about the input.
    pub(crate) fn add_error(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_about_input() {
            return Err(error);
        }
        let fields =
            ["scope", "accessTokenLifetime", "secretExpiresIn", "jwks", "jwksUrl", "issuer", "subject", "audience"];
        let field = fields.into_iter().find(|field| error.field() == Some(field)).unwrap_or("label");
        self.add_problem(field, render_sentence(&error));
        Ok(())
    }

    /// Reads the values, and adds an error for each field that is not valid. `None` if there is one.
    pub(crate) fn read_settings(&mut self, rules: &OutgoingRules) -> Option<OauthClientSettings> {
        let label = self.value("label").trim().to_owned();
        if let Err(error) = names::check_name(texts::labels::THE_NAME, &label) {
            self.add_problem("label", render_message(&error));
        }
        let scope = OauthScope::parse(self.value("scope").trim());
        if scope.is_err() {
            let names = SUGGESTED_SCOPES.map(|(name, _)| name).join(", ");
            self.add_problem("scope", texts::credentials::ask_for_scopes(&names));
        }
        let token_lifetime = self.value("accessTokenLifetime").parse().ok();
        let token_lifetime =
            token_lifetime.filter(|seconds| (TOKEN_LIFETIME_MIN..=TOKEN_LIFETIME_MAX).contains(seconds));
        if token_lifetime.is_none() {
            self.add_problem("accessTokenLifetime", texts::credentials::CHOOSE_TOKEN_LIFETIME);
        }
        let assertions = self.read_assertions(rules);
        if !self.problems.is_empty() {
            return None;
        }
        Some(OauthClientSettings { label, scope: scope.ok()?, token_lifetime: token_lifetime?, assertions })
    }

    /// Reads a new client with its secret. `None` if a field has an error.
    ///
    /// # Errors
    /// There are no random numbers.
    pub(crate) fn read_draft(&mut self, rules: &OutgoingRules) -> Result<Option<OauthClientDraft>, Error> {
        let lifetime = self.has_secrets().then(|| self.read_secret_lifetime()).flatten();
        let Some(settings) = self.read_settings(rules) else { return Ok(None) };
        let random = |_| Error::new(Reason::RandomnessUnavailable);
        let secret = lifetime.map(|_| BearerToken::generate_client_secret()).transpose().map_err(random)?;
        let client = NewOauthClient {
            client_id: secret::generate_client_id().map_err(random)?,
            authentication: self.authentication,
            secret: secret.as_ref().zip(lifetime).map(|(text, life)| {
                SecretDraft::new(text, texts::credentials::FIRST_SECRET, SecretDraft::requested_lifetime(life))
            }),
            label: settings.label,
            scope: settings.scope,
            token_lifetime: settings.token_lifetime,
            assertions: settings.assertions,
        };
        Ok(Some(OauthClientDraft { client, secret }))
    }

    /// Reads the lifetime of a secret, and adds an error if it is none of those to choose from.
    pub(crate) fn read_secret_lifetime(&mut self) -> Option<u32> {
        let given = self.value("secretExpiresIn").parse::<u32>().ok();
        let found = given.filter(|seconds| SECRET_LIFETIMES.iter().any(|(option, _)| option == seconds));
        if found.is_none() {
            self.add_problem("secretExpiresIn", texts::credentials::CHOOSE_SECRET_END);
        }
        found
    }

    fn read_assertions(&mut self, rules: &OutgoingRules) -> AssertionSource {
        let given = |name: &str| Some(self.value(name).trim().to_owned()).filter(|text| !text.is_empty());
        let (jwks, jwks_url) = (given("jwks"), given("jwksUrl"));
        let (issuer, subject, audience) = (given("issuer"), given("subject"), given("audience"));
        match self.authentication {
            ClientAuthentication::Secret => return AssertionSource::default(),
            ClientAuthentication::PrivateKeyJwt => {
                match (&jwks, &jwks_url) {
                    (None, None) => self.add_problem("jwksUrl", texts::credentials::ENTER_KEYS_OR_URL),
                    (Some(_), Some(_)) => self.add_problem("jwksUrl", texts::credentials::NOT_KEYS_AND_URL),
                    _ => {}
                }
                self.check_url("jwksUrl", jwks_url.as_deref(), rules);
                return AssertionSource { jwks, jwks_url, ..AssertionSource::default() };
            }
            ClientAuthentication::Federated => {}
        }
        for (field, value, name) in
            [("issuer", &issuer, "issuer"), ("subject", &subject, "subject"), ("audience", &audience, "audience")]
        {
            if value.is_none() {
                self.add_problem(field, texts::credentials::ask_for_claim(name));
            }
        }
        self.check_url("jwksUrl", jwks_url.as_deref(), rules);
        if jwks_url.is_none() {
            // The keys are found from the issuer, which is then called.
            self.check_url("issuer", issuer.as_deref(), rules);
        }
        AssertionSource { jwks: None, jwks_url, issuer, subject, audience }
    }

    /// Adds an error if a URL cannot be called.
    fn check_url(&mut self, field: &'static str, text: Option<&str>, rules: &OutgoingRules) {
        let Some(text) = text else { return };
        let Ok(url) = Url::parse(text) else {
            self.add_problem(field, texts::credentials::WRITE_WHOLE_URL);
            return;
        };
        if let Err(refused) = rules.check_url(&url) {
            self.add_problem(field, texts::labels::say_url_refused(&refused.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(authentication: ClientAuthentication, fields: &[(&str, &str)]) -> OauthClientForm {
        let mut form = OauthClientForm::with_defaults(authentication, "Entra");
        form.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        form
    }

    fn list_problems(authentication: ClientAuthentication, fields: &[(&str, &str)]) -> Vec<&'static str> {
        let mut form = form(authentication, fields);
        assert_eq!(form.read_draft(&OutgoingRules::default()).unwrap().is_some(), form.problems.is_empty());
        form.problems.iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn each_method_requires_its_fields() {
        use ClientAuthentication::{Federated, PrivateKeyJwt, Secret};
        let keys = ("jwksUrl", "https://id.example.com/keys");
        let federated = [("issuer", "https://id.example.com"), ("subject", "s"), ("audience", "a")];
        assert_eq!(list_problems(Secret, &[]), [""; 0]);
        assert_eq!(list_problems(Secret, &[("secretExpiresIn", "5")]), ["secretExpiresIn"]);
        assert_eq!(list_problems(Secret, &[("label", " "), ("scope", "openid")]), ["label", "scope"]);
        assert_eq!(list_problems(Secret, &[("accessTokenLifetime", "60")]), ["accessTokenLifetime"]);
        assert_eq!(list_problems(PrivateKeyJwt, &[keys]), [""; 0]);
        assert_eq!(list_problems(PrivateKeyJwt, &[]), ["jwksUrl"]);
        assert_eq!(list_problems(PrivateKeyJwt, &[keys, ("jwks", "{}")]), ["jwksUrl"]);
        assert_eq!(list_problems(PrivateKeyJwt, &[("jwksUrl", "https://10.0.0.1/keys")]), ["jwksUrl"]);
        assert_eq!(list_problems(Federated, &federated), [""; 0]);
        assert_eq!(list_problems(Federated, &[]), ["issuer", "subject", "audience"]);
        let local = [("issuer", "http://127.0.0.1"), ("subject", "s"), ("audience", "a")];
        assert_eq!(list_problems(Federated, &local), ["issuer"]);
        // With the URL of the keys, the issuer is compared and not called.
        assert_eq!(list_problems(Federated, &[local[0], local[1], local[2], keys]), [""; 0]);
    }

    #[test]
    fn a_stored_lifetime_is_listed_with_the_others() {
        let stored = form(ClientAuthentication::Secret, &[("accessTokenLifetime", "5400")]);
        let listed = stored.token_lifetimes();
        assert_eq!(listed.last(), Some(&(5_400, "90 minutes".to_owned(), true)));
        assert_eq!(listed[0], (3_600, "1 hour".to_owned(), false));
    }
}
