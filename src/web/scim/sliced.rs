//! Bodies that are handed on a slice at a time: handed on whole, a large one would be held twice until it is read.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

/// Longest slice; what is not longer goes as it is.
const SLICE_BYTES: usize = 32 * 1024;

/// A body that is at hand as a whole.
pub(super) struct Sliced {
    rest: Bytes,
    length: u64,
}

impl From<Vec<u8>> for Sliced {
    fn from(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len() as u64, rest: bytes.into() }
    }
}

impl MessageBody for Sliced {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().rest;
        let end = rest.len().min(SLICE_BYTES);
        Poll::Ready((end > 0).then(|| Ok(rest.split_to(end))))
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        if self.rest.len() > SLICE_BYTES { Err(self) } else { Ok(self.rest) }
    }
}
