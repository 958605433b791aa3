//! What does a parser like PHP's read from a JSON text? Independent of the parser under test.
//!
//! It takes text that `serde_json` has accepted, keeps numbers as written, and lets the first or the last of
//! equal names win. Beside the value it counts what the caps and the strict rules are about.

use std::collections::BTreeMap;

/// A value as read.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// As written.
    Number(String),
    /// Unescaped.
    String(String),
    /// Its elements.
    Array(Vec<Read>),
    /// Its members, unescaped names.
    Object(BTreeMap<String, Read>),
}

/// Which of two equal names wins.
#[derive(Clone, Copy, PartialEq)]
pub enum Wins {
    /// As in some streaming readers.
    First,
    /// As in PHP, Node, Python and Go.
    Last,
}

/// What the strict rules count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Some object has two equal names.
    pub has_duplicates: bool,
    /// Nesting, the root counting as 1.
    pub depth: usize,
    /// Values.
    pub nodes: usize,
    /// Members of the largest object.
    pub members: usize,
    /// Bytes of the longest name as written.
    pub name_bytes: usize,
    /// Bytes of the longest string value as written.
    pub string_bytes: usize,
    /// Bytes of the longest number as written.
    pub number_bytes: usize,
    /// Some number is 1e308 or more, or less than -1e308.
    pub has_huge_number: bool,
    /// Some number without fraction and exponent is beyond ±(2^53 − 1).
    pub has_unsafe_integer: bool,
    /// Some name has a NUL, unescaped.
    pub has_nul_name: bool,
}

/// Reads `text`, which must be valid JSON of at most 128 levels.
pub fn read(text: &str, wins: Wins) -> (Read, Shape) {
    let mut reader = Reader { rest: text, wins, shape: Shape::default() };
    let value = reader.value(1);
    (value, reader.shape)
}

struct Reader<'a> {
    rest: &'a str,
    wins: Wins,
    shape: Shape,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Read {
        self.shape.nodes += 1;
        match self.first() {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' => {
                let (text, written) = self.string();
                self.shape.string_bytes = self.shape.string_bytes.max(written);
                Read::String(text)
            }
            't' => self.word("true", Read::Bool(true)),
            'f' => self.word("false", Read::Bool(false)),
            'n' => self.word("null", Read::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Read {
        self.shape.depth = self.shape.depth.max(depth);
        let mut members = BTreeMap::new();
        let mut count = 0;
        self.word("{", ());
        while self.first() != '}' {
            let (name, written) = self.string();
            self.shape.has_nul_name |= name.contains('\0');
            self.shape.name_bytes = self.shape.name_bytes.max(written);
            self.first();
            self.word(":", ());
            let value = self.value(depth + 1);
            count += 1;
            if members.contains_key(&name) {
                self.shape.has_duplicates = true;
            }
            if self.wins == Wins::Last || !members.contains_key(&name) {
                members.insert(name, value);
            }
            if self.first() == ',' {
                self.word(",", ());
            }
        }
        self.word("}", ());
        self.shape.members = self.shape.members.max(count);
        Read::Object(members)
    }

    fn array(&mut self, depth: usize) -> Read {
        self.shape.depth = self.shape.depth.max(depth);
        let mut elements = Vec::new();
        self.word("[", ());
        while self.first() != ']' {
            elements.push(self.value(depth + 1));
            if self.first() == ',' {
                self.word(",", ());
            }
        }
        self.word("]", ());
        Read::Array(elements)
    }

    /// The unescaped text and how many bytes it was as written.
    fn string(&mut self) -> (String, usize) {
        self.word("\"", ());
        let whole = self.rest;
        let mut units: Vec<u16> = Vec::new();
        loop {
            match self.next() {
                '"' => break,
                '\\' => match self.next() {
                    'u' => {
                        units.push(u16::from_str_radix(&self.rest[..4], 16).unwrap());
                        self.rest = &self.rest[4..];
                    }
                    'b' => units.push(8),
                    'f' => units.push(12),
                    'n' => units.push(10),
                    'r' => units.push(13),
                    't' => units.push(9),
                    other => units.push(other as u16),
                },
                plain => units.extend_from_slice(plain.encode_utf16(&mut [0; 2])),
            }
        }
        let written = whole.len() - self.rest.len() - 1;
        (String::from_utf16(&units).unwrap(), written)
    }

    fn number(&mut self) -> Read {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        self.shape.has_huge_number |= number.parse::<f64>().unwrap().abs() >= 1e308;
        self.shape.number_bytes = self.shape.number_bytes.max(number.len());
        let digits = number.trim_start_matches('-');
        let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
        // As numbers of one length compare.
        self.shape.has_unsafe_integer |= is_integer && (digits.len(), digits) > (16, "9007199254740991");
        Read::Number(number.to_owned())
    }

    fn word<T>(&mut self, word: &str, read: T) -> T {
        self.rest = self.rest.strip_prefix(word).unwrap();
        read
    }

    /// The first character that is no white space, which is skipped.
    fn first(&mut self) -> char {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.chars().next().unwrap()
    }

    fn next(&mut self) -> char {
        let next = self.rest.chars().next().unwrap();
        self.rest = &self.rest[next.len_utf8()..];
        next
    }
}
