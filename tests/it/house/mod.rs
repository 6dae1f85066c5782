//! House rules, checked on the source: layers, the way to the tables, names, language, sizes.

mod layers;
mod names;
mod sizes;
mod source;
mod texts;

/// Fails with the list, one line each, if there is anything in it.
fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// `["web", "scim", "users"]` for `src/web/scim/users.rs`; a file directly in `src` is its own module.
fn module_path(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.strip_suffix(".rs").unwrap_or(inside).split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
}
