//! The figures, their ratios, and the check of the bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::group_commit::{CREATE_AT_64, RAW};
use super::workloads::{ADD_TO_0, ADD_TO_10K, ADD_TO_100K, CONFIG, CREATE, FIND, GROUP_10K, GROUP_100K, PATCH, READ};
use super::{LARGE, MEDIUM, SMALL};

/// Factor by which a figure may exceed its bound before it counts as broken, because a shared machine is noisy.
const SLACK: f64 = 1.3;

/// CPU and wall time of one request in microseconds, by workload and number of users, one value per round.
#[derive(Default)]
pub(crate) struct Figures {
    cpu: BTreeMap<(&'static str, usize), Vec<f64>>,
    wall: BTreeMap<(&'static str, usize), Vec<f64>>,
}

impl Figures {
    pub(crate) fn add(&mut self, name: &'static str, users: usize, micros: f64) {
        self.cpu.entry((name, users)).or_default().push(micros);
    }

    pub(crate) fn add_wall(&mut self, name: &'static str, users: usize, micros: f64) {
        self.wall.entry((name, users)).or_default().push(micros);
    }

    /// Prints CPU time of the server per request: median, minimum and maximum of the rounds.
    pub(crate) fn print(&self) {
        println!("\n{:<40} {:>9} {:>9} {:>9} {:>9}", "CPU µs per request", "users", "median", "least", "most");
        for ((name, users), rounds) in &self.cpu {
            let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
            let most = rounds.iter().copied().fold(0.0, f64::max);
            println!("{name:<40} {users:>9} {:>9.1} {least:>9.1} {most:>9.1}", median(rounds.clone()));
        }
        for ((name, _), rounds) in &self.wall {
            println!("{name:<40} {:>9} {:>9.0}", "a second", 1e6 / median(rounds.clone()));
        }
    }
}

impl Figures {
    /// Median of the ratios of each round, in CPU time.
    pub(crate) fn ratio(&self, above: (&'static str, usize), below: (&'static str, usize)) -> f64 {
        ratio(&self.cpu, above, below)
    }

    /// Prints CPU time per request at each size, and its ratio to the smallest size.
    pub(crate) fn print_growth(&self) {
        println!(
            "\n{:<48} {SMALL:>9} {MEDIUM:>9} {LARGE:>9} {:>8} {:>8}",
            "CPU µs per request at so many users", "to 10k", "to 100k"
        );
        for (name, _) in self.cpu.keys().filter(|(_, users)| *users == MEDIUM) {
            let at = |users| median(self.cpu[&(*name, users)].clone());
            let grown = |users| self.ratio((name, users), (name, SMALL));
            let (small, medium, large) = (at(SMALL), at(MEDIUM), at(LARGE));
            println!("{name:<48} {small:>9.0} {medium:>9.0} {large:>9.0} {:>8.1} {:>8.1}", grown(MEDIUM), grown(LARGE));
        }
    }
}

/// Median of the ratios of each round; both values of a round were measured at almost the same time.
fn ratio(
    of: &BTreeMap<(&'static str, usize), Vec<f64>>,
    above: (&'static str, usize),
    below: (&'static str, usize),
) -> f64 {
    let (above, below) = (&of[&above], &of[&below]);
    median(above.iter().zip(below).map(|(above, below)| above / below).collect())
}

/// Figures with a bound.
#[derive(Default)]
pub(crate) struct Report(Vec<(String, f64, f64)>);

impl Report {
    /// Adds a figure that must not exceed `bound`.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, found: f64, bound: f64) {
        self.0.push((what.into(), found, bound));
    }

    /// Adds every ratio that has a bound.
    pub(crate) fn ratios(&mut self, figures: &Figures) {
        for users in [SMALL, LARGE] {
            for name in [READ, FIND] {
                let found = ratio(&figures.cpu, (name, users), (CONFIG, users));
                self.at_most(format!("{name}, {users} users: ServiceProviderConfig"), found, 5.0);
            }
        }
        for name in [CREATE, READ, FIND, PATCH] {
            let found = ratio(&figures.cpu, (name, LARGE), (name, SMALL));
            self.at_most(format!("{name}: {LARGE} users, {SMALL} users"), found, 1.5);
        }
        for name in [ADD_TO_10K, ADD_TO_100K] {
            let found = ratio(&figures.cpu, (name, LARGE), (ADD_TO_0, LARGE));
            self.at_most(format!("{name}: group of 0"), found, 1.3);
        }
        for name in [GROUP_10K, GROUP_100K] {
            let found = ratio(&figures.cpu, (name, LARGE), (READ, LARGE));
            self.at_most(format!("{name}: {READ}"), found, 1.5);
        }
        // CPU time would compare a whole request with a statement; the throughput of the disk matters here, so wall
        // time is used.
        let found = ratio(&figures.wall, (CREATE_AT_64, 0), (RAW, 0));
        self.at_most(format!("{CREATE_AT_64}: {RAW}, by the clock"), found, 2.0);
    }

    /// Prints all; returns false if one exceeds its bound and the slack.
    pub(crate) fn print(self) -> bool {
        println!("\n{:<75} {:>8} {:>8}", "ratio or figure", "found", "bound");
        let mut holds = true;
        for (what, found, bound) in self.0 {
            let verdict = if found <= bound {
                ""
            } else if found <= bound * SLACK {
                "above, within slack"
            } else {
                holds = false;
                "BROKEN"
            };
            println!("{what:<75} {found:>8.2} {bound:>8.2} {verdict}");
        }
        holds
    }
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A percentile, in milliseconds.
pub(crate) fn percentile(times: &[Duration], part: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[(sorted.len() * part / 100).min(sorted.len() - 1)].as_secs_f64() * 1e3
}
