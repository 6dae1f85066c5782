//! A small client of S3: reads one object, and writes it under a condition. Blocks the calling thread, which must not be one that
//! serves requests.

mod signature;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::replica::object_store::signature::{Credentials, SignedRequest, sign_request};
use crate::settings::ReplicaLocation;

/// How long one request may take.
pub const REQUEST_MAX: Duration = Duration::from_secs(3);
/// Largest object that is read, in bytes.
const OBJECT_MAX_BYTES: usize = 256 * 1024;
/// Region if none is named.
const DEFAULT_REGION: &str = "us-east-1";
/// Difference of the clocks in seconds from which requests are signed with the time of the storage, which accepts 15 minutes.
const SKEW_MIN: i64 = 60;

/// Why a request had no success.
#[derive(Debug, thiserror::Error)]
pub enum ObjectStoreError {
    /// The storage did not answer in time, or not at all.
    #[error("the object storage does not answer: {0}")]
    Unreachable(String),
    /// The storage answered with another status.
    #[error("the object storage answers with status {status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Code of the error, or the start of the answer.
        detail: String,
    },
    /// The condition of a write does not hold: nothing was written.
    #[error("the object was changed by another writer")]
    ConditionFailed,
    /// The answer lacks something.
    #[error("the answer of the object storage cannot be used: {0}")]
    Unreadable(&'static str),
}

/// The condition of a write.
#[derive(Debug, Clone, Copy)]
pub enum Condition<'a> {
    /// There is no object yet.
    Absent,
    /// The object still has this tag.
    Unchanged(&'a str),
}

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its content.
    pub body: Vec<u8>,
    /// Its tag (`ETag`).
    pub tag: String,
    /// How long ago it was written, by the clock of the storage; zero if the storage does not say so.
    pub age: Duration,
}

/// A folder in a bucket.
pub struct ObjectStore {
    /// URL of the folder, with a slash at its end.
    base: Url,
    region: String,
    credentials: Credentials,
    client: Client,
    runtime: Runtime,
    /// Time of the storage minus that of this machine, in seconds, if they differ much.
    skew: AtomicI64,
}

impl fmt::Debug for ObjectStore {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("ObjectStore").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl ObjectStore {
    /// Opens the folder of a replica.
    ///
    /// # Errors
    /// A sentence: the replica is not in an object storage, its endpoint is not a URL, or no credentials are set.
    pub fn open(location: &ReplicaLocation) -> Result<Self, String> {
        let (base, region) = parse_location(&location.url)?;
        let (key_id, secret) = match &location.access_key {
            Some((id, Some(secret))) => (id.clone(), secret.clone()),
            Some((id, None)) => (id.clone(), read_variable("AWS_SECRET_ACCESS_KEY")?),
            None => (read_variable("AWS_ACCESS_KEY_ID")?, read_variable("AWS_SECRET_ACCESS_KEY")?),
        };
        // A session belongs to the key of the variables.
        let token = location.access_key.is_none().then(|| std::env::var("AWS_SESSION_TOKEN").ok()).flatten();
        let failed =
            |problem: &dyn fmt::Display| format!("the client of the object storage cannot be started: {problem}");
        let client = Client::builder().timeout(REQUEST_MAX).redirect(redirect::Policy::none()).build();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|problem| failed(&problem))?;
        Ok(Self {
            base,
            region,
            credentials: Credentials { key_id, secret, token },
            client: client.map_err(|problem| failed(&problem))?,
            runtime,
            skew: AtomicI64::new(0),
        })
    }

