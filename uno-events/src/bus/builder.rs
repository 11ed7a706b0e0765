//! [`EventBusBuilder`]: the settings of a bus.

use std::time::Duration;

use uno_core::Decoder;

use super::EventBus;

/// Settings of an [`EventBus`].
#[derive(Debug)]
pub struct EventBusBuilder {
    decoder: Decoder,
    max_concurrency: usize,
    time_limit: Option<Duration>,
}

impl EventBusBuilder {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            max_concurrency: 10,
            time_limit: Some(Duration::from_secs(30)),
        }
    }

    /// The decoder of events for typed handlers.
    #[must_use]
    pub fn decoder(mut self, decoder: Decoder) -> Self {
        self.decoder = decoder;
        self
    }

    /// How many handlers may run at once, on the whole bus; at least one. Ten unless it is said.
    #[must_use]
    pub fn max_concurrency(mut self, handlers: usize) -> Self {
        self.max_concurrency = handlers.max(1);
        self
    }

    /// How long a handler may take that has no limit of its own. Thirty seconds unless it is said.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Handlers may take as long as they like, unless they have a limit of their own.
    #[must_use]
    pub fn no_time_limit(mut self) -> Self {
        self.time_limit = None;
        self
    }

    /// The bus.
    #[must_use]
    pub fn build(self) -> EventBus {
        EventBus::from_parts(self.decoder, self.max_concurrency, self.time_limit)
    }
}
