//! Reads the fields of a certificate (RFC 5280 section 4.1) that the server uses. rustls reads the rest.

use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_certificate;

use crate::clock::Millis;

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

/// Reads the fields of a certificate in DER; returns `None` if it is not a certificate.
pub(super) fn read_certificate_fields(certificate: &[u8]) -> Option<CertificateFields> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let authority_key = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref(),
        _ => None,
    });
    Some(CertificateFields {
        not_before: parsed.validity().not_before.timestamp() * 1000,
        not_after: parsed.validity().not_after.timestamp() * 1000,
        serial: parsed.raw_serial().to_vec(),
        authority_key: authority_key.map(|key| key.0.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, Issuer, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_validity_is_read() {
        let key = KeyPair::generate().unwrap();
        for (from, to) in [
            (date_time_ymd(2026, 1, 2) + Duration::from_secs(11_045), date_time_ymd(2026, 4, 2)),
            (date_time_ymd(1999, 12, 31) + Duration::from_secs(86_399), date_time_ymd(2050, 1, 1)),
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
