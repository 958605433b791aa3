//! Where does one HTTP/1.1 message end and the next begin?

/// One message with a `Content-Length`, or without a body.
pub struct Message {
    /// The first line, and the header lines.
    pub head: String,
    pub body: Vec<u8>,
}

impl Message {
    /// Takes the first message out of `bytes`, if it is there whole.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let head_bytes = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..head_bytes]).into_owned();
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        if bytes.len() < head_bytes + length {
            return None;
        }
        let rest = bytes.split_off(head_bytes + length);
        let body = std::mem::replace(bytes, rest).split_off(head_bytes);
        Some(Self { head, body })
    }

    /// Of an answer.
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
