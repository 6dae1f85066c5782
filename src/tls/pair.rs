//! A certificate and its private key: read from PEM and checked to fit.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::x509::{self, Facts};
use crate::clock;

/// Permission bits of everybody.
const EVERYBODY: u32 = 0o007;

/// What is wrong with a certificate or its key, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {problem}", path = .0.display(), problem = .1)]
    Unreadable(PathBuf, io::Error),
    /// Anybody on the machine may read or change the key.
    #[error(
        "the private key {path} is open to everybody on this machine (mode {mode:04o}); run: chmod o-rwx {path}",
        path = .0.display(), mode = .1 & 0o7777
    )]
    OpenToEverybody(PathBuf, u32),
    /// No certificate in the file.
    #[error("{path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", path = .0.display())]
    NoCertificate(PathBuf),
    /// A certificate that is none.
    #[error("{path} holds something that is no X.509 certificate", path = .0.display())]
    BadCertificate(PathBuf),
    /// No private key in the file.
    #[error("{path} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)", path = .0.display())]
    NoKey(PathBuf),
    /// A key that needs a passphrase.
    #[error(
        "the private key {path} needs a passphrase, which nobody could type when the server starts; write it without one: \
         openssl pkey -in {path} -out NEW",
        path = .0.display()
    )]
    EncryptedKey(PathBuf),
    /// A key that cannot be used.
    #[error("the private key {path} cannot be used: RSA of 2048 bits or more, P-256, P-384 and Ed25519 can", path = .0.display())]
    BadKey(PathBuf),
    /// The key belongs to another certificate of the file.
    #[error("{path} must begin with the server's own certificate; those of the authority follow it", path = .0.display())]
    Order(PathBuf),
    /// The key belongs to another certificate.
    #[error("the private key {key} does not belong to the certificate {certificate}", key = .0.display(), certificate = .1.display())]
    Mismatch(PathBuf, PathBuf),
}

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) signing: Arc<CertifiedKey>,
    pub(super) facts: Facts,
}

impl Pair {
    /// Reads both files.
    pub(super) fn of_files(certificate: &Path, key: &Path) -> Result<Self, PairError> {
        let chain = read(certificate)?;
        let secret = read(key)?;
        let mode = std::fs::metadata(key).map_err(|error| PairError::Unreadable(key.to_owned(), error))?;
        let mode = mode.permissions().mode();
        if mode & EVERYBODY != 0 {
            return Err(PairError::OpenToEverybody(key.to_owned(), mode));
        }
        Self::of_pem((certificate, &chain), (key, &secret))
    }

    /// Reads both texts; the paths are what errors name.
    pub(super) fn of_pem(certificate: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Self, PairError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.1).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| PairError::NoCertificate(certificate.0.to_owned()))?;
        let key_der = PrivateKeyDer::from_pem_slice(key.1).map_err(|_| {
            let encrypted = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
            let text = String::from_utf8_lossy(key.1);
            let is_encrypted = encrypted.iter().any(|word| text.contains(word));
            if is_encrypted { PairError::EncryptedKey(key.0.to_owned()) } else { PairError::NoKey(key.0.to_owned()) }
        })?;
        if String::from_utf8_lossy(key.1).contains("Proc-Type: 4,ENCRYPTED") {
            return Err(PairError::EncryptedKey(key.0.to_owned()));
        }
        Self::of_der(chain, key_der, certificate.0, key.0)
    }

    fn of_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        chain_path: &Path,
        key_path: &Path,
    ) -> Result<Self, PairError> {
        let bad = || PairError::BadCertificate(chain_path.to_owned());
        let facts = x509::facts(chain.first().ok_or_else(bad)?).ok_or_else(bad)?;
        let provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| PairError::BadKey(key_path.to_owned()))?;
        let fits = |chain: &[CertificateDer<'static>]| {
            let pair = CertifiedKey::new(chain.to_vec(), Arc::clone(&key));
            pair.keys_match()
        };
        match fits(&chain) {
            // A key that does not tell its public half cannot be compared.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let later = (1..chain.len()).any(|at| fits(&chain[at..]).is_ok());
                let mismatch = || PairError::Mismatch(key_path.to_owned(), chain_path.to_owned());
                return Err(if later { PairError::Order(chain_path.to_owned()) } else { mismatch() });
            }
            Err(_) => return Err(bad()),
        }
        Ok(Self { signing: Arc::new(CertifiedKey::new(chain, key)), facts })
    }

    /// Whether the certificate is for that host.
    pub(super) fn covers(&self, host: &str) -> bool {
        covers(&self.signing, host)
    }

    /// When it ends, for people.
    pub(super) fn not_after_text(&self) -> String {
        clock::rfc3339(self.facts.not_after)
    }
}

/// Whether a certificate is for that host (RFC 9525 section 6).
pub(super) fn covers(signing: &CertifiedKey, host: &str) -> bool {
    let Ok(name) = ServerName::try_from(host) else { return false };
    let leaf = signing.end_entity_cert().and_then(ParsedCertificate::try_from);
    leaf.is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
}

fn read(path: &Path) -> Result<Vec<u8>, PairError> {
    std::fs::read(path).map_err(|error| PairError::Unreadable(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made(name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn read(certificate: &str, key: &str) -> Result<Pair, PairError> {
        Pair::of_pem((Path::new("c.pem"), certificate.as_bytes()), (Path::new("k.pem"), key.as_bytes()))
    }

    #[test]
    fn a_certificate_and_its_key_are_a_pair_and_know_their_host() {
        let (certificate, key) = made("scim.example.com");
        let pair = read(&certificate, &key).unwrap();
        assert!(pair.covers("scim.example.com") && pair.covers("SCIM.example.com"));
        assert!(!pair.covers("other.example.com") && !pair.covers("192.0.2.1") && !pair.covers("not a name"));
        // Both in one file is usual, too.
        let both = format!("{key}{certificate}");
        assert!(read(&both, &both).is_ok());
    }

    #[test]
    fn what_is_no_pair_is_refused_and_the_file_is_named() {
        let ((certificate, key), (other, other_key)) = (made("a.example"), made("b.example"));
        let chain = format!("{other}{certificate}");
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (certificate, key, words) in [
            ("", &*key, &["c.pem", "no certificate"][..]),
            (&key, &key, &["c.pem", "no certificate"]),
            (&certificate, "", &["k.pem", "no private key"]),
            (&certificate, &certificate, &["k.pem", "no private key"]),
            (&certificate, &encrypted, &["k.pem", "passphrase"]),
            (&certificate, &other_key, &["c.pem", "k.pem", "does not belong"]),
            (&chain, &key, &["c.pem", "must begin"]),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, &["c.pem", "no X.509"]),
            (
                &certificate,
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                &["k.pem", "cannot be used"],
            ),
        ] {
            let refused = read(certificate, key).unwrap_err().to_string();
            assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
        }
    }

    #[test]
    fn a_key_that_everybody_may_read_is_refused_and_one_for_a_group_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = made("a.example");
        let paths = ["c.pem", "k.pem"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], certificate).unwrap();
        std::fs::write(&paths[1], key).unwrap();
        for (mode, taken) in [(0o644, false), (0o604, false), (0o602, false), (0o640, true), (0o400, true)] {
            std::fs::set_permissions(&paths[1], std::fs::Permissions::from_mode(mode)).unwrap();
            let read = Pair::of_files(&paths[0], &paths[1]);
            assert_eq!(read.is_ok(), taken, "{mode:o}");
            if let Err(refused) = read {
                assert!(refused.to_string().contains("chmod"), "{refused}");
            }
        }
    }
}
