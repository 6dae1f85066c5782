//! Integration tests: over HTTP, on the command line and on the source.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod app;
mod auth;
mod backup;
mod bad_input;
mod caller;
mod cli;
mod concurrency;
mod conformance;
mod doctor;
mod durability;
mod errors;
mod fair_shares;
mod fairness;
mod full_disk;
mod house;
mod http;
mod https;
mod identity;
mod licences;
mod logs;
mod management;
mod metrics;
mod network;
mod packaging;
mod patch_work;
mod portal;
mod properties;
mod protocol;
mod sample;
mod secrets;
mod settings;
mod tables;
mod tenants;
mod transcripts;
mod upgrade;
