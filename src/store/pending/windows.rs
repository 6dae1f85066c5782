//! The windows of removals that the open transaction has read, with the settings of their holds. A wave of removals reads
//! and writes them once per batch.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::clock::Millis;
use crate::model::hold::window::RemovalWindow;
use crate::model::hold::{HoldSettings, RemovalKind};

/// A window: key of the configuration, and what it counts.
pub(crate) type WindowKey = (i64, RemovalKind);

/// What a write that removes something, or brings it back, must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountingState {
    /// When the configuration is held.
    pub settings: HoldSettings,
    /// When the configuration was created.
    pub created_at: Millis,
    /// Until then it is not held.
    pub exempt_until: Option<Millis>,
    /// The removals of one kind.
    pub window: RemovalWindow,
    /// Whether the window has a row.
    pub(crate) is_stored: bool,
}

/// A point of the transaction: the changes after it can be undone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowsMark(usize);

/// The windows that one transaction has read or changed.
#[derive(Debug, Default)]
pub(crate) struct PendingWindows(RefCell<WindowTable>);

// An ordered map, so that the rows are written in the same order each time.
#[derive(Debug, Default)]
struct WindowTable {
    entries: BTreeMap<WindowKey, WindowEntry>,
    /// The entries before each change, in the order of the changes.
    replaced: Vec<(WindowKey, Option<WindowEntry>)>,
    /// Number of changes at the last mark.
    marked: usize,
}

#[derive(Debug, Clone)]
struct WindowEntry {
    state: CountingState,
    is_changed: bool,
}

impl WindowTable {
    fn replace(&mut self, key: WindowKey, new: Option<WindowEntry>) {
        let old = match new {
            Some(new) => self.entries.insert(key, new),
            None => self.entries.remove(&key),
        };
        // Only the entry at the mark can be needed again.
        if !self.replaced[self.marked..].iter().any(|(other, _)| *other == key) {
            self.replaced.push((key, old));
        }
    }
}

impl PendingWindows {
    /// Returns what is known of a window.
    pub(crate) fn find(&self, key: WindowKey) -> Option<CountingState> {
        self.0.borrow().entries.get(&key).map(|entry| entry.state.clone())
    }

    /// Remembers what the rows contain.
    pub(crate) fn remember(&self, key: WindowKey, state: CountingState) {
        self.0.borrow_mut().replace(key, Some(WindowEntry { state, is_changed: false }));
    }

    /// Changes a window that is written later.
    pub(crate) fn change(&self, key: WindowKey, state: CountingState) {
        self.0.borrow_mut().replace(key, Some(WindowEntry { state, is_changed: true }));
    }

    /// Forgets all windows, because the rows change. The caller has written the changed ones.
    pub(crate) fn forget(&self) {
        let mut table = self.0.borrow_mut();
        let keys: Vec<WindowKey> = table.entries.keys().copied().collect();
        for key in keys {
            table.replace(key, None);
        }
    }

    /// Marks the start of a part that can be undone.
    pub(crate) fn set_mark(&self) -> WindowsMark {
        let mut table = self.0.borrow_mut();
        table.marked = table.replaced.len();
        WindowsMark(table.marked)
    }

    /// Removes the changes after the mark, because the removals that they count are rolled back.
    pub(crate) fn roll_back_to(&self, mark: WindowsMark) {
        let table = &mut *self.0.borrow_mut();
        for (key, old) in table.replaced.drain(mark.0.min(table.replaced.len())..).rev() {
            match old {
                Some(old) => drop(table.entries.insert(key, old)),
                None => drop(table.entries.remove(&key)),
            }
        }
        table.marked = table.replaced.len();
    }

    /// The windows that differ from their rows: in the stored form, and whether there is a row.
    pub(crate) fn list_changed(&self) -> Vec<(WindowKey, Vec<u8>, bool)> {
        let table = self.0.borrow();
        let changed = table.entries.iter().filter(|(_, entry)| entry.is_changed);
        changed.map(|(key, WindowEntry { state, .. })| (*key, state.window.encode(), state.is_stored)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type StoredRows = BTreeMap<WindowKey, Vec<u8>>;

    /// A step of a transaction.
    #[derive(Debug, Clone)]
    enum Step {
        Count(WindowKey),
        /// Writes the windows, and changes a row without them.
        Clear(WindowKey),
        Begin,
        Release,
        RollBack,
    }

    fn draw_step() -> impl Strategy<Value = Step> {
        let key = || (1..3_i64, prop::sample::select(vec![RemovalKind::Users, RemovalKind::Groups]));
        prop_oneof![
            6 => key().prop_map(Step::Count),
            1 => key().prop_map(Step::Clear),
            2 => Just(Step::Begin),
            1 => Just(Step::Release),
            2 => Just(Step::RollBack),
        ]
    }

    fn write_changed(pending: &PendingWindows, rows: &mut StoredRows) {
        for (key, periods, is_stored) in pending.list_changed() {
            assert_eq!(rows.insert(key, periods).is_some(), is_stored, "{key:?}");
        }
    }

    fn load(pending: &PendingWindows, rows: &StoredRows, key: WindowKey) -> CountingState {
        pending.find(key).unwrap_or_else(|| {
            let stored = rows.get(&key);
            let state = CountingState {
                settings: HoldSettings::default(),
                created_at: 0,
                exempt_until: None,
                window: RemovalWindow::decode(stored.map_or(&[], Vec::as_slice), 60, 0),
                is_stored: stored.is_some(),
            };
            pending.remember(key, state.clone());
            state
        })
    }

    proptest! {
        #[test]
        fn the_windows_count_what_is_not_undone(steps in vec(draw_step(), 0..80)) {
            let pending = PendingWindows::default();
            let mut rows = StoredRows::new();
            let mut counts: BTreeMap<WindowKey, i64> = BTreeMap::new();
            let mut open = Vec::new();
            for step in steps {
                match step {
                    Step::Count(key) => {
                        let mut state = load(&pending, &rows, key);
                        prop_assert_eq!(state.window.count(), counts.get(&key).copied().unwrap_or_default());
                        state.window.add(0, 1, 10);
                        pending.change(key, state);
                        *counts.entry(key).or_default() += 1;
                    }
                    Step::Clear(key) => {
                        write_changed(&pending, &mut rows);
                        pending.forget();
                        rows.entry(key).and_modify(Vec::clear);
                        counts.remove(&key);
                    }
                    Step::Begin => open.push((pending.set_mark(), rows.clone(), counts.clone())),
                    Step::Release => drop(open.pop()),
                    Step::RollBack => if let Some((mark, rows_before, counts_before)) = open.pop() {
                        pending.roll_back_to(mark);
                        (rows, counts) = (rows_before, counts_before);
                    },
                }
            }
            write_changed(&pending, &mut rows);
            for (key, periods) in &rows {
                let window = RemovalWindow::decode(periods, 60, 0);
                prop_assert_eq!(window.count(), counts.get(key).copied().unwrap_or_default());
            }
            prop_assert!(counts.iter().all(|(key, count)| *count == 0 || rows.contains_key(key)));
        }
    }
}
