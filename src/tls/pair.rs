//! A certificate chain with its private key, read from PEM and checked to match.

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

use super::x509::{self, CertificateFields};
use crate::clock;

/// Permission bits that a private key must not have: any of others, and write of the group.
const FORBIDDEN_MODE: u32 = 0o027;

/// Why a certificate or its key cannot be used. The sentence contains the fix.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {problem}", path = .0.display(), problem = .1)]
    Unreadable(PathBuf, io::Error),
    /// All users of the machine may read or write the key, or its group may write it.
    #[error(
        "the private key {path} can be read or written by other users of this machine (mode {mode:04o}); run: chmod \
         g-w,o-rwx {path}",
        path = .0.display(), mode = .1 & 0o7777
    )]
    TooPermissive(PathBuf, u32),
    /// The file contains no certificate.
    #[error("{path} contains no certificate in PEM (-----BEGIN CERTIFICATE-----)", path = .0.display())]
    NoCertificate(PathBuf),
    /// The file contains data that is not a certificate.
    #[error("{path} contains something that is not an X.509 certificate", path = .0.display())]
    BadCertificate(PathBuf),
    /// The file contains no private key.
    #[error("{path} contains no private key in PEM (-----BEGIN PRIVATE KEY-----)", path = .0.display())]
    NoKey(PathBuf),
    /// The key is encrypted with a passphrase.
    #[error(
        "the private key {path} has a passphrase, which cannot be entered when the server starts; write it without one: \
         openssl pkey -in {path} -out NEW",
        path = .0.display()
    )]
    EncryptedKey(PathBuf),
    /// The key is of an unsupported type.
    #[error("the private key {path} cannot be used; use RSA of 2048 bits or more, P-256, P-384 or Ed25519", path = .0.display())]
    BadKey(PathBuf),
    /// The key belongs to a later certificate of the file.
    #[error("{path} must begin with the server's own certificate; put those of the authority after it", path = .0.display())]
    Order(PathBuf),
    /// The key belongs to another certificate.
    #[error("the private key {key} does not belong to the certificate {certificate}", key = .0.display(), certificate = .1.display())]
    Mismatch(PathBuf, PathBuf),
}

/// A certificate chain and its private key.
#[derive(Debug)]
pub(super) struct CertificatePair {
    pub(super) signing: Arc<CertifiedKey>,
    pub(super) fields: CertificateFields,
}

impl CertificatePair {
    /// Reads a pair from two files.
    pub(super) fn from_files(certificate: &Path, key: &Path) -> Result<Self, PairError> {
        let chain = read_file(certificate)?;
        let key_text = read_file(key)?;
        let mode = std::fs::metadata(key).map_err(|error| PairError::Unreadable(key.to_owned(), error))?;
        let mode = mode.permissions().mode();
        if mode & FORBIDDEN_MODE != 0 {
            return Err(PairError::TooPermissive(key.to_owned(), mode));
        }
        Self::from_pem((certificate, &chain), (key, &key_text))
    }

    /// Reads a pair from two PEM texts; the paths are for error messages.
    pub(super) fn from_pem(certificate: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Self, PairError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.1).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| PairError::NoCertificate(certificate.0.to_owned()))?;
        let key_der = PrivateKeyDer::from_pem_slice(key.1).map_err(|_| {
            let encrypted = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
            let text = String::from_utf8_lossy(key.1);
            let is_encrypted = encrypted.iter().any(|marker| text.contains(marker));
            if is_encrypted { PairError::EncryptedKey(key.0.to_owned()) } else { PairError::NoKey(key.0.to_owned()) }
        })?;
        if String::from_utf8_lossy(key.1).contains("Proc-Type: 4,ENCRYPTED") {
            return Err(PairError::EncryptedKey(key.0.to_owned()));
        }
        Self::from_der(chain, key_der, certificate.0, key.0)
    }

    fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        chain_path: &Path,
        key_path: &Path,
    ) -> Result<Self, PairError> {
        let bad = || PairError::BadCertificate(chain_path.to_owned());
        let facts = x509::read_certificate_fields(chain.first().ok_or_else(bad)?).ok_or_else(bad)?;
        let provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| PairError::BadKey(key_path.to_owned()))?;
        let fits = |chain: &[CertificateDer<'static>]| {
            let pair = CertifiedKey::new(chain.to_vec(), Arc::clone(&key));
            pair.keys_match()
        };
        match fits(&chain) {
            // A key that does not provide its public key cannot be compared.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let later = (1..chain.len()).any(|at| fits(&chain[at..]).is_ok());
                let mismatch = || PairError::Mismatch(key_path.to_owned(), chain_path.to_owned());
                return Err(if later { PairError::Order(chain_path.to_owned()) } else { mismatch() });
            }
            Err(_) => return Err(bad()),
        }
        Ok(Self { signing: Arc::new(CertifiedKey::new(chain, key)), fields: facts })
    }

    /// Whether the certificate is valid for the host.
    pub(super) fn covers(&self, host: &str) -> bool {
        covers_host(&self.signing, host)
    }

    /// Returns the expiry as RFC 3339 text.
    pub(super) fn not_after_text(&self) -> String {
        clock::format_rfc3339(self.fields.not_after)
    }
}

