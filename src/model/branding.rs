//! The branding of the pages that a customer sees: how the operator's product is named and looks, and who helps.

use serde::Serialize;
use url::Url;

use crate::named_enum::named_enum;

/// Maximum length of a product name in characters.
pub const PRODUCT_NAME_MAX_CHARS: usize = 60;
/// Maximum size of a logo in bytes.
pub const LOGO_MAX_BYTES: usize = 100 * 1024;
/// Maximum length of an address in characters.
const ADDRESS_MAX_CHARS: usize = 500;
/// Largest width and height of a PNG in pixels.
const LOGO_MAX_PIXELS: u32 = 4_096;
/// Smallest contrast of white text on the accent color (WCAG 2.2, 1.4.3).
const CONTRAST_MIN: f64 = 4.5;

/// The branding, without the logo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Branding {
    /// Name of the operator's product; empty if none is set.
    pub product_name: String,
    /// Accent color, such as `#0b7a75`.
    pub accent: Option<String>,
    /// E-mail address or https URL where the customer gets help.
    pub support: Option<String>,
    /// https URL to which the customer returns after the setup.
    pub return_url: Option<String>,
}

/// An invalid value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrandingProblem {
    /// JSON name of the field.
    pub field: &'static str,
    /// The problem and the fix, as a sentence.
    pub sentence: &'static str,
}

impl Branding {
    /// Removes spaces around the values; an empty optional value becomes `None`.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let trim = |value: &Option<String>| {
            value.as_deref().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        Self {
            product_name: self.product_name.trim().to_owned(),
            accent: trim(&self.accent).map(|accent| accent.to_ascii_lowercase()),
            support: trim(&self.support),
            return_url: trim(&self.return_url),
        }
    }

    /// The problems of the values, at most one for each field.
    pub fn find_problems(&self) -> Vec<BrandingProblem> {
        let mut problems = Vec::new();
        let mut note = |is_wrong: bool, field, sentence| {
            if is_wrong {
                problems.push(BrandingProblem { field, sentence });
            }
        };
        let name = &self.product_name;
        let is_long = name.chars().count() > PRODUCT_NAME_MAX_CHARS || name.chars().any(char::is_control);
        note(is_long, "productName", "Use at most 60 characters, on one line.");
        match self.accent.as_deref().map(parse_color) {
            Some(None) => note(true, "accent", "Write the color as #rrggbb, such as #0b7a75."),
            Some(Some(color)) => note(
                contrast_to_white(color) < CONTRAST_MIN,
                "accent",
                "Choose a darker color: white text on it needs a contrast of at least 4.5 to 1.",
            ),
            None => {}
        }
        let is_support = |text: &str| is_email_address(text) || is_https_url(text);
        note(
            self.support.as_deref().is_some_and(|text| !is_support(text)),
            "support",
            "Enter an e-mail address, or a URL that begins with https://, without a password, of at most 500 characters.",
        );
        note(
            self.return_url.as_deref().is_some_and(|text| !is_https_url(text)),
            "returnUrl",
            "Enter a URL that begins with https://, without a password, of at most 500 characters.",
        );
        problems
    }

    /// URL of the support: `mailto:` for an e-mail address.
    pub fn support_url(&self) -> Option<String> {
        let support = self.support.as_deref()?;
        Some(if is_email_address(support) { format!("mailto:{support}") } else { support.to_owned() })
    }
}

/// Returns the red, green and blue part of `#rrggbb`.
fn parse_color(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hexadecimal.then_some([part(0)?, part(2)?, part(4)?])
}

/// The contrast of white text on a color (WCAG 2.2, relative luminance).
fn contrast_to_white(color: [u8; 3]) -> f64 {
    let [red, green, blue] = color.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
}

fn is_email_address(text: &str) -> bool {
    let is_plain =
        text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?&%\"<>,:;\\".contains(&byte));
    let parts: Vec<&str> = text.split('@').collect();
    is_plain && parts.len() == 2 && !parts[0].is_empty() && parts[1].contains('.') && !parts[1].ends_with('.')
}

fn is_https_url(text: &str) -> bool {
    let is_short = text.chars().count() <= ADDRESS_MAX_CHARS && !text.chars().any(char::is_whitespace);
    // `https:host` is a complete URL for a parser, and relative for the browser on a page with https.
    let is_complete = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    let is_plain = |url: &Url| url.has_host() && url.username().is_empty() && url.password().is_none();
    is_short && is_complete && Url::parse(text).is_ok_and(|url| is_plain(&url))
}

named_enum! {
    /// The format of a logo
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum LogoFormat {
        /// PNG
        Png = "image/png",
        /// JPEG
        Jpeg = "image/jpeg",
        /// WebP
        Webp = "image/webp",
        /// SVG
        Svg = "image/svg+xml",
    }
}

impl LogoFormat {
    /// Returns the format of an image, by its content; `None` if it is of another one.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            return Some(Self::Jpeg);
        }
        if is_webp {
            return Some(Self::Webp);
        }
        let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
        let begins = text.starts_with("<svg") || text.starts_with("<?xml") || text.starts_with("<!");
        (begins && is_svg_document(text)).then_some(Self::Svg)
    }
}

