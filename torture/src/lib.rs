//! Campaigns that try to break the stores, and a judge that looks from outside: see `docs/design/torture.md`.

#![expect(
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "plain records: nothing but this package's own program and tests uses the library"
)]

pub mod arena;
pub mod campaign;
pub mod cancel;
pub mod controls;
pub mod duel;
pub mod figures;
pub mod ids;
pub mod judge;
pub mod ledger;
pub mod rebuild;
pub mod saga;
pub mod sequence;
pub mod server;
pub mod session;
pub mod subscriptions;
pub mod tally;
