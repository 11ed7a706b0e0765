//! Runs the order application as a person would, and compares what it prints.

#![expect(clippy::unwrap_used, reason = "a test that can not go on says so")]

mod audit;
mod browser;
mod describe;
mod errors;
mod feed;
mod http;
mod kill;
mod openapi;
mod postgres;
mod rebuild;
mod reports;
mod run;
mod server;