/// Whether a text has the tag of an SVG document, and its end.
fn is_svg_document(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("<svg") else { return false };
    let is_tag = rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/');
    is_tag && (rest.contains("</svg>") || rest.trim_end().ends_with("/>"))
}

/// Returns width and height of a PNG that begins with its header and has an end (PNG 1.2, section 4.1).
fn read_png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let is_complete = bytes.get(12..16) == Some(b"IHDR") && bytes.windows(4).any(|chunk| chunk == b"IDAT");
    let has_end = bytes.windows(4).any(|chunk| chunk == b"IEND");
    if is_complete && has_end { Some((number(16)?, number(20)?)) } else { None }
}

/// A logo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// The format.
    pub format: LogoFormat,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Logo {
    /// Accepts the content of a file.
    ///
    /// # Errors
    /// The problem: the size or the format.
    pub fn from_file(bytes: Vec<u8>) -> Result<Self, BrandingProblem> {
        let problem = |sentence| BrandingProblem { field: "logo", sentence };
        if bytes.len() > LOGO_MAX_BYTES {
            return Err(problem("The file must have at most 100 KiB."));
        }
        let fits = |side: u32| (1..=LOGO_MAX_PIXELS).contains(&side);
        match LogoFormat::detect(&bytes) {
            Some(LogoFormat::Png)
                if !read_png_size(&bytes).is_some_and(|(width, height)| fits(width) && fits(height)) =>
            {
                Err(problem("The PNG file is not complete, or has more than 4,096 pixels in width or height."))
            }
            Some(format) => Ok(Self { format, bytes }),
            None => Err(problem("Use a PNG, JPEG, WebP or SVG file.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(branding: &Branding) -> Vec<&'static str> {
        branding.normalized().find_problems().iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn values_of_a_branding_are_checked() {
        let text = |value: &str| Some(value.to_owned());
        assert_eq!(problems_of(&Branding::default()), [""; 0]);
        let good = Branding {
            product_name: " Northlight ".to_owned(),
            accent: text("#0B7A75"),
            support: text("help@northlight.example"),
            return_url: text("https://app.northlight.example/settings"),
        };
        assert_eq!(problems_of(&good), [""; 0]);
        assert_eq!(good.normalized().accent.as_deref(), Some("#0b7a75"));
        assert_eq!(good.support_url().as_deref(), Some("mailto:help@northlight.example"));
        let wrong = Branding {
            product_name: "x".repeat(61),
            accent: text("#ffcc00"),
            support: text("javascript:alert(1)"),
            return_url: text("http://app.example"),
        };
        assert_eq!(problems_of(&wrong), ["productName", "accent", "support", "returnUrl"]);
        for accent in ["0b7a75", "#0b7a7", "#0b7a7g", "#+b7a75", "red", "#0b7a75;}", "#é234"] {
            assert_eq!(problems_of(&Branding { accent: text(accent), ..Branding::default() }), ["accent"], "{accent}");
        }
        for url in
            ["https:app.example", "https:/app.example", "https://user:pw@app.example", "https://user@app.example"]
        {
            assert_eq!(problems_of(&Branding { return_url: text(url), ..Branding::default() }), ["returnUrl"], "{url}");
        }
        for support in ["a@b", "@b.example", "a b@c.example", "a@b.example?cc=x@y.example", "https://", "//b.example"] {
            assert_eq!(
                problems_of(&Branding { support: text(support), ..Branding::default() }),
                ["support"],
                "{support}"
            );
        }
    }

    #[test]
    fn the_contrast_is_that_of_wcag() {
        assert!((contrast_to_white([0, 0, 0]) - 21.0).abs() < 0.01);
        assert!((contrast_to_white([255, 255, 255]) - 1.0).abs() < 0.01);
        assert!((contrast_to_white([0x76, 0x76, 0x76]) - 4.54).abs() < 0.01);
    }

    #[test]
    fn a_logo_is_recognized_by_its_content() {
        for (bytes, format) in [
            (&b"\x89PNG\r\n\x1a\nx"[..], Some(LogoFormat::Png)),
            (b"\xff\xd8\xff\xe0", Some(LogoFormat::Jpeg)),
            (b"RIFF0000WEBPVP8 ", Some(LogoFormat::Webp)),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", Some(LogoFormat::Svg)),
            (b"<?xml version=\"1.0\"?>\n<svg/>", Some(LogoFormat::Svg)),
            (b"<svg", None),
            (b"<svgfoo/>", None),
            (b"<svg><p>", None),
            (b"<!doctype html><p>", None),
            (b"<html><svg/></html>", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(LogoFormat::detect(bytes), format, "{bytes:?}");
        }
        assert_eq!(Logo::from_file(vec![0; LOGO_MAX_BYTES + 1]).unwrap_err().field, "logo");
    }

    #[test]
    fn a_png_needs_its_parts_and_a_usable_size() {
        let png = |width: u32, height: u32, rest: &[u8]| {
            let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
            Logo::from_file([&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &*size, rest].concat()).is_ok()
        };
        assert!(png(32, 4_096, b"IDATxIENDx"));
        assert!(!png(0, 32, b"IDATxIENDx") && !png(60_000, 60_000, b"IDATxIENDx") && !png(32, 32, b""));
    }
}
