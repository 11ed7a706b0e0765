//! [`DocumentStore`](uno_core::DocumentStore), for stores that outlive their process.

pub mod reopening;
