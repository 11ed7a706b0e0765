//! The second tier: [`Transactional`](uno_core::Transactional), with all that a commit can hold.

pub(crate) mod all_parts;

pub mod commits;
pub mod concurrency;
pub mod documents;
pub mod snapshots;
pub mod unchanged;
pub mod work;
