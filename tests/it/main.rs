//! Tests that need more than one crate, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that can not go on says so")]

mod audit;
mod bus;
mod conformance;
mod consumers;
mod cqrs;
mod domain;
mod facade;
mod integrity;
mod macros;
mod postgres;
mod saga;
mod sqlite;
mod subscriptions;
mod support;
mod uow;
mod upcasting;
