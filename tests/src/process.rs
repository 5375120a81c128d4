//! The mvb program as a child process: runs a command to its end, or keeps a miner or a
//! wallet running while a scenario reads what it says. Every wait has a deadline, and a
//! child is killed by its own process id when its handle goes. Knows nothing of the chain.

use serde_json::Value;
use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a scenario waits for anything before it fails. Far more than is needed on an
/// idle machine, since a busy one must not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Measures real time: children do not live under a simulated clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[allow(clippy::disallowed_methods, reason = "children run in real time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// What is left of a time limit that began with the start.
    pub fn left(self, limit: Duration) -> Duration {
        limit.saturating_sub(self.elapsed())
    }
}

/// The program, the home it works on and the options every command gets.
#[derive(Clone, Debug)]
pub struct Mvb {
    program: PathBuf,
    inside: Vec<OsString>,
    home: PathBuf,
    tells_home: bool,
    options: Vec<OsString>,
}

impl Mvb {
    /// The program for a home, with no options.
    pub fn new(program: impl Into<PathBuf>, home: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            inside: Vec::new(),
            home: home.into(),
            tells_home: true,
            options: Vec::new(),
        }
    }

    /// The same where no home is named, for a command that makes its own.
    pub fn without_home(&self) -> Self {
        Self {
            tells_home: false,
            ..self.clone()
        }
    }

    /// The same with more options, which come behind the command's own.
    pub fn with<S: AsRef<OsStr>>(&self, options: impl IntoIterator<Item = S>) -> Self {
        let mut more = self.clone();
        more.options
            .extend(options.into_iter().map(|option| option.as_ref().to_owned()));
        more
    }

    /// The same with `--set key=value`.
    pub fn set(&self, key: &str, value: impl std::fmt::Display) -> Self {
        self.with(["--set", &format!("{key}={value}")])
    }

    /// The same for another home.
    pub fn at(&self, home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            ..self.clone()
        }
    }

    /// The same, started by another command such as one that enters a namespace.
    pub fn inside(&self, command: Vec<OsString>) -> Self {
        Self {
            inside: command,
            ..self.clone()
        }
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Runs a command to its end, with time enough.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish(PATIENCE)
    }

    /// Runs a command that must succeed and returns its last JSON document.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let done = self.with(["--json"]).run(arguments);
        assert!(done.status.success(), "{arguments:?} failed: {done}");
        let last = done.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {done}"))
    }

    /// Runs a command that must succeed and returns what it printed.
    pub fn text(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert!(done.status.success(), "{arguments:?} failed: {done}");
        done.stdout
    }

    /// Starts a command that goes on.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, Stdio::null())
    }

    /// The same for one that ends with its stdin, which ends with the handle.
    pub fn start_with_stdin(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, Stdio::piped())
    }

    fn start_with(&self, arguments: &[&str], stdin: Stdio) -> Running {
        let mut command = match self.inside.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("MVB_") || text == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        if self.tells_home {
            command.env("MVB_HOME", &self.home);
        }
        command
            .args(arguments)
            .args(&self.options)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = format!("{} in {}", arguments.join(" "), self.home.display());
        Running::spawn(command, name)
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to stdout.
    pub stdout: String,
    /// All it wrote to stderr.
    pub stderr: String,
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            status,
            stdout,
            stderr,
        } = self;
        write!(f, "{status}\n-- stdout\n{stdout}-- stderr\n{stderr}--")
    }
}

/// A signal that asks a program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// What Ctrl-C sends.
    Interrupt,
    /// What a service manager sends.
    Terminate,
}

/// A command that runs. Dropping it kills it.
pub struct Running {
    name: String,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    stderr: Arc<Log>,
    stderr_reader: Option<thread::JoinHandle<()>>,
}

