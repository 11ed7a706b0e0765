//! The other half of the domain: customers, who are kept as states.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uno_core::{Backend, Document, Event, Metadata};
use uno_domain::StateStored;
use uno_uow::{CommandError, Runner, TrackedState, UnitOfWork};

/// Somebody who buys. Not `Clone`, since nothing of what a unit of work does with it may need that.
#[derive(Serialize, Deserialize, Default, Debug, PartialEq)]
pub(super) struct Customer {
    pub(super) name: String,
    pub(super) orders: u32,
    pub(super) rating: f64,
}

impl StateStored for Customer {
    const CATEGORY: &'static str = "customer";
    type Id = String;
}

/// Something was ordered.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct CustomerOrdered {
    pub(super) orders: u32,
}

impl Customer {
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// Counts an order of a customer, who is new if there is none of that name, and says so.
pub(super) async fn order<B: Backend>(
    uow: &mut UnitOfWork<B>,
    name: &str,
) -> Result<u32, CommandError> {
    let mut customers = uow.state_repository::<Customer>();
    let mut customer = customers
        .load_or_new(&name.to_owned(), || Customer::named(name))
        .await?;
    customer.orders += 1;
    let orders = customer.orders;
    customer.raise(CustomerOrdered { orders });
    Ok(orders)
}

/// Counts an order behind everybody's back.
pub(super) async fn slip_in_order<B: Backend>(store: &Arc<B>, name: &str) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    order(&mut uow, name).await.unwrap();
    runner.commit(uow).await.unwrap();
}

/// A customer as it is stored, and its revision.
pub(super) async fn stored<B: Backend>(store: &Arc<B>, name: &str) -> Option<(Customer, u64)> {
    let found = store
        .load_documents("customer", &[name.to_owned()])
        .await
        .unwrap();
    found.first().map(|document: &Document| {
        let customer = serde_json::from_str(document.body().as_str()).unwrap();
        (customer, document.revision())
    })
}

/// How many orders a customer has, as it is stored; 0 if there is no such customer.
pub(super) async fn orders<B: Backend>(store: &Arc<B>, name: &str) -> u32 {
    stored(store, name)
        .await
        .map_or(0, |(customer, _)| customer.orders)
}

/// The customer of that name, who is there.
pub(super) async fn customer<B: Backend>(
    uow: &mut UnitOfWork<B>,
    name: &str,
) -> TrackedState<Customer> {
    uow.state_repository().load(&name.to_owned()).await.unwrap()
}
