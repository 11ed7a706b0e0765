//! [`DocumentStore`](uno_core::DocumentStore): documents by collection and key.

pub mod commits;
pub mod fields;
pub mod names;
pub mod reads;
pub mod revisions;
pub mod writes;
