//! The terminal of a search while a person types.

use std::io::{self, Stdout, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use crossterm::cursor::MoveTo;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};

use super::picker::View;

/// Whether the terminal is in raw mode and shows the alternate screen.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// The alternate screen of the terminal, in raw mode. Dropping it, or a panic, restores the terminal.
pub(super) struct Screen {
    terminal: Stdout,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        restore_before_panic_messages();
        enable_raw_mode()?;
        IS_OPEN.store(true, Ordering::Relaxed);
        let mut screen = Self { terminal: io::stdout() };
        execute!(screen.terminal, EnterAlternateScreen, EnableBracketedPaste)?;
        Ok(screen)
    }

    /// Returns the number of columns and of lines.
    pub(super) fn size() -> (usize, usize) {
        let (lines, columns) = Term::stdout().size();
        (columns.into(), lines.into())
    }

    pub(super) fn draw(&mut self, View { lines, cursor }: &View) -> io::Result<()> {
        // Written at once, so that no half of it is shown.
        let mut drawn = Vec::new();
        for (row, line) in (0..).zip(lines) {
            // Cleared first: after a line as wide as the screen, the cursor is on its last character.
            queue!(drawn, MoveTo(0, row), Clear(ClearType::CurrentLine))?;
            drawn.extend_from_slice(line.as_bytes());
        }
        queue!(drawn, MoveTo(u16::try_from(*cursor).unwrap_or(u16::MAX), 0))?;
        self.terminal.write_all(&drawn)?;
        self.terminal.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal, once.
fn restore() {
    if IS_OPEN.swap(false, Ordering::Relaxed) {
        // Nothing can be done about an error, such as of a terminal that was closed.
        let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

/// Lets a panic restore the terminal before its message, which the alternate screen would hide.
fn restore_before_panic_messages() {
    static IS_SET: Once = Once::new();
    IS_SET.call_once(|| {
        let print_message = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            print_message(info);
        }));
    });
}
