//! One order at an authority (RFC 8555 section 7.4): an account, the proofs for each name by TLS-ALPN-01 (RFC 8737), a
//! new key, and the certificate for it.

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
use crate::tls::shown::Shown;
use crate::tls::x509::Facts;

/// How long an authority may take to check, and again to sign.
const WAITING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).timeout(Duration::from_secs(90));

const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";

/// Why there is no certificate.
#[derive(Debug)]
pub(super) struct Failure {
    /// For people.
    pub(super) why: String,
    /// Whether the authority answered at all.
    pub(super) reached: bool,
    /// Whether it took an order, which counts against its limits.
    pub(super) ordered: bool,
    /// Whether it does not know the account.
    pub(super) unknown_account: bool,
    /// Whether it wants to be left alone.
    pub(super) rate_limited: bool,
}

impl From<Error> for Failure {
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
            why: match error {
                Error::Api(problem) => said(&problem),
                other => other.to_string(),
            },
        }
    }
}

impl From<rcgen::Error> for Failure {
    fn from(error: rcgen::Error) -> Self {
        Self::of(format!("no key or request could be made: {error}"))
    }
}

impl Failure {
    /// An order that came to no end.
    pub(super) fn too_slow() -> Self {
        Self::of("the authority took too long").once_ordered()
    }

    /// Something on our side, before anything was ordered.
    pub(super) fn here(why: String) -> Self {
        Self::of(why)
    }

    /// A certificate came that does not do.
    pub(super) fn useless(why: String) -> Self {
        Self::of(why).once_ordered()
    }

    fn of(why: impl Into<String>) -> Self {
        Self { why: why.into(), reached: true, ordered: false, unknown_account: false, rate_limited: false }
    }

    fn once_ordered(self) -> Self {
        Self { ordered: true, reached: true, ..self }
    }
}

/// A certificate as it came.
pub(super) struct Issued {
    pub(super) key: String,
    pub(super) chain: String,
}

/// The account at the authority; a new one, to be kept, where none is known.
pub(super) async fn account(
    client: &AcmeClient,
    settings: &AcmeSettings,
    known: Option<AccountCredentials>,
) -> Result<(Account, Option<AccountCredentials>), Failure> {
    let builder = Account::builder_with_http(Box::new(client.clone()));
    if let Some(known) = known {
        return Ok((builder.from_credentials(known).await?, None));
    }
    let contact = settings.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&wanted, settings.directory.to_string(), None).await?;
    Ok((account, Some(credentials)))
}

/// When the authority wants that certificate to be renewed (RFC 9773), and how soon to ask again; nothing where it has no
/// opinion, or the certificate does not say who signed it.
pub(super) async fn window(account: &Account, facts: &Facts) -> Result<Option<((Millis, Millis), Duration)>, Failure> {
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

/// Orders a certificate for the names. The proofs are shown while the authority looks at them.
pub(super) async fn certificate(account: &Account, domains: &[String], shown: &Shown) -> Result<Issued, Failure> {
    let names: Vec<Identifier> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let issued = fulfil(&mut order, domains, shown).await;
    shown.prove(HashMap::new());
    issued.map_err(Failure::once_ordered)
}

async fn fulfil(order: &mut Order, domains: &[String], shown: &Shown) -> Result<Issued, Failure> {
    prove(order, shown).await?;
    match order.poll_ready(&WAITING).await {
        Ok(OrderStatus::Ready) => {}
        Err(Error::Timeout(_)) => return Err(Failure::of("the authority did not finish checking in time")),
        Ok(_) | Err(Error::Api(_)) => return Err(Failure::of(refused(order).await)),
        Err(error) => return Err(error.into()),
    }
    let key = KeyPair::generate()?;
    let mut wanted = CertificateParams::new(domains)?;
    wanted.distinguished_name = DistinguishedName::new();
    order.finalize_csr(wanted.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&WAITING).await?;
    Ok(Issued { key: key.serialize_pem(), chain })
}

/// Makes all proofs first and then says that they are ready: they are looked at from several places at any time.
async fn prove(order: &mut Order, shown: &Shown) -> Result<(), Failure> {
    let mut proofs = HashMap::new();
    for ready in [false, true] {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                // Proved before, or refused: the order says which.
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let mut challenge = challenge.ok_or_else(|| Failure::of("the authority does not offer tls-alpn-01"))?;
            if ready {
                challenge.set_ready().await?;
            } else {
                let name = challenge.identifier().to_string();
                let proof = proof(&name, challenge.key_authorization().digest().as_ref())?;
                proofs.insert(name.to_ascii_lowercase(), Arc::new(proof));
            }
        }
        shown.prove(proofs.clone());
    }
    Ok(())
}

/// RFC 8737 section 3: a certificate for the name that carries the digest.
fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, Failure> {
    let mut wanted = CertificateParams::new([name.to_owned()])?;
    wanted.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    self_signed(wanted)
}

/// A certificate of our own making.
pub(super) fn self_signed(wanted: CertificateParams) -> Result<CertifiedKey, Failure> {
    let key = KeyPair::generate()?;
    let certificate = wanted.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| Failure::of(error.to_string()))?;
    // Put together unchecked: a proof has a critical extension that rustls, rightly, does not know.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// What the authority found wrong with which name.
async fn refused(order: &mut Order) -> String {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let problems = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        found.extend(problems.map(|problem| format!("{name}: {}", said(problem))));
    }
    if found.is_empty() {
        return order.state().error.as_ref().map_or("the authority refused the order".to_owned(), said);
    }
    format!("the authority could not see that the name leads here: {}", found.join("; "))
}

/// What a problem document says, without its punctuation marks for machines.
fn said(problem: &Problem) -> String {
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
