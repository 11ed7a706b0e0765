//! [`ProcessStore`](uno_core::ProcessStore), [`TimerStore`](uno_core::TimerStore), [`InboxStore`](uno_core::InboxStore):
//! instances of processes with their histories, queues of messages, timers, and the inbox.

pub mod contention;
pub mod due;
pub mod history;
pub mod inbox;
pub mod instances;
pub mod keys;
pub mod queues;
mod setting;
pub mod timers;
