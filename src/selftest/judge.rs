//! What of all that was said must not have been said?

use super::answer::Answer;
use super::canary::{Allowed, Canary, Mint, Planted};
use super::child::{Caught, Said};
use super::encoding::ENCODINGS;
use super::problem::Problem;
use super::report::{Channel, ChannelState, EncodingProven, Finding};
use super::scanner::Scanner;

/// More findings than these add nothing to the first.
const MOST_FINDINGS: usize = 1_000;

/// The search over everything, by who may see what.
pub(super) struct Judge {
    nowhere: Scanner,
    heads: Scanner,
    forwarded: Scanner,
}

impl Judge {
    /// Looks for every canary of `mint`.
    pub(super) fn new(mint: &Mint) -> Result<Self, Problem> {
        let but = |allowed: Option<Allowed>| {
            let kept = mint.planted().filter(|planted| Some(planted.allowed) != allowed);
            Scanner::new(kept.map(|Planted { canary, .. }| canary))
        };
        Ok(Self {
            nowhere: but(None)?,
            heads: but(Some(Allowed::Heads))?,
            forwarded: but(Some(Allowed::ForwardedBodies))?,
        })
    }

    /// Every finding in what was caught in `act`, and what was searched.
    pub(super) fn judge(&self, act: &'static str, caught: &Caught) -> (Vec<Finding>, Vec<Channel>) {
        let (mut findings, mut channels) = (Vec::new(), Vec::new());
        let mut search = |scanner: &Scanner, said: &Said| {
            let Said { channel, bytes, never_empty } = said;
            let state = match (bytes.is_empty(), never_empty) {
                (false, _) => ChannelState::Searched,
                (true, false) => ChannelState::Empty,
                (true, true) => ChannelState::Missing,
            };
            channels.push(Channel { act, channel: channel.clone(), bytes: bytes.len(), state });
            let hits = scanner.hits(bytes).into_iter().map(|hit| Finding {
                act,
                channel: channel.clone(),
                canary: hit.canary,
                encoding: hit.encoding,
                offset: hit.offset,
            });
            findings.extend(hits.take(MOST_FINDINGS));
        };
        for said in &caught.channels {
            search(&self.nowhere, said);
        }
        for (scanner, said) in self.answers(&caught.answers) {
            search(scanner, &said);
        }
        (findings, channels)
    }

    /// What callers saw, and what must not be in it.
    fn answers(&self, answers: &[Answer]) -> [(&Scanner, Said); 3] {
        let part = |channel: &str, of: fn(&Answer) -> &[u8], which: fn(&Answer) -> bool, never_empty| {
            let bytes = answers.iter().filter(|answer| which(answer)).flat_map(of).copied().collect();
            Said { channel: format!("callers: {channel}"), bytes, never_empty }
        };
        let refused = answers.iter().any(|answer| answer.code().is_some());
        [
            (&self.heads, part("heads of answers", |answer| &answer.head, |_| true, !answers.is_empty())),
            (&self.nowhere, part("bodies of refusals", |answer| &answer.body, Answer::is_own, refused)),
            // An act may have none.
            (
                &self.forwarded,
                part("bodies of forwarded answers", |answer| &answer.body, |answer| !answer.is_own(), false),
            ),
        ]
    }
}

