//! The content of the lease object.

use serde::{Deserialize, Serialize};

/// Most promotions that the object lists. Older ones are forgotten.
const TAKEOVERS_MAX: usize = 32;

/// One promotion: where the new generation began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// The new generation.
    pub generation: u64,
    /// The generation whose replica it began with.
    pub from: u64,
    /// Newest event in that replica: the common point of both.
    pub event: i64,
}

/// The content of the lease object, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Id of the data folder that holds the lease.
    pub holder: String,
    /// Id of the start of the machine that holds it: a copy of the folder on another machine is another holder.
    pub boot: String,
    /// Increases with each promotion. The replica of generation 3 is in the folder `g000003`.
    pub generation: u64,
    /// Increases with each write of this object, so that two of them never have the same content.
    pub renewal: u64,
    /// How long the lease is valid after it was written, in milliseconds.
    pub ttl_ms: u64,
    /// Whether the holder has stopped and gives it up.
    pub released: bool,
    /// The promotions so far, the newest one last.
    #[serde(default)]
    pub takeovers: Vec<Takeover>,
}

impl LeaseRecord {
    /// The first lease of a replica.
    pub fn first(holder: &str, boot: &str, ttl_ms: u64) -> Self {
        Self {
            holder: holder.to_owned(),
            boot: boot.to_owned(),
            generation: 1,
            renewal: 1,
            ttl_ms,
            released: false,
            takeovers: Vec::new(),
        }
    }

    /// Whether this start of this data folder holds the lease.
    pub fn is_held_by(&self, holder: &str, boot: &str) -> bool {
        self.holder == holder && self.boot == boot
    }

    /// The content of the next renewal by this holder, which may be another start of the machine.
    #[must_use]
    pub fn renewed(&self, boot: &str) -> Self {
        Self { boot: boot.to_owned(), renewal: self.renewal + 1, released: false, ..self.clone() }
    }

    /// The content with which another holder takes the lease, in the next generation.
    #[must_use]
    pub fn taken_by(&self, holder: &str, boot: &str) -> Self {
        Self { holder: holder.to_owned(), generation: self.generation + 1, ..self.renewed(boot) }
    }

    /// The content with which the holder gives the lease up.
    #[must_use]
    pub fn released(&self) -> Self {
        Self { renewal: self.renewal + 1, released: true, ..self.clone() }
    }

    /// Records where this generation began, in place of what was recorded for it.
    pub fn record_takeover(&mut self, takeover: Takeover) {
        self.takeovers.retain(|one| one.generation != takeover.generation);
        self.takeovers.push(takeover);
        let excess = self.takeovers.len().saturating_sub(TAKEOVERS_MAX);
        self.takeovers.drain(..excess);
    }

    /// Newest event that a server of `generation` has in common with the generations after it. `None` if that is not recorded.
    pub fn find_common_event(&self, generation: u64) -> Option<i64> {
        let later = self.takeovers.iter().filter(|one| one.from <= generation && one.generation > generation);
        later.map(|one| one.event).min()
    }
}

/// Name of the folder of a generation in the replica.
pub fn generation_folder(generation: u64) -> String {
    format!("g{generation:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_write_has_another_content_and_only_a_takeover_another_generation() {
        let first = LeaseRecord::first("a", "boot-1", 10_000);
        let renewed = first.renewed("boot-1");
        assert_eq!((renewed.generation, renewed.renewal), (1, 2));
        assert!(renewed.is_held_by("a", "boot-1") && !renewed.is_held_by("a", "boot-2"));
        let released = renewed.released();
        assert!(released.released && released.renewal == 3);
        let taken = released.taken_by("b", "boot-9");
        assert_eq!((taken.generation, taken.renewal, taken.released), (2, 4, false));
        assert!(taken.is_held_by("b", "boot-9"));
        let text = serde_json::to_string(&taken).unwrap();
        assert_eq!(serde_json::from_str::<LeaseRecord>(&text).unwrap(), taken);
    }

    #[test]
    fn the_common_event_is_that_of_the_promotion_after_the_generation() {
        let mut lease = LeaseRecord::first("a", "b", 10_000);
        for (generation, from, event) in [(2, 1, 100), (3, 1, 100), (4, 3, 900)] {
            lease.record_takeover(Takeover { generation, from, event });
        }
        assert_eq!(lease.find_common_event(1), Some(100));
        // Generation 2 wrote nothing that generation 3 has.
        assert_eq!(lease.find_common_event(2), Some(100));
        assert_eq!(lease.find_common_event(3), Some(900));
        assert_eq!(lease.find_common_event(4), None);
        lease.record_takeover(Takeover { generation: 4, from: 3, event: 901 });
        assert_eq!(lease.takeovers.len(), 3);
        for generation in 5..100 {
            lease.record_takeover(Takeover { generation, from: generation - 1, event: 0 });
        }
        assert_eq!(lease.takeovers.len(), TAKEOVERS_MAX);
        assert_eq!(generation_folder(3), "g000003");
    }
}
