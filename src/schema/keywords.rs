//! How are the checks done that JSON Schema leaves out?

use std::sync::Arc;

use jsonschema::paths::Location;
use jsonschema::{
    Draft, EmailOptions, Keyword, PatternOptions, Retrieve, ValidationError, ValidationOptions,
};
use serde_json::{Map, Value, json};

use super::dialect::{DECODED_MAX_BYTES, IMAGE_TYPES};
use super::representation::{Strict, View};
use super::{MediaType, base64, formats};
use crate::json::Text;

/// Options of a validator: draft 2020-12, formats asserted, linear-time patterns, our keywords, no retrieval.
pub(super) fn options() -> ValidationOptions<'static, Arc<dyn Retrieve>, Strict> {
    jsonschema::options_for::<Strict>()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(PatternOptions::regex())
        .with_email_options(
            EmailOptions::default().with_required_tld().without_domain_literal().without_display_text(),
        )
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_format(formats::PAST_DATE, formats::is_past_date)
        .with_keyword("contentEncoding", base64_encoding)
        .with_keyword(DECODED_MAX_BYTES, decoded_max_bytes)
        .with_keyword(IMAGE_TYPES, image_types)
}

/// Whether `format` is one that is checked.
pub(super) fn is_known_format(format: &str) -> bool {
    options().is_known_format(Draft::Draft202012, format)
}

/// Whether the linear-time engine can compile `pattern`.
pub(super) fn is_linear_pattern(pattern: &str) -> bool {
    options().build(&json!({ "pattern": pattern })).is_ok()
}

/// A check of strings; other values pass, as JSON Schema's own keywords for strings let them.
trait TextCheck: Send + Sync {
    fn obeys(&self, text: Text<'_>) -> bool;
}

struct Base64;

struct DecodedMaxBytes(u64);

struct ImageTypes(Vec<MediaType>);

impl TextCheck for Base64 {
    fn obeys(&self, text: Text<'_>) -> bool {
        base64::is_canonical(text)
    }
}

impl TextCheck for DecodedMaxBytes {
    fn obeys(&self, text: Text<'_>) -> bool {
        base64::decoded_bytes(text) <= self.0
    }
}

impl TextCheck for ImageTypes {
    fn obeys(&self, text: Text<'_>) -> bool {
        MediaType::of(base64::head(text).bytes()).is_some_and(|media| self.0.contains(&media))
    }
}

/// Lifts a check of texts into a keyword.
struct Check<T>(T);

impl<'i, T: TextCheck> Keyword<'i, Strict> for Check<T> {
    fn validate(&self, instance: View<'i>) -> Result<(), ValidationError<'i>> {
        // The text of the error is never read: locations.rs takes its path.
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom("")) }
    }

    fn is_valid(&self, instance: View<'i>) -> bool {
        instance.text().is_none_or(|text| self.0.obeys(text))
    }
}

type Built<'a> = Result<Box<dyn for<'i> Keyword<'i, Strict>>, ValidationError<'a>>;

fn base64_encoding<'a>(_beside: &'a Map<String, Value>, _value: &'a Value, _at: Location) -> Built<'a> {
    Ok(Box::new(Check(Base64)))
}

fn decoded_max_bytes<'a>(_beside: &'a Map<String, Value>, value: &'a Value, _at: Location) -> Built<'a> {
    let limit = value.as_u64().ok_or_else(|| ValidationError::schema("not a number of bytes"))?;
    Ok(Box::new(Check(DecodedMaxBytes(limit))))
}

fn image_types<'a>(_beside: &'a Map<String, Value>, value: &'a Value, _at: Location) -> Built<'a> {
    let names = value.as_array().ok_or_else(|| ValidationError::schema("not a list of image types"))?;
    let known = names.iter().filter_map(Value::as_str).filter_map(MediaType::from_name).collect();
    Ok(Box::new(Check(ImageTypes(known))))
}
