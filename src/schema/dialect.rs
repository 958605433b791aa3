//! Which keywords may a schema use, and what does each hold?
//!
//! A part of draft 2020-12, plus ours. What is not in this table is refused when a schema is loaded: JSON
//! Schema itself ignores unknown keywords, so that a typo would switch a check off.

/// What stands behind a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Something that does not constrain a document.
    Note,
    /// A value that the document is compared with: a failure is reported at this keyword.
    Assertion,
    /// A schema.
    Schema,
    /// Schemas by name.
    Schemas,
    /// A list of schemas.
    List,
    /// A pointer to another schema.
    Reference,
}

/// Every keyword that a schema may use.
pub(super) const KEYWORDS: [(&str, Holds); 52] = [
    ("$comment", Holds::Note),
    ("$defs", Holds::Schemas),
    ("$id", Holds::Note),
    ("$ref", Holds::Reference),
    ("$schema", Holds::Note),
    ("additionalProperties", Holds::Schema),
    ("allOf", Holds::List),
    ("anyOf", Holds::List),
    ("const", Holds::Assertion),
    ("contains", Holds::Schema),
    ("contentEncoding", Holds::Assertion),
    ("default", Holds::Note),
    ("dependentRequired", Holds::Assertion),
    ("dependentSchemas", Holds::Schemas),
    ("deprecated", Holds::Note),
    ("description", Holds::Note),
    ("else", Holds::Schema),
    ("enum", Holds::Assertion),
    ("examples", Holds::Note),
    ("exclusiveMaximum", Holds::Assertion),
    ("exclusiveMinimum", Holds::Assertion),
    ("format", Holds::Assertion),
    ("if", Holds::Schema),
    ("items", Holds::Schema),
    ("maxContains", Holds::Assertion),
    ("maxItems", Holds::Assertion),
    ("maxLength", Holds::Assertion),
    ("maxProperties", Holds::Assertion),
    ("maximum", Holds::Assertion),
    ("minContains", Holds::Assertion),
    ("minItems", Holds::Assertion),
    ("minLength", Holds::Assertion),
    ("minProperties", Holds::Assertion),
    ("minimum", Holds::Assertion),
    ("multipleOf", Holds::Assertion),
    ("not", Holds::Schema),
    ("oneOf", Holds::List),
    ("pattern", Holds::Assertion),
    ("properties", Holds::Schemas),
    ("propertyNames", Holds::Schema),
    ("readOnly", Holds::Note),
    ("required", Holds::Assertion),
    ("then", Holds::Schema),
    ("title", Holds::Note),
    ("type", Holds::Assertion),
    ("unevaluatedProperties", Holds::Schema),
    ("uniqueItems", Holds::Assertion),
    ("writeOnly", Holds::Note),
    (AUDIT, Holds::Note),
    (DECODED_MAX_BYTES, Holds::Assertion),
    (IMAGE_TYPES, Holds::Assertion),
    (OPEN, Holds::Note),
];

/// Draft 2020-12, the only dialect.
pub(super) const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The most bytes that a base64 string may decode to.
pub(super) const DECODED_MAX_BYTES: &str = "x-decodedMaxBytes";
/// The image types that a base64 string may hold.
pub(super) const IMAGE_TYPES: &str = "x-imageTypes";
/// What the audit may know of a member.
pub(super) const AUDIT: &str = "x-audit";
/// Lets an object have members that the schema does not name.
pub(super) const OPEN: &str = "x-open";

/// Keywords of draft 2020-12 (and older ones) that are refused for a reason of their own.
pub(super) const REFUSED: [(&str, &str); 13] = [
    ("$anchor", "point with \"$ref\": \"#/$defs/…\""),
    ("$dynamicAnchor", "point with \"$ref\": \"#/$defs/…\""),
    ("$dynamicRef", "point with \"$ref\": \"#/$defs/…\""),
    ("$vocabulary", "remove it: it belongs to meta-schemas"),
    ("contentMediaType", "list the types in \"x-imageTypes\""),
    ("contentSchema", "remove it: encoded content is not read as JSON"),
    ("definitions", "name it \"$defs\", as draft 2020-12 does"),
    ("dependencies", "use \"dependentRequired\" or \"dependentSchemas\", as draft 2020-12 does"),
    ("nullable", "list \"null\" among the types"),
    ("patternProperties", "name each member under \"properties\": violations and audit know members by name"),
    ("prefixItems", "use \"items\": the elements of an array share one schema"),
    ("unevaluatedItems", "use \"items\": the elements of an array share one schema"),
    ("additionalItems", "use \"items\": the elements of an array share one schema"),
];

/// What `keyword` holds; `None` where a schema may not use it.
pub(super) fn holds(keyword: &str) -> Option<Holds> {
    KEYWORDS.iter().find(|(known, _)| *known == keyword).map(|(_, holds)| *holds)
}

/// What to do about a keyword that a schema may not use.
pub(super) fn remedy(keyword: &str) -> String {
    if let Some((_, remedy)) = REFUSED.iter().find(|(refused, _)| *refused == keyword) {
        return (*remedy).to_owned();
    }
    let nearest = KEYWORDS.iter().map(|(known, _)| (distance(known, keyword), *known)).min();
    match nearest {
        Some((edits, known)) if edits <= 2 => format!("\"{known}\" is spelled like this"),
        _ => "remove it, or say it in \"$comment\"; schemas/README.md lists the keywords".to_owned(),
    }
}

/// Edits between two words (Levenshtein), case ignored.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().flat_map(char::to_lowercase).take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = at;
        let mut before = at + 1;
        let mut next = vec![before];
        for (above, other) in row.iter().skip(1).zip(&right) {
            let edits = (diagonal + usize::from(*other != letter)).min(above + 1).min(before + 1);
            diagonal = *above;
            before = edits;
            next.push(edits);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_keyword_is_answered_with_the_nearest_one() {
        assert_eq!(remedy("requried"), "\"required\" is spelled like this");
        assert_eq!(remedy("maxlength"), "\"maxLength\" is spelled like this");
        assert_eq!(remedy("x-decodedMaxByte"), "\"x-decodedMaxBytes\" is spelled like this");
    }

    #[test]
    fn the_readme_explains_every_keyword_and_image_type() {
        let readme = include_str!("../../schemas/README.md");
        let types = super::super::MediaType::ALL.map(|media| media.name());
        let formats = [super::super::formats::PAST_DATE];
        for word in KEYWORDS.iter().map(|(keyword, _)| *keyword).chain(types).chain(formats) {
            assert!(readme.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn no_keyword_is_both_known_and_refused() {
        for (refused, _) in REFUSED {
            assert_eq!(holds(refused), None, "{refused}");
        }
    }
}
