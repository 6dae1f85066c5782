//! What the lists of the portal have in common: the size of a page, search texts, positions in URLs, and the links between pages.

use crate::web::portal::forms::encode_query;

/// Rows on a page.
pub(super) const PER_PAGE: usize = 50;
/// Longest search text, in characters.
const TEXT_MAX_CHARS: usize = 200;

/// The text of a search field.
pub(super) fn trim_search_text(text: &str) -> String {
    text.trim().chars().take(TEXT_MAX_CHARS).collect()
}

/// Splits the `after` parameter of a list into a number and the rest, such as a row number and an id. `None` if it has no such form:
/// the list then starts at its beginning.
pub(super) fn split_position(after: &str) -> Option<(i64, &str)> {
    let (number, rest) = after.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// Builds the URL of a list with the parameters that are not empty.
pub(super) fn build_list_url(path: &str, parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode_query(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// The links below a list that is read in one direction.
pub(super) struct PageLinks {
    /// URL of the first page, on all others.
    pub(super) first: Option<String>,
    /// URL of the next page, unless this is the last one.
    pub(super) next: Option<String>,
}

impl PageLinks {
    /// Links of a list whose URL `build_url` returns for a position. `after` is that of this page, empty on the first one.
    pub(super) fn new(build_url: impl Fn(&str) -> String, after: &str, next: Option<&str>) -> Self {
        Self { first: (!after.is_empty()).then(|| build_url("")), next: next.map(build_url) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_number_and_a_text() {
        assert_eq!(split_position("7.ada.l@example.com"), Some((7, "ada.l@example.com")));
        assert_eq!(split_position("-7."), Some((-7, "")));
        for invalid in ["", "7", "x.y", ".", "99999999999999999999.a"] {
            assert_eq!(split_position(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_url_has_the_parameters_that_are_given() {
        assert_eq!(build_list_url("/users", &[("q", ""), ("sort", "")]), "/users");
        assert_eq!(
            build_list_url("/users", &[("q", "a&b"), ("sort", ""), ("after", "7.a@b")]),
            "/users?q=a%26b&after=7.a%40b"
        );
    }
}
