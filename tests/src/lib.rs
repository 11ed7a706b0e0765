//! Integration tests across the crates of the Uno framework, and the pages whose examples are compiled.

/// The README: its examples run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
