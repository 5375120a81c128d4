//! A terminal that nobody looks at: the program runs on one end, a test types and reads at
//! the other, and sees afterwards whether the terminal is as it was.

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What a program writes to take and to give back the screen, and to show the cursor.
pub const TAKES: &str = "\x1b[?1049h";
pub const GIVES_BACK: &str = "\x1b[?1049l";
pub const SHOWS_CURSOR: &str = "\x1b[?25h";

/// Between two looks at what was written, and how many looks there are before a test fails.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const LOOKS: u32 = 3_000;

/// The terminal, seen from both ends.
pub struct Pty {
    person: File,
    program: File,
    before: Termios,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Pty {
    /// A terminal of that size.
    pub fn open(columns: u16, rows: u16) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let program = File::from(open(name, flags, Mode::empty()).unwrap());
        let pty = Self {
            before: tcgetattr(&program).unwrap(),
            person: File::from(person),
            program,
            written: Arc::default(),
        };
        pty.resize(columns, rows);
        let (mut reader, written) = (pty.person.try_clone().unwrap(), pty.written.clone());
        thread::spawn(move || {
            let mut chunk = [0; 4_096];
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                written.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        pty
    }

    /// Changes its size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.program, size).unwrap();
    }

    /// Starts a program on it.
    pub fn start(&self, command: &mut Command) -> Child {
        let end = || Stdio::from(self.program.try_clone().unwrap());
        let started = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        started.unwrap()
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything written so far.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The last of it, for the message of a failure.
    pub fn tail(&self) -> String {
        let written = self.written();
        let skipped = written.chars().count().saturating_sub(1_000);
        let last: String = written.chars().skip(skipped).collect();
        format!("{last:?}")
    }

    /// Waits until what was written satisfies.
    pub fn wait(&self, what: &str, satisfied: impl Fn(&str) -> bool) {
        for _ in 0..LOOKS {
            if satisfied(&self.written()) {
                return;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        panic!("no {what} in time: {}", self.tail());
    }

    /// Waits until the program has ended.
    pub fn finish(&self, mut child: Child) -> ExitStatus {
        for _ in 0..LOOKS {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        let _ = child.kill();
        panic!("it still runs: {}", self.tail());
    }

    /// Checks that the terminal is as it was, and returns what was written after that.
    pub fn clean(&self) -> String {
        self.wait("end", |written| written.contains(GIVES_BACK));
        let after = tcgetattr(&self.program).unwrap();
        let before = &self.before;
        assert_eq!(before.local_modes, after.local_modes);
        assert_eq!(before.input_modes, after.input_modes);
        assert_eq!(before.output_modes, after.output_modes);
        self.wait("cursor", |written| written.contains(SHOWS_CURSOR));
        let written = self.written();
        let (_, rest) = written.rsplit_once(GIVES_BACK).unwrap();
        assert!(!rest.contains(TAKES), "{rest:?}");
        rest.to_owned()
    }
}
