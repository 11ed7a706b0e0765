//! [`Shop`]: the handlers, which know the fates.

use std::sync::Arc;

use tokio::time::sleep;
use uno::prelude::*;
use uuid::Uuid;

use super::{
    fulfilment::Fulfilment,
    orders::{
        AllocateStock, CancelOrder, ChargePayment, DispatchParcel, Fate, Order, OrderCancelled,
        OrderId, OrderShipped, Parcel, ParcelDispatched, Payment, PaymentCharged, PaymentDeclined,
        PaymentRefunded, PlaceOrder, RefundPayment, ReleaseStock, ShipOrder, Stock, StockAllocated,
        StockReleased, lateness,
    },
    provider::Provider,
};

/// Handles every command.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    seed: u64,
    provider: Arc<Provider>,
}

impl Shop {
    pub(crate) fn new(seed: u64, provider: Provider) -> Self {
        Self {
            seed,
            provider: Arc::new(provider),
        }
    }

    /// The application, in the process that places this share of the orders.
    pub(crate) fn open<B: Backend>(self, store: Arc<B>, share: u64) -> Result<Uno<B>, BuildError> {
        Uno::builder(store)
            .instance(format!("shopkeeper {share}"))
            .poll_interval(std::time::Duration::from_millis(100))
            .command::<PlaceOrder>(self.clone())
            .command::<ChargePayment>(self.clone())
            .command::<RefundPayment>(self.clone())
            .command::<AllocateStock>(self.clone())
            .command::<ReleaseStock>(self.clone())
            .command::<DispatchParcel>(self.clone())
            .command::<ShipOrder>(self.clone())
            .command::<CancelOrder>(self)
            .saga::<Fulfilment>()
            .build()
    }

    fn fate(&self, order: OrderId) -> Fate {
        Fate::of(self.seed, order)
    }
}

/// The id of the command that is carried out, which is the provider's idempotency key.
fn key<B: Backend>(uow: &UnitOfWork<B>) -> Result<Uuid, CommandError> {
    let id = uow.metadata().causation_id();
    id.ok_or_else(|| CommandError::failed("the command has no id"))
}

impl<B: Backend> CommandHandler<PlaceOrder, B> for Shop {
    async fn handle(
        &self,
        command: &PlaceOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut order = uow.load_or_new::<Order>(&command.order).await?;
        order.record_with(|order| order.place(command.order, command.patience_ms));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ChargePayment, B> for Shop {
    async fn handle(
        &self,
        command: &ChargePayment,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let (order, key, fate) = (command.order, key(uow)?, self.fate(command.order));
        let mut payment = uow.load_or_new::<Payment>(&order).await?;
        match fate {
            Fate::NoAnswer => return Ok(()),
            Fate::Declined => {
                payment.record(PaymentDeclined { order });
                return Ok(());
            }
            _ => {}
        }
        self.provider
            .charge(key, order)
            .await
            .map_err(CommandError::failed)?;
        match fate {
            Fate::LostAnswer => return Err(CommandError::failed("the bank's answer was lost")),
            Fate::LateAnswer => sleep(lateness(self.seed, order)).await,
            _ => {}
        }
        payment.record(PaymentCharged { order });
        Ok(())
    }
}

impl<B: Backend> CommandHandler<RefundPayment, B> for Shop {
    async fn handle(
        &self,
        command: &RefundPayment,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let (order, key) = (command.order, key(uow)?);
        if self.fate(order) == Fate::Unrefundable {
            return Err(CommandError::rejected("the customer's account is closed"));
        }
        // Only the bank knows whether it took anything: a charge whose answer was lost is in no event of ours.
        let mut payment = uow.load_or_new::<Payment>(&order).await?;
        let refunded = self.provider.refund(key, order).await;
        if refunded.map_err(CommandError::failed)? {
            payment.record(PaymentRefunded { order });
        }
        Ok(())
    }
}

impl<B: Backend> CommandHandler<AllocateStock, B> for Shop {
    async fn handle(
        &self,
        command: &AllocateStock,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let order = command.order;
        if matches!(self.fate(order), Fate::OutOfStock | Fate::Unrefundable) {
            return Err(CommandError::rejected("there is nothing on the shelf"));
        }
        let mut stock = uow.load_or_new::<Stock>(&order).await?;
        stock.record(StockAllocated { order });
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ReleaseStock, B> for Shop {
    async fn handle(
        &self,
        command: &ReleaseStock,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let order = command.order;
        let mut stock = uow.load_or_new::<Stock>(&order).await?;
        stock.record_with(|stock| stock.allocated.then_some(StockReleased { order }));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<DispatchParcel, B> for Shop {
    async fn handle(
        &self,
        command: &DispatchParcel,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let order = command.order;
        if self.fate(order) == Fate::Undeliverable {
            return Err(CommandError::rejected("the carrier does not go there"));
        }
        let mut parcel = uow.load_or_new::<Parcel>(&order).await?;
        parcel.record(ParcelDispatched { order });
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ShipOrder, B> for Shop {
    async fn handle(
        &self,
        command: &ShipOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let order = command.order;
        let mut found = uow.load::<Order>(&order).await?;
        found.record(OrderShipped { order });
        Ok(())
    }
}

impl<B: Backend> CommandHandler<CancelOrder, B> for Shop {
    async fn handle(
        &self,
        command: &CancelOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let order = command.order;
        let mut found = uow.load::<Order>(&order).await?;
        found.record(OrderCancelled { order });
        Ok(())
    }
}
