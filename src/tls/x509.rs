//! The few facts of a certificate (RFC 5280 section 4.1) that the server asks for. rustls reads the rest.

use time::PrimitiveDateTime;
use time::macros::format_description;

use crate::clock::Millis;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`: the version in a certificate, the key identifier in an authority's key identifier.
const VERSION: u8 = 0xa0;
const KEY_IDENTIFIER: u8 = 0x80;
/// `[3]`: the extensions.
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.35
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) not_before: Millis,
    pub(super) not_after: Millis,
    /// The content of the serial number, as it is encoded.
    pub(super) serial: Vec<u8>,
    /// The identifier of the key it was signed with, where it is named.
    pub(super) authority_key: Option<Vec<u8>>,
}

/// A walk over the values of a DER text (X.690).
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    /// The next value with its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            let bytes = usize::from(first & 0x7f);
            // Nothing here is longer than four bytes can say.
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

    /// The next value, which must have that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

/// Reads them from a certificate in DER; nothing where it is none.
pub(super) fn facts(certificate: &[u8]) -> Option<Facts> {
    let whole = Walk(certificate).take(SEQUENCE)?;
    let mut signed = Walk(Walk(whole).take(SEQUENCE)?);
    let (mut tag, mut content) = signed.next()?;
    if tag == VERSION {
        (tag, content) = signed.next()?;
    }
    let serial = (tag == INTEGER).then(|| content.to_vec())?;
    let _algorithm = signed.take(SEQUENCE)?;
    let _issuer = signed.take(SEQUENCE)?;
    let mut validity = Walk(signed.take(SEQUENCE)?);
    let (not_before, not_after) = (moment(validity.next()?)?, moment(validity.next()?)?);
    let mut authority_key = None;
    while let Some((tag, content)) = signed.next() {
        if tag == EXTENSIONS {
            authority_key = key_identifier(Walk(content).take(SEQUENCE)?);
        }
    }
    Some(Facts { not_before, not_after, serial, authority_key })
}

/// RFC 5280 section 4.2.1.1.
fn key_identifier(extensions: &[u8]) -> Option<Vec<u8>> {
    let mut extensions = Walk(extensions);
    while let Some(extension) = extensions.take(SEQUENCE) {
        let mut extension = Walk(extension);
        if extension.take(OBJECT_IDENTIFIER)? != AUTHORITY_KEY {
            continue;
        }
        let (mut tag, mut value) = extension.next()?;
        if tag != OCTET_STRING {
            // Whether it is critical.
            (tag, value) = extension.next()?;
        }
        let value = (tag == OCTET_STRING).then_some(value)?;
        return Walk(Walk(value).take(SEQUENCE)?).take(KEY_IDENTIFIER).map(<[u8]>::to_vec);
    }
    None
}

/// RFC 5280 section 4.1.2.5: two digits of the year are 1950 to 2049, and the time is in UTC to the second.
fn moment((tag, content): (u8, &[u8])) -> Option<Millis> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let form = format_description!("[year][month][day][hour][minute][second]");
    let moment = PrimitiveDateTime::parse(&text, form).ok()?.assume_utc();
    Some(moment.unix_timestamp() * 1000)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, Issuer, KeyPair};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_certificate_says_from_when_to_when_it_is_good() {
        let key = KeyPair::generate().unwrap();
        for (from, to) in [
            (datetime!(2026-01-02 03:04:05 UTC), datetime!(2026-04-02 03:04:05 UTC)),
            (datetime!(1999-12-31 23:59:59 UTC), datetime!(2050-01-01 00:00:00 UTC)),
        ] {
            let mut wanted = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            (wanted.not_before, wanted.not_after) = (from, to);
            let facts = facts(wanted.self_signed(&key).unwrap().der()).unwrap();
            assert_eq!((facts.not_before, facts.not_after), (from.unix_timestamp() * 1000, to.unix_timestamp() * 1000));
        }
    }

    #[test]
    fn a_certificate_names_its_number_and_the_key_that_signed_it() {
        let key = KeyPair::generate().unwrap();
        let mut wanted = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        wanted.serial_number = Some(vec![0x87, 0x65, 0x43].into());
        wanted.use_authority_key_identifier_extension = true;
        let issuer_key = KeyPair::generate().unwrap();
        let mut issuer = CertificateParams::default();
        issuer.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3, 4]);
        let signed = wanted.signed_by(&key, &Issuer::new(issuer, issuer_key)).unwrap();
        let facts = facts(signed.der()).unwrap();
        // A number whose first bit is set is written with a zero before it.
        assert_eq!(facts.serial, [0, 0x87, 0x65, 0x43]);
        assert_eq!(facts.authority_key.as_deref(), Some(&[1, 2, 3, 4][..]));
    }

    #[test]
    fn no_beginning_of_a_certificate_and_no_other_bytes_are_taken_for_one() {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        for length in 0..made.der().len() {
            assert_eq!(facts(&made.der()[..length]), None, "{length}");
        }
        for bytes in [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], &[0x30, 0x80], &[0x30], b"no certificate"] {
            assert_eq!(facts(bytes), None);
        }
    }
}
