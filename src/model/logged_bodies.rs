//! The compressed form of the bodies of a logged call: the request and the response together, because a response repeats
//! most of its request.
//!
//! The first byte is the version of the form, the next four are the length of the content. The content has one byte that
//! shows which bodies exist, the length of the request in four bytes, the request, and the response.

mod lz4;

use std::cell::RefCell;

use zstd::bulk::Decompressor;

use self::lz4::Compressor;

/// A form that is not compressed, for the case that the compression fails.
const PLAIN: u8 = 0;
/// Compressed by zstd with [`DICTIONARY`]: only rows of earlier programs.
const ZSTD_1: u8 = 1;
/// Compressed by LZ4 with [`DICTIONARY`]. A new dictionary or compression needs a new version: old rows stay readable.
const LZ4_1: u8 = 2;
/// Text that is frequent in bodies. Stored rows need exactly this text.
const DICTIONARY: &[u8] = include_bytes!("logged_bodies/dictionary");
/// Largest content: more than two bodies of the largest size that is logged.
const CONTENT_MAX_BYTES: usize = 64 << 10;
const HAS_REQUEST: u8 = 1;
const HAS_RESPONSE: u8 = 2;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The bodies of a call; none if it was not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyTexts {
    /// The request body.
    pub request: Option<String>,
    /// The response body.
    pub response: Option<String>,
}

/// Returns the stored form of the bodies, or `None` if there are none.
pub fn pack_bodies(request: Option<&str>, response: Option<&str>) -> Option<Vec<u8>> {
    if request.is_none() && response.is_none() {
        return None;
    }
    let flags = if request.is_some() { HAS_REQUEST } else { 0 } | if response.is_some() { HAS_RESPONSE } else { 0 };
    let (request, response) = (request.unwrap_or_default(), response.unwrap_or_default());
    let mut content = Vec::with_capacity(5 + request.len() + response.len());
    content.push(flags);
    content.extend(u32::try_from(request.len()).ok()?.to_le_bytes());
    content.extend(request.as_bytes());
    content.extend(response.as_bytes());
    let length = u32::try_from(content.len()).ok()?.to_le_bytes();
    let mut packed = vec![LZ4_1];
    packed.extend(length);
    if !append_compressed(&content, &mut packed) {
        packed[0] = PLAIN;
        packed.extend(content);
    }
    packed.shrink_to_fit();
    Some(packed)
}

/// Returns the bodies of the stored form, or `None` if it is not valid.
pub fn unpack_bodies(packed: &[u8]) -> Option<BodyTexts> {
    let (version, rest) = packed.split_first()?;
    let (length, body) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= CONTENT_MAX_BYTES)?;
    let content = match *version {
        PLAIN => body.to_vec(),
        ZSTD_1 => decompress_zstd(body, length)?,
        LZ4_1 => lz4::decompress(body, length, DICTIONARY)?,
        _ => return None,
    };
    let (flags, rest) = content.split_first()?;
    let (request_length, texts) = rest.split_first_chunk()?;
    let (request, response) = texts.split_at_checked(usize::try_from(u32::from_le_bytes(*request_length)).ok()?)?;
    let text = |bytes: &[u8], flag: u8| (flags & flag != 0).then(|| String::from_utf8_lossy(bytes).into_owned());
    Some(BodyTexts { request: text(request, HAS_REQUEST), response: text(response, HAS_RESPONSE) })
}

/// Appends the compressed content. Returns whether it was possible.
fn append_compressed(content: &[u8], packed: &mut Vec<u8>) -> bool {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::new(DICTIONARY);
        }
        slot.as_mut().is_some_and(|compressor| compressor.append_block(content, packed))
    })
}

fn decompress_zstd(body: &[u8], length: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Decompressor::with_dictionary(DICTIONARY).ok();
        }
        slot.as_mut()?.decompress(body, length).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(request: Option<&str>, response: Option<&str>) -> BodyTexts {
        BodyTexts { request: request.map(str::to_owned), response: response.map(str::to_owned) }
    }

    #[test]
    fn every_pair_of_bodies_is_the_same_after_storing() {
        let long = "ü{\"a\":1}".repeat(2_000);
        for request in [None, Some(""), Some("{\"userName\":\"a\u{0}b\"}"), Some(&*long)] {
            for response in [None, Some(""), Some("x"), Some(&*long)] {
                let Some(packed) = pack_bodies(request, response) else {
                    assert_eq!((request, response), (None, None));
                    continue;
                };
                assert!(unpack_bodies(&packed) == Some(texts(request, response)), "{} bytes", packed.len());
            }
        }
    }

    #[test]
    fn a_call_that_creates_a_user_takes_less_than_a_third() {
        let request = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"zoe.lindqvist@corp.example",
            "name":{"givenName":"Zoe","familyName":"Lindqvist"},"active":true,"externalId":"00uqx81",
            "emails":[{"value":"zoe.lindqvist@corp.example","type":"work","primary":true}]}"#;
        let response = request.replace("\"active\"", "\"id\":\"0198c0de-1111-7222-8333-944455566677\",\"active\"");
        let packed = pack_bodies(Some(request), Some(&response)).unwrap();
        assert!(packed.len() * 3 < request.len() + response.len(), "{} bytes", packed.len());
    }

    #[test]
    fn rows_that_an_earlier_program_compressed_with_zstd_are_readable() {
        let content = [&[HAS_REQUEST | HAS_RESPONSE, 3, 0, 0, 0], b"abc{\"detail\":\"x\"}".as_slice()].concat();
        let mut compressor = zstd::bulk::Compressor::with_dictionary(1, DICTIONARY).unwrap();
        let body = compressor.compress(&content).unwrap();
        let packed = [&[ZSTD_1], u32::try_from(content.len()).unwrap().to_le_bytes().as_slice(), &body].concat();
        assert_eq!(unpack_bodies(&packed), Some(texts(Some("abc"), Some("{\"detail\":\"x\"}"))));
    }

    #[test]
    fn each_call_is_compressed_on_its_own() {
        let body = "{\"userName\":\"bob\",\"nickName\":\"x\"}".repeat(300);
        let first = pack_bodies(Some(&body), None).unwrap();
        for _ in 0..3 {
            assert_eq!(pack_bodies(Some(&body), None).unwrap(), first);
        }
        assert!(first.len() < 200, "{} bytes", first.len());
    }

    #[test]
    fn damaged_forms_are_no_bodies() {
        let packed = pack_bodies(Some("{\"userName\":\"bob\"}"), Some("{}")).unwrap();
        for end in 0..packed.len() {
            assert_eq!(unpack_bodies(&packed[..end]), None, "{end}");
        }
        for first in 3..=255 {
            assert_eq!(unpack_bodies(&[&[first], &packed[1..]].concat()), None);
        }
        for version in [ZSTD_1, LZ4_1] {
            assert_eq!(unpack_bodies(&[version, 255, 255, 255, 255, 0]), None);
            assert_eq!(unpack_bodies(&[&[version], &packed[1..5], &[0xff; 40]].concat()), None);
        }
        assert_eq!(unpack_bodies(&[PLAIN, 1, 0, 0, 0, 3]), None);
    }
}
