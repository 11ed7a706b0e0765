//! Takes the commands of inventory to the aggregate, and plays the shelf.

use uno::prelude::*;

use crate::{
    contexts::inventory::{
        allocation::Allocation,
        commands::{AllocateStock, ReleaseStock},
    },
    ids::OrderId,
};

/// Handles every command of inventory, on any store.
#[derive(Clone, Copy, Debug)]
pub struct Inventory;

impl Inventory {
    /// Registers the handlers.
    pub fn register<B: Backend>(app: UnoBuilder<B>) -> UnoBuilder<B> {
        app.aggregate::<Allocation>()
            .command::<AllocateStock>(Self)
            .command::<ReleaseStock>(Self)
    }
}

impl<B: Backend> CommandHandler<AllocateStock, B> for Inventory {
    async fn handle(
        &self,
        command: &AllocateStock,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut allocation = uow.load_or_new::<Allocation>(&command.order).await?;
        let available = is_on_the_shelf(command.order);
        allocation
            .decide(|allocation| allocation.allocate(command.order, command.quantity, available))?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<ReleaseStock, B> for Inventory {
    async fn handle(
        &self,
        command: &ReleaseStock,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut allocation = uow.load_or_new::<Allocation>(&command.order).await?;
        allocation.record_with(|allocation| allocation.release(command.order));
        Ok(())
    }
}

/// The shelf is empty for 4 in 100 orders: always the same ones.
fn is_on_the_shelf(order: OrderId) -> bool {
    order.dice("stock") >= 400
}
