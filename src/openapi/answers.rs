//! What does DCAMS answer?
//!
//! By Veratad's documentation. The gateway passes whatever DCAMS answers, as long as it is one strict JSON
//! object: members may be added, so these schemas are open.

use serde_json::{Map, Value, json};

use super::{refusals, schema};

/// `200`, and any other status that DCAMS may choose.
pub(super) fn responses() -> Map<String, Value> {
    let headers = json!({
        "X-Request-Id": refusals::header("X-Request-Id"),
        "Retry-After": refusals::header("Retry-After")
    });
    let content = |examples: Value| json!({"application/json": {"schema": schema("dcamsAnswer"), "examples": examples}});
    let answered = json!({
        "description": "DCAMS's own answer, unchanged. `\"result\": \"Error\"` occurs with this status too.",
        "headers": headers,
        "content": content(json!({
            "created": {"value": created()},
            "status": {"value": success(false, json!({"status": "PASS"}))},
            "images": {"value": success(true, json!({"status": "PASS"}))},
            "statusUpdated": {"value": status_updated()},
            "failed": {"value": failed()}
        }))
    });
    let other = json!({
        "description": "DCAMS's own answer with another status of DCAMS's choice, unchanged: a failure.",
        "headers": headers,
        "content": content(json!({"failed": {"value": failed()}}))
    });
    Map::from_iter([("200".to_owned(), answered), ("default".to_owned(), other)])
}

pub(super) fn components() -> Map<String, Value> {
    let text = |description: &str| json!({"description": description, "type": "string"});
    let status = json!({
        "description": "The customer's status.",
        "type": "string",
        "enum": ["PASS", "PENDING", "FAIL"]
    });
    let image = json!({"type": "string", "contentEncoding": "base64"});
    let target = json!({
        "description": "The stored attributes.",
        "type": "object",
        "properties": {
            "email": {"type": "string", "format": "email"},
            "fn": text("First name."),
            "ln": text("Last name."),
            "addr": text("Street and number."),
            "city": text("City."),
            "state": text("State."),
            "zip": text("Postal code."),
            "dob": text("Date of birth, YYYYMMDD."),
            "phone": text("Phone number."),
            "status": {"description": "After updateStatus.", "$ref": "#/components/schemas/dcamsStatus"},
            "documents": {
                "description": "After getDocumentImages.",
                "type": "object",
                "properties": {"front": image, "back": image}
            }
        }
    });
    let success = json!({
        "description": "The service was carried out.",
        "type": "object",
        "required": ["result"],
        "properties": {
            "result": {"const": "Success"},
            "reference": text("The value that was stored with the customer."),
            "status": schema("dcamsStatus"),
            "type": {
                "description": "After createOrUpdateCustomer: which of the two it was.",
                "enum": ["createCustomer", "updateCustomer"]
            },
            "customer_link": {
                "description": "After createOrUpdateCustomer: the customer in Veratad's administration.",
                "type": "string"
            },
            "target": schema("dcamsTarget")
        }
    });
    let error = json!({
        "description": "The service was not carried out.",
        "type": "object",
        "required": ["result", "message"],
        "properties": {
            "result": {"const": "Error"},
            "message": {
                "type": "string",
                "examples": ["The email address is invalid", "Missing a required input", "The email address was not found"]
            }
        }
    });
    let any = json!({"oneOf": [schema("dcamsSuccess"), schema("dcamsError")]});
    [
        ("dcamsAnswer", any),
        ("dcamsError", error),
        ("dcamsStatus", status),
        ("dcamsSuccess", success),
        ("dcamsTarget", target),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

fn created() -> Value {
    let link = "https://dcams.example.com/customers.php?id=1";
    success(false, json!({"status": "PENDING", "type": "createCustomer", "customer_link": link}))
}

fn status_updated() -> Value {
    let mut answer = success(false, json!({}));
    if let Some(target) = answer.get_mut("target").and_then(Value::as_object_mut) {
        target.insert("status".to_owned(), "PASS".into());
    }
    answer
}

fn success(images: bool, more: Value) -> Value {
    let mut target = json!({
        "email": "jane@example.com", "fn": "Jane", "ln": "Doe", "addr": "123 Main St", "city": "Stratford",
        "state": "CT", "zip": "06614", "dob": "19900228", "phone": "2015550123"
    });
    if let Some(target) = target.as_object_mut().filter(|_| images) {
        target.insert("documents".to_owned(), json!({"front": super::requests::IMAGE}));
    }
    let mut answer = json!({"result": "Success", "reference": "888888812", "target": target});
    if let (Some(answer), Value::Object(more)) = (answer.as_object_mut(), more) {
        answer.extend(more);
    }
    answer
}

fn failed() -> Value {
    json!({"result": "Error", "message": "The email address was not found"})
}
