//! The conformance suite: what every store must do, case by case.
//!
#![doc = include_str!("docs/conformance.md")]

mod case;
mod document_harness;
mod document_trial;
mod fixture;
mod harness;
mod list;
mod run;
mod subscribing;
mod together;
mod trial;

#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod checkpoints;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod document_persistence;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod documents;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod leases;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod log;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod parking;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod persistence;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod processes;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a store; if it is not so, it fails"
)]
pub mod transactional;

#[cfg(feature = "shapes")]
pub(crate) use self::run::chain;
pub(crate) use self::run::{judge, two_workers};
pub use self::{
    case::{Case, CaseFn, CaseFuture, DocumentCaseFn, Outcome, cases, log_cases},
    document_harness::{DocumentCommit, DocumentHarness, PersistentDocumentHarness},
    document_trial::DocumentTrial,
    harness::{BackendHarness, Harness, PersistentHarness, TxOf},
    run::{TIME_LIMIT, attempt, attempt_documents, run, run_documents},
    trial::Trial,
};
