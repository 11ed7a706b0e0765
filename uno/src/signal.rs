//! [`stop_signal`]: SIGINT or SIGTERM.

use std::{future::Future, io};

/// A future that ends when the process is asked to stop: by Ctrl-C, or by SIGTERM where there is one. Then stop the application, which
/// drains it.
///
/// The process listens from the call on, also before the future is polled for the first time: call it before you tell anybody that you are there, or
/// what comes in between ends the process at once.
///
/// # Errors
/// When the operating system does not let the process listen.
///
/// # Panics
/// Outside a runtime of tokio.
pub fn stop_signal() -> impl Future<Output = io::Result<()>> + Send {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listening = signal(SignalKind::interrupt())
            .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
        async move {
            let (mut interrupt, mut terminate) = listening?;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        }
    }
    #[cfg(windows)]
    {
        let listening = tokio::signal::windows::ctrl_c();
        async move {
            listening?.recv().await;
            Ok(())
        }
    }
    #[cfg(not(any(unix, windows)))]
    tokio::signal::ctrl_c()
}
