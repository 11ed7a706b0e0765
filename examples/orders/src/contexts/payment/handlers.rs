//! Takes the commands of payment to the aggregate, and plays the bank.

use uno::prelude::*;

use crate::{
    contexts::payment::{
        commands::{ChargePayment, RefundPayment},
        order_payment::OrderPayment,
    },
    ids::OrderId,
};

/// Handles every command of payment, on any store.
#[derive(Clone, Copy, Debug)]
pub struct Payments;

impl Payments {
    /// Registers the handlers.
    pub fn register<B: Backend>(app: UnoBuilder<B>) -> UnoBuilder<B> {
        app.aggregate::<OrderPayment>()
            .command::<ChargePayment>(Self)
            .command::<RefundPayment>(Self)
    }
}

impl<B: Backend> CommandHandler<ChargePayment, B> for Payments {
    async fn handle(
        &self,
        command: &ChargePayment,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut payment = uow.load_or_new::<OrderPayment>(&command.order).await?;
        let approved = bank_approves(command.order);
        payment.record_with(|payment| payment.charge(command.order, command.amount, approved));
        Ok(())
    }
}

impl<B: Backend> CommandHandler<RefundPayment, B> for Payments {
    async fn handle(
        &self,
        command: &RefundPayment,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut payment = uow.load_or_new::<OrderPayment>(&command.order).await?;
        payment.record_with(OrderPayment::refund);
        Ok(())
    }
}

/// The bank refuses 4 in 100 payments: always the same ones.
fn bank_approves(order: OrderId) -> bool {
    order.dice("payment") >= 400
}
