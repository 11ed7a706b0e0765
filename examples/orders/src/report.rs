//! [`Report`]: what came of the orders, and whether it adds up.

mod chart;
mod tally;

use std::{fmt, sync::Arc, time::Duration};

use uno::{
    cqrs::{Generation, Serving},
    integrity::Verification,
    prelude::*,
};

use self::tally::Tally;
use crate::{
    input::Input,
    money::Cents,
    read_models::{
        CustomerTotal, CustomerTotals, MonthlySales, OrderSummaries, SalesPerMonth, ShopWindow,
    },
    store::World,
};

/// What is read from the log, from the read models and from the services outside, side by side.
#[derive(Debug)]
pub struct Report {
    orders_in: usize,
    input: Cents,
    bad_lines: Vec<String>,
    tally: Tally,
    months: Vec<(String, MonthlySales)>,
    best: Vec<(String, CustomerTotal)>,
    mails: (usize, usize),
    reported_sales: usize,
    checks: Vec<(String, bool)>,
}

impl Report {
    /// Reads everything and checks it.
    pub async fn make<B: Backend>(
        store: &Arc<B>,
        input: &Input,
        world: &World,
        links: &Verification,
    ) -> anyhow::Result<Self> {
        let tally = Tally::of_log(&**store).await?;
        let summaries = stored::<OrderSummaries, B>(store).await?;
        let customers = stored::<CustomerTotals, B>(store).await?;
        let months = stored::<SalesPerMonth, B>(store).await?;
        let window = stored::<ShopWindow, B>(store).await?;
        let mails = (
            world.mailbox.count("placed"),
            world.mailbox.count("cancelled"),
        );
        let reported_sales = world.sales.len();

        let mut checks = Vec::new();
        let mut check = |what: &str, holds: bool| checks.push((what.to_owned(), holds));
        let t = &tally;
        check(
            &format!("input {} = placed {}", input.total(), t.placed.1),
            input.total() == t.placed.1 && input.orders.len() == t.placed.0,
        );
        check(
            &format!(
                "placed {} = shipped {} + cancelled {}",
                t.placed.1, t.shipped.1, t.cancelled.1
            ),
            t.placed.1 == t.shipped.1 + t.cancelled.1 && t.placed.0 == t.shipped.0 + t.cancelled.0,
        );
        check(
            &format!(
                "charged {} - refunded {} = shipped {}",
                t.charged.1, t.refunded.1, t.shipped.1
            ),
            t.charged.1 - t.refunded.1 == t.shipped.1,
        );
        check(
            "allocated - released = dispatched = shipped, in items and parcels",
            t.stock_adds_up(),
        );
        check("read models = fold of the log", {
            summaries == t.summaries
                && customers == t.customers
                && months == t.months
                && window == t.window
        });
        check(
            "one mail for each order placed and each cancelled",
            mails == (t.placed.0, t.cancelled.0),
        );
        check("each sale reported once", reported_sales == t.shipped.0);
        check(
            "every event fits its link",
            links.is_good()
                && links.waiting() == 0
                && links.verified() == t.events_after(Position::START) as u64,
        );

        let mut best = customers;
        best.sort_by(|(a, left), (b, right)| {
            right.revenue.cmp(&left.revenue).then_with(|| a.cmp(b))
        });
        best.truncate(5);
        Ok(Self {
            orders_in: input.orders.len(),
            input: input.total(),
            bad_lines: input.bad_lines.iter().map(ToString::to_string).collect(),
            tally,
            months,
            best,
            mails,
            reported_sales,
            checks,
        })
    }

    /// Whether every check holds and every line was an order.
    pub fn is_right(&self) -> bool {
        self.bad_lines.is_empty() && self.checks.iter().all(|(_, holds)| *holds)
    }

    /// How fast this run was: the only line in which two runs differ.
    pub fn speed(&self, begun: Position, elapsed: Duration) -> String {
        let new = self.tally.events_after(begun);
        let ended = self.tally.orders_ended_after(begun);
        let seconds = elapsed.as_secs_f64().max(0.001);
        format!(
            "\nthis run: {new} events and {ended} orders in {seconds:.2} s: {:.0} events/s, {:.0} orders/s",
            new as f64 / seconds,
            ended as f64 / seconds
        )
    }
}

/// The documents of a projection, all of them, by key: of the generation that serves.
async fn stored<P: DocumentProjection, B: Backend>(
    store: &Arc<B>,
) -> anyhow::Result<Vec<(String, P::Document)>> {
    let serving = Serving::new(Arc::clone(store) as _, P::NAME, P::VERSION);
    serving
        .read(|generation| collected::<P, B>(store, generation))
        .await
}

async fn collected<P: DocumentProjection, B: Backend>(
    store: &Arc<B>,
    generation: Generation,
) -> anyhow::Result<Vec<(String, P::Document)>> {
    let collection = generation.name_of(P::NAME);
    let mut documents: Vec<(String, P::Document)> = Vec::new();
    loop {
        let after = documents.last().map(|(key, _)| key.as_str());
        let page = store.scan_documents(&collection, after, 1000).await?;
        if page.is_empty() {
            return Ok(documents);
        }
        for document in page {
            documents.push((
                document.key().to_owned(),
                serde_json::from_str(document.body().as_str())?,
            ));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.tally;
        for line in &self.bad_lines {
            writeln!(f, "not imported: {line}")?;
        }
        writeln!(f, "{:<12}{:>8}{:>18}", "", "orders", "amount")?;
        for (name, count, amount) in [
            ("in the input", self.orders_in, self.input),
            ("placed", t.placed.0, t.placed.1),
            ("shipped", t.shipped.0, t.shipped.1),
            ("cancelled", t.cancelled.0, t.cancelled.1),
            ("charged", t.charged.0, t.charged.1),
            ("declined", t.declined.0, t.declined.1),
            ("refunded", t.refunded.0, t.refunded.1),
        ] {
            writeln!(f, "{name:<12}{count:>8}{amount:>18}")?;
        }
        writeln!(f, "\nrevenue per month")?;
        let bars = self
            .months
            .iter()
            .map(|(month, sales)| (month.as_str(), sales.revenue));
        f.write_str(&chart::bars(bars))?;
        writeln!(f, "\nbest customers")?;
        for (customer, total) in &self.best {
            writeln!(
                f,
                "  {customer}  {:>3} orders  {:>12}",
                total.shipped, total.revenue
            )?;
        }
        writeln!(f, "\nevents stored: {}", t.events())?;
        writeln!(
            f,
            "mails sent:    {} for placed, {} for cancelled orders",
            self.mails.0, self.mails.1
        )?;
        writeln!(f, "sales reported: {}", self.reported_sales)?;
        writeln!(f, "\nchecks")?;
        for (what, holds) in &self.checks {
            writeln!(f, "  {} {what}", if *holds { "ok   " } else { "WRONG" })?;
        }
        Ok(())
    }
}
