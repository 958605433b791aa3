//! Are the facts of a document right, whatever its spelling?

use super::*;

fn document_of(schema: &Schema, facts: &Facts, at: usize) -> (String, u64, Option<MediaType>) {
    let document = facts.documents[at].unwrap();
    let member = schema.members()[usize::from(document.member)].to_string();
    (member, document.decoded_bytes, document.media)
}

#[test]
fn real_images_pass_in_every_spelling_of_base64_and_are_measured() {
    let schema = service("createOrUpdateCustomer");
    for (name, media) in [
        ("phone-photo.jpg", MediaType::Jpeg),
        ("medium.jpg", MediaType::Jpeg),
        ("thumbnail.jpg", MediaType::Jpeg),
        ("scan.png", MediaType::Png),
        ("scan.webp", MediaType::Webp),
        ("scan-little-endian.tiff", MediaType::Tiff),
        ("scan-big-endian.tiff", MediaType::Tiff),
        ("phone-photo.heic", MediaType::Heic),
        ("scan.pdf", MediaType::Pdf),
    ] {
        let bytes = image(name);
        let plain = encode(&bytes);
        let php = plain.replace('/', r"\/");
        let dotnet = plain.replace('+', r"\u002B").replace('=', r"\u003d");
        for front in [plain, php, dotnet] {
            let document = with_front(&front);
            assert_eq!(violated(&schema, &document), [], "{name}");
            let facts = schema.facts(&document);
            let expected = ("/target/documents/front".to_owned(), bytes.len() as u64, Some(media));
            assert_eq!(document_of(&schema, &facts, 0), expected, "{name}");
            assert_eq!(facts.document_count, 1, "{name}");
        }
    }
}

#[test]
fn a_document_is_measured_even_where_the_request_is_refused() {
    let schema = service("createOrUpdateCustomer");
    let document = with_front(&encode(b"GIF89a and so on"));
    assert!(schema.violations(&document).is_some());
    let expected = ("/target/documents/front".to_owned(), 16, None);
    assert_eq!(document_of(&schema, &schema.facts(&document), 0), expected);
}

#[test]
fn members_that_are_present_have_their_bit_set() {
    let schema = service("createOrUpdateCustomer");
    let document =
        parse(r#"{"reference": null, "target": {"email": 1, "zip": "", "unknown": 1}, "other": {"fn": 1}}"#);
    let facts = schema.facts(&document);
    let present: Vec<&str> = schema
        .members()
        .iter()
        .enumerate()
        .filter(|(bit, _)| facts.members >> bit & 1 == 1)
        .map(|(_, pointer)| &**pointer)
        .collect();
    assert_eq!(present, ["/reference", "/target", "/target/email", "/target/zip"]);
    assert_eq!(facts.member_count, 4);
    assert_eq!((facts.document_count, facts.value), (0, None));
}

#[test]
fn the_members_of_a_service_are_those_of_the_api() {
    let mut members: Vec<_> = service("createOrUpdateCustomer").members().to_vec();
    members.sort();
    let expected = [
        "/reference",
        "/service",
        "/target",
        "/target/addr",
        "/target/city",
        "/target/dob",
        "/target/documents",
        "/target/documents/back",
        "/target/documents/front",
        "/target/email",
        "/target/fn",
        "/target/ln",
        "/target/phone",
        "/target/state",
        "/target/zip",
    ];
    assert_eq!(members, expected.map(Box::from));
}

#[test]
fn the_recorded_value_is_an_index_into_the_schemas_list() {
    let schema = service("updateStatus");
    assert_eq!(schema.recorded_values(), ["PASS", "PENDING", "FAIL"].map(Box::from));
    for (written, index) in [("PASS", Some(0)), (r"\u0046AIL", Some(2)), ("BLOCKED", None), ("pass", None)] {
        let document = parse(format!(
            r#"{{"service":"updateStatus","target":{{"email":"customer@example.com","status":"{written}"}}}}"#
        ));
        assert_eq!(schema.facts(&document).value, index, "{written}");
    }
    assert!(service("getStatus").recorded_values().is_empty());
}

#[test]
fn email_and_reference_are_given_out_for_fingerprints() {
    let schema = service("createOrUpdateCustomer");
    let document =
        parse(r#"{"reference": "r\/1", "target": {"email": "Customer\u0040example.com", "fn": "x"}}"#);
    let mut seen = Vec::new();
    schema.fingerprinted(&document, |normalise, text| seen.push((normalise, text.unescape().into_owned())));
    seen.sort_by_key(|(_, text)| text.clone());
    assert_eq!(
        seen,
        [(Normalise::Email, "Customer@example.com".to_owned()), (Normalise::Reference, "r/1".to_owned())]
    );
}

#[test]
fn what_is_no_text_is_not_fingerprinted() {
    let document = parse(r#"{"reference": 5, "target": {"email": ["customer@example.com"]}}"#);
    service("createOrUpdateCustomer").fingerprinted(&document, |_, _| panic!("nothing here is a text"));
}

#[test]
fn documents_in_an_array_are_all_counted_and_four_are_kept() {
    let image = r#"{"type": "string", "contentEncoding": "base64", "x-decodedMaxBytes": 99}"#;
    let schema = compile(&format!(
        r#""type": "object", "additionalProperties": false, "properties": {{"pages": {{"type": "array",
        "maxItems": 9, "items": {{"type": "object", "additionalProperties": false,
        "properties": {{"file": {image}}}}}}}}}"#
    ))
    .ok()
    .unwrap();
    assert_eq!(schema.members(), ["/pages", "/pages/*/file"].map(Box::from));
    let page = format!(r#"{{"file": "{}"}}"#, encode(b"%PDF-1.7"));
    let facts = schema.facts(&parse(format!(r#"{{"pages": [{}]}}"#, vec![page; 6].join(","))));
    assert_eq!((facts.document_count, facts.members, facts.member_count), (6, 0b11, 2));
    let kept = facts.documents.map(Option::unwrap);
    assert!(
        kept.iter().all(|page| (page.member, page.decoded_bytes, page.media) == (1, 8, Some(MediaType::Pdf)))
    );
}
