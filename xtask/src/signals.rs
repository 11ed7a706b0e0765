//! Ctrl-C and requests to end, as flags that a waiting loop looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The signals that came since the program asked last.
///
/// While one of these lives, the signals no longer end the program: whoever holds it must look.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
}

impl Signals {
    /// Starts to catch SIGINT, SIGTERM and SIGHUP.
    pub(crate) fn catch() -> Result<Self> {
        let signals = Self {
            interrupt: Arc::default(),
            terminate: Arc::default(),
        };
        let routes = [
            (SIGINT, &signals.interrupt),
            (SIGTERM, &signals.terminate),
            (SIGHUP, &signals.terminate),
        ];
        for (signal, raised) in routes {
            flag::register(signal, Arc::clone(raised))
                .with_context(|| format!("failed to catch signal {signal}"))?;
        }
        Ok(signals)
    }

    /// Whether Ctrl-C came since the last call.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.interrupt.swap(false, Ordering::Relaxed)
    }

    /// Whether somebody asked this program to end since the last call.
    pub(crate) fn take_terminate(&self) -> bool {
        self.terminate.swap(false, Ordering::Relaxed)
    }

    /// Whether any signal came that nobody has taken yet.
    pub(crate) fn pending(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed) || self.terminate.load(Ordering::Relaxed)
    }
}
