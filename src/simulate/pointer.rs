//! JSON Pointer with two additions: keys are case-insensitive, and `[key=value]` selects an element of an array.

use serde_json::Value;

/// The value at the pointer, if it exists.
pub(super) fn pick_value<'v>(document: &'v Value, pointer: &str) -> Option<&'v Value> {
    if pointer.is_empty() || pointer == "/" {
        return Some(document);
    }
    let path = pointer.strip_prefix('/')?;
    split_segments(path).into_iter().try_fold(document, |here, segment| step_into(here, &segment))
}

/// The segments between slashes; a slash inside brackets belongs to its segment.
fn split_segments(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if c == '/' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn step_into<'v>(here: &'v Value, segment: &str) -> Option<&'v Value> {
    let selector = segment.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).and_then(|s| s.split_once('='));
    if let Some((key, expected)) = selector {
        return here.as_array()?.iter().find(|item| item.get(key).is_some_and(|value| reads_as(value, expected)));
    }
    let name = segment.replace("~1", "/").replace("~0", "~");
    match here {
        Value::Object(members) => members
            .get(&name)
            .or_else(|| members.iter().find(|(key, _)| key.to_lowercase() == name.to_lowercase()).map(|(_, v)| v)),
        Value::Array(items) => {
            let index: isize = name.parse().ok()?;
            let from_start = if index < 0 { items.len().checked_add_signed(index)? } else { index.unsigned_abs() };
            items.get(from_start)
        }
        _ => None,
    }
}

fn reads_as(value: &Value, text: &str) -> bool {
    let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    plain == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_find_elements_by_content_and_keys_in_any_case() {
        let document =
            serde_json::json!({"Emails": [{"type": "work", "value": "a"}, {"primary": true, "value": "b"}], "a/b": 1});
        assert_eq!(pick_value(&document, "/emails/[type=work]/VALUE"), Some(&"a".into()));
        assert_eq!(pick_value(&document, "/emails/[primary=true]/value"), Some(&"b".into()));
        assert_eq!(pick_value(&document, "/emails/-1/value"), Some(&"b".into()));
        assert_eq!(pick_value(&document, "/a~1b"), Some(&1.into()));
        assert_eq!(pick_value(&document, "/emails/2"), None);
    }
}
