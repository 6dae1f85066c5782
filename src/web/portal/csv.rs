//! Files of comma-separated values (RFC 4180) that spreadsheets open.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;

/// Returns the response that downloads a file.
pub(super) fn attach(name: &str, text: String) -> HttpResponse {
    let disposition = format!("attachment; filename=\"{name}\"");
    let mut response = HttpResponse::Ok();
    response.content_type("text/csv; charset=utf-8").insert_header((CONTENT_DISPOSITION, disposition)).body(text)
}

/// Returns the line with the names of the columns.
pub(super) fn build_header(columns: &[&str]) -> String {
    columns.join(",") + "\r\n"
}

/// Returns a line with these values.
pub(super) fn build_row(values: &[String]) -> String {
    values.iter().map(|value| csv_cell(value)).collect::<Vec<_>>().join(",") + "\r\n"
}

/// First characters of a formula in a spreadsheet.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Quotes a CSV cell. Text that begins like a formula gets a leading apostrophe, so that a spreadsheet does not
/// evaluate it.
fn csv_cell(text: &str) -> String {
    // Spreadsheets skip spaces at the start, and read the fullwidth forms as well.
    let begin = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let is_formula = text.starts_with(['\t', '\r', '\n']) || begin.starts_with(FORMULA_STARTS);
    let text = text.replace('"', "\"\"");
    if is_formula { format!("\"'{text}\"") } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_or_ends_early() {
        for (text, written) in [
            ("plain", "\"plain\""),
            ("", "\"\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            (" =1", "\"' =1\""),
            ("\u{a0}@x", "\"'\u{a0}@x\""),
            ("＝1", "\"'＝1\""),
            (" plain", "\" plain\""),
            ("say \"hi\", then\r\nleave", "\"say \"\"hi\"\", then\r\nleave\""),
        ] {
            assert_eq!(csv_cell(text), written);
        }
    }
}
