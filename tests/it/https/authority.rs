//! A certificate authority for tests, the files it creates, and clients that trust it.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::app::App;
use crate::http;

/// An authority, and the folder with the certificate and the key of one server.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: CertificateDer<'static>,
    pub(crate) root_pem: String,
    pub(crate) folder: TempDir,
}

impl Authority {
    /// A new authority that has issued a first certificate for `localhost`.
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).unwrap();
        let (der, root_pem) = (root.der().clone(), root.pem());
        let folder = tempfile::tempdir().unwrap();
        let authority = Self { issuer: Issuer::new(parameters, key), root: der, root_pem, folder };
        authority.issue(1);
        authority
    }

    /// A certificate for `localhost` and 127.0.0.1 with that serial number, and its key, as PEM.
    pub(crate) fn made(&self, number: u64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        parameters.serial_number = Some(number.into());
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Expiry of these certificates, in seconds since 1970.
    pub(crate) fn end() -> i64 {
        CertificateParams::default().not_after.unix_timestamp()
    }

    /// Replaces the certificate and its key by new ones, each file atomically.
    pub(crate) fn issue(&self, number: u64) {
        let (certificate, key) = self.made(number);
        put(&self.key(), &key);
        put(&self.certificate(), &certificate);
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// A server with these files. All clients of the tests use TLS for it.
    pub(crate) fn server(&self, data: &Path) -> App {
        let (certificate, key) = (self.certificate(), self.key());
        let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let app = App::start_with(data, &flags);
        http::secure(app.address, self.client(rustls::ALL_VERSIONS, &[]));
        app
    }

    /// The server configuration with the certificate and the key of the folder.
    pub(crate) fn as_server(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(self.certificate()).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(self.key()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    /// A client that trusts this authority, with these TLS versions and ALPN protocols.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Arc<ClientConfig> {
        trusting(&self.root, versions, protocols)
    }
}

/// A client that trusts that root.
pub(crate) fn trusting(
    root: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Replaces a private file atomically.
pub(crate) fn put(path: &Path, text: &str) {
    let incoming = path.with_extension("incoming");
    let mut file = std::fs::File::options();
    let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(&incoming).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    std::fs::rename(incoming, path).unwrap();
}