/// Proves the search before it is believed: a control text, written in every encoding amid real output, must be found,
/// and must not be found where it was not planted.
pub(super) fn prove(mint: &mut Mint, amid: &[u8]) -> Result<Vec<EncodingProven>, Problem> {
    let text = format!("{}\"/\\é€ <&{}", mint.letters(14), mint.letters(14));
    let scanner = Scanner::new([&Canary { name: "control".to_owned(), text: text.clone() }])?;
    let amid = amid.get(..amid.len().min(8 << 10)).unwrap_or_default();
    let (before, after) = amid.split_at(amid.len() / 2);
    let silent = scanner.hits(amid).is_empty();
    let each = |encoding: &super::encoding::Encoding| {
        let planted = [before, b" ", &(encoding.write)(&text), b" ", after].concat();
        EncodingProven { encoding: encoding.name, proven: silent && !scanner.hits(&planted).is_empty() }
    };
    Ok(ENCODINGS.iter().map(each).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::selftest::audit_table::Records;

    fn caught(channels: &[&str], answers: Vec<Answer>) -> Caught {
        let said = |name: &&str| Said {
            channel: (*name).to_owned(),
            bytes: b"nothing of note".to_vec(),
            never_empty: true,
        };
        let channels = channels.iter().map(said).collect();
        let exit = std::process::ExitStatus::from_raw(0);
        Caught { channels, answers, exit, records: Records::Stdout, failed: Vec::new() }
    }

    fn answer(media_type: &str, head: &str, body: &[u8]) -> Answer {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\n{head}\r\n\r\n");
        Answer::of(&[head.as_bytes(), body].concat())
    }

    #[test]
    fn a_planted_leak_is_found_in_every_channel_and_every_encoding() {
        let mut mint = Mint::seeded(1);
        let text = format!("{}\"/\\é€ <&{}", mint.letters(14), mint.letters(14));
        mint.plant("pass", &text, Allowed::Nowhere);
        let judge = Judge::new(&mint).unwrap();
        let channels = ["stdout", "stderr", "operators: /metrics", "process: cmdline", "files left behind"];
        for encoding in &ENCODINGS {
            let written = (encoding.write)(&text);
            for index in 0..channels.len() {
                let mut caught = caught(&channels, Vec::new());
                caught.channels[index].bytes.extend_from_slice(&[b" ", &written[..], b" "].concat());
                let (findings, searched) = judge.judge("act", &caught);
                assert!(!findings.is_empty(), "{} in {}", encoding.name, channels[index]);
                assert!(findings.iter().all(|finding| finding.channel == channels[index]));
                assert!(findings.iter().all(|finding| finding.canary == "pass" && finding.act == "act"));
                assert_eq!(searched.len(), channels.len() + 3);
            }
            for (media_type, channel) in [
                ("application/problem+json", "callers: bodies of refusals"),
                ("application/json", "callers: bodies of forwarded answers"),
            ] {
                let (findings, _) = judge.judge("act", &caught(&[], vec![answer(media_type, "", &written)]));
                assert!(findings.iter().any(|finding| finding.channel == channel), "{}", encoding.name);
            }
        }
    }

    #[test]
    fn what_goes_back_to_its_sender_is_no_leak_there_and_one_everywhere_else() {
        let mut mint = Mint::seeded(2);
        for (name, allowed) in
            [("id", Allowed::Heads), ("e-mail", Allowed::ForwardedBodies), ("key", Allowed::Nowhere)]
        {
            let text = mint.letters(28);
            mint.reserve(name, |_| text.clone());
            mint.plant(name, &text, allowed);
        }
        let [id, email, key] = ["id", "e-mail", "key"].map(|name| mint.reserve(name, |_| String::new()));
        let all = format!("{id} {email} {key}");
        let found = |answer: Answer| {
            let (findings, _) = Judge::new(&mint).unwrap().judge("act", &caught(&["stderr"], vec![answer]));
            findings.into_iter().map(|finding| finding.canary).collect::<Vec<_>>()
        };
        assert_eq!(found(answer("application/json", "", all.as_bytes())), ["id", "key"]);
        assert_eq!(found(answer("application/problem+json", "", all.as_bytes())), ["e-mail", "id", "key"]);
        assert_eq!(
            found(answer("application/json", &format!("x-request-id: {all}"), b"{}")),
            ["e-mail", "key"]
        );
    }

    #[test]
    fn a_channel_without_bytes_was_not_searched() {
        let mut mint = Mint::seeded(3);
        mint.fresh("pass");
        let mut caught = caught(&["stderr", "stdout", "lock"], vec![answer("application/json", "", b"{}")]);
        caught.channels[1].bytes.clear();
        caught.channels[2].bytes.clear();
        caught.channels[2].never_empty = false;
        let (findings, channels) = Judge::new(&mint).unwrap().judge("act", &caught);
        assert_eq!(findings, []);
        use ChannelState::{Empty, Missing, Searched};
        assert_eq!(
            channels.iter().map(|it| (&*it.channel, it.state)).collect::<Vec<_>>(),
            [
                ("stderr", Searched),
                ("stdout", Missing),
                ("lock", Empty),
                ("callers: heads of answers", Searched),
                ("callers: bodies of refusals", Empty),
                ("callers: bodies of forwarded answers", Searched),
            ]
        );
    }

    #[test]
    fn the_search_proves_itself_in_every_encoding() {
        let proven =
            prove(&mut Mint::seeded(4), b"{\"level\":\"TRACE\",\"n\":[1,2,3]} 100% \\u00e9 &amp;").unwrap();
        assert_eq!(proven.len(), ENCODINGS.len());
        assert!(proven.iter().all(|encoding| encoding.proven), "{proven:?}");
    }
}
