//! Tells what happens in [`sagas::dispatch`].

use sagas::{dispatch::Dispatch, stage::tell};
use uno::prelude::Stepwise;

/// Time is virtual: it goes by as soon as there is nothing to do.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    tell::<Stepwise<Dispatch>>().await
}
