//! Takes the commands of shipping to the aggregate.

use uno::prelude::*;

use crate::contexts::shipping::{commands::DispatchParcel, parcel::Parcel};

/// Handles every command of shipping, on any store.
#[derive(Clone, Copy, Debug)]
pub struct Shipping;

impl Shipping {
    /// Registers the handlers.
    pub fn register<B: Backend>(app: UnoBuilder<B>) -> UnoBuilder<B> {
        app.aggregate::<Parcel>().command::<DispatchParcel>(Self)
    }
}

impl<B: Backend> CommandHandler<DispatchParcel, B> for Shipping {
    async fn handle(
        &self,
        command: &DispatchParcel,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut parcel = uow.load_or_new::<Parcel>(&command.order).await?;
        parcel.record_with(|parcel| parcel.dispatch(command.order));
        Ok(())
    }
}
