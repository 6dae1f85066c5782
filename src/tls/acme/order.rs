//! One order at an authority (RFC 8555 section 7.4): the account, validation of each domain by TLS-ALPN-01 (RFC 8737),
//! a new key, and its certificate.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use super::client::AcmeClient;
use crate::clock::Millis;
use crate::settings::AcmeSettings;
use crate::tls::resolver::CertificateResolver;
use crate::tls::x509::CertificateFields;

/// Time limits of validation and of issuing, each.
const WAITING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).timeout(Duration::from_secs(90));

const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";

/// Why an order failed.
#[derive(Debug)]
pub(super) struct OrderFailure {
    /// Sentence for the log.
    pub(super) reason: String,
    /// Whether the authority answered.
    pub(super) reached: bool,
    /// Whether it accepted an order, which counts against its limits.
    pub(super) ordered: bool,
    /// Whether the authority does not know the account.
    pub(super) unknown_account: bool,
    /// Whether a rate limit of the authority was reached.
    pub(super) rate_limited: bool,
}

impl From<Error> for OrderFailure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Api(problem) => problem.r#type.as_deref(),
            _ => None,
        };
        Self {
            reached: matches!(error, Error::Api(_) | Error::Timeout(_)),
            ordered: false,
            unknown_account: kind == Some(UNKNOWN_ACCOUNT),
            rate_limited: kind == Some(RATE_LIMITED),
            reason: match error {
                Error::Api(problem) => format_problem(&problem),
                other => other.to_string(),
            },
        }
    }
}

impl From<rcgen::Error> for OrderFailure {
    fn from(error: rcgen::Error) -> Self {
        Self::new(format!("the key or the request could not be created: {error}"))
    }
}

impl OrderFailure {
    /// An order that exceeded its time limit.
    pub(super) fn timed_out() -> Self {
        Self::new("the authority did not answer in time").after_order()
    }

    /// A local failure before the order.
    pub(super) fn local(why: String) -> Self {
        Self::new(why)
    }

    /// The issued certificate cannot be used.
    pub(super) fn unusable_certificate(why: String) -> Self {
        Self::new(why).after_order()
    }

    fn new(why: impl Into<String>) -> Self {
        Self { reason: why.into(), reached: true, ordered: false, unknown_account: false, rate_limited: false }
    }

    fn after_order(self) -> Self {
        Self { ordered: true, reached: true, ..self }
    }
}

/// An issued certificate with its key, both in PEM.
pub(super) struct IssuedCertificate {
    pub(super) key: String,
    pub(super) chain: String,
}

/// Returns the account at the authority. Without `stored` credentials, creates a new account and returns its
/// credentials.
pub(super) async fn open_account(
    client: &AcmeClient,
    settings: &AcmeSettings,
    stored: Option<AccountCredentials>,
) -> Result<(Account, Option<AccountCredentials>), OrderFailure> {
    let builder = Account::builder_with_http(Box::new(client.clone()));
    if let Some(stored) = stored {
        return Ok((builder.from_credentials(stored).await?, None));
    }
    let contact = settings.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();
    let new_account = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&new_account, settings.directory.to_string(), None).await?;
    Ok((account, Some(credentials)))
}

/// Returns the renewal window that the authority suggests (RFC 9773) and the time until the next request; `None` if the
/// authority does not support it or the certificate has no authority key identifier.
pub(super) async fn fetch_renewal_window(
    account: &Account,
    facts: &CertificateFields,
) -> Result<Option<((Millis, Millis), Duration)>, OrderFailure> {
    let Some(authority_key) = &facts.authority_key else { return Ok(None) };
    let name = CertificateIdentifier::new(authority_key.as_slice().into(), facts.serial.as_slice().into());
    match account.renewal_info(&name).await {
        Ok((info, again)) => {
            let (start, end) = (info.suggested_window.start, info.suggested_window.end);
            Ok(Some(((start.unix_timestamp() * 1000, end.unix_timestamp() * 1000), again)))
        }
        Err(Error::Unsupported(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Orders a certificate for the domains. Challenge certificates are served during validation.
pub(super) async fn order_certificate(
    account: &Account,
    domains: &[String],
    resolver: &CertificateResolver,
) -> Result<IssuedCertificate, OrderFailure> {
    let names: Vec<Identifier> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let issued = complete_order(&mut order, domains, resolver).await;
    resolver.set_challenges(HashMap::new());
    issued.map_err(OrderFailure::after_order)
}

async fn complete_order(
    order: &mut Order,
    domains: &[String],
    resolver: &CertificateResolver,
) -> Result<IssuedCertificate, OrderFailure> {
    prepare_challenges(order, resolver).await?;
    match order.poll_ready(&WAITING).await {
        Ok(OrderStatus::Ready) => {}
        Err(Error::Timeout(_)) => return Err(OrderFailure::new("the authority did not finish the validation in time")),
        Ok(_) | Err(Error::Api(_)) => return Err(OrderFailure::new(describe_errors(order).await)),
        Err(error) => return Err(error.into()),
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&WAITING).await?;
    Ok(IssuedCertificate { key: key.serialize_pem(), chain })
}

/// Prepares all challenge certificates and then reports them as ready: the authority may validate from several
/// locations at any time.
async fn prepare_challenges(order: &mut Order, resolver: &CertificateResolver) -> Result<(), OrderFailure> {
    let mut proofs = HashMap::new();
    for ready in [false, true] {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                // Validated before, or rejected; the status of the order shows which.
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let mut challenge =
                challenge.ok_or_else(|| OrderFailure::new("the authority does not offer tls-alpn-01"))?;
            if ready {
                challenge.set_ready().await?;
            } else {
                let name = challenge.identifier().to_string();
                let proof = create_challenge_certificate(&name, challenge.key_authorization().digest().as_ref())?;
                proofs.insert(name.to_ascii_lowercase(), Arc::new(proof));
            }
        }
        resolver.set_challenges(proofs.clone());
    }
    Ok(())
}

/// Creates the challenge certificate of a domain with the digest (RFC 8737 section 3).
fn create_challenge_certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, OrderFailure> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    create_self_signed(params)
}

/// Creates a self-signed certificate with a new key.
pub(super) fn create_self_signed(params: CertificateParams) -> Result<CertifiedKey, OrderFailure> {
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| OrderFailure::new(error.to_string()))?;
    // Not validated: a challenge certificate has a critical extension that rustls rejects.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// Returns the errors of the authority for each domain. An authority can reject the order before its authorizations have
/// their errors, so they are read again after pauses.
async fn describe_errors(order: &mut Order) -> String {
    for pause in [0, 250, 750, 1_500] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let found = list_domain_errors(order).await;
        if !found.is_empty() {
            return format!("the authority could not validate the domain: {}", found.join("; "));
        }
    }
    order.state().error.as_ref().map_or("the authority refused the order".to_owned(), format_problem)
}

async fn list_domain_errors(order: &mut Order) -> Vec<String> {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let problems = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        found.extend(problems.map(|problem| format!("{name}: {}", format_problem(problem))));
    }
    found
}

/// Formats a problem document (RFC 7807) as a sentence.
fn format_problem(problem: &Problem) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| "no detail".to_owned());
    for part in &problem.subproblems {
        text.push_str("; ");
        text.push_str(&part.to_string());
    }
    match problem.r#type.as_deref() {
        Some(kind) => format!("{text} ({})", kind.trim_start_matches("urn:ietf:params:acme:error:")),
        None => text,
    }
}
