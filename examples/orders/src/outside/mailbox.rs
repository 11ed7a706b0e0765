//! [`Mailer`]: writes to customers. Live-only: nobody wants last year's mail again when a read model is rebuilt.

use std::sync::Arc;

use uno::prelude::*;

use crate::{
    contexts::orders::events::{OrderCancelled, OrderPlaced},
    outside::Ledger,
};

/// What customers are told about.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum MailEvent {
    Placed(OrderPlaced),
    Cancelled(OrderCancelled),
}

/// Sends mail through a service that takes the event's id as the message id, and so sends each message once.
#[derive(Clone, Debug)]
pub struct Mailer {
    mailbox: Arc<Ledger>,
}

impl Mailer {
    /// Sends through this mailbox.
    pub fn new(mailbox: Arc<Ledger>) -> Self {
        Self { mailbox }
    }
}

impl EventHandler<MailEvent> for Mailer {
    async fn handle(&self, event: &Envelope<MailEvent>) -> Result<(), BoxError> {
        let text = match event.event() {
            MailEvent::Placed(e) => format!(
                "placed: thank you, customer {}, for order {} over {}",
                e.customer, e.order, e.total
            ),
            MailEvent::Cancelled(e) => format!(
                "cancelled: customer {}, order {}: {}",
                e.customer, e.order, e.reason
            ),
        };
        self.mailbox.note(*event.id().as_uuid(), &text)?;
        Ok(())
    }
}
