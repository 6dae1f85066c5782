//! What is kept of an authority in the data folder: the account there, the certificate with its key, and which orders
//! failed of late. Files are 0600 and replaced in one step, folders 0700.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::Millis;
use crate::tls::pair::Pair;

const ACCOUNT: &str = "account.json";
/// The key first and then the chain, in one file: they never come apart.
const CERTIFICATE: &str = "certificate.pem";
const FAILURES: &str = "failures.json";

/// The folder of one authority.
pub(super) struct Kept {
    folder: PathBuf,
    directory: String,
}

#[derive(Deserialize)]
struct Address {
    directory: Option<String>,
}

impl Kept {
    /// Makes the folder `tls/HOST` in the data folder where it is missing.
    pub(super) fn open(data_dir: &Path, directory: &Url) -> io::Result<Self> {
        let host = directory.host_str().unwrap_or("unknown").trim_matches(['[', ']']).replace(':', "-");
        let place = directory.port().map_or(host.clone(), |port| format!("{host}-{port}"));
        let folder = data_dir.join("tls").join(place);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for folder in [&data_dir.join("tls"), &folder] {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        Ok(Self { folder, directory: directory.to_string() })
    }

    /// The account at that directory; nothing where there is none, or one at another directory of the same host.
    pub(super) fn account(&self) -> io::Result<Option<AccountCredentials>> {
        let Some(text) = self.read(ACCOUNT)? else { return Ok(None) };
        let address: Address = serde_json::from_slice(&text)?;
        if address.directory.as_deref() != Some(&self.directory) {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&text)?))
    }

    pub(super) fn keep_account(&self, credentials: &AccountCredentials) -> io::Result<()> {
        self.write(ACCOUNT, &serde_json::to_vec_pretty(credentials)?)
    }

    /// Moves an account out of the way that the authority does not know.
    pub(super) fn forget_account(&self) -> io::Result<()> {
        fs::rename(self.folder.join(ACCOUNT), self.folder.join("account.json.unknown"))
    }

    /// The certificate with its key; an error where what lies there is damaged.
    pub(super) fn certificate(&self) -> Result<Option<Pair>, String> {
        let path = self.folder.join(CERTIFICATE);
        let text = self.read(CERTIFICATE).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let pair = text.map(|text| Pair::of_pem((&path, &text), (&path, &text)));
        pair.transpose().map_err(|error| error.to_string())
    }

    pub(super) fn keep_certificate(&self, key: &str, chain: &str) -> io::Result<()> {
        self.write(CERTIFICATE, format!("{}\n{chain}", key.trim_end()).as_bytes())
    }

    /// When orders failed of late. What cannot be read is no reason to wait.
    pub(super) fn failures(&self) -> Vec<Millis> {
        let text = self.read(FAILURES).ok().flatten();
        let kept = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        kept.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64).collect()
    }

    pub(super) fn keep_failures(&self, failures: &[Millis]) -> io::Result<()> {
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
        // One that was left behind may have been made with other rights.
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

    fn open(data: &Path, directory: &str) -> Kept {
        Kept::open(data, &Url::parse(directory).unwrap()).unwrap()
    }

    #[test]
    fn each_authority_has_a_folder_of_its_own_and_everything_is_private() {
        let data = tempfile::tempdir().unwrap();
        let kept = open(data.path(), "https://ca.example:14000/dir");
        kept.keep_failures(&[1, 2]).unwrap();
        kept.keep_failures(&[2, 3]).unwrap();
        assert_eq!(kept.failures(), [2, 3]);
        assert!(open(data.path(), "https://ca.example/dir").failures().is_empty());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let folder = data.path().join("tls/ca.example-14000");
        assert_eq!((mode(&data.path().join("tls")), mode(&folder)), (0o700, 0o700));
        assert_eq!(mode(&folder.join("failures.json")), 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_certificate_that_was_damaged_is_told_from_one_that_never_was() {
        let data = tempfile::tempdir().unwrap();
        let kept = open(data.path(), "https://ca.example/dir");
        assert!(kept.certificate().unwrap().is_none());
        kept.keep_certificate("no key", "no chain").unwrap();
        assert!(kept.certificate().unwrap_err().contains("certificate.pem"));
    }
}