/// What a program has written to stderr, and whether it has ended.
#[derive(Default)]
struct Log {
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Log {
    fn read(&self, mut errors: impl Read) {
        let mut chunk = [0; 4096];
        loop {
            let length = errors.read(&mut chunk).unwrap_or(0);
            let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            text.0.push_str(&String::from_utf8_lossy(&chunk[..length]));
            text.1 = length == 0;
            self.changed.notify_all();
            if length == 0 {
                return;
            }
        }
    }
}

impl Running {
    /// Starts any command whose stdout and stderr are pipes.
    pub fn spawn(mut command: Command, name: String) -> Self {
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout was piped");
        let errors = child.stderr.take().expect("stderr was piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens once the handle is gone; the pipe is drained all the same.
                let _ = sender.send(line);
            }
        });
        let stderr = Arc::<Log>::default();
        let kept = stderr.clone();
        let stderr_reader = thread::spawn(move || kept.read(errors));
        Self {
            name,
            child,
            lines,
            said: Vec::new(),
            stderr,
            stderr_reader: Some(stderr_reader),
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        let text = self.stderr.text.lock();
        text.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Waits until it has logged something: at once, where what it tells on stdout waits for a
    /// moment in which it is worth telling.
    ///
    /// # Panics
    /// As [`Running::wait_for`].
    pub fn wait_for_log(&mut self, words: &str) {
        let began = Stopwatch::start();
        let mut text = self
            .stderr
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !text.0.contains(words) {
            let (ended, left) = (text.1, began.left(PATIENCE));
            if ended || left.is_zero() {
                drop(text);
                let how = if ended { "ended before" } else { "in time no" };
                self.fail(&format!("{how} {words:?} in its log"));
            }
            let waited = self.stderr.changed.wait_timeout(text, left);
            text = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Reads lines of stdout until one satisfies, and returns what that one gave.
    ///
    /// # Panics
    /// With all the program said, when it ends or [`PATIENCE`] does before such a line.
    pub fn wait_for<T>(&mut self, what: &str, mut found: impl FnMut(&str) -> Option<T>) -> T {
        let began = Stopwatch::start();
        loop {
            match self.lines.recv_timeout(began.left(PATIENCE)) {
                Ok(line) => {
                    let result = found(&line);
                    self.said.push(line);
                    if let Some(result) = result {
                        return result;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.fail(&format!("no {what} in time")),
                Err(RecvTimeoutError::Disconnected) => self.fail(&format!("ended before {what}")),
            }
        }
    }

    /// Reads JSON lines until one satisfies, and returns it.
    ///
    /// # Panics
    /// As [`Running::wait_for`].
    pub fn wait_for_event(&mut self, what: &str, found: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(what, |line| {
            let event = serde_json::from_str(line).ok()?;
            found(&event).then_some(event)
        })
    }

    /// The next line of stdout, if there is one within that time.
    pub fn line_within(&mut self, limit: Duration) -> Option<String> {
        let line = self.lines.recv_timeout(limit).ok()?;
        self.said.push(line.clone());
        Some(line)
    }

    /// Asks it to end.
    pub fn signal(&self, signal: Signal) {
        let number = match signal {
            Signal::Interrupt => "-INT",
            Signal::Terminate => "-TERM",
        };
        // The shell's own `kill` needs no program installed and no unsafe code here.
        let sent = Command::new("sh")
            .args(["-c", "kill \"$0\" \"$1\"", number, &self.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {number}");
    }

    /// Ends it at once, as a power cut would, and waits until it is gone.
    pub fn kill(mut self) -> Finished {
        let _ = self.child.kill();
        self.finish(PATIENCE)
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// With all it said, when it does not end within that time.
    pub fn finish(mut self, limit: Duration) -> Finished {
        let began = Stopwatch::start();
        if !self.falls_silent(limit) {
            self.fail(&format!("still runs after {limit:?}"));
        }
        // A program that closed its stdout is about to end; only its death can be polled.
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if began.elapsed() < limit => thread::sleep(Duration::from_millis(2)),
                _ => self.fail(&format!("still runs after {limit:?}")),
            }
        };
        if let Some(reader) = self.stderr_reader.take() {
            // A panic of the reader would only shorten what a failure shows.
            let _ = reader.join();
        }
        let mut stdout = std::mem::take(&mut self.said).join("\n");
        if !stdout.is_empty() {
            stdout.push('\n');
        }
        Finished {
            status,
            stdout,
            stderr: self.stderr(),
        }
    }

    /// Reads until its stdout is closed; whether that was within the time.
    pub fn falls_silent(&mut self, limit: Duration) -> bool {
        let began = Stopwatch::start();
        loop {
            match self.lines.recv_timeout(began.left(limit)) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    /// Everything it has said, as a failure shows it.
    fn fail(&mut self, problem: &str) -> ! {
        let said: Vec<_> = std::mem::take(&mut self.said);
        let tail = said.len().saturating_sub(60);
        panic!(
            "{}: {problem}\n-- stdout, last lines\n{}\n-- stderr\n{}\n--",
            self.name,
            said[tail..].join("\n"),
            self.stderr()
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until the answer satisfies; other processes change what it tells
/// and send this one no event. Returns the time it took.
///
/// # Panics
/// With what was awaited, after [`PATIENCE`].
pub fn until(what: &str, mut satisfied: impl FnMut() -> bool) -> Duration {
    let began = Stopwatch::start();
    while !satisfied() {
        assert!(began.elapsed() < PATIENCE, "no {what} in time");
        thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::spawn(command, script.to_owned())
    }

    #[test]
    fn lines_are_read_as_they_come_and_the_rest_at_the_end() {
        let mut child =
            shell("echo one; echo '{\"event\":\"two\"}'; echo three; echo four >&2; exit 3");
        let two = child.wait_for_event("two", |event| event["event"] == "two");
        assert_eq!(two["event"], "two");
        let done = child.finish(PATIENCE);
        assert_eq!(done.status.code(), Some(3));
        assert!(done.stdout.ends_with("three\n") && done.stderr == "four\n");
    }

    #[test]
    #[should_panic(expected = "ended before a word")]
    fn an_end_before_the_awaited_line_fails_at_once() {
        shell("echo nothing").wait_for("a word", |line| (line == "word").then_some(()));
    }

    #[test]
    fn a_signal_reaches_the_child() {
        let mut child =
            shell("trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
        child.wait_for("ready", |line| (line == "ready").then_some(()));
        child.signal(Signal::Terminate);
        let done = child.finish(PATIENCE);
        assert_eq!(
            (done.status.code(), done.stdout.as_str()),
            (Some(7), "ready\ncaught\n")
        );
    }
}
