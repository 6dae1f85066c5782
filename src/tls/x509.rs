//! Reads the fields of a certificate (RFC 5280 section 4.1) that the server uses. rustls reads the rest.

use time::PrimitiveDateTime;
use time::macros::format_description;

use crate::clock::Millis;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`: the version in a certificate.
const VERSION: u8 = 0xa0;
/// `[0]`: the key identifier in an authority key identifier.
const KEY_IDENTIFIER: u8 = 0x80;
/// `[3]`: the extensions.
const EXTENSIONS: u8 = 0xa3;
/// Object identifier 2.5.29.35: authority key identifier.
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];

/// Fields of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateFields {
    pub(super) not_before: Millis,
    pub(super) not_after: Millis,
    /// The encoded content of the serial number.
    pub(super) serial: Vec<u8>,
    /// The identifier of the key that signed it, if the certificate contains it.
    pub(super) authority_key: Option<Vec<u8>>,
}

/// A reader of DER values (X.690).
struct DerReader<'a>(&'a [u8]);

impl<'a> DerReader<'a> {
    /// Returns tag and content of the next value.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            let bytes = usize::from(first & 0x7f);
            // A length of more than four bytes is not supported.
            if bytes == 0 || bytes > 4 || rest.len() < bytes {
                return None;
            }
            length = rest[..bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = &rest[bytes..];
        }
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, content))
    }

    /// Returns the content of the next value, which must have that tag.
    fn next_tagged(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

/// Reads the fields of a certificate in DER; returns `None` if it is not a certificate.
pub(super) fn read_certificate_fields(certificate: &[u8]) -> Option<CertificateFields> {
    let whole = DerReader(certificate).next_tagged(SEQUENCE)?;
    let mut signed = DerReader(DerReader(whole).next_tagged(SEQUENCE)?);
    let (mut tag, mut content) = signed.next()?;
    if tag == VERSION {
        (tag, content) = signed.next()?;
    }
    let serial = (tag == INTEGER).then(|| content.to_vec())?;
    let _algorithm = signed.next_tagged(SEQUENCE)?;
    let _issuer = signed.next_tagged(SEQUENCE)?;
    let mut validity = DerReader(signed.next_tagged(SEQUENCE)?);
    let (not_before, not_after) = (read_time(validity.next()?)?, read_time(validity.next()?)?);
    let mut authority_key = None;
    while let Some((tag, content)) = signed.next() {
        if tag == EXTENSIONS {
            authority_key = read_authority_key(DerReader(content).next_tagged(SEQUENCE)?);
        }
    }
    Some(CertificateFields { not_before, not_after, serial, authority_key })
}

/// Reads the authority key identifier (RFC 5280 section 4.2.1.1).
fn read_authority_key(extensions: &[u8]) -> Option<Vec<u8>> {
    let mut extensions = DerReader(extensions);
    while let Some(extension) = extensions.next_tagged(SEQUENCE) {
        let mut extension = DerReader(extension);
        if extension.next_tagged(OBJECT_IDENTIFIER)? != AUTHORITY_KEY {
            continue;
        }
        let (mut tag, mut value) = extension.next()?;
        if tag != OCTET_STRING {
            // The optional `critical` flag.
            (tag, value) = extension.next()?;
        }
        let value = (tag == OCTET_STRING).then_some(value)?;
        return DerReader(DerReader(value).next_tagged(SEQUENCE)?).next_tagged(KEY_IDENTIFIER).map(<[u8]>::to_vec);
    }
    None
}

/// Parses a time (RFC 5280 section 4.1.2.5): a year of two digits is 1950 to 2049, and the time is in UTC.
fn read_time((tag, content): (u8, &[u8])) -> Option<Millis> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let format = format_description!("[year][month][day][hour][minute][second]");
    let time = PrimitiveDateTime::parse(&text, format).ok()?.assume_utc();
    Some(time.unix_timestamp() * 1000)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, Issuer, KeyPair};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_validity_is_read() {
        let key = KeyPair::generate().unwrap();
        for (from, to) in [
            (datetime!(2026-01-02 03:04:05 UTC), datetime!(2026-04-02 03:04:05 UTC)),
            (datetime!(1999-12-31 23:59:59 UTC), datetime!(2050-01-01 00:00:00 UTC)),
        ] {
            let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (from, to);
            let facts = read_certificate_fields(params.self_signed(&key).unwrap().der()).unwrap();
            assert_eq!((facts.not_before, facts.not_after), (from.unix_timestamp() * 1000, to.unix_timestamp() * 1000));
        }
    }

    #[test]
    fn serial_number_and_authority_key_are_read() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.serial_number = Some(vec![0x87, 0x65, 0x43].into());
        params.use_authority_key_identifier_extension = true;
        let issuer_key = KeyPair::generate().unwrap();
        let mut issuer = CertificateParams::default();
        issuer.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3, 4]);
        let signed = params.signed_by(&key, &Issuer::new(issuer, issuer_key)).unwrap();
        let facts = read_certificate_fields(signed.der()).unwrap();
        // A number whose first bit is set is encoded with a leading zero.
        assert_eq!(facts.serial, [0, 0x87, 0x65, 0x43]);
        assert_eq!(facts.authority_key.as_deref(), Some(&[1, 2, 3, 4][..]));
    }

    #[test]
    fn truncated_certificates_and_other_bytes_are_rejected() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        for length in 0..certificate.der().len() {
            assert_eq!(read_certificate_fields(&certificate.der()[..length]), None, "{length}");
        }
        for bytes in [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], &[0x30, 0x80], &[0x30], b"no certificate"] {
            assert_eq!(read_certificate_fields(bytes), None);
        }
    }
}
