//! Do the four services answer as documented?

use http::Method;
use serde_json::{Value, json};

use super::client::{Client, PATH, connect, request, start};
use crate::simulate::{Double, FailureStyle, Settings};

fn jane() -> Value {
    json!({"email": "jane@example.com", "fn": "Jane", "ln": "Doe", "addr": "1 Main St/2", "zip": "06614"})
}

#[tokio::test]
async fn a_customer_is_created_and_then_updated() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    let created = client.ask("createOrUpdateCustomer", jane()).await;
    assert_eq!(
        created,
        (
            200,
            concat!(
                r#"{"result":"Success","reference":"888888812","#,
                r#""customer_link":"https:\/\/dcams.app\/admin\/customers.php?id=1","#,
                r#""status":"PENDING","type":"createCustomer","#,
                r#""target":{"email":"jane@example.com","fn":"Jane","ln":"Doe","addr":"1 Main St\/2","zip":"06614"}}"#
            )
            .to_owned()
        )
    );
    let (_, updated) =
        client.ask("createOrUpdateCustomer", json!({"email": "jane@example.com", "fn": "Janet"})).await;
    assert!(updated.contains(r#""type":"updateCustomer""#), "{updated}");
    assert!(updated.contains(r#""fn":"Janet","ln":"Doe""#), "{updated}");
    assert_eq!(double.customers(), 1);
    assert_eq!(double.counts().connections, 1);
}

#[tokio::test]
async fn a_status_is_set_and_read_back() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    client.ask("createOrUpdateCustomer", json!({"email": "jane@example.com"})).await;
    let set = client.ask("updateStatus", json!({"email": "jane@example.com", "status": "PASS"})).await;
    let answer = r#"{"result":"Success","reference":"888888812","target":{"email":"jane@example.com","status":"PASS"}}"#;
    assert_eq!(set, (200, answer.to_owned()));
    let read = client.ask("getStatus", json!({"email": "jane@example.com"})).await;
    let answer = r#"{"result":"Success","reference":"888888812","status":"PASS","target":{"email":"jane@example.com"}}"#;
    assert_eq!(read, (200, answer.to_owned()));
}

#[tokio::test]
async fn images_come_back_with_the_images_service_only() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    let (front, back) = ("/9j/".repeat(1_200_000), "iVBORw0K/+==".to_owned());
    let documents = json!({"front": front, "back": back});
    let (_, created) = client
        .ask("createOrUpdateCustomer", json!({"email": "jane@example.com", "documents": documents}))
        .await;
    assert!(!created.contains("documents"), "{created}");
    let (_, status) = client.ask("getStatus", json!({"email": "jane@example.com"})).await;
    assert!(!status.contains("documents"), "{status}");
    let (_, images) = client.ask("getDocumentImages", json!({"email": "jane@example.com"})).await;
    assert!(images.contains(r#""documents":{"front":"\/9j\/\/9j\/"#));
    let images: Value = serde_json::from_str(&images).unwrap();
    assert_eq!(images["target"]["documents"], documents);
}

#[tokio::test]
async fn each_documented_failure_is_told_in_both_styles() {
    let cases = [
        (request("getStatus", &json!({"email": "nobody"})), "The email address is invalid", 400),
        (request("getStatus", &json!({})), "Missing a required input", 400),
        (request("deleteCustomer", &json!({"email": "a@example.com"})), "Missing a required input", 400),
        (request("getStatus", &json!({"email": "a@example.com"})), "The email address was not found", 404),
        (
            request("updateStatus", &json!({"email": "a@example.com", "status": "PASS"})),
            "The email address was not found",
            404,
        ),
        (
            r#"{"user":"double-user","pass":"wrong","service":"getStatus"}"#.to_owned(),
            "Either your username or password is incorrect",
            401,
        ),
        ("not JSON".to_owned(), "Either your username or password is incorrect", 401),
    ];
    for failure_style in [FailureStyle::OkWithError, FailureStyle::ClientError] {
        let double = Double::start(Settings { failure_style, ..Settings::default() }).await.unwrap();
        let mut client = Client::http1(&double).await;
        for (body, message, status) in &cases {
            let response = client.post(body.clone()).await.unwrap();
            let status = if failure_style == FailureStyle::OkWithError { 200 } else { *status };
            assert_eq!(response.status(), status, "{body}");
            let expected = format!(r#"{{"result":"Error","message":"{message}"}}"#);
            assert_eq!(response.body(), expected.as_bytes(), "{body}");
            assert_eq!(response.headers()["content-type"], "application/json");
        }
    }
}

#[tokio::test]
async fn the_last_of_two_equal_members_wins_as_in_php() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    let body = request("getStatus", &json!({"email": "jane@example.com"}));
    let overridden = format!(r#"{},"p\u0061ss":"mallory"}}"#, body.strip_suffix('}').unwrap());
    let response = client.post(overridden).await.unwrap();
    assert!(response.body().ends_with(br#""message":"Either your username or password is incorrect"}"#));
}

#[tokio::test]
async fn what_arrived_is_kept_byte_for_byte() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    let body = format!(" {} ", request("getStatus", &json!({"email": "a@example.com"})));
    client.post(body.clone()).await.unwrap();
    client.post("second").await.unwrap();
    let received = double.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body, body);
    assert!(received[0].complete);
    assert_eq!((received[0].connection, received[1].connection), (1, 1));
    let head = "POST /v3/stable/api/storage HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\n\r\n";
    assert_eq!(received[1].head, head);
    assert_eq!(received[1].body, "second");
    let counts = double.counts();
    assert_eq!((counts.connections, counts.handshakes, counts.requests), (1, 1, 2));
    let both = received.iter().map(|request| request.head.len() + request.body.len()).sum::<usize>();
    assert_eq!(counts.bytes, both as u64);
}

#[tokio::test]
async fn a_body_of_64_mib_arrives_whole() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    let body = request(
        "createOrUpdateCustomer",
        &json!({"email": "a@example.com", "documents": {"front": "/".repeat(64 << 20)}}),
    );
    let response = client.post(body.clone()).await.unwrap();
    assert!(response.body().starts_with(br#"{"result":"Success""#));
    assert!(double.received()[0].body == body);
}

#[tokio::test]
async fn http2_and_plain_http_are_served_alike() {
    let double = start().await;
    let mut client = Client::http2(&double).await;
    let (_, created) = client.ask("createOrUpdateCustomer", jane()).await;
    assert!(created.contains("createCustomer"), "{created}");
    assert_eq!(double.received()[0].version, http::Version::HTTP_2);

    let plain = Double::start(Settings { tls: false, ..Settings::default() }).await.unwrap();
    assert_eq!(plain.ca_pem(), "");
    let (_, created) = Client::plain(&plain).await.ask("createOrUpdateCustomer", jane()).await;
    assert!(created.contains("createCustomer"), "{created}");
}

#[tokio::test]
async fn another_path_or_method_is_answered_by_an_html_page() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    let response = client.send(Method::POST, "/elsewhere", "").await.unwrap();
    assert_eq!(response.status(), 404);
    let response = client.send(Method::GET, PATH, "").await.unwrap();
    assert_eq!(response.status(), 405);
    assert!(response.body().starts_with(b"<html>"));
}

#[tokio::test]
async fn a_certificate_for_other_names_is_not_accepted_for_localhost() {
    let host_names = vec!["dcams.example.com".to_owned()];
    let double = Double::start(Settings { host_names, ..Settings::default() }).await.unwrap();
    assert!(connect(&double, "http/1.1").await.is_err());
    assert_eq!(double.counts().requests, 0);
}

#[tokio::test]
async fn an_expired_certificate_is_not_accepted() {
    let double = Double::start(Settings { expired_certificate: true, ..Settings::default() }).await.unwrap();
    let error = connect(&double, "http/1.1").await.unwrap_err();
    assert!(error.to_string().contains("certificate expired"), "{error}");
}

#[tokio::test]
async fn a_rotated_credential_is_the_only_one_accepted() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    double.accept("double-user", "another-password");
    let (_, answer) = client.ask("getStatus", json!({"email": "a@example.com"})).await;
    assert!(answer.contains("username or password"), "{answer}");
}

#[tokio::test]
async fn a_stopped_double_frees_its_port_and_drops_its_connections() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    let listen = double.address();
    double.stop().await;
    assert!(client.post("").await.is_err());
    Double::start(Settings { listen, ..Settings::default() }).await.unwrap();
}
