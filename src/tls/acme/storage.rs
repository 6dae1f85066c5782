//! Files of an authority in the data folder: the account, the certificate with its key, and the recent failed orders.
//! Files have mode 0600 and are replaced atomically; folders have mode 0700.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::clock::Millis;
use crate::tls::pair::CertificatePair;

const ACCOUNT: &str = "account.json";
/// The key and then the chain, in one file, so that they always match.
const CERTIFICATE: &str = "certificate.pem";
const FAILURES: &str = "failures.json";

/// Storage of one authority: its folder.
pub(super) struct AcmeStorage {
    folder: PathBuf,
    directory: String,
}

#[derive(Deserialize)]
struct AccountDirectory {
    directory: Option<String>,
}

impl AcmeStorage {
    /// Opens the folder `tls/HOST` in the data folder; creates it if it does not exist.
    pub(super) fn open(data_dir: &Path, directory: &Url) -> io::Result<Self> {
        let host = directory.host_str().unwrap_or("unknown").trim_matches(['[', ']']).replace(':', "-");
        let name = directory.port().map_or(host.clone(), |port| format!("{host}-{port}"));
        let folder = data_dir.join("tls").join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for folder in [&data_dir.join("tls"), &folder] {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        Ok(Self { folder, directory: directory.to_string() })
    }

    /// Returns the account at the directory; `None` if there is none, or only one for another directory of the same
    /// host.
    pub(super) fn account(&self) -> io::Result<Option<AccountCredentials>> {
        let Some(text) = self.read(ACCOUNT)? else { return Ok(None) };
        let address: AccountDirectory = serde_json::from_slice(&text)?;
        if address.directory.as_deref() != Some(&self.directory) {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&text)?))
    }

    pub(super) fn store_account(&self, credentials: &AccountCredentials) -> io::Result<()> {
        self.write(ACCOUNT, &serde_json::to_vec_pretty(credentials)?)
    }

    /// Renames the file of an account that the authority does not know.
    pub(super) fn retire_account(&self) -> io::Result<()> {
        fs::rename(self.folder.join(ACCOUNT), self.folder.join("account.json.unknown"))
    }

    /// Returns the certificate with its key; an error if the file is damaged.
    pub(super) fn certificate(&self) -> Result<Option<CertificatePair>, String> {
        let path = self.folder.join(CERTIFICATE);
        let text = self.read(CERTIFICATE).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let pair = text.map(|text| CertificatePair::from_pem((&path, &text), (&path, &text)));
        pair.transpose().map_err(|error| error.to_string())
    }

    pub(super) fn store_certificate(&self, key: &str, chain: &str) -> io::Result<()> {
        self.write(CERTIFICATE, format!("{}\n{chain}", key.trim_end()).as_bytes())
    }

    /// Returns the times of recent failed orders; none if the file cannot be read.
    pub(super) fn failures(&self) -> Vec<Millis> {
        let text = self.read(FAILURES).ok().flatten();
        let times = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        times.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64).collect()
    }

    pub(super) fn store_failures(&self, failures: &[Millis]) -> io::Result<()> {
        self.write(FAILURES, &serde_json::to_vec(failures)?)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let incoming = self.folder.join(format!("{name}.incoming"));
        // A leftover file may have other permissions.
        match fs::remove_file(&incoming) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&incoming)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&incoming, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_storage(data: &Path, directory: &str) -> AcmeStorage {
        AcmeStorage::open(data, &Url::parse(directory).unwrap()).unwrap()
    }

    #[test]
    fn each_authority_has_a_separate_private_folder() {
        let data = tempfile::tempdir().unwrap();
        let storage = open_storage(data.path(), "https://ca.example:14000/dir");
        storage.store_failures(&[1, 2]).unwrap();
        storage.store_failures(&[2, 3]).unwrap();
        assert_eq!(storage.failures(), [2, 3]);
        assert!(open_storage(data.path(), "https://ca.example/dir").failures().is_empty());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let folder = data.path().join("tls/ca.example-14000");
        assert_eq!((mode(&data.path().join("tls")), mode(&folder)), (0o700, 0o700));
        assert_eq!(mode(&folder.join("failures.json")), 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_certificate_is_an_error_and_an_absent_one_is_not() {
        let data = tempfile::tempdir().unwrap();
        let storage = open_storage(data.path(), "https://ca.example/dir");
        assert!(storage.certificate().unwrap().is_none());
        storage.store_certificate("no key", "no chain").unwrap();
        assert!(storage.certificate().unwrap_err().contains("certificate.pem"));
    }
}