    /// Reads an object of the folder. `None` if there is none.
    ///
    /// # Errors
    /// The storage does not answer or refuses.
    pub fn read_object(&self, name: &str) -> Result<Option<StoredObject>, ObjectStoreError> {
        self.runtime.block_on(async {
            let response = self.send(Method::GET, name, Vec::new(), HeaderMap::new()).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return check_bucket(response).await.map(|()| None),
                _ => return Err(describe_refusal(response).await),
            }
            let tag = read_header(response.headers(), ETAG.as_str()).ok_or(ObjectStoreError::Unreadable("no ETag"))?;
            let age = read_age(response.headers());
            let body = read_body(response).await?;
            Ok(Some(StoredObject { body, tag, age }))
        })
    }

    /// Writes an object of the folder, if the condition holds. Returns its tag.
    ///
    /// # Errors
    /// `ConditionFailed` if it does not. After another error it is not known whether the object was written.
    pub fn write_object(
        &self,
        name: &str,
        body: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<String, ObjectStoreError> {
        let mut headers = HeaderMap::new();
        let (header, value) = match condition {
            Condition::Absent => (IF_NONE_MATCH, "*"),
            Condition::Unchanged(tag) => (IF_MATCH, tag),
        };
        headers.insert(header, value.parse().map_err(|_| ObjectStoreError::Unreadable("its ETag is not valid"))?);
        self.runtime.block_on(async {
            let response = self.send(Method::PUT, name, body, headers).await?;
            match response.status() {
                StatusCode::OK => {}
                // 409: another writer is at it.
                StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => {
                    return Err(ObjectStoreError::ConditionFailed);
                }
                // The object to replace does not exist.
                StatusCode::NOT_FOUND => {
                    check_bucket(response).await?;
                    return Err(ObjectStoreError::ConditionFailed);
                }
                _ => return Err(describe_refusal(response).await),
            }
            read_header(response.headers(), ETAG.as_str()).ok_or(ObjectStoreError::Unreadable("no ETag"))
        })
    }

    async fn send(
        &self,
        method: Method,
        name: &str,
        body: Vec<u8>,
        mut headers: HeaderMap,
    ) -> Result<Response, ObjectStoreError> {
        let url = self.base.join(name).map_err(|_| ObjectStoreError::Unreadable("its URL is not valid"))?;
        let now = read_system_seconds() + self.skew.load(Ordering::Relaxed);
        let time = Timestamp::from_second(now).map_err(|_| ObjectStoreError::Unreadable("the clock is not valid"))?;
        let request = SignedRequest { method: method.as_str(), url: &url, body: &body, region: &self.region, time };
        for (key, value) in sign_request(&request, &self.credentials) {
            headers.insert(key, value.parse().map_err(|_| ObjectStoreError::Unreadable("a credential is not valid"))?);
        }
        let sent = self.client.request(method, url).headers(headers).body(body).send().await;
        let response = sent.map_err(|problem| ObjectStoreError::Unreachable(describe_failure(&problem)))?;
        self.follow_clock(response.headers());
        Ok(response)
    }

    /// Signs the next requests with the time of the storage, if the clock of this machine is wrong.
    fn follow_clock(&self, headers: &HeaderMap) {
        let Some(theirs) = read_time(headers, DATE.as_str()) else { return };
        let skew = theirs - read_system_seconds();
        self.skew.store(if skew.abs() < SKEW_MIN { 0 } else { skew }, Ordering::Relaxed);
    }
}

/// Returns the URL of the folder, and the region.
fn parse_location(text: &str) -> Result<(Url, String), String> {
    let url = Url::parse(text).map_err(|problem| format!("the URL of the replica is not valid: {problem}"))?;
    if url.scheme() != "s3" {
        return Err("a lease needs a replica in an object storage (s3://); other storages have no conditional writes"
            .to_owned());
    }
    let find = |key: &str| url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
    let region =
        find("region").or_else(|| std::env::var("AWS_REGION").ok()).unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let (bucket, path) = (url.host_str().unwrap_or_default(), url.path().trim_matches('/'));
    let base = match find("endpoint") {
        Some(endpoint) if endpoint.contains("://") => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
        Some(endpoint) => format!("https://{}/{bucket}", endpoint.trim_end_matches('/')),
        // A bucket with a dot has no certificate of its own.
        None if bucket.contains('.') => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
    };
    let folder = if path.is_empty() { format!("{base}/") } else { format!("{base}/{path}/") };
    let base = Url::parse(&folder).map_err(|problem| format!("the endpoint of the replica is not valid: {problem}"))?;
    Ok((base, region))
}

fn read_variable(name: &str) -> Result<String, String> {
    let missing = || {
        format!(
            "a lease needs credentials of the object storage: set replica_access_key_id and replica_secret_access_key, or {name}"
        )
    };
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(missing)
}

fn read_system_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn read_header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A time in seconds since 1970.
fn read_time(headers: &HeaderMap, name: &str) -> Option<i64> {
    rfc2822::parse(&read_header(headers, name)?).ok().map(|time| time.timestamp().as_second())
}

