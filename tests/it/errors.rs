//! `docs/errors.md` against the program: every error code of the management API is listed with its status and message.

use std::path::Path;

use rollcall::web::api::list_error_codes;

/// Whether a code is one of the documented ones.
pub(crate) fn is_error_code(code: &str) -> bool {
    list_error_codes().iter().any(|(documented, ..)| *documented == code)
}

fn table() -> String {
    let mut rows = list_error_codes();
    rows.sort_unstable();
    let row = |(code, status, message): (&str, u16, &str)| format!("| `{code}` | {status} | {message} |\n");
    rows.into_iter().map(row).collect()
}

#[test]
fn every_error_code_is_documented() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).unwrap();
    let (table, mut written) = (table(), String::new());
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        written.push_str(line);
        written.push('\n');
    }
    assert_eq!(written, table, "write this table into docs/errors.md:\n{table}");
}
