//! What did a process ask of the kernel, in which order? (The text that strace writes with `-f -yy -v`.)

use std::collections::HashSet;

/// A call as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: String,
    /// What the descriptor in the first argument is: a path, or `TCP:[…->…]`.
    pub target: String,
    /// All strings among the arguments.
    pub strings: Vec<Vec<u8>>,
    /// The last argument, where it is a number.
    pub last: Option<u64>,
    /// The arguments without their strings, for flags.
    pub rest: String,
}

/// A thread entered a call, or came back from the one that it had entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Entered { thread: u32, call: Call },
    Returned { thread: u32, result: i64 },
}

/// Reads what strace wrote. A line that is cut or not understood fails the test.
pub fn read(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut unfinished: HashSet<u32> = HashSet::new();
    for line in text.lines() {
        let (thread, said) = line.split_once(' ').unwrap_or_else(|| panic!("no thread: {line}"));
        let (thread, said) = (thread.parse().unwrap(), said.trim_start());
        if said.starts_with("+++") || said.starts_with("---") {
            continue;
        }
        if let Some(resumed) = said.strip_prefix("<... ") {
            // A call that was entered before strace came is not ours to judge.
            if unfinished.remove(&thread) && !resumed.contains("<detached ...>") {
                let result = result_of(resumed.split_once("resumed>").expect("resumed").1);
                events.push(Event::Returned { thread, result });
            }
            continue;
        }
        let (name, arguments) = said.split_once('(').unwrap_or_else(|| panic!("no call: {line}"));
        let (call, after) = call_of(name, arguments);
        events.push(Event::Entered { thread, call });
        if after.contains("<unfinished ...>") {
            unfinished.insert(thread);
        } else if !after.contains("<detached ...>") {
            events.push(Event::Returned { thread, result: result_of(after) });
        }
    }
    events
}

/// The call, and what stands behind its arguments.
fn call_of<'a>(name: &str, arguments: &'a str) -> (Call, &'a str) {
    let (mut strings, mut rest) = (Vec::new(), String::new());
    let mut depth = 0_usize;
    let mut left = arguments;
    let after = loop {
        let Some(next) = left.chars().next() else { panic!("{name}: its arguments do not end: {arguments}") };
        if next == '"' {
            let mut string = Vec::new();
            left = unescape(&left[1..], &mut string);
            strings.push(string);
            assert!(!left.starts_with("..."), "{name}: a string is cut");
            continue;
        }
        // The second: strace let go meanwhile.
        if left.starts_with("<unfinished ...>") || left.starts_with("<detached ...>") {
            break left;
        }
        left = &left[next.len_utf8()..];
        match next {
            ')' if depth == 0 => break left,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        rest.push(next);
    };
    let target = rest.split_once('<').map_or("", |(descriptor, decoded)| {
        let is_first = descriptor.bytes().all(|byte| byte.is_ascii_digit());
        // The `>` of `a->b` in an address is not the end.
        let end = decoded.match_indices('>').find(|(at, _)| !decoded[..*at].ends_with('-'));
        end.filter(|_| is_first).map_or("", |(at, _)| &decoded[..at])
    });
    let last = rest.rsplit(',').next().and_then(|last| last.trim().parse().ok());
    (Call { name: name.to_owned(), target: target.to_owned(), strings, last, rest: rest.clone() }, after)
}

/// Appends the bytes of a string up to its closing quote, and gives what stands behind it.
fn unescape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let raw = text.as_bytes();
    let mut at = 0;
    loop {
        match raw[at] {
            b'"' => return &text[at + 1..],
            b'\\' => {
                let digits =
                    raw[at + 1..].iter().take(3).take_while(|byte| (b'0'..b'8').contains(byte)).count();
                if digits > 0 {
                    bytes.push(u8::from_str_radix(&text[at + 1..at + 1 + digits], 8).unwrap());
                    at += 1 + digits;
                    continue;
                }
                bytes.push(match raw[at + 1] {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    b'f' => 12,
                    other @ (b'"' | b'\\') => other,
                    other => panic!("unknown escape: \\{}", char::from(other)),
                });
                at += 2;
            }
            byte => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
}

/// The number behind `=`; what did not come back is a failure.
fn result_of(text: &str) -> i64 {
    let (_, result) = text.split_once("= ").unwrap_or_else(|| panic!("no result: {text}"));
    let end = result.find(|next: char| next != '-' && !next.is_ascii_digit()).unwrap_or(result.len());
    result[..end].parse().unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(
        name: &str,
        target: &str,
        bytes: &[u8],
        last: Option<u64>,
    ) -> (String, String, Vec<u8>, Option<u64>) {
        (name.to_owned(), target.to_owned(), bytes.to_vec(), last)
    }

    #[test]
    fn calls_of_threads_are_read_in_the_order_in_which_they_began_and_ended() {
        let text = concat!(
            "7 pwrite64(6</a/b>, \"{\\\"a\\\":\\\"\\303\\251 \\1\\0012\\\\\\\"}\\n\", 20, 40 <unfinished ...>\n",
            "8 writev(5<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base=\"ab\", iov_len=2}, {iov_base=\"c)\", iov_len=2}], 2) = 4\n",
            "7 <... pwrite64 resumed>)           = 20\n",
            "9 <... fdatasync resumed>)          = 0\n",
            "8 --- SIGTERM {si_signo=SIGTERM} ---\n",
            "7 fdatasync(6</a/b>(deleted))  = -1 EIO (Input/output error) (INJECTED)\n",
            "7 fdatasync(6</a/b> <detached ...>\n",
            "8 +++ exited with 0 +++\n",
        );
        let events = read(text);
        let calls = events.iter().filter_map(|event| match event {
            Event::Entered { call, .. } => {
                Some((call.name.clone(), call.target.clone(), call.strings.concat(), call.last))
            }
            Event::Returned { .. } => None,
        });
        let calls: Vec<_> = calls.collect();
        assert_eq!(
            calls,
            [
                call("pwrite64", "/a/b", "{\"a\":\"é \x01\x012\\\"}\n".as_bytes(), Some(40)),
                call("writev", "TCP:[127.0.0.1:1->127.0.0.1:2]", b"abc)", Some(2)),
                call("fdatasync", "/a/b", b"", None),
                call("fdatasync", "/a/b", b"", None),
            ]
        );
        let steps = events.iter().map(|event| match event {
            Event::Entered { thread, .. } => (*thread, None),
            Event::Returned { thread, result } => (*thread, Some(*result)),
        });
        let steps: Vec<_> = steps.collect();
        assert_eq!(
            steps,
            [(7, None), (8, None), (8, Some(4)), (7, Some(20)), (7, None), (7, Some(-1)), (7, None)]
        );
    }
}