/// Whether a certificate is valid for the host (RFC 9525 section 6).
pub(super) fn covers_host(signing: &CertifiedKey, host: &str) -> bool {
    let Ok(name) = ServerName::try_from(host) else { return false };
    let leaf = signing.end_entity_cert().and_then(ParsedCertificate::try_from);
    leaf.is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
}

fn read_file(path: &Path) -> Result<Vec<u8>, PairError> {
    std::fs::read(path).map_err(|error| PairError::Unreadable(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn generate(name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn read(certificate: &str, key: &str) -> Result<CertificatePair, PairError> {
        CertificatePair::from_pem((Path::new("c.pem"), certificate.as_bytes()), (Path::new("k.pem"), key.as_bytes()))
    }

    #[test]
    fn a_certificate_and_its_key_are_a_pair_for_their_host() {
        let (certificate, key) = generate("scim.example.com");
        let pair = read(&certificate, &key).unwrap();
        assert!(pair.covers("scim.example.com") && pair.covers("SCIM.example.com"));
        assert!(!pair.covers("other.example.com") && !pair.covers("192.0.2.1") && !pair.covers("not a name"));
        // Both may be in one file.
        let both = format!("{key}{certificate}");
        assert!(read(&both, &both).is_ok());
    }

    #[test]
    fn an_invalid_pair_is_rejected_and_the_file_is_named() {
        let ((certificate, key), (other, other_key)) = (generate("a.example"), generate("b.example"));
        let chain = format!("{other}{certificate}");
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (certificate, key, expected) in [
            ("", &*key, &["c.pem", "no certificate"][..]),
            (&key, &key, &["c.pem", "no certificate"]),
            (&certificate, "", &["k.pem", "no private key"]),
            (&certificate, &certificate, &["k.pem", "no private key"]),
            (&certificate, &encrypted, &["k.pem", "passphrase"]),
            (&certificate, &other_key, &["c.pem", "k.pem", "does not belong"]),
            (&chain, &key, &["c.pem", "must begin"]),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, &["c.pem", "not an X.509"]),
            (
                &certificate,
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                &["k.pem", "cannot be used"],
            ),
        ] {
            let error = read(certificate, key).unwrap_err().to_string();
            assert!(expected.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn a_key_that_others_may_read_or_a_group_may_write_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = generate("a.example");
        let paths = ["c.pem", "k.pem"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], certificate).unwrap();
        std::fs::write(&paths[1], key).unwrap();
        for (mode, is_accepted) in [
            (0o644, false),
            (0o604, false),
            (0o602, false),
            (0o660, false),
            (0o620, false),
            (0o640, true),
            (0o400, true),
        ] {
            std::fs::set_permissions(&paths[1], std::fs::Permissions::from_mode(mode)).unwrap();
            let read = CertificatePair::from_files(&paths[0], &paths[1]);
            assert_eq!(read.is_ok(), is_accepted, "{mode:o}");
            if let Err(error) = read {
                assert!(error.to_string().contains("chmod"), "{error}");
            }
        }
    }
}
