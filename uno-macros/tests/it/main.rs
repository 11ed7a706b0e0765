//! What the derives emit, and what they refuse.

mod command;
mod event;
mod event_set;
mod ui;
