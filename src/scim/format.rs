//! Text formats that RFC 7643 defines for individual attributes. Only the strict preset enforces them; the other
//! presets store any text, because identity providers send country names and other values.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A text format that is narrower than the data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueFormat {
    /// RFC 7643 section 4.1.2: an ISO 3166-1 alpha-2 country code, in any letter case.
    Country,
    /// RFC 7643 section 4.1.2: one DER certificate in base64.
    Certificate,
}

impl ValueFormat {
    /// Whether the text has the format.
    pub fn fits(self, text: &str) -> bool {
        match self {
            Self::Country => is_country(text),
            Self::Certificate => decode_base64(text).is_some_and(|der| is_one_sequence(&der)),
        }
    }

    /// The description of the format in an error message.
    pub fn description(self) -> &'static str {
        match self {
            Self::Country => "a country code of ISO 3166-1 alpha-2, such as DE",
            Self::Certificate => "one DER certificate in base64",
        }
    }
}

/// The codes that ISO 3166-1 assigns, without the reserved codes.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY \
    MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM \
    PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV \
    SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT \
    ZA ZM ZW";

fn is_country(text: &str) -> bool {
    text.len() == 2 && COUNTRIES.split(' ').any(|code| code.eq_ignore_ascii_case(text))
}

/// Decodes base64 text. Line breaks are allowed, and the padding is optional.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, config).decode(digits).ok()
}

/// A certificate is an ASN.1 SEQUENCE that begins with another SEQUENCE (RFC 5280 section 4.1), with no bytes after it.
/// The content of the certificate is not checked.
fn is_one_sequence(der: &[u8]) -> bool {
    split_sequence(der).is_some_and(|(content, rest)| rest.is_empty() && self::split_sequence(content).is_some())
}

/// The content of the SEQUENCE at the start, and the bytes after it.
fn split_sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    let (&[SEQUENCE, first], rest) = der.split_first_chunk::<2>()? else { return None };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Long form of the length. Four bytes cover more than the largest body.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_code_is_accepted_and_a_country_name_is_rejected() {
        assert_eq!(COUNTRIES.split(' ').count(), 249);
        for code in ["DE", "us", "Gb", "AX", "ZW"] {
            assert!(ValueFormat::Country.fits(code), "{code}");
        }
        for other in ["", "D", "Germany", "DEU", "UK", "EU", "XX", "D ", " A", "D\u{df}"] {
            assert!(!ValueFormat::Country.fits(other), "{other:?}");
        }
    }

    #[test]
    fn a_certificate_is_one_sequence_in_a_sequence() {
        // SEQUENCE { SEQUENCE { INTEGER 1 } }, with a short and with a long length, and with line breaks.
        for der in [&[0x30, 5, 0x30, 3, 2, 1, 1][..], &[0x30, 0x81, 5, 0x30, 3, 2, 1, 1], &[0x30, 2, 0x30, 0]] {
            assert!(is_one_sequence(der), "{der:?}");
        }
        assert!(ValueFormat::Certificate.fits("MAUwAwIB\r\nAQ==") && ValueFormat::Certificate.fits("MAUwAwIBAQ"));
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0],
            &[0x30, 5, 0x30, 3, 2, 1],
            &[0x30, 5, 0x30, 3, 2, 1, 1, 0],
            &[0x31, 5, 0x30, 3, 2, 1, 1],
            &[0x30, 3, 2, 1, 1],
            &[0x30, 0x80, 0x30, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 2, 0x30, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30, 0],
        ] {
            assert!(!is_one_sequence(der), "{der:?}");
        }
        assert!(
            !ValueFormat::Certificate.fits("-----BEGIN CERTIFICATE-----") && !ValueFormat::Certificate.fits("MIIB")
        );
    }
}
