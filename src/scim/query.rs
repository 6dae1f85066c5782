//! The parameters of a query (RFC 7644 sections 3.4.2 and 3.9), from name and value pairs.

use super::Error;

/// Parameters as they came, each at most once. Names are compared without case, unknown ones are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// `filter`, unparsed.
    pub filter: Option<String>,
    /// `startIndex`, at least 1.
    pub start_index: Option<u64>,
    /// `count`, never negative.
    pub count: Option<u64>,
    /// `attributes`, unparsed.
    pub attributes: Option<String>,
    /// `excludedAttributes`, unparsed.
    pub excluded_attributes: Option<String>,
}

impl Query {
    /// Reads the pairs of a query string, already percent-decoded.
    ///
    /// # Errors
    /// 400 invalidValue for a number that is none and for a parameter given twice.
    pub fn read<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut query = Self::default();
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case("filter") {
                once(&mut query.filter, "filter", value.to_owned())?;
            } else if name.eq_ignore_ascii_case("startIndex") {
                once(&mut query.start_index, "startIndex", whole_number("startIndex", value)?.max(1))?;
            } else if name.eq_ignore_ascii_case("count") {
                once(&mut query.count, "count", whole_number("count", value)?)?;
            } else if name.eq_ignore_ascii_case("attributes") {
                once(&mut query.attributes, "attributes", value.to_owned())?;
            } else if name.eq_ignore_ascii_case("excludedAttributes") {
                once(&mut query.excluded_attributes, "excludedAttributes", value.to_owned())?;
            }
        }
        Ok(query)
    }
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Error> {
    if slot.replace(value).is_some() {
        return Err(Error::value(format!("the parameter {name} is given twice")));
    }
    Ok(())
}

/// RFC 7644 section 3.4.2.4: what is below the smallest value counts as the smallest.
fn whole_number(name: &str, text: &str) -> Result<u64, Error> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::value(format!("{name} must be a whole number")));
    }
    if text.starts_with('-') {
        return Ok(0);
    }
    // Larger than any directory: the page is empty or capped all the same.
    Ok(digits.parse().unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Query, Error> {
        Query::read(pairs.iter().copied())
    }

    #[test]
    fn numbers_below_the_smallest_count_as_the_smallest() {
        let query = read(&[("STARTINDEX", "-5"), ("count", "-1"), ("foo", "x")]).unwrap();
        assert_eq!((query.start_index, query.count), (Some(1), Some(0)));
        assert_eq!(read(&[("startIndex", "0")]).unwrap().start_index, Some(1));
        assert!(read(&[("count", "99999999999999999999999")]).unwrap().count.unwrap() > 1_000_000);
    }

    #[test]
    fn text_and_doubles_are_refused() {
        for pairs in
            [&[("count", "ten")][..], &[("startIndex", "1.5")], &[("count", "")], &[("count", "1"), ("Count", "1")]]
        {
            assert_eq!(read(pairs).unwrap_err().status, 400, "{pairs:?}");
        }
    }
}
