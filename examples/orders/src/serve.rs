//! `orders serve`: starts the application, answers requests until it is asked to stop, and then stops it in order.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uno::prelude::*;

use crate::{
    app,
    http::{self, Shop},
    store::World,
};

/// How long answers that are under way may take when it is asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Where it listens, and how the shop is run.
#[derive(Args, Debug)]
pub struct Options {
    /// The port; 0 for any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address. Anybody who reaches it can place and cancel orders: there is no login in this example.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// For how many seconds customers may change their mind before an order is charged and shipped.
    #[arg(long, default_value_t = 20)]
    cooling_off: u32,
    /// For how many seconds a request that brings a receipt waits for what it tells of to be readable.
    #[arg(long, default_value_t = 5)]
    patience: u64,
}

/// Serves until Ctrl-C or SIGTERM. Whether all is well, which it is when it gets there.
pub async fn run<B: Backend>(
    store: Arc<B>,
    options: &Options,
    world: World,
) -> anyhow::Result<bool> {
    // Before anybody can know that it is there: whoever does may ask it to stop.
    let signal = uno::stop_signal();
    let uno = app::wire(store, &world, options.cooling_off)?;
    uno.migrate().await?;
    let listener = TcpListener::bind((options.address, options.port))
        .await
        .with_context(|| format!("can't listen on {}:{}", options.address, options.port))?;
    let address = listener.local_addr()?;
    let app = uno.start().await?;

    let stop = CancellationToken::new();
    let router = http::router(Shop::new(
        app.clone(),
        Duration::from_secs(options.patience),
        stop.clone(),
    ));
    let serving =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut serving = tokio::spawn(serving.into_future());
    println!("listening on http://{address}");

    let served = tokio::select! {
        signalled = signal => {
            signalled?;
            // No more connections; live feeds end; what is being answered is answered.
            stop.cancel();
            tokio::time::timeout(GRACE, &mut serving).await
        }
        ended = &mut serving => Ok(ended),
    };
    serving.abort();
    app.stop().await;
    match served {
        Ok(served) => served??,
        Err(_) => eprintln!("some requests were cut off after {} s", GRACE.as_secs()),
    }
    Ok(true)
}
