//! Stores that outlive their process: what survives when one is opened again.

pub mod reopening;
