//! How Ctrl-C and SIGTERM end a measurement that runs in one thread: it looks between its steps
//! whether it was asked to end, and returns, so that its processes end and its folder goes.

use crate::{commands::watch, exit::Interrupted};
use anyhow::Result;
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};
use tokio::sync::oneshot;

/// Whether the measurement was asked to end.
#[derive(Debug, Default)]
pub struct Interrupt(AtomicBool);

impl Interrupt {
    /// To be looked at between two steps.
    ///
    /// # Errors
    /// When a signal came.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(interrupted());
        }
        Ok(())
    }
}

/// What an interrupted measurement ends with.
pub fn interrupted() -> anyhow::Error {
    let told = "the measurement was ended and has cleaned up";
    Interrupted(told.to_owned()).into()
}

/// Runs a measurement in this thread while another one listens for signals.
///
/// # Errors
/// The measurement's.
pub fn interruptible<T>(measure: impl FnOnce(&Interrupt) -> Result<T>) -> Result<T> {
    let interrupt = Interrupt::default();
    let (listening, listens) = mpsc::channel();
    let (done, ended) = oneshot::channel::<()>();
    let listen = || {
        watch::run(async {
            // The measurement waits for it.
            let _ = listening.send(());
            tokio::select! {
                biased;
                // Where nobody can listen for signals, none interrupts.
                Ok(()) = watch::signal() => interrupt.0.store(true, Ordering::Relaxed),
                _ = ended => {}
            }
        });
    };
    thread::scope(|scope| {
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn_scoped(scope, listen)?;
        // A listener that cannot start has ended.
        let _ = listens.recv();
        let measured = measure(&interrupt);
        drop(done);
        measured
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_that_nobody_interrupts_goes_through() {
        let measured = interruptible(|interrupt| {
            interrupt.check()?;
            Ok(7)
        });
        assert_eq!(measured.unwrap(), 7);
    }

    #[test]
    fn one_that_was_asked_to_end_says_so() {
        let interrupt = Interrupt::default();
        interrupt.0.store(true, Ordering::Relaxed);
        let told = interrupt.check().unwrap_err();
        assert_eq!(crate::exit::of_error(&told), crate::exit::Exit::Interrupted);
    }
}
