//! Is every refusal as the OpenAPI document says?

use std::sync::{Arc, Mutex};

use dcams_gateway::reject::{self, Fate, Reject};
use dcams_gateway::stack::stack_on;
use dcams_gateway::stages::{Answer, Sealed};
use dcams_gateway::{openapi, schema};
use http::Response;
use serde_json::Value;
use tower::{ServiceExt, service_fn};

use crate::fixture::{Fixture, PATH, STATUS, read, request};

/// What every answer has, and OpenAPI says elsewhere or not at all.
const COMMON: [&str; 4] = ["content-type", "cache-control", "x-content-type-options", "connection"];

#[tokio::test]
async fn every_refusal_has_the_body_and_the_headers_that_are_documented() {
    let document = openapi::document(&schema::builtin());
    let fixture = Fixture::new(&[]);
    let next = Arc::new(Mutex::new(Reject::Internal));
    let refusal = Arc::clone(&next);
    let stack = stack_on(
        &fixture.gateway.current(),
        service_fn(move |_: Sealed| std::future::ready(Err::<Response<Answer>, _>(*refusal.lock().unwrap()))),
    );
    let unknown = [Reject::UpstreamInvalid, Reject::UpstreamTruncated, Reject::UpstreamTimeout];
    let unknown = unknown.map(|refusal| refusal(Fate::Unknown));
    for reject in reject::every().into_iter().chain(unknown) {
        *next.lock().unwrap() = reject;
        let Ok(response) = stack.clone().oneshot(request(STATUS)).await;
        let answered = read(response).await;

        let status = answered.head.status.as_str();
        let documented = &document["paths"][PATH]["post"]["responses"][status];
        let content = &documented["content"]["application/problem+json"];
        assert_eq!(answered.head.headers["content-type"], "application/problem+json");
        let mut form = content["schema"].clone();
        form["components"] = document["components"].clone();
        // Unlike the published form, which clients read with tolerance, the gateway's own is closed.
        form["unevaluatedProperties"] = false.into();
        let body: Value = serde_json::from_str(&answered.text).unwrap();
        let validator = jsonschema::draft202012::new(&form).unwrap();
        let faults: Vec<String> = validator.iter_errors(&body).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:#?} {body:#}");
        assert_eq!(body["code"], reject.code());
        assert_eq!(body.get("outcome").is_some(), reject.fate() == Fate::Unknown);

        let listed: Vec<String> =
            documented["headers"].as_object().unwrap().keys().map(|name| name.to_ascii_lowercase()).collect();
        for name in answered.head.headers.keys().map(http::HeaderName::as_str) {
            assert!(COMMON.contains(&name) || listed.iter().any(|known| known == name), "{status}: {name}");
        }
        for name in &listed {
            let components = document["components"]["headers"].as_object().unwrap();
            let header = components.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).unwrap().1;
            let present = answered.head.headers.contains_key(name);
            assert!(present || header.get("required").is_none(), "{}: {name}", reject.code());
        }
    }
}
