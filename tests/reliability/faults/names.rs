//! How does a server of names answer, that is well or is not?

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is said to a question for addresses of IPv4; those for IPv6 are told that there are none.
#[derive(Clone, Debug)]
pub enum Answer {
    Addresses(Vec<Ipv4Addr>),
    /// So long after the question.
    Late(Duration),
    /// `NOERROR` without an address.
    Nothing,
    /// A code of an error (RFC 1035, section 4.1.1).
    Code(u8),
    Silence,
    /// No message of DNS.
    Garbage,
    /// With the number of another question.
    OtherNumber,
    /// Says that the answer is too long for UDP; nobody listens on TCP.
    Truncated,
    /// That the name is another name for itself.
    Circle,
}

/// A server on port 53 of an address of its own in 127.0.0.0/8.
pub struct Names {
    address: Ipv4Addr,
    answer: Arc<Mutex<Answer>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The last part of the address of the next server.
static NEXT: AtomicU8 = AtomicU8::new(1);

impl Names {
    /// Begins to answer; needs root, because of the port.
    pub fn start(answer: Answer) -> Self {
        let free = |_| {
            let address = Ipv4Addr::new(127, 53, 1, NEXT.fetch_add(1, Ordering::Relaxed));
            UdpSocket::bind((address, 53)).ok().map(|socket| (address, socket))
        };
        let (address, socket) = (0..250).find_map(free).expect("a free address; is this root?");
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let ended = Arc::new(AtomicBool::new(false));
        let (kept, over) = (Arc::clone(&answer), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            while !over.load(Ordering::Relaxed) {
                let Ok((count, from)) = socket.recv_from(&mut question) else { continue };
                let answer = kept.lock().unwrap().clone();
                let Some(message) = reply(&question[..count], &answer) else { continue };
                let Answer::Late(pause) = answer else {
                    socket.send_to(&message, from).unwrap();
                    continue;
                };
                let socket = socket.try_clone().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(pause);
                    // An error means that the test is over.
                    let _ = socket.send_to(&message, from);
                });
            }
        });
        Self { address, answer, ended, thread: Some(thread) }
    }

    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// RFC 1035, section 4.1: a head of twelve bytes, the question again, the records.
fn reply(question: &[u8], answer: &Answer) -> Option<Vec<u8>> {
    let name = question.get(12..)?;
    let end = name.iter().position(|byte| *byte == 0)? + 1;
    let asked = name.get(..end + 4)?;
    let is_v4 = asked.get(end..end + 2)? == [0, 1];
    let none = Vec::new();
    let localhost = vec![Ipv4Addr::LOCALHOST];
    let (code, addresses) = match answer {
        Answer::Silence => return None,
        Answer::Garbage => return Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Answer::Code(code) => (*code, &none),
        Answer::Addresses(addresses) if is_v4 => (0, addresses),
        Answer::Late(_) if is_v4 => (0, &localhost),
        _ => (0, &none),
    };
    let mut message = question.get(..2)?.to_vec();
    if matches!(answer, Answer::OtherNumber) {
        message[0] ^= 0xff;
    }
    let truncated = if matches!(answer, Answer::Truncated) { 2 } else { 0 };
    let circle = matches!(answer, Answer::Circle);
    let records = u8::try_from(addresses.len()).unwrap() + u8::from(circle);
    message.extend_from_slice(&[0x81 | truncated, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0]);
    message.extend_from_slice(asked);
    let mut record = |kind: u8, data: &[u8]| {
        let length = u8::try_from(data.len()).unwrap();
        message.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, length]);
        message.extend_from_slice(data);
    };
    for address in addresses {
        record(1, &address.octets());
    }
    if circle {
        record(5, &[0xc0, 12]);
    }
    Some(message)
}
