//! Texts that are compressed in the program: documents, the change log, conversations of simulated providers.
//!
//! `build.rs` compresses the files (DEFLATE, RFC 1951) and names them in `TEXT_PATTERNS`. A text is decompressed where it is
//! read, and not stored: an idle server needs no memory for it.

use std::io::{self, Read as _};

use flate2::read::DeflateDecoder;

/// A text of the program, compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressedText {
    /// Path of the file in the repository.
    path: &'static str,
    deflated: &'static [u8],
}

impl CompressedText {
    /// Creates a text from the output of `build.rs`; use the macro `compressed_text`.
    pub const fn new(path: &'static str, deflated: &'static [u8]) -> Self {
        Self { path, deflated }
    }

    /// Returns the text.
    ///
    /// # Errors
    /// The data in the program is damaged.
    pub fn read(&self) -> io::Result<String> {
        let mut text = String::with_capacity(self.deflated.len().saturating_mul(3));
        let read = DeflateDecoder::new(self.deflated).read_to_string(&mut text);
        read.map_err(|problem| io::Error::other(format!("{} in the program is damaged: {problem}", self.path)))?;
        Ok(text)
    }
}

/// The text of a file that `build.rs` has compressed. The path is relative to the root of the repository.
macro_rules! compressed_text {
    ($path:literal) => {
        $crate::compressed_text::CompressedText::new(
            $path,
            include_bytes!(concat!(env!("OUT_DIR"), "/texts/", $path, ".deflate")),
        )
    };
}
pub(crate) use compressed_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_that_of_its_file() {
        let text = compressed_text!("CHANGELOG.md");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md");
        assert_eq!(text.read().unwrap(), std::fs::read_to_string(path).unwrap());
        assert!(text.deflated.len() * 2 < text.read().unwrap().len());
    }

    #[test]
    fn damaged_data_is_an_error_with_the_path() {
        let whole = compressed_text!("CHANGELOG.md");
        let cut = CompressedText::new("a.md", &whole.deflated[..whole.deflated.len() / 2]);
        let problem = cut.read().unwrap_err().to_string();
        assert!(problem.starts_with("a.md in the program is damaged: "), "{problem}");
    }
}
