//! [`OrderPayment`]: the aggregate.

use uno::prelude::*;

use crate::{
    contexts::payment::events::{PaymentCharged, PaymentDeclined, PaymentEvent, PaymentRefunded},
    ids::OrderId,
    money::Cents,
};

/// The payment of one order.
#[derive(Debug, Default)]
pub struct OrderPayment {
    status: Status,
}

#[derive(Debug, Default)]
enum Status {
    #[default]
    Open,
    Declined,
    Charged(PaymentCharged),
    Refunded,
}

impl Aggregate for OrderPayment {
    const CATEGORY: &'static str = "payment";
    type Id = OrderId;
    type Event = PaymentEvent;

    fn apply(&mut self, event: &PaymentEvent) {
        self.status = match event {
            PaymentEvent::Charged(charged) => Status::Charged(charged.clone()),
            PaymentEvent::Declined(_) => Status::Declined,
            PaymentEvent::Refunded(_) => Status::Refunded,
        };
    }
}

impl OrderPayment {
    /// Charges the customer, unless that was decided already. `approved` is what the bank says.
    pub fn charge(&self, order: OrderId, amount: Cents, approved: bool) -> Option<PaymentEvent> {
        match (&self.status, approved) {
            (Status::Open, true) => Some(PaymentCharged { order, amount }.into()),
            (Status::Open, false) => Some(PaymentDeclined { order, amount }.into()),
            _ => None,
        }
    }

    /// Gives back what was charged. Where nothing was, or all was given back, there is nothing to do.
    pub fn refund(&self) -> Option<PaymentRefunded> {
        match &self.status {
            Status::Charged(charged) => Some(PaymentRefunded {
                order: charged.order,
                amount: charged.amount,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_moves_once_in_each_direction() {
        let order = OrderId::of_line(1, "test");
        let mut payment = AggregateRoot::<OrderPayment>::new(order);
        payment.record_with(OrderPayment::refund);
        assert!(payment.uncommitted().is_empty(), "nothing was charged");
        for _ in 0..2 {
            payment.record_with(|payment| payment.charge(order, Cents(500), true));
        }
        assert_eq!(
            payment.uncommitted(),
            [PaymentCharged {
                order,
                amount: Cents(500)
            }
            .into()]
        );
        for _ in 0..2 {
            payment.record_with(OrderPayment::refund);
        }
        assert_eq!(payment.uncommitted().len(), 2);
        payment.record_with(|payment| payment.charge(order, Cents(500), true));
        assert_eq!(
            payment.uncommitted().len(),
            2,
            "what was given back is not charged again"
        );
    }
}
