//! Pages of our own lists: `limit` and an opaque `cursor`, which is where the page before ended.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::Refusal;

/// Items on a page where nobody says otherwise.
const LIMIT_DEFAULT: u32 = 100;
/// Most items on a page.
const LIMIT_MAX: u32 = 1_000;

/// Which page is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `nextCursor` of the page before; the first page without it or where it is empty
    pub(super) cursor: Option<String>,
    /// Items on the page, 100 without it
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
}

impl PageQuery {
    /// Items wanted.
    pub(super) fn limit(&self) -> Result<u32, Refusal> {
        match self.limit {
            None => Ok(LIMIT_DEFAULT),
            Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
            Some(_) => Err(Refusal::bad(format!("limit must be a number from 1 to {LIMIT_MAX}"))),
        }
    }

    /// Where the page begins, as the list before wrote it down.
    pub(super) fn place<T: DeserializeOwned>(&self) -> Result<Option<T>, Refusal> {
        let Some(cursor) = self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
        let read = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.map(Some).ok_or_else(|| Refusal::bad("cursor must be the nextCursor of the page before, unchanged"))
    }
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    /// What is on it
    pub(super) items: Vec<T>,
    /// Gives the next page as `cursor`; null on the last one
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of rows that were read with one more than `limit`, which tells whether there is a next one. `place` is what
    /// the next page needs to know of the last row.
    pub(super) fn of<R, P: Serialize>(
        mut rows: Vec<R>,
        limit: u32,
        place: impl Fn(&R) -> P,
        show: impl Fn(R) -> T,
    ) -> Self {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let goes_on = rows.len() > wanted;
        rows.truncate(wanted);
        Self {
            next_cursor: rows.last().filter(|_| goes_on).and_then(|row| cursor(&place(row))),
            items: rows.into_iter().map(show).collect(),
        }
    }
}

/// A place as the next page is asked for.
pub(super) fn cursor(place: &impl Serialize) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_from_page_to_page_and_ends() {
        let page = Page::of(vec![1, 2, 3], 2, |row| *row, |row| row * 10);
        assert_eq!(page.items, [10, 20]);
        let next = PageQuery { cursor: page.next_cursor, limit: None };
        assert_eq!(next.place::<i32>().unwrap(), Some(2));
        let first = PageQuery { cursor: Some(String::new()), limit: None };
        assert_eq!(first.place::<i32>().unwrap(), None);
        assert_eq!(Page::of(vec![3], 2, |row| *row, |row| row).next_cursor, None);
    }

    #[test]
    fn what_is_no_cursor_and_no_limit_is_refused_by_name() {
        for cursor in ["x", "????", "bnVsbA"] {
            let query = PageQuery { cursor: Some(cursor.to_owned()), limit: None };
            assert!(query.place::<i32>().unwrap_err().errors[0].starts_with("cursor"), "{cursor}");
        }
        for limit in [0, 1_001, u32::MAX] {
            let query = PageQuery { cursor: None, limit: Some(limit) };
            assert!(query.limit().unwrap_err().errors[0].starts_with("limit"));
        }
    }
}
