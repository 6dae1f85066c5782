//! LZ4 blocks that refer to a dictionary.
//!
//! The dictionary is hashed once, and each block only refers to its table. So a body of one kibibyte takes a fifth of the
//! instructions that zstd takes, which builds tables for each block, and is 15 % longer.

#![expect(unsafe_code, reason = "LZ4 has C functions")]

use std::ffi::{c_char, c_int};
use std::ptr::NonNull;

use lz4_sys::{LZ4_compressBound, LZ4_createStream, LZ4_freeStream, LZ4StreamEncode};

// `lz4-sys` links these functions of LZ4 and does not declare them.
unsafe extern "C" {
    fn LZ4_loadDictSlow(stream: *mut LZ4StreamEncode, dictionary: *const c_char, bytes: c_int) -> c_int;
    fn LZ4_attach_dictionary(stream: *mut LZ4StreamEncode, dictionary: *const LZ4StreamEncode);
    fn LZ4_resetStream_fast(stream: *mut LZ4StreamEncode);
    fn LZ4_compress_fast_continue(
        stream: *mut LZ4StreamEncode,
        source: *const c_char,
        target: *mut c_char,
        source_bytes: c_int,
        target_bytes: c_int,
        acceleration: c_int,
    ) -> c_int;
    fn LZ4_decompress_safe_usingDict(
        source: *const c_char,
        target: *mut c_char,
        source_bytes: c_int,
        target_bytes: c_int,
        dictionary: *const c_char,
        dictionary_bytes: c_int,
    ) -> c_int;
}

/// The state that LZ4 keeps between the positions of one block.
struct Stream(NonNull<LZ4StreamEncode>);

impl Stream {
    /// Returns an empty state, or `None` without memory.
    fn new() -> Option<Self> {
        // SAFETY: the function has no preconditions.
        NonNull::new(unsafe { LZ4_createStream() }).map(Self)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: `LZ4_createStream` made it, and nothing refers to it any more.
        unsafe { LZ4_freeStream(self.0.as_ptr()) };
    }
}

/// Compresses independent blocks with one dictionary.
pub(super) struct Compressor {
    stream: Stream,
    dictionary: Stream,
}

impl Compressor {
    /// Returns a compressor, or `None` without memory. LZ4 uses at most the last 64 KiB of the dictionary.
    pub(super) fn new(dictionary: &'static [u8]) -> Option<Self> {
        let compressor = Self { stream: Stream::new()?, dictionary: Stream::new()? };
        let bytes = c_int::try_from(dictionary.len()).ok()?;
        // SAFETY: the text is valid for ever, as LZ4 needs it.
        unsafe { LZ4_loadDictSlow(compressor.dictionary.0.as_ptr(), dictionary.as_ptr().cast(), bytes) };
        Some(compressor)
    }

    /// Appends the block of the content to `target`. Returns whether it was possible; if not, `target` is unchanged.
    pub(super) fn append_block(&mut self, content: &[u8], target: &mut Vec<u8>) -> bool {
        let Ok(bytes) = c_int::try_from(content.len()) else { return false };
        // SAFETY: the function has no preconditions. It returns 0 for contents that are too large.
        let bound = unsafe { LZ4_compressBound(bytes) };
        let Some(room) = usize::try_from(bound).ok().filter(|room| *room > 0) else { return false };
        target.reserve(room);
        let stream = self.stream.0.as_ptr();
        // SAFETY: both states are valid, only this thread uses them, and the dictionary outlives the call. The content has
        // `bytes` bytes, and `target` has room for `bound` more.
        let written = unsafe {
            LZ4_resetStream_fast(stream);
            LZ4_attach_dictionary(stream, self.dictionary.0.as_ptr());
            let end = target.as_mut_ptr().add(target.len()).cast();
            LZ4_compress_fast_continue(stream, content.as_ptr().cast(), end, bytes, bound, 1)
        };
        let Some(written) = usize::try_from(written).ok().filter(|written| *written > 0) else { return false };
        // SAFETY: LZ4 wrote so many bytes after the length.
        unsafe { target.set_len(target.len() + written) };
        true
    }
}

/// Returns the content of a block, which has exactly `length` bytes, or `None` if the block is not valid.
pub(super) fn decompress(block: &[u8], length: usize, dictionary: &[u8]) -> Option<Vec<u8>> {
    let mut content = vec![0; length];
    // SAFETY: LZ4 reads only the block and the dictionary and writes only the content, also for a damaged block.
    let read = unsafe {
        LZ4_decompress_safe_usingDict(
            block.as_ptr().cast(),
            content.as_mut_ptr().cast(),
            c_int::try_from(block.len()).ok()?,
            c_int::try_from(length).ok()?,
            dictionary.as_ptr().cast(),
            c_int::try_from(dictionary.len()).ok()?,
        )
    };
    (usize::try_from(read) == Ok(length)).then_some(content)
}
