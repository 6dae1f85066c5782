//! Values that are read once for several requests.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::error::Result;

/// Most values that are remembered in a snapshot.
const REMEMBERED_MAX: usize = 256;

/// Values that were read in a snapshot, or in one before it between which no such row changed.
#[derive(Default)]
pub(in crate::store) struct RememberedValues(RefCell<HashMap<RememberedKey, Rc<dyn Any>>>);

/// What a remembered value was read by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum RememberedKey {
    /// The token with this digest.
    Token([u8; 32]),
    /// Whether this configuration has OAuth clients.
    HasOauthClient(i64),
}

impl RememberedValues {
    /// Returns the value with this key, which is read once.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn find_or_read<T: 'static>(
        &self,
        key: RememberedKey,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<Rc<T>> {
        let found = self.0.borrow().get(&key).cloned();
        if let Some(value) = found.and_then(|value| value.downcast().ok()) {
            return Ok(value);
        }
        let value = Rc::new(read()?);
        let mut values = self.0.borrow_mut();
        if values.len() >= REMEMBERED_MAX {
            values.clear();
        }
        let stored: Rc<dyn Any> = Rc::clone(&value) as Rc<dyn Any>;
        values.insert(key, stored);
        Ok(value)
    }

    /// Forgets all values.
    pub(in crate::store) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
