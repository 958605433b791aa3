//! Does a document obey its service's schema, and which facts of it may the audit know?

//!
//! [`Schema::compile`] takes a schema file apart in this order, and collects every fault on the way:
//!
//! | file | question |
//! |---|---|
//! | `files` | which files make up the schema, and is each strict JSON of draft 2020-12? |
//! | `syntax` (with `dialect`) | is every keyword one that we know, with a value that it can have? |
//! | `walk` | which schema applies to which value, by which path? |
//! | `closed` | does the schema refuse what it does not describe? |
//! | `locations` | where can a document violate it, in the schema's own words? |
//! | `facts` | what may the audit know of a document? |
//!
//! A document is then read by `jsonschema` through `representation` (with `compare`), and by our own `keywords`
//! (with `base64`, `escaped`, `media`, `formats`); no string of it is copied. `schemas/README.md` tells what schemas may say.

mod base64;
mod builtin;
mod closed;
mod compare;
mod dialect;
mod escaped;
mod facts;
mod files;
mod formats;
mod keywords;
mod locations;
mod media;
mod representation;
mod syntax;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::Validator;

pub use builtin::builtin;

use crate::json::{Document, Text};
use facts::Members;
use locations::Locations;
use representation::{Reading, Strict, View};

/// The files that `$ref` may reach and services may name: file name to text.
pub type SchemaFiles = BTreeMap<String, String>;

/// A compiled schema of one service.
pub struct Schema {
    source: serde_json::Value,
    joined: serde_json::Value,
    digest: [u8; 32],
    validator: Validator<Strict>,
    locations: Locations,
    members: Members,
}

/// One fault of a schema file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// JSON pointer into the schema file, for example `/properties/target`; for another file that it
    /// refers to, with that file's name in front: `common.schema.json#/$defs/name`.
    pub pointer: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

/// Where a schema was violated: an index into [`Schema::locations`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocationId(pub u16);

/// A place that can be violated, made of the schema's own names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// JSON pointer into the request, for example `/target/dob`.
    pub pointer: Box<str>,
    /// The schema keyword, for example `pattern`.
    pub keyword: Box<str>,
}

/// The first violations of a document, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    shown: [LocationId; Self::SHOWN],
    total: u16,
}

impl Violations {
    /// How many locations are kept.
    pub const SHOWN: usize = 8;

    /// The kept locations, at most [`Self::SHOWN`].
    #[must_use]
    pub fn shown(&self) -> &[LocationId] {
        self.shown.get(..usize::from(self.total).min(Self::SHOWN)).unwrap_or(&[])
    }

    /// All violations, counted up to `u16::MAX`.
    #[must_use]
    pub fn total(&self) -> u16 {
        self.total
    }
}

/// What a document said, reduced to numbers that carry no text of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Bit `i` is set when the member [`Schema::members`]`[i]` is present (the first 64).
    pub members: u64,
    /// Members that the schema knows and that are present.
    pub member_count: u16,
    /// The first four documents (images).
    pub documents: [Option<DocumentFacts>; 4],
    /// How many documents there were.
    pub document_count: u16,
    /// For a member annotated `"x-audit": "value"` (its schema has an `enum`): index into
    /// [`Schema::recorded_values`].
    pub value: Option<u8>,
}

/// Size and type of one document (image).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentFacts {
    /// Index into [`Schema::members`].
    pub member: u8,
    /// Decoded size, bytes.
    pub decoded_bytes: u64,
    /// By magic bytes.
    pub media: Option<MediaType>,
}

/// The image types that are known by their magic bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
    /// `image/tiff`
    Tiff,
    /// `image/heic`
    Heic,
    /// `application/pdf`
    Pdf,
}

/// How a fingerprinted member is normalised before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// Trimmed, Unicode lower case.
    Email,
    /// Trimmed.
    Reference,
}

impl SchemaFault {
    fn new(pointer: &str, problem: &str, remedy: &str) -> Self {
        Self { pointer: pointer.to_owned(), problem: problem.to_owned(), remedy: remedy.to_owned() }
    }
}

impl Violations {
    fn collect(locations: impl Iterator<Item = LocationId>) -> Self {
        let mut violations = Self { shown: [Locations::WHOLE; Self::SHOWN], total: 0 };
        for location in locations {
            if let Some(slot) = violations.shown.get_mut(usize::from(violations.total)) {
                *slot = location;
            }
            violations.total = violations.total.saturating_add(1);
        }
        violations
    }
}

