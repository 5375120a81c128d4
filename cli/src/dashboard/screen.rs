//! The terminal: taken over and given back, whatever happens in between. Also called by the
//! hook that ends the process on a panic, from whatever thread that is on.

use ratatui::crossterm::{
    cursor::{Hide, Show},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::Duration,
};

/// No terminal has more rows of log than this.
pub const MOST_ROWS: usize = 500;

/// Whether the screen is taken. Held while something is drawn, so that nothing is drawn
/// after it was given back.
static TAKEN: Mutex<bool> = Mutex::new(false);

/// How often and how long the end of a frame is waited for, when the process is to end.
const ATTEMPTS: u32 = 50;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(2);

/// Whether a person sits at both ends.
pub fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Takes the screen.
///
/// # Errors
/// When the terminal refuses; it is left as it was.
pub fn enter() -> io::Result<()> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    enable_raw_mode()?;
    if let Err(error) = execute!(io::stdout(), EnterAlternateScreen, Hide) {
        // The first failure is the one to tell.
        let _ = disable_raw_mode();
        return Err(error);
    }
    *taken = true;
    Ok(())
}

/// Gives the screen back. Nothing happens where it is not taken.
pub fn leave() {
    give_back(&mut TAKEN.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Draws, unless the screen was given back meanwhile.
///
/// # Errors
/// Those of drawing.
pub fn drawing(draw: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if *taken { draw() } else { Ok(()) }
}

/// Gives the screen back for good, in a process that is about to end by a panic. The thread
/// that draws may be the one that panicked, so a frame is not waited for for ever.
pub fn leave_for_good() {
    let mut held: Option<MutexGuard<'_, bool>> = None;
    for _ in 0..ATTEMPTS {
        match TAKEN.try_lock() {
            Ok(taken) => held = Some(taken),
            Err(TryLockError::Poisoned(taken)) => held = Some(taken.into_inner()),
            Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_ATTEMPTS),
        }
        if held.is_some() {
            break;
        }
    }
    match held {
        Some(mut taken) => {
            give_back(&mut taken);
            // Whoever wants to draw now waits until the process is gone.
            std::mem::forget(taken);
        }
        None => give_back(&mut true),
    }
}

fn give_back(taken: &mut bool) {
    if !std::mem::take(taken) {
        return;
    }
    // A terminal that is gone needs nothing any more.
    let _ = disable_raw_mode();
    let mut stdout = io::stdout();
    let _ = execute!(stdout, LeaveAlternateScreen, Show);
    let _ = stdout.flush();
}
