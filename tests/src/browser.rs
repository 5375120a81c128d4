//! A browser without a window: headless Chromium by way of chromedriver, spoken to in the
//! WebDriver protocol, which is JSON over HTTP. It only reaches what is in the test's own
//! network namespace. Knows nothing of mvb.

use crate::process::{PATIENCE, Running, until};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// The browser. Dropping it ends it.
pub struct Browser {
    driver: Driver,
    session: String,
    // Ended before its folder goes.
    _process: Running,
    _profile: TempDir,
}

/// Whether there is a browser here; if not, why.
///
/// # Errors
/// Which program is missing.
pub fn is_there() -> Result<(), String> {
    for program in ["chromium", "chromedriver"] {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(format!("there is no {program} here"));
        }
    }
    Ok(())
}

/// Keys that are no letters, as the protocol names them.
pub const TAB: &str = "\u{e004}";
/// To activate what has the focus.
pub const ENTER: &str = "\u{e007}";

impl Browser {
    /// Starts one with a window of that size, for people who like it light or dark.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(width: u32, height: u32, dark: bool) -> Self {
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Running::spawn(command, "chromedriver".to_owned());
        let port = process.wait_for("the port of chromedriver", |line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let driver = Driver { port };
        let profile = tempfile::tempdir().expect("the system's folder for temporary files");
        let mut arguments = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={width},{height}"),
        ];
        if dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments, "perfLoggingPrefs": {"enableNetwork": true}},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let made = driver.ask("POST", "/session", &wanted);
        let session = made["sessionId"].as_str();
        Self {
            driver,
            session: session
                .unwrap_or_else(|| panic!("no session: {made}"))
                .to_owned(),
            _process: process,
            _profile: profile,
        }
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.tell("url", json!({ "url": url }));
    }

    /// Runs a script's body in the page and returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", json!({"script": script, "args": []}))
    }

    /// Runs a script whose last argument is to be called with the result.
    pub fn run_until_called(&self, script: &str) -> Value {
        self.tell("execute/async", json!({"script": script, "args": []}))
    }

    /// Presses keys one after the other, as a person would.
    pub fn press(&self, keys: &str) {
        let presses: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": presses});
        self.tell("actions", json!({"actions": [keyboard]}));
    }

    /// What the page says, as its reader sees it.
    pub fn text(&self) -> String {
        let text = self.run("return document.body.innerText");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says something, without touching it.
    ///
    /// # Panics
    /// When it does not within [`PATIENCE`].
    pub fn wait_for(&self, what: &str, satisfied: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        until(what, || {
            text = self.text();
            satisfied(&text)
        });
        text
    }

    /// What the browser has complained of since this was last asked: scripts that failed,
    /// what the page's policy forbade, what could not be loaded.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.tell("se/log", json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        entries
            .iter()
            .filter(bad)
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    /// Every address that pages have asked for since this was last asked, but for those of
    /// the browser's own first page, which no page of the web can ask for.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.tell("se/log", json!({"type": "performance"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let request = |entry: &Value| {
            let text = entry["message"].as_str()?;
            let message: Value = serde_json::from_str(text).ok()?;
            let message = &message["message"];
            let is_request = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            (is_request && !url.starts_with("chrome://")).then(|| url.to_owned())
        };
        entries.iter().filter_map(request).collect()
    }

    fn tell(&self, command: &str, body: Value) -> Value {
        self.driver.ask(
            "POST",
            &format!("/session/{}/{command}", self.session),
            &body,
        )
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser that is gone already is as good as ended.
        let path = format!("/session/{}", self.session);
        let _ = self.driver.exchange("DELETE", &path, &Value::Null);
    }
}

/// Chromedriver, which listens there.
struct Driver {
    port: u16,
}

impl Driver {
    /// Asks chromedriver something that it must be able to do.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self
            .exchange(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["value"].clone()
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut answer = Vec::new();
        // It may leave the connection open: the length says where the answer ends.
        let mut chunk = vec![0; 64 << 10];
        loop {
            let count = stream.read(&mut chunk)?;
            answer.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.trim().parse::<usize>().ok())?
                });
                if count == 0 || length.is_some_and(|length| rest.len() >= length) {
                    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
                    let value = serde_json::from_str(rest).unwrap_or(Value::Null);
                    return Ok((status.unwrap_or(0), value));
                }
            } else if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
