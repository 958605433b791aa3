//! Which strings are names, paths and choices of the configuration?

use std::path::PathBuf;

use super::collections::{NAME_RULE, is_name};
use super::model::{Effect, HttpVersion, LogFormat, Recording, Validate};
use super::reader::{Limits, listed, nearest};
use super::text::{Text, Wrong};

/// A name that the configuration defines or refers to.
pub(super) struct Name(pub(super) String);

/// Name of the fingerprint key in the records.
pub(super) struct KeyId(pub(super) String);

/// Name of a member of a JSON object.
pub(super) struct Member(pub(super) String);

/// Name of a file in the folder of the schemas.
pub(super) struct FileName(pub(super) String);

/// Path of a file or folder, relative to the configuration file's folder.
pub(super) struct FilePath(pub(super) PathBuf);

/// A filter of log events.
pub(super) struct Filter(pub(super) String);

impl Text for Name {
    const FORM: &str = NAME_RULE;
    const PATTERN: &str = "^[A-Za-z0-9._-]{1,64}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        match is_name(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(Wrong::new("is not a usable name").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

impl Text for KeyId {
    const FORM: &str = "1 to 32 of the characters a-z 0-9 -";
    const PATTERN: &str = "^[a-z0-9-]{1,32}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        let usable = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=32).contains(&text.len()) && text.bytes().all(usable) {
            true => Ok(Self(text.to_owned())),
            // The key itself may have been written in the place of its name.
            false => Err(Wrong::new("is not a usable key name").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

impl Text for Member {
    const FORM: &str = "the name of a body member, 1 to 64 of the characters A-Z a-z 0-9 _ -";
    const PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        if matches!(text.to_ascii_lowercase().as_str(), "user" | "pass") {
            return Err(Wrong::new("is a member that the gateway injects")
                .remedy("name the member in which callers say which service they mean"));
        }
        match is_name(text) && !text.contains('.') {
            true => Ok(Self(text.to_owned())),
            false => Err(Wrong::new("is not a usable member name").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

impl Text for FileName {
    const FORM: &str = "the name of a file in the schema folder, such as \"getStatus.schema.json\"";
    const PATTERN: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        match plain && (1..=128).contains(&text.len()) && !text.starts_with('.') {
            true => Ok(Self(text.to_owned())),
            false => Err(Wrong::new("is not a plain file name").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

impl Text for FilePath {
    const FORM: &str = "the path of a file, relative to the folder of this file, or absolute";
    const PATTERN: &str = "^[^\\u0000-\\u001f\\u007f]{1,4095}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        if text.contains("-----BEGIN") {
            return Err(Wrong::new("is the contents of a file where its path is needed").concealed());
        }
        match (1..=4095).contains(&text.len()) && !text.contains(char::is_control) {
            true => Ok(Self(PathBuf::from(text))),
            false => Err(Wrong::new("is not a usable path").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Text for Filter {
    const FORM: &str = "a filter such as \"info\" or \"info,dcams_gateway=debug\"";
    const PATTERN: &str = "^.{1,1024}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        // A word alone is a module to `EnvFilter`: a misspelt level would let nothing through.
        let words = text.split(',').map(str::trim).filter(|part| !part.contains(['=', '[', '{', '}', ']']));
        for word in words {
            if LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) {
                continue;
            }
            let wrong = Wrong::new("has a word that is no level");
            return Err(match nearest(word, LEVELS.into_iter()) {
                Some(level) => wrong.remedy(format!("did you mean `{level}`?")),
                None => wrong.concealed(),
            });
        }
        let known = tracing_subscriber::EnvFilter::builder().parse(text).is_ok();
        match known && (1..=1024).contains(&text.len()) {
            true => Ok(Self(text.to_owned())),
            false => Err(Wrong::new("is not a log filter").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

/// What a filter may say of all modules.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

impl Filter {
    /// Whether it names a module of something else than the gateway.
    pub(super) fn names_others(&self) -> bool {
        let targets =
            self.0.split(',').filter_map(|part| part.split_once('=')).map(|(target, _)| target.trim());
        let mut modules = targets.filter_map(|target| target.split(['[', '{']).next());
        modules.any(|module| !module.is_empty() && module.split("::").next() != Some("dcams_gateway"))
    }
}

/// Declares an enum of the model as one of a few words.
macro_rules! choice {
    ($type:ident, $form:literal, $pattern:literal, $($word:literal => $variant:ident),*) => {
        impl Text for $type {
            const FORM: &str = $form;
            const PATTERN: &str = $pattern;

            fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(not_one_of(text, &[$($word),*])),
                }
            }

            fn canonical(&self) -> String {
                match self {
                    $(Self::$variant => $word.to_owned(),)*
                }
            }
        }
    };
}

choice!(Validate, "`enforce` or `report`", "^(enforce|report)$", "enforce" => Enforce, "report" => Report);
choice!(Recording, "`required` or `best_effort`", "^(required|best_effort)$", "required" => Required, "best_effort" => BestEffort);
choice!(Effect, "`read` or `write`", "^(read|write)$", "read" => Read, "write" => Write);
choice!(HttpVersion, "`1.1` or `2`", "^(1\\.1|2)$", "1.1" => Http1, "2" => Http2);
choice!(LogFormat, "`json` or `text`", "^(json|text)$", "json" => Json, "text" => Text);

pub(super) fn not_one_of(text: &str, words: &[&str]) -> Wrong {
    let wrong = Wrong::new("is none of the choices");
    match nearest(text, words.iter().copied()) {
        Some(word) => wrong.remedy(format!("did you mean `{word}`?")),
        // What resembles no choice may be a secret that slipped here.
        None => wrong.remedy(format!("the choices are {}", listed(words))).concealed(),
    }
}
