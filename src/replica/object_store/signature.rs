//! Signature Version 4 of AWS for requests to S3
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use url::Url;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Credentials of an object storage.
pub(super) struct Credentials {
    pub(super) key_id: String,
    pub(super) secret: String,
    /// Token of a session, for temporary credentials.
    pub(super) token: Option<String>,
}

/// What is signed.
pub(super) struct SignedRequest<'a> {
    pub(super) method: &'a str,
    /// Its path is encoded as it is sent.
    pub(super) url: &'a Url,
    pub(super) body: &'a [u8],
    pub(super) region: &'a str,
    pub(super) time: Timestamp,
}

/// Returns the headers that sign the request.
pub(super) fn sign_request(request: &SignedRequest<'_>, credentials: &Credentials) -> Vec<(&'static str, String)> {
    sign_with_headers(request, credentials, &[])
}

/// The same with further signed headers, in lower case.
fn sign_with_headers(
    request: &SignedRequest<'_>,
    credentials: &Credentials,
    further: &[(&'static str, &str)],
) -> Vec<(&'static str, String)> {
    let time = request.time.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = time.get(..8).unwrap_or_default().to_owned();
    let digest = encode_hex(&Sha256::digest(request.body));
    let mut headers = vec![("host", find_host(request.url)), ("x-amz-content-sha256", digest.clone())];
    headers.push(("x-amz-date", time.clone()));
    headers.extend(credentials.token.clone().map(|token| ("x-amz-security-token", token)));
    headers.extend(further.iter().map(|(name, value)| (*name, (*value).to_owned())));
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines = headers.iter().fold(String::new(), |lines, (name, value)| lines + name + ":" + value.trim() + "\n");
    let (method, path, query) = (request.method, request.url.path(), canonical_query(request.url));
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}");
    let scope = format!("{day}/{}/s3/aws4_request", request.region);
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", encode_hex(&Sha256::digest(canonical.as_bytes())));
    let key = [request.region, "s3", "aws4_request"]
        .iter()
        .fold(sign_bytes(format!("AWS4{}", credentials.secret).as_bytes(), &day), |key, part| sign_bytes(&key, part));
    let signature = encode_hex(&sign_bytes(&key, &to_sign));
    let authorization =
        format!("{ALGORITHM} Credential={}/{scope},SignedHeaders={names},Signature={signature}", credentials.key_id);
    headers.retain(|(name, _)| *name != "host");
    headers.push(("authorization", authorization));
    headers
}

/// The header `Host`, as the client sends it: without the port of the scheme.
fn find_host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The parameters, sorted and each with a value.
fn canonical_query(url: &Url) -> String {
    let Some(query) = url.query() else { return String::new() };
    let with_value = |part: &str| if part.contains('=') { part.to_owned() } else { format!("{part}=") };
    let mut parts: Vec<String> = query.split('&').map(with_value).collect();
    parts.sort();
    parts.join("&")
}

fn sign_bytes(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the documentation of AWS.
    fn sign_example(method: &str, url: &str, body: &str, further: &[(&'static str, &str)]) -> String {
        let credentials = Credentials {
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        let url = Url::parse(&format!("https://examplebucket.s3.amazonaws.com{url}")).unwrap();
        let time = "2013-05-24T00:00:00Z".parse().unwrap();
        let request = SignedRequest { method, url: &url, body: body.as_bytes(), region: "us-east-1", time };
        let headers = sign_with_headers(&request, &credentials, further);
        let (_, authorization) = headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn the_examples_of_aws_have_their_signatures() {
        let read = sign_example("GET", "/test.txt", "", &[("range", "bytes=0-9")]);
        assert_eq!(read, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        let further = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        let written = sign_example("PUT", "/test%24file.text", "Welcome to Amazon S3.", &further);
        assert_eq!(written, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
        let configured = sign_example("GET", "/?lifecycle", "", &[]);
        assert_eq!(configured, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        let listed = sign_example("GET", "/?max-keys=2&prefix=J", "", &[]);
        assert_eq!(listed, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }
}
