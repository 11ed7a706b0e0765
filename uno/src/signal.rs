//! [`stop_signal`]: SIGINT or SIGTERM.

use std::io;

/// Returns when the process is asked to stop: Ctrl-C, or SIGTERM where there is one. Then stop the application, which
/// drains it.
///
/// # Errors
/// When the operating system does not let the process listen.
pub async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
