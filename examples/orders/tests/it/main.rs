//! Runs the order application as a person would, and compares what it prints.

#![expect(clippy::unwrap_used, reason = "a test that can not go on says so")]

mod describe;
mod errors;
mod kill;
mod postgres;
mod reports;
mod run;
