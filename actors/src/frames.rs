//! Frames on a TCP stream: a u32 length, big-endian, then that many bytes. Used by both
//! ends of a session; deadlines are the callers'.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed the connection between two frames.
    #[error("the connection was closed")]
    Closed,
    /// The frame is empty or longer than its kind may be.
    #[error("frame of {got} bytes, expected 1 to {most}")]
    Length {
        /// The announced length.
        got: u32,
        /// The limit.
        most: usize,
    },
    /// The stream failed or ended inside a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads one frame of at most `most` bytes. Memory grows with what arrives, not with what
/// the length announces.
///
/// # Errors
/// When the stream ends or fails, or the length is out of range.
pub async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    most: usize,
) -> Result<Vec<u8>, FrameError> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Err(FrameError::Closed);
    }
    stream.read_exact(&mut length[1..]).await?;
    let got = u32::from_be_bytes(length);
    if got == 0 || got as usize > most {
        return Err(FrameError::Length { got, most });
    }
    let mut payload = Vec::new();
    let read = stream
        .take(u64::from(got))
        .read_to_end(&mut payload)
        .await?;
    if read < got as usize {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(payload)
}

/// Writes one frame and flushes it.
///
/// # Errors
/// When the stream fails.
pub async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin + ?Sized),
    payload: &[u8],
) -> io::Result<()> {
    let mut frame = Vec::with_capacity(4 + payload.len());
    put_frame(&mut frame, payload);
    write_frames(stream, &frame).await
}

/// Adds a frame to others that are written together.
pub fn put_frame(frames: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("no message is near 4 GiB long");
    frames.extend_from_slice(&length.to_be_bytes());
    frames.extend_from_slice(payload);
}

/// Writes what [`put_frame`] has gathered and flushes it.
///
/// # Errors
/// When the stream fails.
pub async fn write_frames(
    stream: &mut (impl AsyncWrite + Unpin + ?Sized),
    frames: &[u8],
) -> io::Result<()> {
    stream.write_all(frames).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], most: usize) -> Result<Vec<u8>, FrameError> {
        read_frame(&mut &bytes[..], most).await
    }

    #[tokio::test]
    async fn a_written_frame_reads_back() {
        let mut wire = Vec::new();
        write_frame(&mut wire, b"abc").await.unwrap();
        assert_eq!(wire, b"\0\0\0\x03abc");
        assert_eq!(read(&wire, 3).await.unwrap(), b"abc");
    }

    #[tokio::test]
    async fn an_empty_or_too_long_frame_is_refused_before_it_is_read() {
        for length in [0, 4, u32::MAX] {
            let refused = read(&length.to_be_bytes(), 3).await;
            assert!(matches!(refused, Err(FrameError::Length { got, most: 3 }) if got == length));
        }
    }

    #[tokio::test]
    async fn the_end_between_frames_differs_from_the_end_inside_one() {
        assert!(matches!(read(b"", 9).await, Err(FrameError::Closed)));
        for cut in [&b"\0"[..], b"\0\0\0\x03", b"\0\0\0\x03ab"] {
            assert!(
                matches!(read(cut, 9).await, Err(FrameError::Io(_))),
                "{cut:?}"
            );
        }
    }
}
