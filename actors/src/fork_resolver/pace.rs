//! How slow a peer may be. A session waits as long as bytes keep coming at a least rate, so
//! that a slow line is served and a peer that trickles is not.

use crate::env::BoxStream;
use std::{
    cell::Cell,
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, timeout_at},
};

/// How long a peer may take. A slow line is fine, a peer that trickles is not.
#[derive(Clone, Debug)]
pub struct Deadlines {
    /// To accept a connection.
    pub connect: Duration,
    /// To say Hello.
    pub hello: Duration,
    /// Without a single byte while an answer is due.
    pub silence: Duration,
    /// For a whole answer, beside the time its bytes need at `least_bytes_per_second`.
    pub answer: Duration,
    /// The slowest line worth waiting for.
    pub least_bytes_per_second: u32,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            hello: Duration::from_secs(3),
            silence: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            least_bytes_per_second: 16 << 10,
        }
    }
}

impl Deadlines {
    /// How long so many bytes may take.
    fn earned(&self, bytes: u64) -> Duration {
        let rate = u64::from(self.least_bytes_per_second.max(1));
        Duration::from_millis(bytes.saturating_mul(1_000) / rate)
    }
}

/// From when on a peer is expected to deliver.
pub struct Pace {
    started: Instant,
    bytes: u64,
}

impl Pace {
    /// From now on.
    pub fn new(meter: &Meter) -> Self {
        Self {
            started: Instant::now(),
            bytes: meter.bytes.get(),
        }
    }

    /// Waits for `work` while the peer keeps up; `None` once it does not.
    pub async fn keep<T>(
        &self,
        meter: &Meter,
        deadlines: &Deadlines,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        if mvb_protocol::mutant!(NoDeadlines) {
            return Some(work.await);
        }
        loop {
            let bytes = meter.bytes.get().saturating_sub(self.bytes);
            let whole = self.started + deadlines.answer + deadlines.earned(bytes);
            let due = whole.min(meter.last.get() + deadlines.silence);
            // A deadline that bytes have moved meanwhile is looked at again.
            match timeout_at(due, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if meter.bytes.get().saturating_sub(self.bytes) == bytes => return None,
                Err(_) => {}
            }
        }
    }
}

/// How much was received since when, when last, and whether more is due.
pub struct Meter {
    since: Instant,
    bytes: Cell<u64>,
    last: Cell<Instant>,
    is_due: Cell<bool>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            bytes: Cell::new(0),
            last: Cell::new(Instant::now()),
            is_due: Cell::new(true),
        }
    }
}

impl Meter {
    /// A wait begins: silence counts from here. So it does from the start on.
    pub fn begin_wait(&self) {
        self.last.set(Instant::now());
        self.is_due.set(true);
    }

    /// What was waited for is here.
    pub fn end_wait(&self) {
        self.is_due.set(false);
    }

    /// Whether a session that may last so long brought too little for the rest of its time.
    pub fn trickles(&self, deadlines: &Deadlines, turn: Duration) -> bool {
        self.since.elapsed() >= turn + deadlines.earned(self.bytes.get())
    }

    /// For how long nothing has come though something is due.
    pub fn silence(&self) -> Duration {
        match self.is_due.get() {
            true => self.last.get().elapsed(),
            false => Duration::ZERO,
        }
    }
}

/// A stream whose received bytes are counted.
pub struct Metered {
    stream: BoxStream,
    meter: Rc<Meter>,
}

impl Metered {
    /// Counts what comes out of a stream.
    pub fn new(stream: BoxStream, meter: Rc<Meter>) -> Self {
        Self { stream, meter }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let read = buffer.filled().len().saturating_sub(before) as u64;
        if read > 0 {
            let bytes = &self.meter.bytes;
            bytes.set(bytes.get().saturating_add(read));
            self.meter.last.set(Instant::now());
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, BufWriter, duplex},
        time::{advance, sleep},
    };

    const SECOND: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_millis(1);

    fn deadlines() -> Deadlines {
        Deadlines {
            least_bytes_per_second: 1_000,
            ..Deadlines::default()
        }
    }

    fn metered(stream: BoxStream) -> (Metered, Rc<Meter>) {
        let meter = Rc::<Meter>::default();
        (Metered::new(stream, meter.clone()), meter)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_trickles_once_its_turn_and_the_time_its_bytes_earned_are_over() {
        let meter = Meter::default();
        meter.bytes.set(2_500);
        advance(4 * SECOND + SECOND / 2 - TICK).await;
        assert!(!meter.trickles(&deadlines(), 2 * SECOND));
        advance(TICK).await;
        assert!(meter.trickles(&deadlines(), 2 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_beginning_of_a_wait_to_its_end() {
        let meter = Meter::default();
        advance(2 * SECOND).await;
        assert_eq!(meter.silence(), 2 * SECOND, "a greeting is due");
        meter.end_wait();
        advance(SECOND).await;
        assert_eq!(meter.silence(), Duration::ZERO);
        meter.begin_wait();
        advance(SECOND).await;
        assert_eq!(meter.silence(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_work_or_after_silence() {
        let (meter, began) = (Meter::default(), Instant::now());
        let pace = Pace::new(&meter);
        let slow = async {
            sleep(5 * SECOND - TICK).await;
            7
        };
        assert_eq!(pace.keep(&meter, &deadlines(), slow).await, Some(7));
        meter.begin_wait();
        let kept = pace.keep(&meter, &deadlines(), pending::<()>()).await;
        assert_eq!(kept, None);
        assert_eq!(began.elapsed(), 10 * SECOND - TICK);
    }

    /// A thousand bytes every four seconds, each of which earns one: 30 and the nine of 36.
    #[tokio::test(start_paused = true)]
    async fn a_wait_lasts_as_long_as_an_answer_may_and_its_bytes_earn() {
        let (meter, began) = (Meter::default(), Instant::now());
        meter.bytes.set(50_000);
        let pace = Pace::new(&meter);
        let trickle = async {
            loop {
                sleep(4 * SECOND).await;
                meter.bytes.set(meter.bytes.get() + 1_000);
                meter.last.set(Instant::now());
            }
        };
        let kept = pace.keep(&meter, &deadlines(), trickle).await;
        assert_eq!(kept, None::<()>);
        assert_eq!(began.elapsed(), 39 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_is_counted_and_the_end_of_a_stream_is_no_sign_of_life() {
        let (here, mut there) = duplex(64);
        let (mut stream, meter) = metered(Box::new(here));
        there.write_all(b"five!").await.unwrap();
        advance(SECOND).await;
        let mut bytes = [0; 64];
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 5);
        assert_eq!((meter.bytes.get(), meter.silence()), (5, Duration::ZERO));
        drop(there);
        advance(SECOND).await;
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
        assert_eq!((meter.bytes.get(), meter.silence()), (5, SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_is_flushed_and_an_end_is_passed_on() {
        let (here, mut there) = duplex(64);
        let (mut stream, _) = metered(Box::new(BufWriter::new(here)));
        let mut bytes = [0; 64];
        stream.write_all(b"five!").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(there.read(&mut bytes).await.unwrap(), 5);
        stream.shutdown().await.unwrap();
        assert_eq!(there.read(&mut bytes).await.unwrap(), 0);
    }
}
