//! Diagrams of sagas in [Mermaid](https://mermaid.js.org)'s language: as they are declared, and as one instance went.
//!
//! The same saga gives the same text each time, so that a test can keep it. Whatever names, reasons and texts contain, the
//! diagram stays what it is: what could mean something to Mermaid is written as a character code.
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use uno_core::{Command, Envelope, Event};
//! # use uno_saga::{StepSaga, Steps, diagram};
//! # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { order: u64 }
//! # #[derive(Command, Serialize, Deserialize)] struct SendInvoice { order: u64 }
//! #[derive(Serialize, Deserialize, Clone, Debug)]
//! struct Invoicing { order: u64 }
//!
//! impl StepSaga for Invoicing {
//! #   const NAME: &'static str = "invoicing";
//! #   type Event = OrderPlaced;
//! #   type Command = SendInvoice;
//! #   fn key(event: &Envelope<OrderPlaced>) -> Option<String> { Some(event.event().order.to_string()) }
//! #   fn start(event: &Envelope<OrderPlaced>) -> Option<Self> { Some(Self { order: event.event().order }) }
//!     fn steps() -> Steps<Self> {
//!         Steps::<Self>::new().step("invoice", |it| SendInvoice { order: it.order }).on_gave_up(Steps::new())
//!     }
//! }
//!
//! assert_eq!(diagram::of_steps::<Invoicing>(), r#"flowchart TD
//!     begin(["invoicing"])
//!     s0["invoice<br/>sends send_invoice"]
//!     begin --> s0
//!     s0 -->|"rejected"| undo
//!     done(["completed"])
//!     s0 --> done
//!     s0 -->|"gave up"| done
//!     undo(["undo all in reverse"])
//! "#);
//! ```

mod flowchart;
mod sequence;
mod states;
#[cfg(test)]
mod tests;
mod text;

pub use self::{flowchart::of_steps, sequence::of_instance, states::of_states};
