//! What is sent?

use serde_json::{Map, Value, json};

use super::schema;
use crate::schema::SchemaFiles;

const SUFFIX: &str = ".schema.json";

/// Keywords whose values are schemas by name: what looks like a keyword in there is a name.
const NAMED: [&str; 3] = ["properties", "$defs", "dependentSchemas"];
/// Keywords whose values are no schemas, whatever they look like.
const VALUES: [&str; 6] = ["const", "enum", "examples", "default", "required", "dependentRequired"];
/// What says nothing to a caller: the dialect is OpenAPI's, the rest is for the audit and the compiler.
const INTERNAL: [&str; 4] = ["$schema", "$id", "x-audit", "x-open"];

/// The services of `files`: those that no other file refers to.
pub(super) fn services(files: &SchemaFiles) -> Vec<&str> {
    let shared = |name: &String| {
        let reference = format!("\"{name}#");
        files.iter().any(|(other, text)| other != name && text.contains(&reference))
    };
    files.keys().filter(|name| !shared(name)).filter_map(|name| name.strip_suffix(SUFFIX)).collect()
}

/// Every schema of `files`: `getStatus` for a file, `getStatus.email` for its `$defs/email`.
pub(super) fn components(files: &SchemaFiles) -> Map<String, Value> {
    let mut components = Map::new();
    for (file, text) in files {
        // The files were compiled when they were loaded, or a test has read them: they are JSON.
        let Ok(mut root) = serde_json::from_str::<Value>(text) else { continue };
        let name = stem(file);
        rewrite(&mut root, name);
        let definitions = root.as_object_mut().and_then(|root| root.remove("$defs"));
        if let Some(Value::Object(definitions)) = definitions {
            let named =
                |(definition, schema): (String, Value)| (format!("{name}.{}", usable(&definition)), schema);
            components.extend(definitions.into_iter().map(named));
        }
        components.insert(name.to_owned(), root);
    }
    components
}

/// One of `services`, told apart by the member `service`.
pub(super) fn body(services: &[&str]) -> Value {
    let one_of: Vec<Value> = services.iter().map(|service| schema(service)).collect();
    let mapping: Map<String, Value> = services
        .iter()
        .map(|service| ((*service).to_owned(), format!("#/components/schemas/{service}").into()))
        .collect();
    let examples: Map<String, Value> = services
        .iter()
        .filter_map(|service| Some(((*service).to_owned(), json!({"value": example(service)?}))))
        .collect();
    json!({
        "required": true,
        "content": {"application/json": {
            "schema": {"oneOf": one_of, "discriminator": {"propertyName": "service", "mapping": mapping}},
            "examples": examples
        }}
    })
}

pub(super) fn parameters() -> Value {
    json!({
        "X-Request-Id": {
            "name": "X-Request-Id",
            "in": "header",
            "description": "The caller's own id of the request, which the answer repeats. It is recorded only where it is a UUID, or 16 \
                to 64 hexadecimal digits with a letter among them; other forms get an id of the gateway.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
        },
        "traceparent": {
            "name": "traceparent",
            "in": "header",
            "description": "W3C Trace Context; its trace id is recorded.",
            "schema": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"}
        }
    })
}

/// Points every `$ref` to the components, and drops what is internal.
fn rewrite(schema: &mut Value, file: &str) {
    let Some(map) = schema.as_object_mut() else { return };
    map.retain(|keyword, _| !INTERNAL.contains(&keyword.as_str()));
    portable_pattern(map);
    for (keyword, value) in map {
        match value {
            Value::String(target) if keyword == "$ref" => *target = component(target, file),
            _ if VALUES.contains(&keyword.as_str()) => {}
            Value::Object(schemas) if NAMED.contains(&keyword.as_str()) => {
                schemas.values_mut().for_each(|schema| rewrite(schema, file));
            }
            Value::Array(schemas) => schemas.iter_mut().for_each(|schema| rewrite(schema, file)),
            other => rewrite(other, file),
        }
    }
}

/// Unicode classes are part of ECMAScript's patterns, but many tools use other engines, and some refuse a
/// document for a pattern that they cannot read. The gateway checks it all the same.
fn portable_pattern(schema: &mut Map<String, Value>) {
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return };
    let pattern = pattern.replace("\\p{Cc}", "\\u0000-\\u001f\\u007f-\\u009f");
    let portable = !pattern.contains("\\p{");
    schema.remove("pattern");
    schema.insert(if portable { "pattern" } else { "x-pattern" }.to_owned(), pattern.into());
}

/// Where what `#/$defs/name` or `common.schema.json#/$defs/name` means, written in `file`, stands here.
fn component(target: &str, file: &str) -> String {
    let (named, pointer) = target.split_once('#').unwrap_or((target, ""));
    let file = if named.is_empty() { file } else { stem(named) };
    let Some(rest) = pointer.strip_prefix("/$defs/") else {
        return format!("#/components/schemas/{file}{pointer}");
    };
    let (definition, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let definition = definition.replace("~1", "/").replace("~0", "~");
    format!("#/components/schemas/{file}.{}{below}", usable(&definition))
}

fn stem(file: &str) -> &str {
    file.strip_suffix(SUFFIX).unwrap_or(file)
}

/// Components are named by letters, digits, dots, dashes and underscores only.
fn usable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// A body as `kyc-api` would send it, for the services that are known here.
fn example(service: &str) -> Option<Value> {
    let target = match service {
        "createOrUpdateCustomer" => json!({
            "email": "jane@example.com", "fn": "Jane", "ln": "Doe", "addr": "123 Main St", "city": "Stratford",
            "state": "CT", "zip": "06614", "dob": "19900228", "phone": "2015550123",
            "documents": {"front": IMAGE}
        }),
        "getStatus" | "getDocumentImages" => json!({"email": "jane@example.com"}),
        "updateStatus" => json!({"email": "jane@example.com", "status": "PASS"}),
        _ => return None,
    };
    let mut body = json!({"service": service, "target": target});
    if let Some(map) = body.as_object_mut().filter(|_| service == "createOrUpdateCustomer") {
        map.insert("reference".to_owned(), "888888812".into());
    }
    Some(body)
}

/// A PNG of one pixel.
pub(super) const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
