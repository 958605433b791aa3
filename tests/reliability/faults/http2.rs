//! How are frames of HTTP/2 written by hand (RFC 9113, section 4.1)?

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Of HEADERS, PUSH_PROMISE and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// Codes of errors (section 7).
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// Identifiers of settings (section 6.5.2).
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const MAX_FRAME_SIZE: u16 = 5;

/// Some whole frames.
pub struct Frame;

impl Frame {
    /// Settings that change nothing.
    pub const SETTINGS: [u8; 9] = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// SETTINGS with one value.
pub fn setting(identifier: u16, value: u32) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    let mut payload = vec![high, low];
    payload.extend_from_slice(&value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

/// RST_STREAM of the first request.
pub fn reset(code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &code.to_be_bytes())
}

/// GOAWAY after this stream.
pub fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A header field that is not indexed, its name and value of less than 127 bytes each (RFC 7541, section 6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// `:status 200` and the type of the body.
pub fn fields() -> Vec<u8> {
    [vec![0x88], field("content-type", "application/json")].concat()
}

/// HEADERS of the first request's answer.
pub fn head(flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, 1, &fields())
}

/// DATA of the first request's answer.
pub fn body(flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, 1, bytes)
}

/// A whole answer.
pub fn answer(stream: u32) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &fields());
    [head, frame(DATA, END_STREAM, stream, super::BODY.as_bytes())].concat()
}

/// Frames for stream 1, for another stream. A GOAWAY after stream 1 is one after that stream.
pub fn moved(frames: &[u8], stream: u32) -> Vec<u8> {
    let mut moved = frames.to_vec();
    let mut at = 0;
    while let Some(head) = frames.get(at..at + 9) {
        let end = at + 9 + (usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]));
        let number = if head[3] == GOAWAY { at + 9 } else { at + 5 };
        if moved[number..number + 4] == 1_u32.to_be_bytes() {
            moved[number..number + 4].copy_from_slice(&stream.to_be_bytes());
        }
        at = end;
    }
    moved
}
