//! Does a document obey its service's schema, and which facts of it may the audit know?

use std::collections::BTreeMap;

use crate::json::{Document, Text};

/// The files that `$ref` may reach and services may name: file name to text.
pub type SchemaFiles = BTreeMap<String, String>;

/// A compiled schema of one service.
pub struct Schema {
    source: serde_json::Value,
}

/// One fault of a schema file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// JSON pointer into the schema file, for example `/properties/target`.
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

impl Schema {
    /// Compiles `files[name]`.
    ///
    /// # Errors
    ///
    /// Every [`SchemaFault`] that was found.
    pub fn compile(name: &str, files: &SchemaFiles) -> Result<Self, Vec<SchemaFault>> {
        let text = files.get(name).ok_or_else(Vec::new)?;
        let source = serde_json::from_str(text).map_err(|_| Vec::new())?;
        Ok(Self { source })
    }

    /// The schema as written, for documentation.
    #[must_use]
    pub fn source(&self) -> &serde_json::Value {
        &self.source
    }

    /// SHA-256 over the schema file and those it refers to.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        [0; 32]
    }

    /// Every place of this schema that can be violated, indexed by [`LocationId`].
    #[must_use]
    pub fn locations(&self) -> &[Location] {
        &[]
    }

    /// Pointers of the members that this schema knows, for example `/target/email`; at most 64.
    #[must_use]
    pub fn members(&self) -> &[Box<str>] {
        &[]
    }

    /// The values of the member annotated `"x-audit": "value"`.
    #[must_use]
    pub fn recorded_values(&self) -> &[Box<str>] {
        &[]
    }

    /// Checks `document`; `None` when it obeys.
    #[must_use]
    pub fn violations(&self, document: &Document) -> Option<Violations> {
        let _ = document;
        None
    }

    /// What the audit may know of `document`, valid or not.
    #[must_use]
    pub fn facts(&self, document: &Document) -> Facts {
        let _ = document;
        Facts::default()
    }

    /// Calls `each` with every present member that is annotated `"x-audit": "fingerprint:email"` or
    /// `"fingerprint:reference"`.
    pub fn fingerprinted<'a>(&self, document: &'a Document, each: impl FnMut(Normalise, Text<'a>)) {
        let _ = (document, each);
    }
}
