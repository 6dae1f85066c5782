//! The checks of the fuzz targets, on their seeds and on a fixed number of changed seeds. The coverage-guided search for
//! other inputs is `tests/run fuzz`.

use std::collections::BTreeSet;
use std::panic;
use std::path::{Path, PathBuf};

use rollcall::scim;

#[path = "../../fuzz/src/checks/mod.rs"]
#[expect(
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the files are modules of another crate"
)]
mod checks;

/// Changed inputs for each target.
const INPUTS: usize = 1_000;
const MAX_CHANGES: usize = 4;
const MAX_BYTES: usize = 4_096;

type InputCheck = fn(&[u8]);

const CHECKS: &[(&str, InputCheck)] = &[
    ("bulk", checks::bulk::check_input),
    ("cursor", checks::cursor::check_input),
    ("filter", checks::filter::check_input),
    ("if_match", checks::if_match::check_input),
    ("json", checks::json::check_input),
    ("patch", checks::patch::check_input),
    ("patch_path", checks::patch_path::check_input),
    ("query", checks::query::check_input),
];

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The file names without their extension.
fn list_names(folder: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(fuzz_folder().join(folder)).unwrap();
    files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn read_seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = fuzz_folder().join("seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// The tokens of the dictionary, which is a list of quoted texts.
fn read_tokens() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(fuzz_folder().join("words")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('"'));
    lines.map(|line| line.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\").into_bytes()).collect()
}

/// The same numbers in each run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit
    }

    /// A range of at most 16 bytes.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(17)).min(length)
    }
}

fn change_input(input: &mut Vec<u8>, seeds: &[Vec<u8>], tokens: &[Vec<u8>], numbers: &mut Numbers) {
    let at = numbers.below(input.len() + 1);
    match numbers.below(7) {
        0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
        1 => input.insert(at, u8::try_from(numbers.below(256)).unwrap()),
        2 => drop(input.drain(numbers.range(input.len()))),
        3 => {
            let copy = input[numbers.range(input.len())].to_vec();
            input.splice(at..at, copy);
        }
        4 => {
            let other = &seeds[numbers.below(seeds.len())];
            let part = other[numbers.below(other.len() + 1)..].to_vec();
            input.splice(at.., part);
        }
        5 => {
            let range = numbers.range(input.len());
            input.splice(range, tokens[numbers.below(tokens.len())].iter().copied());
        }
        _ => {
            input.splice(at..at, tokens[numbers.below(tokens.len())].iter().copied());
        }
    }
    input.truncate(MAX_BYTES);
}

/// Fails with the input in a form that a test can contain.
fn check_input(target: &str, check: InputCheck, input: &[u8]) {
    let outcome = panic::catch_unwind(|| check(input));
    assert!(outcome.is_ok(), "the check {target} fails on b\"{}\"", input.escape_ascii());
}

#[test]
fn each_fuzz_target_has_a_check_and_seeds() {
    let names: BTreeSet<String> = CHECKS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, list_names("targets"));
    assert_eq!(names, list_names("seeds"));
}

#[test]
fn the_checks_of_the_fuzz_targets_pass_on_seeds_and_changed_seeds() {
    let tokens = read_tokens();
    for (target, check) in CHECKS {
        let seeds = read_seeds(target);
        for seed in &seeds {
            check_input(target, *check, seed);
        }
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for _ in 0..INPUTS {
            let mut input = seeds[numbers.below(seeds.len())].clone();
            for _ in 0..=numbers.below(MAX_CHANGES) {
                change_input(&mut input, &seeds, &tokens, &mut numbers);
            }
            check_input(target, *check, &input);
        }
    }
}
