//! A client that keeps its connection, as browsers do: it asks, reads the whole answer, and asks
//! again.

use anyhow::{Context as _, Result, bail};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub struct Connection {
    reader: BufReader<TcpStream>,
    host: String,
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The length of its body.
    pub bytes: usize,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::with_capacity(64 << 10, stream),
            host: address.to_string(),
        })
    }

    /// Asks for a path and reads all of the answer.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        let ask = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.reader.get_mut().write_all(ask.as_bytes())?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("{path} is answered with {first:?}"))?;
        let mut length = None;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
        let length: u64 = length.with_context(|| format!("{path} has no length"))?;
        let mut body = Vec::new();
        self.reader
            .by_ref()
            .take(length)
            .read_to_end(&mut body)
            .with_context(|| format!("{path} does not come"))?;
        if body.len() as u64 != length {
            bail!("{path} has ended after {} of {length} bytes", body.len());
        }
        let bytes = body.len();
        Ok(Answer { status, bytes })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the explorer has closed the connection");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}
