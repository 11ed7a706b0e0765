//! [`Analytics`]: tells the statisticians what was sold. Replay-safe: they recognise what they know.

use std::sync::Arc;

use uno::prelude::*;

use crate::{contexts::orders::events::OrderShipped, outside::Ledger};

/// Reports sales to a service that takes the event's id as its key.
#[derive(Clone, Debug)]
pub struct Analytics {
    sales: Arc<Ledger>,
}

impl Analytics {
    /// Reports to this service.
    pub fn new(sales: Arc<Ledger>) -> Self {
        Self { sales }
    }
}

impl EventHandler<OrderShipped> for Analytics {
    async fn handle(&self, event: &Envelope<OrderShipped>) -> Result<(), BoxError> {
        let sold = event.event();
        let size = if sold.item_count >= 5 {
            "large"
        } else {
            "small"
        };
        self.sales.note(
            *event.id().as_uuid(),
            &format!("{size} {} {}", sold.item_count, sold.total.0),
        )?;
        Ok(())
    }
}
