//! What the operating system says about this process. Where it says nothing, the figure is left out.

use std::fs;

/// The figures.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) files_max: Option<u64>,
}

pub(super) fn look() -> Process {
    let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
    let line = |file: &str, beginning: &str| {
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| number(line.strip_prefix(beginning)?))
    };
    Process {
        resident_bytes: line("/proc/self/status", "VmRSS:").map(|kib| kib * 1024),
        // The descriptor of the folder that is read is one of them.
        open_files: fs::read_dir("/proc/self/fd").ok().map(|listed| (listed.count() as u64).saturating_sub(1)),
        files_max: line("/proc/self/limits", "Max open files"),
    }
}
