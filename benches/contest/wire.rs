//! Where does one HTTP/1.1 message with a `Content-Length` end?
//!
//! Both ends of the bench read with this: less work than a library's, so that callers and double keep up with the
//! fastest contestant.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncRead, AsyncReadExt};

/// One message at the front of a buffer.
pub struct Message {
    /// Where its body begins.
    pub body: usize,
    /// Where it ends.
    pub end: usize,
}

/// Reads until `buffer` begins with one whole message; `None` when the peer closed before it began.
pub async fn read_message<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> Result<Option<Message>> {
    let message = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let body = end + 4;
            break Message { body, end: body + content_length(&buffer[..end])? };
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
    };
    buffer.reserve(message.end.saturating_sub(buffer.len()));
    while buffer.len() < message.end {
        if stream.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(message))
}

fn content_length(head: &[u8]) -> Result<usize> {
    const NAME: &[u8] = b"content-length:";
    for line in head.split(|byte| *byte == b'\n') {
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            let digits = line[NAME.len()..].trim_ascii();
            return std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(without);
        }
    }
    Err(without())
}

fn without() -> Error {
    Error::new(ErrorKind::InvalidData, "a message without Content-Length")
}
