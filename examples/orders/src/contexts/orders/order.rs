//! [`Order`]: the aggregate. Decisions are pure: they look at the state and return facts.

use chrono::NaiveDate;
use uno::prelude::*;

use crate::{
    contexts::orders::{
        commands::Item,
        events::{
            OrderCancelled, OrderCreated, OrderEvent, OrderItemAdded, OrderPlaced, OrderShipped,
        },
    },
    ids::{CustomerId, OrderId},
    money::Cents,
};

/// An order, as far as its rules need it.
#[derive(Debug, Default)]
pub struct Order {
    status: Status,
    facts: Option<OrderCreated>,
    item_count: u32,
    total: Cents,
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Unknown,
    Draft,
    Placed,
    Shipped,
    Cancelled,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Created(created) => {
                self.status = Status::Draft;
                self.facts = Some(created.clone());
            }
            OrderEvent::ItemAdded(added) => {
                self.item_count += added.quantity;
                self.total += added.amount;
            }
            OrderEvent::Placed(_) => self.status = Status::Placed,
            OrderEvent::Shipped(_) => self.status = Status::Shipped,
            OrderEvent::Cancelled(_) => self.status = Status::Cancelled,
        }
    }
}

impl Order {
    /// How far it has come.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Begins the order.
    pub fn create(
        &self,
        order: OrderId,
        customer: CustomerId,
        ordered_on: NaiveDate,
    ) -> Result<OrderCreated, OrderError> {
        match self.status {
            Status::Unknown => Ok(OrderCreated {
                order,
                customer,
                ordered_on,
            }),
            status => Err(OrderError::ExistsAlready(status)),
        }
    }

    /// Puts something in.
    pub fn add_item(&self, item: &Item) -> Result<OrderItemAdded, OrderError> {
        let facts = self.draft()?;
        if item.quantity == 0 {
            return Err(OrderError::NoQuantity);
        }
        Ok(OrderItemAdded {
            order: facts.order,
            product: item.product.clone(),
            quantity: item.quantity,
            amount: item.amount,
        })
    }

    /// Places the order, which the customer may cancel for so long before anything is charged.
    pub fn place(&self, cooling_off_secs: u32) -> Result<OrderPlaced, OrderError> {
        let facts = self.draft()?;
        if self.item_count == 0 {
            return Err(OrderError::Empty);
        }
        Ok(OrderPlaced {
            order: facts.order,
            customer: facts.customer.clone(),
            ordered_on: facts.ordered_on,
            item_count: self.item_count,
            total: self.total,
            cooling_off_secs,
        })
    }

    /// Notes that the parcel is on its way. Told twice, it is one fact.
    pub fn ship(&self) -> Result<Option<OrderShipped>, OrderError> {
        match (self.status, &self.facts) {
            (Status::Shipped, _) => Ok(None),
            (Status::Placed, Some(facts)) => Ok(Some(OrderShipped {
                order: facts.order,
                customer: facts.customer.clone(),
                ordered_on: facts.ordered_on,
                item_count: self.item_count,
                total: self.total,
            })),
            (status, _) => Err(OrderError::NotPlaced(status)),
        }
    }

    /// Gives the order up. Told twice, it is one fact.
    pub fn cancel(&self, reason: &str) -> Result<Option<OrderCancelled>, OrderError> {
        match (self.status, &self.facts) {
            (Status::Cancelled, _) => Ok(None),
            (Status::Draft | Status::Placed, Some(facts)) => Ok(Some(OrderCancelled {
                order: facts.order,
                customer: facts.customer.clone(),
                total: self.total,
                reason: reason.to_owned(),
            })),
            (status, _) => Err(OrderError::NotPlaced(status)),
        }
    }

    fn draft(&self) -> Result<&OrderCreated, OrderError> {
        match (self.status, &self.facts) {
            (Status::Draft, Some(facts)) => Ok(facts),
            (status, _) => Err(OrderError::NotDraft(status)),
        }
    }
}

/// Why an order refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    ExistsAlready(Status),
    NotDraft(Status),
    NotPlaced(Status),
    NoQuantity,
    Empty,
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ExistsAlready(status) => write!(f, "the order exists already and is {status:?}"),
            Self::NotDraft(status) => write!(f, "an order that is {status:?} can't be changed"),
            Self::NotPlaced(status) => write!(
                f,
                "an order that is {status:?} can't be shipped or cancelled"
            ),
            Self::NoQuantity => f.write_str("an item has a quantity of at least one"),
            Self::Empty => f.write_str("an empty order can't be placed"),
        }
    }
}

impl std::error::Error for OrderError {}

/// Lets `?` in a handler turn a refusal into a rejected command.
impl DomainError for OrderError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> AggregateRoot<Order> {
        let id = OrderId::of_line(1, "test");
        let mut order = AggregateRoot::<Order>::new(id);
        let date = NaiveDate::from_ymd_opt(1997, 1, 1).unwrap();
        order
            .decide(|order| order.create(id, CustomerId("7".into()), date))
            .unwrap();
        order
    }

    fn item(quantity: u32, amount: i64) -> Item {
        Item {
            product: "cd".into(),
            quantity,
            amount: Cents(amount),
        }
    }

    #[test]
    fn an_empty_order_cannot_be_placed() {
        assert_eq!(
            draft().decide(|order| order.place(0)),
            Err(OrderError::Empty)
        );
    }

    #[test]
    fn placing_adds_up_the_items() {
        let mut order = draft();
        order.decide(|order| order.add_item(&item(2, 500))).unwrap();
        order.decide(|order| order.add_item(&item(1, 250))).unwrap();
        order.decide(|order| order.place(0)).unwrap();
        let Some(OrderEvent::Placed(placed)) = order.uncommitted().last() else {
            panic!("not placed")
        };
        assert_eq!((placed.item_count, placed.total), (3, Cents(750)));
        assert_eq!(
            order.decide(|order| order.add_item(&item(1, 1))),
            Err(OrderError::NotDraft(Status::Placed))
        );
    }

    #[test]
    fn an_order_is_shipped_or_cancelled_once_and_not_both() {
        let mut order = draft();
        assert_eq!(
            order.decide(Order::ship),
            Err(OrderError::NotPlaced(Status::Draft))
        );
        order.decide(|order| order.add_item(&item(1, 1))).unwrap();
        order.decide(|order| order.place(0)).unwrap();
        order.decide(Order::ship).unwrap();
        let facts = order.uncommitted().len();
        order.decide(Order::ship).unwrap();
        assert_eq!(
            order.uncommitted().len(),
            facts,
            "shipped twice is one fact"
        );
        assert_eq!(
            order.decide(|order| order.cancel("late")),
            Err(OrderError::NotPlaced(Status::Shipped))
        );
    }
}
