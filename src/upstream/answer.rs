//! Is this an answer of DCAMS, and what does it say?

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::examined::Examined;
use super::needles::Needles;
use crate::audit::{ErrorClass, ResultKind, ReturnedStatus};
use crate::json::{Document, Node};
use crate::reject::{Fate, Reject};

/// The one message that means that the credentials were refused and nothing was done.
const CREDENTIALS_REJECTED: &str = "Either your username or password is incorrect";

/// What a believed answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its top-level `result`.
    pub result: ResultKind,
    /// What kind of error its `message` is; `None` for a success.
    pub class: Option<ErrorClass>,
    /// Its `status`, or that of its `target`.
    pub returned_status: Option<ReturnedStatus>,
}

/// Decides whether the caller may see an answer.
///
/// `request` is the caller's own body: an answer that echoes what the caller itself sent tells it
/// nothing, and withholding it would confirm a guess.
///
/// # Errors
///
/// [`Reject::ResponseWithheld`] when it holds the password, [`Reject::UpstreamInvalid`] when it is not
/// a JSON object that DCAMS could have sent. A rejection of the credentials is no error here.
pub fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body: &Examined,
    request: &Document,
    needles: &Needles,
    fate: Fate,
) -> Result<Judged, Reject> {
    // In any spelling that DCAMS could resolve and send back in another.
    let echoes = || needles.found_in(request.bytes()) || needles.found_unescaped(request);
    let in_headers = headers.values().any(|value| needles.found_in(value.as_bytes()));
    if (in_headers || body.shows_password()) && !echoes() {
        return Err(Reject::ResponseWithheld(fate));
    }
    let acceptable = !status.is_redirection() && !status.is_informational() && media_type(headers);
    if !acceptable {
        return Err(Reject::UpstreamInvalid(fate));
    }
    let document = body.document().map_err(|_| Reject::UpstreamInvalid(fate))?;
    if needles.found_unescaped(document) && !echoes() {
        return Err(Reject::ResponseWithheld(fate));
    }
    Ok(read(document.root()))
}

/// PHP sends JSON as `text/html` unless told otherwise. As the body must be one strict JSON object,
/// that cannot let a page through.
fn media_type(headers: &HeaderMap) -> bool {
    let plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    let Some(value) = headers.get(CONTENT_TYPE) else { return plain };
    let essence =
        value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = matches!(essence.as_str(), "application/json" | "text/json" | "text/html" | "text/plain");
    plain && (json || essence.ends_with("+json"))
}

fn read(root: Node<'_>) -> Judged {
    let says = |member: &str, value: &str| {
        root.member(member).and_then(|node| node.text()).is_some_and(|text| text.equals(value))
    };
    let result = if says("result", "Success") {
        ResultKind::Success
    } else if says("result", "Error") {
        ResultKind::Error
    } else {
        ResultKind::Other
    };
    let class = (result == ResultKind::Error).then(|| {
        if says("message", CREDENTIALS_REJECTED) {
            ErrorClass::CredentialsRejected
        } else if says("message", "The email address was not found") {
            ErrorClass::NotFound
        } else if says("message", "The email address is invalid")
            || says("message", "Missing a required input")
        {
            ErrorClass::InvalidRequest
        } else {
            ErrorClass::Other
        }
    });
    let status = |node: Node<'_>| {
        let text = node.member("status")?.text()?;
        [("PASS", ReturnedStatus::Pass), ("PENDING", ReturnedStatus::Pending), ("FAIL", ReturnedStatus::Fail)]
            .into_iter()
            .find(|(name, _)| text.equals(name))
            .map(|(_, status)| status)
    };
    let returned_status = status(root).or_else(|| root.member("target").and_then(status));
    Judged { result, class, returned_status }
}

/// The headers of an answer that the caller may see: what it is, and when to come back.
#[must_use]
pub fn allowed_headers(headers: &HeaderMap) -> [Option<(HeaderName, HeaderValue)>; 2] {
    let seconds = |value: &&HeaderValue| value.len() <= 10 && value.as_bytes().iter().all(u8::is_ascii_digit);
    let retry_after = headers.get(RETRY_AFTER).filter(seconds).cloned();
    [
        Some((CONTENT_TYPE, HeaderValue::from_static("application/json"))),
        retry_after.map(|value| (RETRY_AFTER, value)),
    ]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::{self, Caps};
    use crate::secret::Secret;

    fn judged(
        status: u16,
        content_type: &'static str,
        body: &'static str,
        request: &'static str,
    ) -> Result<Judged, Reject> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let needles = Needles::of(&Secret::new(b"the long password".to_vec()));
        let status = StatusCode::from_u16(status).unwrap();
        let request = json::parse(Bytes::from_static(request.as_bytes()), &Caps::REQUEST).unwrap();
        let body = Examined::of(Bytes::from_static(body.as_bytes()), &needles);
        judge(status, &headers, &body, &request, &needles, Fate::Harmless)
    }

    #[test]
    fn documented_answers_are_classified_by_result_and_message() {
        let error = |message: &'static str| judged(200, "application/json", message, "{}").unwrap().class;
        assert_eq!(
            error(r#"{"result":"Error","message":"Either your username or password is incorrect"}"#),
            Some(ErrorClass::CredentialsRejected)
        );
        assert_eq!(
            error(r#"{"result":"Error","message":"The email address was not found"}"#),
            Some(ErrorClass::NotFound)
        );
        assert_eq!(error(r#"{"result":"Error","message":"?"}"#), Some(ErrorClass::Other));
        assert_eq!(error(r#"{"result":"Success","status":"PASS"}"#), None);
    }

    #[test]
    fn a_message_of_rejection_counts_only_at_the_top_of_an_error() {
        let elsewhere = [
            r#"{"result":"Success","message":"Either your username or password is incorrect"}"#,
            r#"{"result":"Error","target":{"message":"Either your username or password is incorrect"}}"#,
            r#"{"result":"Error","message":"Either your username or password is incorrect."}"#,
        ];
        for body in elsewhere {
            let class = judged(200, "application/json", body, "{}").unwrap().class;
            assert_ne!(class, Some(ErrorClass::CredentialsRejected), "{body}");
        }
    }

    #[test]
    fn what_is_not_a_json_object_is_invalid() {
        let invalid = Err(Reject::UpstreamInvalid(Fate::Harmless));
        assert_eq!(judged(200, "text/html", "<html></html>", "{}"), invalid);
        assert_eq!(judged(302, "application/json", r#"{"result":"Success"}"#, "{}"), invalid);
        assert_eq!(judged(200, "application/json", r#"["result"]"#, "{}"), invalid);
        assert_eq!(
            judged(200, "application/json", r#"{"result":"Error","result":"Success"}"#, "{}"),
            invalid
        );
        assert_eq!(judged(200, "application/pdf", r#"{"result":"Success"}"#, "{}"), invalid);
        assert_eq!(judged(200, "application/json", "", "{}"), invalid);
    }

    #[test]
    fn an_answer_with_the_password_is_withheld_unless_the_caller_sent_it() {
        let body = r#"{"result":"Error","message":"the long password"}"#;
        assert_eq!(
            judged(200, "application/json", body, "{}"),
            Err(Reject::ResponseWithheld(Fate::Harmless))
        );
        for guess in [r#"{"fn":"the long password"}"#, r#"{"fn":"\u0074he long passwor\u0064"}"#] {
            assert!(
                judged(200, "application/json", body, guess).is_ok(),
                "a right guess is told no more than a wrong one"
            );
        }
    }
}
