//! Takes the commands of orders to the aggregate.

use uno::prelude::*;

use crate::contexts::orders::{
    commands::{AddItem, CancelOrder, CreateOrder, PlaceOrder, ShipOrder, SubmitOrder},
    order::{Order, Status},
};

/// Handles every command of orders, on any store.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    /// For how long customers may change their mind. The house says so, and not who places an order.
    cooling_off_secs: u32,
}

impl Orders {
    /// In a house that gives customers so long to change their mind.
    pub fn with_cooling_off(secs: u32) -> Self {
        Self {
            cooling_off_secs: secs,
        }
    }

    /// Registers the handlers.
    pub fn register<B: Backend>(self, app: UnoBuilder<B>) -> UnoBuilder<B> {
        app.aggregate::<Order>()
            .command::<CreateOrder>(self)
            .command::<AddItem>(self)
            .command::<PlaceOrder>(self)
            .command_with::<SubmitOrder, _>(self, |options| options.validate())
            .command::<ShipOrder>(self)
            .command_with::<CancelOrder, _>(self, |options| options.validate())
    }
}

impl<B: Backend> CommandHandler<CreateOrder, B> for Orders {
    async fn handle(
        &self,
        command: &CreateOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut order = uow.load_or_new::<Order>(&command.order).await?;
        order.decide(|order| {
            order.create(command.order, command.customer.clone(), command.ordered_on)
        })?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<AddItem, B> for Orders {
    async fn handle(&self, command: &AddItem, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let mut order = uow.load::<Order>(&command.order).await?;
        order.decide(|order| order.add_item(&command.item))?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<PlaceOrder, B> for Orders {
    async fn handle(
        &self,
        command: &PlaceOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut order = uow.load::<Order>(&command.order).await?;
        order.decide(|order| order.place(self.cooling_off_secs))?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<SubmitOrder, B> for Orders {
    async fn handle(
        &self,
        command: &SubmitOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut order = uow.load_or_new::<Order>(&command.order).await?;
        if order.state().status() != Status::Unknown {
            return Ok(()); // An import that was interrupted submits again what it does not know to be done.
        }
        order.decide(|order| {
            order.create(command.order, command.customer.clone(), command.ordered_on)
        })?;
        for item in &command.items {
            order.decide(|order| order.add_item(item))?;
        }
        order.decide(|order| order.place(self.cooling_off_secs))?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ShipOrder, B> for Orders {
    async fn handle(
        &self,
        command: &ShipOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut order = uow.load::<Order>(&command.order).await?;
        order.decide(Order::ship)?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<CancelOrder, B> for Orders {
    async fn handle(
        &self,
        command: &CancelOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut order = uow.load::<Order>(&command.order).await?;
        order.decide(|order| order.cancel(&command.reason))?;
        Ok(())
    }
}
