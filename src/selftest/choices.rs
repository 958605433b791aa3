//! Which values could stand in one place of a request, canaries first?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::canary::{LENGTH, Mint};
use super::scanner::SHORTEST;

/// A value, and the canaries in it: name and text.
pub(super) struct Choice {
    pub(super) value: Value,
    pub(super) canaries: Vec<(String, String)>,
}

impl Choice {
    fn plain(value: Value) -> Self {
        Self { value, canaries: Vec::new() }
    }
}

/// The choices for the value at `location`, to which `schemas` apply and where `value` stands.
pub(super) fn choices(
    location: &str,
    schemas: &[&Map<String, Value>],
    value: &Value,
    mint: &mut Mint,
) -> Vec<Choice> {
    let find = |keyword: &str| schemas.iter().find_map(|schema| schema.get(keyword));
    let list = |keyword: &str| find(keyword).and_then(Value::as_array).into_iter().flatten();
    if find("const").is_some() || find("enum").is_some() {
        return std::iter::once(value).chain(list("enum")).cloned().map(Choice::plain).collect();
    }
    let number =
        |keyword: &str| find(keyword).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    let mut maker = Maker { location, mint, made: Vec::new() };
    if value.is_number() {
        maker.number();
    } else if find("contentEncoding").is_some() {
        maker.images();
    } else {
        maker.texts(number("minLength").unwrap_or(0), number("maxLength").unwrap_or(usize::MAX));
    }
    let others = std::iter::once(value).chain(list("examples")).chain(find("default")).cloned();
    let filler = Value::from("a".repeat(number("minLength").unwrap_or(1).clamp(1, 256)));
    let fillers = [filler, 1.into(), 0.into()].into_iter().chain(find("minimum").cloned());
    maker.made.extend(others.chain(fillers).map(Choice::plain));
    maker.made
}

/// What the names of canaries in members begin with.
pub(super) const MEMBER: &str = "member ";

/// The first bytes of each type of image and document that schemas know.
const MAGIC: [&[u8]; 6] = [
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x40\x00\x00\x00WEBP",
    b"%PDF-1.7\n",
    b"II\x2a\x00\x08\x00\x00\x00",
    b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1",
];

/// Collects choices for one place.
struct Maker<'a> {
    location: &'a str,
    mint: &'a mut Mint,
    made: Vec<Choice>,
}

impl Maker<'_> {
    /// A canary of this place, of letters and digits unless `form` says otherwise.
    fn canary(&mut self, form: &str, make: impl FnOnce(&mut Mint) -> String) -> (String, String) {
        let name = match form {
            "" => format!("{MEMBER}{}", self.location),
            form => format!("{MEMBER}{} ({form})", self.location),
        };
        let text = self.mint.reserve(&name, make);
        (name, text)
    }

    fn add(&mut self, text: String, canary: (String, String)) {
        self.made.push(Choice { value: text.into(), canaries: vec![canary] });
    }

    /// The schema is asked which of these it accepts, so that no format or pattern need be understood.
    fn texts(&mut self, least: usize, most: usize) {
        let (name, core) = self.canary("", |mint| mint.letters(LENGTH));
        let filled = core.repeat(least.div_ceil(LENGTH).clamp(1, 64));
        let forms = [
            format!("{core}@example.com"),
            format!("12 \"\\/é {core}"),
            format!("Zoë-{core}"),
            filled,
            format!("https://{core}.example.com/{core}"),
            format!("{core}.example.com"),
        ];
        // An address or a link is wanted only where nothing else is accepted.
        let order = [1, 2, 3, 0, 5, 4].into_iter().filter_map(|at: usize| forms.get(at));
        for text in order {
            if text.chars().count() <= most {
                self.add(text.clone(), (name.clone(), core.clone()));
            }
        }
        if (SHORTEST..LENGTH).contains(&most) {
            let cut = self.canary(&format!("{most} letters"), |mint| mint.letters(most));
            self.add(cut.1.clone(), cut);
        }
        let word: String = core.chars().map(|c| if c.is_ascii_digit() { 'q' } else { c }).collect();
        let word = self.canary("letters only", |_| word);
        self.add(word.1.clone(), word.clone());
        self.add(word.1.to_ascii_uppercase(), word);
        self.add(core.to_ascii_uppercase(), (name, core));
        let digits = self.canary("digits", |mint| mint.digits(15));
        self.add(digits.1.clone(), digits.clone());
        self.add(format!("+{}", digits.1), digits);
        if (SHORTEST..15).contains(&most) {
            let cut = self.canary(&format!("{most} digits"), |mint| mint.digits(most));
            self.add(cut.1.clone(), cut);
        }
        self.dates();
        self.identifiers();
    }

    fn dates(&mut self) {
        let date = |mint: &mut Mint| {
            let (year, month, day) = (mint.below(100), mint.below(12) + 1, mint.below(28) + 1);
            format!("18{year:02}-{month:02}-{day:02}")
        };
        let dashed = self.canary("date", date);
        let plain = self.canary("date, digits only", |mint| date(mint).replace('-', ""));
        let time = self.canary("time", |mint| {
            format!("{}T{:02}:{:02}:{:02}Z", date(mint), mint.below(24), mint.below(60), mint.below(60))
        });
        for canary in [plain, dashed, time] {
            self.add(canary.1.clone(), canary);
        }
    }

    fn identifiers(&mut self) {
        let hex = self.canary("hex", |mint| (0..4).map(|_| format!("{:08x}", mint.below(1 << 32))).collect());
        let uuid = self.canary("UUID", |mint| {
            let (first, second, last) = (mint.below(1 << 32), mint.below(1 << 16), mint.below(1 << 48));
            format!(
                "{first:08x}-{second:04x}-4{:03x}-8{:03x}-{last:012x}",
                mint.below(1 << 12),
                mint.below(1 << 12)
            )
        });
        for canary in [uuid, hex] {
            self.add(canary.1.clone(), canary);
        }
    }

    fn number(&mut self) {
        let (name, digits) = self.canary("number", |mint| mint.digits(15));
        if let Ok(number) = digits.parse::<u64>() {
            self.made.push(Choice { value: number.into(), canaries: vec![(name, digits)] });
        }
    }

    /// A file of each type, with a canary at its beginning and one at its end.
    fn images(&mut self) {
        let canaries = ["begin", "end"].map(|part| self.canary(part, |mint| mint.letters(LENGTH)));
        let [begin, end] = &canaries;
        for magic in MAGIC {
            // The length of a segment or a box: what follows is skipped by readers.
            let bytes = [magic, &[0, 30], begin.1.as_bytes(), &[0; 200], end.1.as_bytes()].concat();
            self.made.push(Choice { value: STANDARD.encode(bytes).into(), canaries: canaries.to_vec() });
        }
    }
}