/// How old the object is by the clock of the storage.
fn read_age(headers: &HeaderMap) -> Duration {
    let times = (read_time(headers, DATE.as_str()), read_time(headers, LAST_MODIFIED.as_str()));
    let (Some(now), Some(written)) = times else { return Duration::ZERO };
    Duration::from_secs(u64::try_from(now - written).unwrap_or_default())
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, ObjectStoreError> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|problem| ObjectStoreError::Unreachable(describe_failure(&problem)))?;
        let Some(chunk) = chunk else { return Ok(body) };
        body.extend_from_slice(&chunk);
        if body.len() > OBJECT_MAX_BYTES {
            return Err(ObjectStoreError::Unreadable("it is too large"));
        }
    }
}

/// Returns an error if an answer with status 404 says that the bucket does not exist, and not only the object.
async fn check_bucket(response: Response) -> Result<(), ObjectStoreError> {
    match describe_refusal(response).await {
        refusal @ ObjectStoreError::Refused { .. } if refusal.to_string().contains("NoSuchBucket") => Err(refusal),
        _ => Ok(()),
    }
}

async fn describe_refusal(response: Response) -> ObjectStoreError {
    let status = response.status().as_u16();
    let body = read_body(response).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let code =
        text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code.to_owned());
    ObjectStoreError::Refused { status, detail: code.unwrap_or_else(|| text.chars().take(200).collect()) }
}

/// The innermost cause: the outer ones have the URL.
fn describe_failure(problem: &reqwest::Error) -> String {
    if problem.is_timeout() {
        return format!("no answer within {} s", REQUEST_MAX.as_secs());
    }
    crate::outgoing::describe_failure(problem)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn urls_of_the_folder_follow_the_endpoint_and_the_region() {
        for (given, expected) in [
            ("s3://bucket/a/b?region=eu-central-1", "https://bucket.s3.eu-central-1.amazonaws.com/a/b/"),
            ("s3://my.bucket/a/?region=eu-west-1", "https://s3.eu-west-1.amazonaws.com/my.bucket/a/"),
            ("s3://bucket/a?endpoint=http://127.0.0.1:9000&region=x", "http://127.0.0.1:9000/bucket/a/"),
            ("s3://bucket?endpoint=minio.example.com&region=x", "https://minio.example.com/bucket/"),
        ] {
            assert_eq!(parse_location(given).unwrap().0.as_str(), expected, "{given}");
        }
        assert!(parse_location("file:///srv/replica").unwrap_err().contains("s3://"));
    }

    #[test]
    fn the_age_of_an_object_is_that_of_the_clock_of_the_storage() {
        let mut headers = HeaderMap::new();
        assert_eq!(read_age(&headers), Duration::ZERO);
        headers.insert(DATE, "Mon, 30 Nov 2026 10:00:15 GMT".parse().unwrap());
        headers.insert(LAST_MODIFIED, "Mon, 30 Nov 2026 10:00:00 GMT".parse().unwrap());
        assert_eq!(read_age(&headers), Duration::from_secs(15));
        headers.insert(LAST_MODIFIED, "Mon, 30 Nov 2026 11:00:00 GMT".parse().unwrap());
        assert_eq!(read_age(&headers), Duration::ZERO);
    }

    #[test]
    fn an_absent_bucket_is_not_an_absent_object() {
        for (code, is_absent) in [("NoSuchKey", true), ("NoSuchBucket", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("s3://bucket/r?endpoint=http://{}&region=us-east-1", listener.local_addr().unwrap());
            let server = thread::spawn(move || {
                for stream in listener.incoming().take(2) {
                    let mut stream = stream.unwrap();
                    let _ = stream.read(&mut [0; 4096]).unwrap();
                    let body = format!("<Error><Code>{code}</Code></Error>");
                    let head = format!(
                        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.write_all((head + &body).as_bytes()).unwrap();
                }
            });
            let access_key = Some(("id".to_owned(), Some("secret".to_owned())));
            let location = ReplicaLocation { url, access_key, sftp_key: None, lease: true, program: None };
            let store = ObjectStore::open(&location).unwrap();
            let (read, written) = (store.read_object("x"), store.write_object("x", Vec::new(), Condition::Absent));
            server.join().unwrap();
            assert_eq!(matches!(read, Ok(None)), is_absent, "{code}");
            assert_eq!(matches!(written, Err(ObjectStoreError::ConditionFailed)), is_absent, "{code}");
        }
    }
}
