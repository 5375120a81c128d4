//! What goes to stdout: people's words, or JSON with `--json`, each report written whole.
//! Every command prints through [`Output`]; a report is a value that reads both ways.
//! Hints and warnings go to stderr. Nothing here decides what is said.

pub use mvb_node::words::{count, duration, grouped, hash_rate, utc};
use serde::Serialize;
use std::{
    cell::RefCell,
    fmt,
    io::{self, IsTerminal, Write},
};

/// How reports are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document a line.
    Json,
}

/// How much is said beside the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Results, hints and warnings.
    Normal,
    /// Results only.
    Quiet,
}

/// Where reports go.
pub struct Output {
    format: Format,
    talk: Talk,
    stdout: RefCell<Box<dyn Write>>,
    stderr: RefCell<Box<dyn Write>>,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Whoever read stdout is gone, as with `mvb … | head`.
    #[error("nobody reads the output any more")]
    Closed,
    /// stdout failed otherwise.
    #[error("cannot write to stdout: {0}")]
    Io(io::Error),
}

impl Output {
    /// To the process's stdout and stderr.
    pub fn new(format: Format, talk: Talk) -> Self {
        Self::to(format, talk, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// To any two writers.
    pub fn to(format: Format, talk: Talk, stdout: Box<dyn Write>, stderr: Box<dyn Write>) -> Self {
        Self {
            format,
            talk,
            stdout: RefCell::new(stdout),
            stderr: RefCell::new(stderr),
        }
    }

    /// Whether JSON is asked for.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether only results are asked for.
    pub fn is_quiet(&self) -> bool {
        self.talk == Talk::Quiet
    }

    /// Whether a progress bar can be drawn: a person looks at stderr, and wants words.
    pub fn is_live(&self) -> bool {
        !self.is_json() && !self.is_quiet() && io::stderr().is_terminal()
    }

    /// Writes a result.
    ///
    /// # Errors
    /// When stdout is closed or fails.
    pub fn report(&self, report: &(impl Serialize + fmt::Display)) -> Result<(), OutputError> {
        let mut text = match self.format {
            Format::Text => report.to_string(),
            Format::Json => {
                serde_json::to_string(report).expect("reports have text keys and no failing parts")
            }
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut stdout = self.stdout.borrow_mut();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => OutputError::Closed,
                _ => OutputError::Io(error),
            })
    }

    /// Writes something that happened, which `--quiet` leaves out of the words. JSON has
    /// it always: a program chooses for itself.
    ///
    /// # Errors
    /// When stdout is closed or fails.
    pub fn event(&self, event: &(impl Serialize + fmt::Display)) -> Result<(), OutputError> {
        if self.is_quiet() && !self.is_json() {
            return Ok(());
        }
        self.report(event)
    }

    /// Advice for a person, on stderr, so that stdout stays what was asked for.
    pub fn hint(&self, text: impl fmt::Display) {
        if !self.is_quiet() && !self.is_json() {
            self.to_stderr(format_args!("{text}"));
        }
    }

    /// A warning, on stderr. `--quiet` does not hide it.
    pub fn warn(&self, text: impl fmt::Display) {
        self.to_stderr(format_args!("warning: {text}"));
    }

    /// The line an error becomes, and with `--json` its document.
    pub fn error(&self, text: &str, exit_code: u8) {
        self.to_stderr(format_args!("error: {text}"));
        if self.is_json() {
            // The exit code tells of the error even where stdout is gone as well.
            let _ = self.report(&ErrorReport {
                error: text,
                exit_code,
            });
        }
    }

    fn to_stderr(&self, text: fmt::Arguments<'_>) {
        // A closed stderr must not keep the command from its work.
        let _ = writeln!(self.stderr.borrow_mut(), "{text}");
    }
}

#[derive(Serialize)]
struct ErrorReport<'a> {
    error: &'a str,
    exit_code: u8,
}

impl fmt::Display for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error)
    }
}

/// Units as coins with a sign and six decimals, as the Pending column shows them.
pub fn signed_coins(units: i128) -> String {
    let sign = if units < 0 { '-' } else { '+' };
    let units = units.unsigned_abs();
    format!("{sign}{}.{:06}", units / 1_000_000, units % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Serialize)]
    struct Line {
        height: u64,
    }

    impl fmt::Display for Line {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "height {}", self.height)
        }
    }

    fn written(format: Format, talk: Talk, act: impl Fn(&Output)) -> (String, String) {
        let (out, err) = (Shared::default(), Shared::default());
        act(&Output::to(
            format,
            talk,
            Box::new(out.clone()),
            Box::new(err.clone()),
        ));
        let text = |shared: Shared| String::from_utf8(shared.0.take()).unwrap();
        (text(out), text(err))
    }

    fn everything(output: &Output) {
        output.report(&Line { height: 1 }).unwrap();
        output.event(&Line { height: 2 }).unwrap();
        output.hint("try this");
        output.warn("mind that");
        output.error("it failed", 1);
    }

    #[test]
    fn json_has_stdout_to_itself() {
        let (out, err) = written(Format::Json, Talk::Normal, everything);
        assert_eq!(
            out,
            "{\"height\":1}\n{\"height\":2}\n{\"error\":\"it failed\",\"exit_code\":1}\n"
        );
        assert_eq!(err, "warning: mind that\nerror: it failed\n");
    }

    #[test]
    fn words_keep_hints_and_errors_off_stdout() {
        let (out, err) = written(Format::Text, Talk::Normal, everything);
        assert_eq!(out, "height 1\nheight 2\n");
        assert_eq!(err, "try this\nwarning: mind that\nerror: it failed\n");
    }

    #[test]
    fn quiet_leaves_results_warnings_and_errors() {
        let (out, err) = written(Format::Text, Talk::Quiet, everything);
        assert_eq!(out, "height 1\n");
        assert_eq!(err, "warning: mind that\nerror: it failed\n");
    }

    #[test]
    fn a_closed_stdout_is_an_error_of_its_own() {
        let output = Output::to(Format::Text, Talk::Normal, Box::new(Gone), Box::new(Gone));
        assert!(matches!(
            output.report(&Line { height: 1 }),
            Err(OutputError::Closed)
        ));
        output.warn("nobody hears this, and nothing breaks");
    }

    #[test]
    fn signed_coins_have_a_sign_and_six_decimals() {
        assert_eq!(signed_coins(0), "+0.000000");
        assert_eq!(signed_coins(-2_500_000), "-2.500000");
        assert_eq!(signed_coins(12_000_001), "+12.000001");
    }
}
