//! The receipt of a deletion: what the entry of the audit log says about it.

use askama::Template;
use serde_json::Value;

use crate::management::audit::{self, AuditEntry};
use crate::web::portal::forms::PageRequest;
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;
use crate::web::required_permission::Delete;

/// Action of the entry of a deletion.
const ACTION: &str = "configuration.deleted";

#[derive(Template)]
#[template(path = "portal/deletion_receipt.html")]
struct ReceiptPage {
    layout: PageLayout,
    entry: AuditEntry,
    at: PageTime,
}

impl ReceiptPage {
    /// A value of the entry after the deletion.
    fn value(&self, pointer: &str) -> Option<&Value> {
        self.entry.after.as_ref().and_then(|after| after.pointer(pointer))
    }

    fn name(&self) -> &str {
        self.value("/connectionName").and_then(Value::as_str).unwrap_or_default()
    }

    /// Such as `1 user and 2 groups`.
    fn counts(&self) -> String {
        let count = |pointer| self.value(pointer).and_then(Value::as_i64).unwrap_or_default();
        texts::formats::count_users_and_groups(count("/resources/User"), count("/resources/Group"))
    }

    fn is_purged(&self) -> bool {
        self.value("/purged").and_then(Value::as_bool).unwrap_or_default()
    }

    fn actor(&self) -> &str {
        let [_, id, name] = &self.entry.actor;
        if name.is_empty() { id } else { name }
    }
}

/// `GET /connections/receipt/{entry}`
pub(crate) async fn show_receipt(admin: PermittedAdmin<Delete>, page_request: PageRequest) -> PageResult {
    let number = page_request.path_parameter("entry").parse::<i64>().map_err(|_| PageError::NotFound)?;
    let scope = admin.context.scope.clone();
    let found = page_request.read(move |at| audit::find_audit_entry(at, &scope, number)).await?;
    let entry = found.filter(|entry| entry.action == ACTION).ok_or(PageError::NotFound)?;
    let layout =
        PageLayout::new(texts::connections::CONNECTION_DELETED, Some(&admin.signed), NavigationEntry::Connections);
    let at = PageTime::from_millis(entry.at);
    Ok(render_page(200, &ReceiptPage { layout, entry, at }))
}
