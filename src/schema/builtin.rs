//! Which schemas does the gateway bring along?

use super::SchemaFiles;

const FILES: [(&str, &str); 4] = [
    ("createOrUpdateCustomer.schema.json", include_str!("../../schemas/createOrUpdateCustomer.schema.json")),
    ("getDocumentImages.schema.json", include_str!("../../schemas/getDocumentImages.schema.json")),
    ("getStatus.schema.json", include_str!("../../schemas/getStatus.schema.json")),
    ("updateStatus.schema.json", include_str!("../../schemas/updateStatus.schema.json")),
];

/// The schemas of the four storage services, under the names of their files in `schemas/`.
#[must_use]
pub fn builtin() -> SchemaFiles {
    FILES.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}
