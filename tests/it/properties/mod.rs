//! Property tests. Each run uses a random seed; a failure prints the seed and the smallest input.
//!
//! `PROPTEST_RNG_SEED` repeats a run, `PROPTEST_CASES` sets its length (default 256).

mod noise;
mod patch_model;
mod patches;
mod users;
mod versions;
mod work;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};

/// Checks a property on that many random inputs.
fn check_property<S: Strategy>(cases: u32, inputs: S, property: impl Fn(S::Value) -> TestCaseResult) {
    let usual = Config::default();
    let seed = match usual.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => rand::random(),
    };
    let config = Config {
        cases: (cases * usual.cases).div_ceil(256),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..usual
    };
    if let Err(found) = TestRunner::new(config).run(&inputs, property) {
        panic!("PROPTEST_RNG_SEED={seed} repeats this: {found}");
    }
}
