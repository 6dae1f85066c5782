//! Simulation of the store on a disk with faults: thousands of writes and hundreds of crashes a second, in one thread.
//!
//! The code of the server runs unchanged, on a file system in memory, with a clock that only the simulation moves and ids
//! from a seed. After each crash the rows, the events and the counters are compared with a plain model. A violation is
//! repeated by its seed:
//!
//! `cargo run --release --manifest-path sim/Cargo.toml -- --seed N --steps 1`

mod damage;
mod directories;
mod disk;
mod episode;
mod jobs;
mod model;
mod observe;
mod random;
mod trace;
mod vfs;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rollcall::auth::secret::digest_text;
use rollcall::clock::{self, simulated};
use rollcall::management::configuration_lifecycle::{NewConfiguration, create_configuration};
use rollcall::management::tokens::TokenDraft;
use rollcall::model::audit_context::AuditContext;
use rollcall::model::configuration::{ConfigurationSource, InitialSync};
use rollcall::model::rights::TokenRights;
use rollcall::model::switches::Preset;
use rollcall::provisioning::Scope;
use rollcall::store::simulation::SimulatedStore;

use crate::disk::{Disk, DiskFile, Honesty};
use crate::episode::{Episode, EpisodeCounts, Image, Violation};
use crate::model::{Model, ModelConfiguration};
use crate::vfs::{reset_randomness, with_disk};

#[global_allocator]
static ALLOCATOR: std::alloc::System = std::alloc::System;

/// What the command line asks for.
struct Options {
    /// The seed of the first episode.
    seed: u64,
    /// The number of writes after which no episode starts.
    steps: u64,
    /// The time after which no episode starts.
    seconds: Option<u64>,
    /// If there are any, ordinary directories and mass removals are simulated instead of faults.
    directories: usize,
    months: usize,
    /// People of the directory of mass removals.
    people: usize,
}

const USAGE: &str = "usage: rollcall-sim [--seed N] [--steps N] [--seconds N] [--trace 1]\n       \
                     rollcall-sim --directories N [--months N] [--people N] [--seed N]";

fn read_options() -> Result<Options, String> {
    let mut options = Options { seed: 1, steps: 100_000, seconds: None, directories: 0, months: 30, people: 500 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value: u64 = arguments.next().and_then(|text| text.parse().ok()).ok_or(USAGE)?;
        let count = || usize::try_from(value).map_err(|_| USAGE);
        match name.as_str() {
            "--seed" => options.seed = value,
            "--steps" => options.steps = value,
            "--trace" => episode::REPORTS.store(value > 0, Ordering::Relaxed),
            "--directories" => options.directories = count()?,
            "--months" => options.months = count()?,
            "--people" => options.people = count()?,
            "--seconds" => (options.seconds, options.steps) = (Some(value), u64::MAX),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match read_options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    silence_panics_of_jobs();
    vfs::register();
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    match simulate(&options, folder.path()) {
        Ok(()) => ExitCode::SUCCESS,
        Err((seed, violation)) => {
            println!("VIOLATION with seed {seed}: {violation}");
            println!("repeat it: cargo run --release --manifest-path sim/Cargo.toml -- --seed {seed} --steps 1");
            ExitCode::FAILURE
        }
    }
}

/// The panics of the jobs are part of the simulation.
fn silence_panics_of_jobs() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map(String::as_str);
        if text.or_else(|| panic.payload().downcast_ref::<&str>().copied()) != Some(jobs::PANIC_TEXT) {
            default(panic);
        }
    }));
}

fn simulate(options: &Options, folder: &Path) -> Result<(), (u64, Violation)> {
    let folder = &folder.canonicalize().expect("the folder exists");
    if options.directories > 0 {
        return directories::run_ordinary(folder, options.directories, options.months, options.seed)
            .and_then(|()| directories::run_waves(folder, options.people, options.seed))
            .map_err(|violation| (options.seed, violation));
    }
    let image = prepare_image(folder).map_err(|violation| (0, violation))?;
    let started = Instant::now();
    let mut total = EpisodeCounts::default();
    let mut seed = options.seed;
    let is_over = || options.seconds.is_some_and(|seconds| started.elapsed() > Duration::from_secs(seconds));
    while total.jobs < options.steps && !is_over() {
        let (counts, digest) = run_episode(&image, folder, seed).map_err(|violation| (seed, violation))?;
        // Every twentieth episode runs twice: nothing but the seed decides what happens.
        if (seed - options.seed).is_multiple_of(20) {
            let (_, again) = run_episode(&image, folder, seed).map_err(|violation| (seed, violation))?;
            if digest != again {
                return Err((seed, Violation(format!("two runs differ: {digest:016x} and {again:016x}"))));
            }
            println!("seed {seed}: digest {digest:016x}");
        }
        if seed.is_multiple_of(4) {
            let first = Episode::start_first(folder, empty_files(folder), seed);
            add_counts(&mut total, &first.map_err(|violation| (seed, violation))?);
        }
        damage::run_episode(&image, folder, seed).map_err(|violation| (seed, violation))?;
        add_counts(&mut total, &counts);
        seed += 1;
    }
    print_counts(&total, started.elapsed(), seed - options.seed);
    Ok(())
}

