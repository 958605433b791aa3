//! What did a caller get, and who made it?

/// One answer to a caller, as it came.
#[derive(Clone)]
pub(super) struct Answer {
    /// 0 where there was none.
    pub(super) status: u16,
    /// Up to the blank line.
    pub(super) head: Vec<u8>,
    /// What followed, framing included.
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let (head, body) = bytes.split_at(end);
        let status = std::str::from_utf8(head.get(9..12).unwrap_or_default()).unwrap_or_default();
        Self { status: status.parse().unwrap_or(0), head: head.to_vec(), body: body.to_vec() }
    }

    /// Whether the gateway made its body: what is not DCAMS's JSON.
    pub(super) fn is_own(&self) -> bool {
        let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
        !head.contains("content-type: application/json")
    }

    /// The code of the refusal.
    pub(super) fn code(&self) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body);
        let rest = body.split_once("\"code\":\"")?.1;
        self.is_own().then(|| rest.split('"').next().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_refusal_or_dcams_s_own() {
        let own = Answer::of(
            b"HTTP/1.1 429 x\r\nContent-Type: application/problem+json\r\n\r\n{\"code\":\"rate_limited\"}",
        );
        assert_eq!((own.status, own.is_own(), own.code().as_deref()), (429, true, Some("rate_limited")));
        let forwarded =
            Answer::of(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"code\":\"mine\"}");
        assert_eq!((forwarded.status, forwarded.is_own(), forwarded.code()), (200, false, None));
        assert_eq!(Answer::of(b"").status, 0);
    }
}
