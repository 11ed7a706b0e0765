//! [`CheckpointStore`](uno_core::CheckpointStore): how far each subscription has come.

pub mod fences;
pub mod lanes;
pub mod moves;
pub mod reads;
