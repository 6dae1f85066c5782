//! The attributes that the identity provider of a connection sends and no schema declares, as rows of a page.

use crate::clock;
use crate::diagnosis::connection_status::format_ago;
use crate::management::schema_extensions::undeclared::{self, Declarability, UndeclaredEntry};
use crate::model::audit_context::AccountScope;
use crate::scim::schema::DataType;
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::PageError;
use crate::web::portal::texts;

/// Most attributes on the page of the connection.
const SUMMARY_ROWS: usize = 6;

/// One attribute.
pub(crate) struct UndeclaredRow {
    /// Position in the list, which names the fields of the row.
    pub(crate) number: usize,
    pub(crate) entry: UndeclaredEntry,
    /// The selected type.
    pub(crate) kind: String,
    pub(crate) is_list: bool,
    pub(crate) is_chosen: bool,
    /// Time since the last request with it.
    pub(crate) last_seen: String,
}

impl UndeclaredRow {
    fn new(number: usize, entry: UndeclaredEntry, now: i64) -> Self {
        let kind = entry.used.kind.unwrap_or(DataType::String).as_str().to_owned();
        let (is_list, last_seen) = (entry.used.multi_valued, format_ago(now - entry.used.last_seen));
        Self { number, entry, kind, is_list, is_chosen: false, last_seen }
    }

    pub(crate) fn obstacle(&self) -> Option<&'static str> {
        match self.entry.declarability {
            Declarability::Impossible(obstacle) => Some(obstacle.description()),
            _ => None,
        }
    }

    /// The type of the value that was sent.
    pub(crate) fn sent_type(&self) -> String {
        let kind = self.entry.used.kind.map_or(texts::directory::EMPTY_VALUE, DataType::as_str);
        if self.entry.used.multi_valued { texts::directory::name_list_type(kind) } else { kind.to_owned() }
    }

    /// Whether the admin must choose its schema.
    pub(crate) fn needs_schema(&self) -> bool {
        self.entry.declarability == Declarability::AnySchema
    }
}

/// The undeclared attributes that a page shows.
pub(crate) struct UndeclaredSummary {
    /// The most recent ones.
    pub(crate) rows: Vec<UndeclaredRow>,
    pub(crate) total: usize,
}

impl UndeclaredSummary {
    /// Reads the summary of the connection with this id.
    pub(crate) async fn read(page_request: &PageRequest, scope: &AccountScope, id: &str) -> Result<Self, PageError> {
        let mut rows = read_undeclared_rows(page_request, scope, id).await?;
        let total = rows.len();
        rows.sort_by_key(|row| std::cmp::Reverse(row.entry.used.last_seen));
        rows.truncate(SUMMARY_ROWS);
        Ok(Self { rows, total })
    }
}

/// Reads the undeclared attributes of a connection.
pub(crate) async fn read_undeclared_rows(
    page_request: &PageRequest,
    scope: &AccountScope,
    id: &str,
) -> Result<Vec<UndeclaredRow>, PageError> {
    let (scope, id, now) = (scope.clone(), id.to_owned(), clock::current_millis());
    let state = page_request.state.clone();
    let listed = page_request
        .read(move |at| undeclared::list_undeclared(at, &scope, &id, |key| state.usage.undeclared.list_pending(key)));
    Ok(listed.await?.into_iter().enumerate().map(|(number, entry)| UndeclaredRow::new(number, entry, now)).collect())
}
