//! The five programs say what they should, and their stories end alike wherever the process is stopped.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod crash;
mod golden;
