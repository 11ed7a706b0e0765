//! The world outside: services that are told something, and that recognise what they were told already.

mod analytics;
mod ledger;
mod mailbox;

pub use self::{analytics::Analytics, ledger::Ledger, mailbox::Mailer};
