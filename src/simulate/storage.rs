//! What do the four storage services answer?

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use serde_json::Value;

use super::answer::Answer;
use super::php::Php;

/// The attributes of a customer, in the order in which the documentation lists them.
const ATTRIBUTES: [&str; 9] = ["email", "fn", "ln", "addr", "city", "state", "zip", "dob", "phone"];
const STATUSES: [&str; 3] = ["PASS", "PENDING", "FAIL"];

/// How a failure is told; the documentation leaves the HTTP status open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureStyle {
    /// 200 with `"result": "Error"`.
    #[default]
    OkWithError,
    /// `"result": "Error"` with 400 (the request), 401 (user or password) or 404 (the e-mail is unknown).
    ClientError,
}

/// The documented failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `The email address is invalid`
    InvalidEmail,
    /// `Missing a required input`
    MissingInput,
    /// `Either your username or password is incorrect`
    WrongCredentials,
    /// `The email address was not found`
    UnknownEmail,
}

impl FromStr for FailureStyle {
    type Err = UnknownStyle;

    /// Reads `ok-with-error` or `client-error`.
    fn from_str(text: &str) -> Result<Self, UnknownStyle> {
        match text {
            "ok-with-error" => Ok(Self::OkWithError),
            "client-error" => Ok(Self::ClientError),
            _ => Err(UnknownStyle),
        }
    }
}

/// A failure style of another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure style is ok-with-error or client-error")]
pub struct UnknownStyle;

impl Failure {
    /// The documented text.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::InvalidEmail => "The email address is invalid",
            Self::MissingInput => "Missing a required input",
            Self::WrongCredentials => "Either your username or password is incorrect",
            Self::UnknownEmail => "The email address was not found",
        }
    }

    pub(super) fn answer(self, style: FailureStyle) -> Answer {
        let status = match (style, self) {
            (FailureStyle::OkWithError, _) => StatusCode::OK,
            (FailureStyle::ClientError, Self::WrongCredentials) => StatusCode::UNAUTHORIZED,
            (FailureStyle::ClientError, Self::UnknownEmail) => StatusCode::NOT_FOUND,
            (FailureStyle::ClientError, _) => StatusCode::BAD_REQUEST,
        };
        let members = vec![("result", Php::Text("Error")), ("message", Php::Text(self.message()))];
        Answer::json(status, Php::Object(members).encode())
    }
}

/// The customers, in memory only, by e-mail as it was sent.
#[derive(Default)]
pub(super) struct Storage {
    customers: Mutex<BTreeMap<String, Customer>>,
}

struct Customer {
    number: usize,
    reference: Value,
    status: String,
    attributes: BTreeMap<&'static str, Value>,
    documents: BTreeMap<&'static str, Value>,
}

impl Storage {
    pub(super) fn customers(&self) -> usize {
        self.customers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn forget(&self) {
        self.customers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Carries out one request whose credentials are right. Members that the documentation does not know are ignored.
    pub(super) fn serve(&self, request: &Value) -> Result<Answer, Failure> {
        let target = request.get("target").ok_or(Failure::MissingInput)?;
        let service = text(request, "service").ok_or(Failure::MissingInput)?;
        let email = text(target, "email").ok_or(Failure::MissingInput)?;
        if !looks_like_email(email) {
            return Err(Failure::InvalidEmail);
        }
        let mut customers = self.customers.lock().unwrap_or_else(PoisonError::into_inner);
        if service == "createOrUpdateCustomer" {
            let number = customers.len() + 1;
            let known = customers.contains_key(email);
            let customer = customers.entry(email.to_owned()).or_insert_with(|| Customer::new(number));
            customer.update(request.get("reference"), target);
            return Ok(customer.created_or_updated(known));
        }
        let known = customers.get_mut(email);
        match service {
            "getStatus" => Ok(known.ok_or(Failure::UnknownEmail)?.with_status(false)),
            "getDocumentImages" => Ok(known.ok_or(Failure::UnknownEmail)?.with_status(true)),
            "updateStatus" => {
                let status = text(target, "status").filter(|status| STATUSES.contains(status));
                let status = status.ok_or(Failure::MissingInput)?;
                let customer = known.ok_or(Failure::UnknownEmail)?;
                status.clone_into(&mut customer.status);
                Ok(customer.status_updated())
            }
            _ => Err(Failure::MissingInput),
        }
    }
}

impl Customer {
    fn new(number: usize) -> Self {
        Self {
            number,
            reference: Value::String(String::new()),
            status: "PENDING".to_owned(),
            attributes: BTreeMap::new(),
            documents: BTreeMap::new(),
        }
    }

    /// What is sent replaces what is stored; what is not sent stays.
    fn update(&mut self, reference: Option<&Value>, target: &Value) {
        if let Some(reference) = reference {
            self.reference = reference.clone();
        }
        for name in ATTRIBUTES {
            if let Some(value) = target.get(name) {
                self.attributes.insert(name, value.clone());
            }
        }
        for side in ["front", "back"] {
            if let Some(image) = target.get("documents").and_then(|documents| documents.get(side)) {
                self.documents.insert(side, image.clone());
            }
        }
    }

    fn created_or_updated(&self, known: bool) -> Answer {
        let link = format!("https://dcams.app/admin/customers.php?id={}", self.number);
        success(vec![
            ("reference", Php::Value(&self.reference)),
            ("customer_link", Php::Text(&link)),
            ("status", Php::Text(&self.status)),
            ("type", Php::Text(if known { "updateCustomer" } else { "createCustomer" })),
            ("target", Php::Object(self.stored())),
        ])
    }

    fn with_status(&self, with_images: bool) -> Answer {
        let mut target = self.stored();
        if with_images {
            let documents = self.documents.iter().rev().map(|(side, image)| (*side, Php::Value(image)));
            target.push(("documents", Php::Object(documents.collect())));
        }
        success(vec![
            ("reference", Php::Value(&self.reference)),
            ("status", Php::Text(&self.status)),
            ("target", Php::Object(target)),
        ])
    }

    fn status_updated(&self) -> Answer {
        let mut target = self.stored();
        target.push(("status", Php::Text(&self.status)));
        success(vec![("reference", Php::Value(&self.reference)), ("target", Php::Object(target))])
    }

    fn stored(&self) -> Vec<(&str, Php<'_>)> {
        let known = ATTRIBUTES.iter().filter_map(|name| Some((*name, self.attributes.get(name)?)));
        known.map(|(name, value)| (name, Php::Value(value))).collect()
    }
}

fn success<'a>(members: Vec<(&'a str, Php<'a>)>) -> Answer {
    let mut all = vec![("result", Php::Text("Success"))];
    all.extend(members);
    Answer::json(StatusCode::OK, Php::Object(all).encode())
}

/// A member that is a string and not empty: PHP's `empty()` makes no difference between absent and empty.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn looks_like_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !text.contains(char::is_whitespace)
            && !domain.contains('@')
    })
}