impl Schema {
    /// How many values a member annotated `"x-audit": "value"` may have.
    const RECORDED_VALUES: usize = 255;

    /// Compiles `files[name]`.
    ///
    /// # Errors
    ///
    /// Every [`SchemaFault`] that was found, in order of their pointers.
    pub fn compile(name: &str, files: &SchemaFiles) -> Result<Self, Vec<SchemaFault>> {
        Self::of(files::join(name, files)?)
    }

    /// The one of the `known` that was compiled from the same files, else as [`compile`](Self::compile): compiled
    /// twice, a schema would be twice in memory.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn compile_unless_known(
        name: &str,
        files: &SchemaFiles,
        known: &[Arc<Self>],
    ) -> Result<Arc<Self>, Vec<SchemaFault>> {
        let joined = files::join(name, files)?;
        match known.iter().find(|known| known.digest == joined.digest) {
            Some(known) => Ok(Arc::clone(known)),
            None => Self::of(joined).map(Arc::new),
        }
    }

    fn of(joined: files::Joined) -> Result<Self, Vec<SchemaFault>> {
        let mut faults = syntax::check(&joined.schema);
        let mut closed = closed::Closed::new(&joined.schema);
        let mut locations = Locations::new();
        let mut members = Members::new();
        let walked = walk::walk(&joined.schema, &mut |place| {
            closed.visit(place);
            locations.visit(place);
            members.visit(&joined.schema, place);
        });
        faults.extend(walked.err().unwrap_or_default());
        faults.append(&mut closed.faults);
        faults.extend(members.faults());
        if faults.is_empty() {
            match keywords::options().build(&joined.schema) {
                Ok(validator) => {
                    let files::Joined { source, schema: joined, digest } = joined;
                    return Ok(Self { source, joined, digest, validator, locations, members });
                }
                Err(error) => faults.push(SchemaFault::new(
                    error.instance_path().as_str(),
                    &format!("the validator refuses the schema: {error}"),
                    "see schemas/README.md",
                )),
            }
        }
        Err(files::named(faults))
    }

    /// The schema as written, for documentation; files that it refers to are not part of it.
    #[must_use]
    pub fn source(&self) -> &serde_json::Value {
        &self.source
    }

    /// The schema with the files that it refers to under `$defs`: every `$ref` is of the form `#/…`.
    #[must_use]
    pub fn joined(&self) -> &serde_json::Value {
        &self.joined
    }

    /// SHA-256 over the schema file and those it refers to.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Every place of this schema that can be violated, indexed by [`LocationId`]. The first stands for
    /// the document as a whole: pointer empty, keyword `schema`.
    #[must_use]
    pub fn locations(&self) -> &[Location] {
        self.locations.table()
    }

    /// Pointers of the members that this schema knows, for example `/target/email`; at most 64. `*` stands for
    /// the elements of an array.
    #[must_use]
    pub fn members(&self) -> &[Box<str>] {
        self.members.pointers()
    }

    /// The values of the member annotated `"x-audit": "value"`, at most 255.
    #[must_use]
    pub fn recorded_values(&self) -> &[Box<str>] {
        self.members.recorded()
    }

    /// Checks `document`; `None` when it obeys.
    #[must_use]
    pub fn violations(&self, document: &Document) -> Option<Violations> {
        let reading = Reading::for_verdict();
        if self.validator.is_valid(View::new(document.root(), &reading)) && !reading.gave_up() {
            return None;
        }
        let reading = Reading::for_violations();
        let errors = self.validator.iter_errors(View::new(document.root(), &reading));
        let violations = Violations::collect(errors.map(|error| self.locations.of(&error)));
        // The verdict stands even where the second reading finds nothing to name.
        let unnamed = || Violations::collect(std::iter::once(Locations::WHOLE));
        Some(if violations.total == 0 { unnamed() } else { violations })
    }

    /// What the audit may know of `document`, valid or not.
    #[must_use]
    pub fn facts(&self, document: &Document) -> Facts {
        self.members.facts(document)
    }

    /// Calls `each` with every present text that is annotated `"x-audit": "fingerprint:email"` or
    /// `"fingerprint:reference"`.
    pub fn fingerprinted<'a>(&self, document: &'a Document, each: impl FnMut(Normalise, Text<'a>)) {
        self.members.fingerprinted(document, each);
    }
}
