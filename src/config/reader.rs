//! How is a written value read, described and summed up, so that one declaration serves all three?

use schemars::{Schema, SchemaGenerator};

use super::canonical::Canonical;
use super::findings::{Findings, Spot};
use super::tree::{Entry, Kind, Node, Place, parse_value};

/// The least and the most that a key accepts, in the notation of the key.
pub(super) type Limits = Option<(&'static str, &'static str)>;

/// Something that can be written in the configuration.
pub(super) trait Written: Sized {
    /// Reads `node`, reporting every fault in it; `None` when it cannot be used at all.
    fn read(node: &Node, key: &str, limits: Limits, findings: &mut Findings) -> Option<Self>;

    /// Its JSON Schema.
    fn schema(generator: &mut SchemaGenerator, limits: Limits) -> Schema;

    /// Its part of the configuration's digest.
    fn feed(&self, key: &str, canonical: &mut Canonical);
}

/// A value and where it was written.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

/// What became of a key.
pub(super) enum Field<T> {
    /// Not written, and it has no default.
    Absent,
    /// Written wrongly, or missing where it must stand: already reported.
    Broken,
    /// Written, or its default.
    Is(At<T>),
}

impl<T> Field<T> {
    pub(super) fn at(&self) -> Option<&At<T>> {
        match self {
            Self::Is(at) => Some(at),
            _ => None,
        }
    }

    pub(super) fn value(&self) -> Option<&T> {
        self.at().map(|at| &at.value)
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn feed(&self, canonical: &mut Canonical)
    where
        T: Written,
    {
        if let Self::Is(at) = self {
            at.value.feed(&at.spot.key, canonical);
        }
    }
}

/// What is known of a key beside its type.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static [&'static str],
    pub(super) required: bool,
    /// In TOML notation.
    pub(super) default: Option<&'static str>,
    pub(super) limits: Limits,
}

/// Declares tables of the configuration: `must` keys are required, `may` keys are optional or have a
/// default (`= VALUE`), and `=> LEAST to MOST` bounds them.
macro_rules! tables {
    ($(
        $(#[doc = $table_about:literal])*
        $table:ident {
            $(
                $(#[doc = $about:literal])*
                $presence:ident $key:ident : $type:ty $(= $default:tt)? $(=> $least:tt to $most:tt)? ;
            )*
        }
    )*) => {$(
        $(#[doc = $table_about])*
        pub(super) struct $table {
            $( $(#[doc = $about])* pub(super) $key: $crate::config::reader::Field<$type>, )*
        }

        impl $table {
            /// The keys of this table, in the order of its documentation.
            pub(super) const KEYS: &[$crate::config::reader::Key] = &[$( $crate::config::reader::Key {
                name: stringify!($key),
                about: &[$($about),*],
                required: $crate::config::reader::required!($presence),
                default: $crate::config::reader::given!($(stringify!($default))?),
                limits: $crate::config::reader::given!($(($least, $most))?),
            } ),*];
        }

        impl $crate::config::reader::Written for $table {
            fn read(
                node: &$crate::config::tree::Node,
                key: &str,
                _limits: $crate::config::reader::Limits,
                findings: &mut $crate::config::findings::Findings,
            ) -> Option<Self> {
                let mut open = $crate::config::reader::Open::table(node, key, Self::KEYS, findings)?;
                Some(Self { $( $key: open.next_field::<$type>(findings), )* })
            }

            fn schema(
                generator: &mut schemars::SchemaGenerator,
                _limits: $crate::config::reader::Limits,
            ) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }

            fn feed(&self, _key: &str, canonical: &mut $crate::config::canonical::Canonical) {
                $( self.$key.feed(canonical); )*
            }
        }

        impl schemars::JsonSchema for $table {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($table).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let kinds = [$( <$type as $crate::config::reader::Written>::schema(
                    generator,
                    $crate::config::reader::given!($(($least, $most))?),
                ) ),*];
                $crate::config::json_schema::table_schema(&[$($table_about),*], Self::KEYS, kinds)
            }
        }
    )*};
}

macro_rules! required {
    (must) => {
        true
    };
    (may) => {
        false
    };
}

macro_rules! given {
    () => {
        None
    };
    ($given:expr) => {
        Some($given)
    };
}

pub(super) use {given, required, tables};

/// A table whose keys are being read in the order of their declaration.
pub(super) struct Open<'a> {
    node: &'a Node,
    path: &'a str,
    keys: std::slice::Iter<'static, Key>,
}

impl<'a> Open<'a> {
    /// Opens `node`, reporting every key that is not one of `keys`.
    pub(super) fn table(
        node: &'a Node,
        path: &'a str,
        keys: &'static [Key],
        findings: &mut Findings,
    ) -> Option<Self> {
        let Kind::Table(entries) = &node.kind else {
            findings.conceal(node);
            let names: Vec<_> = keys.iter().map(|key| key.name).collect();
            let problem = format!("expected a table, found {}", node.kind_name());
            findings.error(
                path,
                &node.place,
                &problem,
                &format!("write a table with the keys {}", listed(&names)),
            );
            return None;
        };
        for entry in entries {
            if !keys.iter().any(|key| key.name == entry.key) {
                report_unknown(entry, path, keys, findings);
            }
        }
        Some(Self { node, path, keys: keys.iter() })
    }

    /// Reads the next declared key.
    pub(super) fn next_field<T: Written>(&mut self, findings: &mut Findings) -> Field<T> {
        let Some(key) = self.keys.next() else { return Field::Absent };
        let path = join(self.path, key.name);
        let read = |node: &Node, findings: &mut Findings| match T::read(node, &path, key.limits, findings) {
            Some(value) => {
                Field::Is(At { value, spot: Spot { key: path.as_str().into(), place: node.place.clone() } })
            }
            None => Field::Broken,
        };
        if let Some(entry) = self.node.member(key.name) {
            return read(&entry.node, findings);
        }
        match key.default.map(|text| parse_value(text, &Place::Default)) {
            Some(Some(node)) => read(&node, findings),
            Some(None) => Field::Broken,
            None if key.required => {
                let about = key.about.first().map_or("", |line| line.trim());
                let remedy = format!("add `{}`: {}", key.name, lower_first(about.trim_end_matches('.')));
                findings.error(&path, &self.node.place, "is missing", &remedy);
                Field::Broken
            }
            None => Field::Absent,
        }
    }
}

fn report_unknown(entry: &Entry, path: &str, keys: &'static [Key], findings: &mut Findings) {
    // Whatever it was meant to be, it may be a secret under a misspelt name.
    findings.conceal(&entry.node);
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    let remedy = match nearest(&entry.key, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the keys here are {}", listed(&names)),
    };
    findings.error(&join(path, &entry.key), &entry.key_place, "there is no such key", &remedy);
}

/// The one of `names` that `written` most likely means.
pub(super) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let folded = written.to_lowercase();
    names
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().max(3) / 3)
        .min()
        .map(|(_, name)| name)
}

/// `a`, `b` and `c`, each in back quotes.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", first.join(", "))
        }
    }
}

/// The path of `key` below `path`; a key that is no plain word is quoted.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let shown = if plain { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { shown } else { format!("{path}.{shown}") }
}

fn lower_first(text: &str) -> String {
    // "SHA-256" stays as it is.
    if !text.chars().nth(1).is_some_and(char::is_lowercase) {
        return text.to_owned();
    }
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
