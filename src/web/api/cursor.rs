//! Pagination with `limit` and an opaque `cursor`, which encodes the position of the last item of the previous page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::Reason;
use crate::web::api::response::ApiError;

/// Default number of items on a page.
const LIMIT_DEFAULT: u32 = 100;
/// Maximum number of items on a page.
pub(crate) const LIMIT_MAX: u32 = 1_000;

/// The requested page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `nextCursor` of the previous page; absent or empty for the first page
    pub(super) cursor: Option<String>,
    /// Maximum number of items on the page; default 100
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
}

impl PageQuery {
    /// Returns the requested number of items.
    ///
    /// # Errors
    /// 400 if it is not between 1 and [`LIMIT_MAX`].
    pub(super) fn limit(&self) -> Result<u32, ApiError> {
        match self.limit {
            None => Ok(LIMIT_DEFAULT),
            Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
            Some(_) => Err(Reason::NumberOutOfRange.on_field("limit").with("min", 1).with("max", LIMIT_MAX).into()),
        }
    }

    /// Returns the position after which the page begins, or `None` for the first page.
    ///
    /// # Errors
    /// 400 if the cursor is not valid.
    pub(super) fn position<T: DeserializeOwned>(&self) -> Result<Option<T>, ApiError> {
        let Some(cursor) = self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
        let position = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        position.map(Some).ok_or_else(|| Reason::CursorNotIssued.into())
    }
}

/// One page of a list that can be limited to changes after a position of the event feed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangesPage)]
pub(super) struct PositionedPage<T> {
    /// The items of the page
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; null on the last page
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
    /// Only with `changedSince` or `since`: everything up to this position of the event feed is on this page or an earlier one.
    /// That of the last page is where the next request for changes begins
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) position: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Page)]
pub(super) struct CursorPage<T> {
    /// The items of the page
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; null on the last page
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

impl<T> CursorPage<T> {
    /// Creates a page from up to `limit` + 1 rows. The additional row means that there is a next page. `position` returns
    /// the position of a row in the order of the list, and `convert` the item for a row.
    pub(super) fn from_rows<R, P: Serialize>(
        mut rows: Vec<R>,
        limit: u32,
        position: impl Fn(&R) -> P,
        convert: impl Fn(R) -> T,
    ) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        Self::from_page(rows, has_more, position, convert)
    }

    /// Creates a page from its rows. `has_more` means that there is a next page.
    pub(super) fn from_page<R, P: Serialize>(
        rows: Vec<R>,
        has_more: bool,
        position: impl Fn(&R) -> P,
        convert: impl Fn(R) -> T,
    ) -> Self {
        Self {
            next_cursor: rows.last().filter(|_| has_more).and_then(|row| encode_cursor(&position(row))),
            items: rows.into_iter().map(convert).collect(),
        }
    }
}

/// Encodes a position as a cursor.
pub(super) fn encode_cursor(position: &impl Serialize) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_continues_after_the_previous_one_and_the_last_has_no_cursor() {
        let page = CursorPage::from_rows(vec![1, 2, 3], 2, |row| *row, |row| row * 10);
        assert_eq!(page.items, [10, 20]);
        let next = PageQuery { cursor: page.next_cursor, limit: None };
        assert_eq!(next.position::<i32>().unwrap(), Some(2));
        let first = PageQuery { cursor: Some(String::new()), limit: None };
        assert_eq!(first.position::<i32>().unwrap(), None);
        assert_eq!(CursorPage::from_rows(vec![3], 2, |row| *row, |row| row).next_cursor, None);
    }

    #[test]
    fn an_invalid_cursor_or_limit_is_rejected_with_its_name() {
        for cursor in ["x", "????", "bnVsbA"] {
            let query = PageQuery { cursor: Some(cursor.to_owned()), limit: None };
            assert_eq!(query.position::<i32>().unwrap_err().to_string(), "cursor_not_issued", "{cursor}");
        }
        for limit in [0, 1_001, u32::MAX] {
            let query = PageQuery { cursor: None, limit: Some(limit) };
            assert!(query.limit().unwrap_err().to_string().starts_with("number_out_of_range field=limit"));
        }
    }
}
