//! The limit of open files, and the number of connections that it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are not incoming connections: the database, its reader pool, the log, backups, outgoing calls.
const OTHER_FILES: usize = 32;
/// Open files per worker: its event loop and its own database reader.
const FILES_PER_WORKER: usize = 8;
/// Fewest connections, even with a lower limit of open files.
const SOCKETS_MIN: usize = 4;
/// Most connections in addition to the limit that are accepted to be refused, or are not yet closed.
const SURPLUS_MAX: usize = 64;

/// How many connections are open at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketCapacity {
    /// Connections that are served.
    pub served: usize,
    /// Connections that are accepted, to be served or refused.
    pub accepted: usize,
}

impl SocketCapacity {
    fn new(served: usize) -> Self {
        Self { served, accepted: served + served.div_ceil(4).min(SURPLUS_MAX) }
    }

    /// Open files: a connection that is served has two handles.
    fn files(self) -> usize {
        self.served + self.accepted
    }
}

/// Returns the number of connections, at most `requested`, that the limit of open files allows. The database and the
/// workers need some of the files. The soft limit is raised if the hard limit allows it.
pub fn limit_sockets(requested: usize, workers: usize) -> SocketCapacity {
    let others = OTHER_FILES + workers * FILES_PER_WORKER;
    let capacity = SocketCapacity::new(requested);
    let Some(files) = raise_open_files(others + capacity.files()) else { return capacity };
    let possible = largest_capacity(files.saturating_sub(others)).max(SOCKETS_MIN);
    if possible >= requested {
        return capacity;
    }
    tracing::warn!(
        open_files_max = files,
        connections = possible,
        "fewer connections than configured: raise the limit of open files"
    );
    SocketCapacity::new(possible)
}

/// Returns the most connections that need at most this number of files.
fn largest_capacity(files: usize) -> usize {
    let most = files / 2;
    let needed = |served: usize| SocketCapacity::new(served).files();
    let surplus = needed(most).saturating_sub(files);
    (most.saturating_sub(surplus)..=most).rev().find(|served| needed(*served) <= files).unwrap_or_default()
}

/// Raises the soft limit to the number of files, as far as the hard limit allows. Returns the limit, or `None` if there
/// is none.
fn raise_open_files(needed: usize) -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = u64::try_from(needed).unwrap_or(u64::MAX);
    let mut current = current?;
    let target = maximum.map_or(needed, |maximum| needed.min(maximum));
    if current < target && setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum }).is_ok() {
        current = target;
    }
    Some(usize::try_from(current).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_fit_the_open_files() {
        for files in [0, 1, 7, 16, 100, 976, 65_000] {
            let most = largest_capacity(files);
            assert!(SocketCapacity::new(most).files() <= files, "{files}: {most}");
            assert!(SocketCapacity::new(most + 1).files() > files, "{files}: {most}");
        }
    }
}
