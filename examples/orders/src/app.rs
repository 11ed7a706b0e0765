//! Wires the application together: the same on every store.

use std::{sync::Arc, time::Instant};

use uno::{
    cqrs::Catalogue,
    integrity::{ChainName, HashChain},
    prelude::*,
};

use crate::{
    contexts::{inventory::Inventory, orders::Orders, payment::Payments, shipping::Shipping},
    fulfilment::Fulfilment,
    import,
    input::Input,
    outside::{Analytics, Mailer},
    read_models::{CustomerTotals, OrderSummaries, SalesPerMonth, ShopWindow},
    report::Report,
    store::{self, World},
};

/// Every context, the saga, the read models and the handlers, on one store. Customers have so long to change their mind.
pub fn wire<B: Backend>(
    store: Arc<B>,
    world: &World,
    cooling_off_secs: u32,
) -> anyhow::Result<Uno<B>> {
    // One process at a time: one that is started again goes on at once with what the one before had in hand.
    wire_as("orders", store, world, cooling_off_secs)
}

/// The same, for a process of this name: to be beside another one it needs a name of its own.
pub fn wire_as<B: Backend>(
    name: &str,
    store: Arc<B>,
    world: &World,
    cooling_off_secs: u32,
) -> anyhow::Result<Uno<B>> {
    let chain = chain(&store)?;
    let app = Uno::builder(store).instance(name);
    let app = Orders::with_cooling_off(cooling_off_secs).register(app);
    let app = Payments::register(app);
    let app = Inventory::register(app);
    let app = Shipping::register(app);
    let app = app
        .saga::<Fulfilment>()
        .documents(OrderSummaries)
        .documents(CustomerTotals)
        .documents(SalesPerMonth)
        .documents(ShopWindow)
        .handler(
            "mail",
            Replay::LiveOnly,
            Mailer::new(Arc::clone(&world.mailbox)),
        )
        .handler(
            "analytics",
            Replay::Safe,
            Analytics::new(Arc::clone(&world.sales)),
        )
        .subscription(chain.subscription());
    Ok(app.build()?)
}

/// The chain in which every event has a link: who changes what was sold, past the application, is found out.
fn chain<B: Backend>(store: &Arc<B>) -> anyhow::Result<HashChain<B>> {
    Ok(HashChain::new(ChainName::new("orders")?, Arc::clone(store)))
}

/// What the application is made of, and which events it has. It is the same on every store.
pub fn describe() -> anyhow::Result<Catalogue> {
    Ok(wire(store::memory(), &store::in_memory_world(), 0)?.describe("orders"))
}

/// Imports the orders, waits until everything has come to rest, and prints the report. Whether all is well.
///
/// Killed at any moment and started again, it goes on where it stopped.
pub async fn run<B: Backend>(store: Arc<B>, input: &Input, world: World) -> anyhow::Result<bool> {
    // They are old orders: nobody changes their mind any more.
    let uno = wire(Arc::clone(&store), &world, 0)?;
    uno.migrate().await?;
    let begun = store.head().await?.position();
    let start = Instant::now();
    let signal = uno::stop_signal();
    let app = uno.start().await?;

    let finished = tokio::select! {
        result = import::run(&app, input) => { result?; true }
        signalled = signal => { signalled?; false }
    };
    let elapsed = start.elapsed();
    app.stop().await;
    if !finished {
        eprintln!("stopped; start again to go on from here");
        return Ok(false);
    }

    let links = chain(&store)?.verifier(store.clone()).verify_all().await?;
    let report = Report::make(&store, input, &world, &links).await?;
    print!("{report}");
    println!("{}", report.speed(begun, elapsed));
    Ok(report.is_right())
}
