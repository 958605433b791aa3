//! What may a caller send, in the form that API tools read?

/// OpenAPI 3.1 of the caller-facing API.
#[must_use]
pub fn document(services: &crate::schema::SchemaFiles) -> serde_json::Value {
    serde_json::json!({"openapi": "3.1.0", "x-services": services.len()})
}
