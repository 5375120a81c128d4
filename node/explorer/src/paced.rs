//! A connection whose other end must take what is written to it. Without this, whoever asks and
//! never reads would hold one of the server's few connections for ever: the HTTP library has
//! deadlines for requests and for silence between two, and none for answers. The server wraps
//! every connection in one; nothing here knows HTTP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What must be taken within the patience, unless all that there is was taken.
const ENOUGH: usize = 16 << 10;

/// A connection with patience.
pub struct Paced<T> {
    inner: T,
    patience: Duration,
    wait: Option<Wait>,
}

/// Something waits to be taken.
struct Wait {
    ends: Pin<Box<Sleep>>,
    taken: usize,
}

impl<T> Paced<T> {
    /// Lets the other end go once it has taken less than [`ENOUGH`] for so long.
    pub fn new(inner: T, patience: Duration) -> Self {
        Self {
            inner,
            patience,
            wait: None,
        }
    }

    fn took(&mut self, count: usize) {
        if let Some(wait) = &mut self.wait {
            wait.taken += count;
            if wait.taken >= ENOUGH {
                self.wait = None;
            }
        }
    }

    fn waits(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let patience = self.patience;
        let wait = self.wait.get_or_insert_with(|| Wait {
            ends: Box::pin(sleep(patience)),
            taken: 0,
        });
        ready!(wait.ends.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Ready(Ok(count)) => {
                self.took(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.waits(context).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(context));
        // Everything was taken: what comes next has time of its own.
        self.wait = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Both ends of a connection on which little can be on its way.
    fn connection() -> (Paced<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(1 << 10);
        (Paced::new(server, PATIENCE), client)
    }

    /// Reads so many bytes at a time, with a pause before each.
    async fn reads(mut client: DuplexStream, bytes: usize, pause: Duration) -> usize {
        let mut chunk = vec![0; bytes];
        let mut read = 0;
        loop {
            tokio::time::sleep(pause).await;
            match client.read(&mut chunk).await {
                Ok(0) | Err(_) => return read,
                Ok(count) => read += count,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_never_reads_is_let_go() {
        let (mut server, _client) = connection();
        let error = server.write_all(&[0; 4 << 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_a_byte_now_and_then_is_let_go() {
        let (mut server, client) = connection();
        let reader = tokio::spawn(reads(client, 1, PATIENCE / 4));
        let error = server.write_all(&[0; 256 << 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(server);
        assert!(reader.await.unwrap() <= 2 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_slowly_but_steadily_gets_all_of_it() {
        let (mut server, client) = connection();
        let reader = tokio::spawn(reads(client, 1 << 10, PATIENCE / 20));
        server.write_all(&[0; 256 << 10]).await.unwrap();
        drop(server);
        assert_eq!(reader.await.unwrap(), 256 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_says_little_and_waits_long_stays() {
        let (mut server, client) = connection();
        let reader = tokio::spawn(reads(client, 1 << 10, Duration::ZERO));
        for _ in 0..100 {
            tokio::time::sleep(PATIENCE * 3).await;
            server.write_all(b"a word").await.unwrap();
            server.flush().await.unwrap();
        }
        drop(server);
        assert_eq!(reader.await.unwrap(), 600);
    }
}
