//! [`Tally`]: the log, read from the first event to the last and added up, without any read model.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use uno::{core::EventName, prelude::*};

use crate::{
    contexts::{
        inventory::events::{StockAllocated, StockReleased},
        orders::events::{OrderCancelled, OrderPlaced, OrderShipped},
        payment::events::{PaymentCharged, PaymentDeclined, PaymentRefunded},
        shipping::events::ParcelDispatched,
    },
    money::Cents,
    read_models::{
        CustomerTotal, CustomerTotals, MonthlySales, OrderSummaries, OrderSummary, SalesPerMonth,
        ShopWindow, Showing,
    },
};

/// What adds up.
#[derive(EventSet, Clone, Debug, PartialEq)]
enum Counted {
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
    Charged(PaymentCharged),
    Declined(PaymentDeclined),
    Refunded(PaymentRefunded),
    Allocated(StockAllocated),
    Released(StockReleased),
    Dispatched(ParcelDispatched),
}

/// Orders or payments, and what they come to.
type Sum = (usize, Cents);

/// Sums over the log, and what the read models must be.
#[derive(Debug, Default)]
pub struct Tally {
    pub placed: Sum,
    pub shipped: Sum,
    pub cancelled: Sum,
    pub charged: Sum,
    pub declined: Sum,
    pub refunded: Sum,
    pub summaries: Vec<(String, OrderSummary)>,
    pub customers: Vec<(String, CustomerTotal)>,
    pub months: Vec<(String, MonthlySales)>,
    pub window: Vec<(String, Showing)>,
    allocated_items: u64,
    released_items: u64,
    shipped_items: u64,
    dispatched: usize,
    positions: Vec<Position>,
    ended: Vec<Position>,
}

impl Tally {
    /// Reads the whole log.
    pub async fn of_log<B: Backend>(store: &B) -> anyhow::Result<Self> {
        let decoder = Decoder::new();
        let counted = decoder.stored_names::<Counted>();
        let mut tally = Self::default();
        let mut summaries = Fold::new(OrderSummaries, &decoder);
        let mut customers = Fold::new(CustomerTotals, &decoder);
        let mut months = Fold::new(SalesPerMonth, &decoder);
        let mut window = Fold::new(ShopWindow, &decoder);
        let mut pages = store.pages(Position::START, EventFilter::all(), 1000);
        while let Some(page) = pages.next_page().await? {
            for record in &page {
                tally.positions.push(record.position());
                if counted.contains(record.name()) {
                    for event in decoder.decode_matching(record)? {
                        tally.count(&event);
                    }
                }
                summaries.apply(&decoder, record)?;
                customers.apply(&decoder, record)?;
                months.apply(&decoder, record)?;
                window.apply(&decoder, record)?;
            }
        }
        tally.summaries = summaries.into_documents();
        tally.customers = customers.into_documents();
        tally.months = months.into_documents();
        tally.window = window.into_documents();
        Ok(tally)
    }

    fn count(&mut self, event: &Envelope<Counted>) {
        let add = |sum: &mut Sum, amount: Cents| *sum = (sum.0 + 1, sum.1 + amount);
        match event.event() {
            Counted::Placed(e) => add(&mut self.placed, e.total),
            Counted::Shipped(e) => {
                add(&mut self.shipped, e.total);
                self.shipped_items += u64::from(e.item_count);
                self.ended.push(event.position());
            }
            Counted::Cancelled(e) => {
                add(&mut self.cancelled, e.total);
                self.ended.push(event.position());
            }
            Counted::Charged(e) => add(&mut self.charged, e.amount),
            Counted::Declined(e) => add(&mut self.declined, e.amount),
            Counted::Refunded(e) => add(&mut self.refunded, e.amount),
            Counted::Allocated(e) => self.allocated_items += u64::from(e.quantity),
            Counted::Released(e) => self.released_items += u64::from(e.quantity),
            Counted::Dispatched(_) => self.dispatched += 1,
        }
    }

    /// Whether what left the shelf is what was shipped.
    pub fn stock_adds_up(&self) -> bool {
        self.allocated_items - self.released_items == self.shipped_items
            && self.dispatched == self.shipped.0
    }

    /// How many events there are.
    pub fn events(&self) -> usize {
        self.positions.len()
    }

    /// How many events came after a position.
    pub fn events_after(&self, position: Position) -> usize {
        self.positions.iter().filter(|at| **at > position).count()
    }

    /// How many orders came to their end after a position.
    pub fn orders_ended_after(&self, position: Position) -> usize {
        self.ended.iter().filter(|at| **at > position).count()
    }
}

/// A read model, folded in memory.
struct Fold<P: DocumentProjection> {
    projection: P,
    names: BTreeSet<EventName>,
    documents: BTreeMap<String, P::Document>,
}

impl<P: DocumentProjection> Fold<P> {
    fn new(projection: P, decoder: &Decoder) -> Self {
        Self {
            projection,
            names: decoder.stored_names::<P::Event>(),
            documents: BTreeMap::new(),
        }
    }

    fn apply(&mut self, decoder: &Decoder, record: &Arc<RecordedEvent>) -> anyhow::Result<()> {
        if !self.names.contains(record.name()) {
            return Ok(());
        }
        for event in decoder.decode_matching(record)? {
            for key in self.projection.keys(&event) {
                let before = self.documents.remove(&key);
                if let Some(after) = self.projection.apply(&key, before, &event) {
                    self.documents.insert(key, after);
                }
            }
        }
        Ok(())
    }

    fn into_documents(self) -> Vec<(String, P::Document)> {
        self.documents.into_iter().collect()
    }
}
