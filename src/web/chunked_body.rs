//! Bodies of responses in chunks, so that a large body is in memory once, and less of it with each chunk that is sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

/// Size from which a chunk is complete, and largest slice that is sent at once.
const CHUNK_BYTES: usize = 32 * 1024;
/// Room after a chunk for its last part, so that the chunk is seldom copied to larger memory.
const LAST_PART_BYTES: usize = 4 * 1024;

/// A complete body. A chunk that is passed to actix is copied, so large chunks are sent in slices.
#[derive(Default)]
pub(in crate::web) struct BodyChunks {
    complete: VecDeque<Bytes>,
    last: Vec<u8>,
    /// Bytes in the complete chunks.
    length: u64,
}

/// A position in a body.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct BodyPosition {
    complete: usize,
    last: usize,
}

impl BodyChunks {
    /// Returns the buffer to which the body continues. The caller appends about a chunk to it.
    pub(in crate::web) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.last.len() >= CHUNK_BYTES {
            self.complete_last();
            self.reserve_chunk();
        }
        &mut self.last
    }

    /// Makes the last chunk large, because more follows.
    pub(in crate::web) fn reserve_chunk(&mut self) {
        let rest = (CHUNK_BYTES + LAST_PART_BYTES).saturating_sub(self.last.len());
        self.last.reserve(rest);
    }

    /// Creates an empty body for about this number of bytes.
    pub(in crate::web) fn with_capacity(bytes: usize) -> Self {
        Self::from(Vec::with_capacity(bytes.min(CHUNK_BYTES)))
    }

    /// Appends another body. A small one is copied, so that there are few chunks.
    pub(in crate::web) fn append(&mut self, mut other: Self) {
        if other.complete.is_empty() && other.last.len() < CHUNK_BYTES {
            self.buffer().extend_from_slice(&other.last);
            return;
        }
        self.complete_last();
        self.length += other.length;
        self.complete.append(&mut other.complete);
        self.last = other.last;
    }

    /// The present end of the body, for [`Self::truncate`].
    pub(in crate::web) fn position(&self) -> BodyPosition {
        BodyPosition { complete: self.complete.len(), last: self.last.len() }
    }

    /// Removes what was appended after a position.
    pub(in crate::web) fn truncate(&mut self, end: BodyPosition) {
        if end.complete < self.complete.len() {
            // The chunk that was the last one then.
            let chunk = self.complete[end.complete].slice(..end.last);
            self.complete.truncate(end.complete);
            self.last = chunk.into();
            self.length = self.complete.iter().map(|chunk| chunk.len() as u64).sum();
        }
        self.last.truncate(end.last);
    }

    fn complete_last(&mut self) {
        self.length += self.last.len() as u64;
        if !self.last.is_empty() {
            self.complete.push_back(std::mem::take(&mut self.last).into());
        }
    }

    /// Returns the length of the body.
    pub(in crate::web) fn length(&self) -> u64 {
        self.length + self.last.len() as u64
    }

    /// Returns at most `max` bytes of the start of the body.
    pub(in crate::web) fn start(&self, max: usize) -> Vec<u8> {
        let mut start = Vec::with_capacity(max.min(usize::try_from(self.length()).unwrap_or(max)));
        for chunk in self.complete.iter().map(|chunk| &chunk[..]).chain([&self.last[..]]) {
            let rest = max - start.len();
            start.extend_from_slice(&chunk[..chunk.len().min(rest)]);
        }
        start
    }
}

impl From<Vec<u8>> for BodyChunks {
    fn from(bytes: Vec<u8>) -> Self {
        Self { last: bytes, ..Self::default() }
    }
}

impl From<Bytes> for BodyChunks {
    fn from(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            complete: [bytes].into_iter().filter(|bytes| !bytes.is_empty()).collect(),
            last: Vec::new(),
        }
    }
}

impl MessageBody for BodyChunks {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length())
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let body = self.get_mut();
        body.complete_last();
        let Some(first) = body.complete.front_mut() else { return Poll::Ready(None) };
        let slice = first.split_to(first.len().min(CHUNK_BYTES));
        if first.is_empty() {
            body.complete.pop_front();
        }
        body.length -= slice.len() as u64;
        Poll::Ready(Some(Ok(slice)))
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        match (self.complete.len(), self.last.len()) {
            (0, ..=CHUNK_BYTES) => Ok(self.last.into()),
            (1, 0) if self.length <= CHUNK_BYTES as u64 => Ok(self.complete[0].clone()),
            _ => Err(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_sent_in_order_in_slices_of_limited_size() {
        let mut body = BodyChunks::default();
        let mut expected = Vec::new();
        for length in [10, 40_000, 7, 200_000, 20_000, 20_000, 1] {
            let part: Vec<u8> = (0..length).map(|at: usize| u8::try_from(at % 251).unwrap()).collect();
            expected.extend_from_slice(&part);
            body.append(part.into());
        }
        assert_eq!(body.length(), expected.len() as u64);
        assert_eq!(body.start(40_100), expected[..40_100]);
        let mut sent = Vec::new();
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(Ok(slice))) = Pin::new(&mut body).poll_next(&mut context) {
            assert!(slice.len() <= CHUNK_BYTES && !slice.is_empty());
            sent.extend_from_slice(&slice);
        }
        assert!(sent == expected && body.length() == 0);
    }

    #[test]
    fn a_truncated_body_ends_at_the_position() {
        for before in [0, 5, 40_000] {
            for more in [&[3][..], &[50_000], &[40_000, 40_000, 10]] {
                let mut body = BodyChunks::from(vec![b'a'; before]);
                let end = body.position();
                for length in more {
                    body.buffer().extend(vec![b'b'; *length]);
                }
                body.truncate(end);
                body.buffer().push(b'c');
                assert_eq!(body.length(), before as u64 + 1, "{before} and {more:?}");
                assert_eq!(body.start(usize::MAX), [vec![b'a'; before], vec![b'c']].concat());
            }
        }
    }

    #[test]
    fn a_shared_document_is_one_chunk() {
        for length in [0, 10, 40_000] {
            let bytes = Bytes::from(vec![b'a'; length]);
            let body = BodyChunks::from(bytes.clone());
            assert_eq!((body.length(), body.start(usize::MAX)), (length as u64, bytes.to_vec()));
        }
    }
}
