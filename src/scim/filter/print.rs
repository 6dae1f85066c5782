//! Formats a filter as text. Parsing the text returns the same tree.

use std::fmt;

use serde_json::Value;

use super::{FilterLiteral, FilterTest, ScimFilter};

impl fmt::Display for ScimFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Term(path, test) => write!(f, "{path} {test}"),
            Self::Element { path, inner, tail } => {
                write!(f, "{path}[{inner}]")?;
                match tail {
                    Some((name, test)) => write!(f, ".{name} {test}"),
                    None => Ok(()),
                }
            }
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::And(terms) => write_terms(f, terms, " and ", |term| matches!(term, Self::And(_) | Self::Or(_))),
            Self::Or(terms) => write_terms(f, terms, " or ", |term| matches!(term, Self::Or(_))),
        }
    }
}

fn write_terms(
    f: &mut fmt::Formatter<'_>,
    terms: &[ScimFilter],
    between: &str,
    needs_parentheses: impl Fn(&ScimFilter) -> bool,
) -> fmt::Result {
    for (index, term) in terms.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        if needs_parentheses(term) {
            write!(f, "({term})")?;
        } else {
            write!(f, "{term}")?;
        }
    }
    Ok(())
}

impl fmt::Display for FilterTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("pr"),
            Self::Compare(operator, literal) => write!(f, "{} {literal}", operator.as_str()),
        }
    }
}

impl fmt::Display for FilterLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // JSON escapes, which the parser decodes.
            Self::Text(text) => write!(f, "{}", Value::from(text.as_str())),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Null => f.write_str("null"),
        }
    }
}
