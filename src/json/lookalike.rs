//! Could any parser read this name as one that matters?

use caseless::Caseless;

use super::text::{Escapes, Text};

/// Whether `name` is, to the most forgiving reader, one of `wanted`.
pub(super) fn reads_as(name: Text<'_>, wanted: &[&str]) -> bool {
    if name.escapes() == Escapes::None && name.is_ascii() && !name.raw().contains(&0x7F) {
        let trimmed = name.raw().trim_ascii();
        if let Ok(plain) = std::str::from_utf8(trimmed) {
            return wanted.iter().any(|wanted| is_alike(plain, wanted));
        }
    }
    // A reader in C ends the name at a NUL, others may drop it.
    let visible: String = name.chars().filter(|&c| c == '\0' || !is_invisible(c)).collect();
    let visible = visible.trim_start_matches(|c: char| c == '\0' || c.is_whitespace());
    let cut = visible.split('\0').next().unwrap_or_default().trim();
    let whole = visible.chars().filter(|&c| c != '\0').collect::<String>();
    wanted.iter().any(|wanted| is_alike(cut, wanted) || is_alike(whole.trim(), wanted))
}

fn is_alike(name: &str, wanted: &str) -> bool {
    if name.is_ascii() && wanted.is_ascii() {
        return name.eq_ignore_ascii_case(wanted);
    }
    name.chars().compatibility_caseless_match(wanted.chars())
}

/// Control characters and what Unicode calls default-ignorable (`DerivedCoreProperties.txt`).
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}