fn run_episode(image: &Image, folder: &Path, seed: u64) -> Result<(EpisodeCounts, u64), Violation> {
    let mut episode = Episode::start(image, folder, seed, Honesty::Honest)?;
    let result = episode.run();
    let (counts, digest) = episode.finish();
    result.map(|()| (counts, digest))
}

fn add_counts(total: &mut EpisodeCounts, counts: &EpisodeCounts) {
    total.jobs += counts.jobs;
    total.acknowledged += counts.acknowledged;
    total.batches += counts.batches;
    total.power_cuts += counts.power_cuts;
    total.kills += counts.kills;
    total.unknown += counts.unknown;
    total.comparisons += counts.comparisons;
    total.log_scans += counts.log_scans;
    total.disk.calls += counts.disk.calls;
    total.disk.faults += counts.disk.faults;
    total.disk.stalls += counts.disk.stalls;
}

#[expect(clippy::cast_precision_loss, reason = "figures for humans")]
fn print_counts(total: &EpisodeCounts, took: Duration, episodes: u64) {
    let per_second = |count: u64| count as f64 / took.as_secs_f64();
    println!(
        "{episodes} episodes in {:.1} s: {} writes ({:.0}/s), {} acknowledged, {} batches, {} power cuts and {} kills \
         ({:.0}/s), {} I/O faults, {} stalls, {} batches with unknown outcome, {} comparisons, {} searches of the log, {} file calls",
        took.as_secs_f64(),
        total.jobs,
        per_second(total.jobs),
        total.acknowledged,
        total.batches,
        total.power_cuts,
        total.kills,
        per_second(total.power_cuts + total.kills),
        total.disk.faults,
        total.disk.stalls,
        total.unknown,
        total.comparisons,
        total.log_scans,
        total.disk.calls,
    );
    damage::print_counts();
}

/// The files of a new data folder. The store creates the database itself, on the real file system.
fn empty_files(folder: &Path) -> BTreeMap<String, DiskFile> {
    [(folder.join("rollcall.db").to_string_lossy().into_owned(), DiskFile::durable_file())].into()
}

/// Creates a database with two configurations.
fn prepare_image(folder: &Path) -> Result<Image, Violation> {
    with_disk(|disk| disk.reset(empty_files(folder), 0));
    simulated::reset(0);
    reset_randomness();
    let failed = |error: &dyn std::fmt::Display| Violation(format!("the first database: {error}"));
    let mut store = SimulatedStore::open(folder).map_err(|error| failed(&error))?;
    let (mut scopes, mut keys, mut model) = (Vec::new(), Vec::new(), Model::default());
    for (name, preset) in [("first", Preset::Standard), ("second", Preset::Okta)] {
        let (scope, token_id) = create_configuration_of(&mut store, name, preset).map_err(|error| failed(&error))?;
        keys.push(scope.configuration);
        scopes.push(scope);
        model.0.push(ModelConfiguration {
            tokens: [(token_id, false)].into(),
            skips_unknown: preset == Preset::Okta,
            ..ModelConfiguration::default()
        });
    }
    store.close();
    with_disk(Disk::cut_power);
    Ok(Image { files: with_disk(|disk| disk.files.clone()), scopes, keys, model })
}

/// Creates a configuration in an account of this name; returns the id of its token too.
fn create_configuration_of(
    store: &mut SimulatedStore,
    name: &str,
    preset: Preset,
) -> rollcall::error::Result<(Scope, String)> {
    let token_id = clock::new_id();
    let token = TokenDraft {
        id: token_id.clone(),
        digest: digest_text(name),
        hint: name[..4].to_owned(),
        label: name.to_owned(),
        rights: TokenRights::All,
        expires_at: None,
    };
    let new = NewConfiguration {
        id: clock::new_id(),
        account: name.to_owned(),
        connection_name: None,
        source: ConfigurationSource::Other,
        provider: None,
        preset: Some(preset),
        sync: InitialSync::On,
        token,
    };
    let made = run_write(store, move |tx| create_configuration(tx, &AuditContext::server(), &new))?;
    Ok((store.store.read_inline(move |at| Scope::load(at, made))?, token_id))
}

fn run_write<T: Send + 'static>(
    store: &mut SimulatedStore,
    job: impl FnMut(&rollcall::store::Tx<'_>) -> rollcall::error::Result<T> + Send + 'static,
) -> rollcall::error::Result<T> {
    use futures_util::FutureExt;
    let handle = store.store.clone();
    let mut pending = Box::pin(async move { handle.write(job).await });
    if let Some(result) = pending.as_mut().now_or_never() {
        return result;
    }
    while store.run_batch() {}
    pending.now_or_never().expect("the batch has run")
}
