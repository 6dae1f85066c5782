//! The URL of the description of each schema. The schemas are on pages by ranges of first letters. The ranges are fixed, so that the
//! URL of a schema stays the same when others are added.

/// Name of the page with the names of all schemas.
pub(super) const SCHEMAS: &str = "schemas";

/// First and last letter of each page.
pub(super) const RANGES: [(char, char); 8] =
    [('A', 'B'), ('C', 'C'), ('D', 'G'), ('H', 'M'), ('N', 'O'), ('P', 'R'), ('S', 'S'), ('T', 'Z')];

/// The range of a schema. Names begin with a capital letter; all others are in the last range.
pub(super) fn find_range(name: &str) -> (char, char) {
    let first = name.chars().next().unwrap_or('Z').to_ascii_uppercase();
    let found = RANGES.into_iter().find(|(start, end)| (*start..=*end).contains(&first));
    found.unwrap_or(RANGES[RANGES.len() - 1])
}

/// Name of the page of a range in its URL, such as `schemas-a-b`.
pub(super) fn name_page((start, end): (char, char)) -> String {
    let page = format!("{SCHEMAS}-{}", start.to_ascii_lowercase());
    if start == end { page } else { format!("{page}-{}", end.to_ascii_lowercase()) }
}

/// URL of the description of a schema.
pub(super) fn schema_url(name: &str) -> String {
    format!("/docs/api/{}#schema-{name}", name_page(find_range(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_one_page() {
        for letter in 'A'..='Z' {
            let pages = RANGES.iter().filter(|(start, end)| (*start..=*end).contains(&letter)).count();
            assert_eq!(pages, 1, "{letter}");
        }
        assert_eq!(schema_url("CreatedLink"), "/docs/api/schemas-c#schema-CreatedLink");
        assert_eq!(schema_url("Webhook"), "/docs/api/schemas-t-z#schema-Webhook");
        assert_eq!(schema_url("9"), "/docs/api/schemas-t-z#schema-9");
    }
}
