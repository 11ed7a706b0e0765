//! The conformance suite on the stores, and the proof that its cases can fail.

mod broken;
mod fault_store;
mod listing;
pub(crate) mod memory;
mod only_documents;
mod proof;
mod vocabulary;
