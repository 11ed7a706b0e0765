//! [`Shop`]: what the requests share.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uno::{
    core::{BoxError, SubscriptionName},
    prelude::*,
};

use crate::http::{place::Place, problem::Problem};

/// The running application, and when to stop. Cheap to clone.
pub struct Shop<B: Backend> {
    pub app: App<B>,
    /// How long a read model is waited for.
    patience: Duration,
    /// Is cancelled when nothing more is to be served.
    pub stop: CancellationToken,
}

impl<B: Backend> Shop<B> {
    pub fn new(app: App<B>, patience: Duration, stop: CancellationToken) -> Self {
        Self {
            app,
            patience,
            stop,
        }
    }

    /// Waits until a read model shows what a receipt tells of: whoever has placed an order then finds it.
    pub async fn wait_for<P: DocumentProjection>(
        &self,
        after: Option<Place>,
    ) -> Result<(), Problem> {
        let Some(after) = after else { return Ok(()) };
        let name = SubscriptionName::new(P::NAME).map_err(BoxError::from)?;
        let waited = self
            .app
            .wait_for(&name, &after.receipt(), self.patience)
            .await;
        Ok(waited?)
    }
}

impl<B: Backend> Clone for Shop<B> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            patience: self.patience,
            stop: self.stop.clone(),
        }
    }
}
