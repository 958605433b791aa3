//! Whose personal data is sent, so that every copy of it can be told by kind and person?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Email,
    GivenName,
    FamilyName,
    Address,
    Town,
    BirthDate,
    Phone,
    Reference,
    /// As base64, or decoded.
    Document,
    /// Of a caller, right or wrong.
    Key,
    User,
    Pass,
    /// The password in hexadecimal or base64, as the search in answers needs it.
    EncodedPass,
}

impl Kind {
    /// Whether it is of a person whose data was sent, and no secret of callers or of the account.
    pub fn is_personal(self) -> bool {
        !matches!(self, Self::Key | Self::User | Self::Pass | Self::EncodedPass)
    }
}

/// The customer of a number: nobody else, and nothing else in the process, has one of its values.
pub struct Person(pub usize);

impl Person {
    pub fn email(&self) -> String {
        format!("mail.zq{:06}@canary.example", self.0)
    }

    fn given_name(&self) -> String {
        format!("Givenzq{:06}", self.0)
    }

    fn family_name(&self) -> String {
        format!("Familyzq{:06}", self.0)
    }

    fn address(&self) -> String {
        format!("7 Streetzq{:06}", self.0)
    }

    fn town(&self) -> String {
        format!("Townzq{:06}", self.0)
    }

    fn birth_date(&self) -> String {
        let day = self.0 % (28 * 12 * 150);
        format!("{}{:02}{:02}", 1801 + day / (28 * 12), 1 + day / 28 % 12, 1 + day % 28)
    }

    fn phone(&self) -> String {
        format!("7700900{:06}", self.0)
    }

    fn reference(&self) -> String {
        format!("refzq{:06}", self.0)
    }

    /// Stands in a document at its beginning, in its middle and at its end; 15 bytes, so that its base64 is
    /// always the same.
    fn mark(&self) -> String {
        format!("documentz{:06}", self.0)
    }

    /// A JPEG by its first bytes, of about so many bytes.
    fn document(&self, bytes: usize) -> String {
        let filling = |seed: usize| {
            let mut state = (seed * 2 + 1) as u64;
            (0..bytes / 2 / 3 * 3).map(move |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
        };
        let mark = self.mark();
        let mut file = vec![0xFF, 0xD8, 0xFF];
        file.extend(mark.bytes().chain(filling(self.0)).chain(mark.bytes()));
        file.extend(filling(self.0 + 1).chain(mark.bytes()));
        STANDARD.encode(file)
    }

    /// The request that stores this customer, with a document of so many bytes.
    pub fn create(&self, document_bytes: usize) -> String {
        format!(
            r#"{{"service":"createOrUpdateCustomer","reference":"{}","target":{{"email":"{}","fn":"{}","ln":"{}","addr":"{}","city":"{}","dob":"{}","phone":"{}","documents":{{"front":"{}"}}}}}}"#,
            self.reference(),
            self.email(),
            self.given_name(),
            self.family_name(),
            self.address(),
            self.town(),
            self.birth_date(),
            self.phone(),
            self.document(document_bytes)
        )
    }

    /// The request of `service` that names this customer by its e-mail.
    pub fn of(&self, service: &str) -> String {
        format!(r#"{{"service":"{service}","target":{{"email":"{}"}}}}"#, self.email())
    }

    /// All that tells of this customer.
    pub fn values(&self) -> Vec<(Kind, String)> {
        vec![
            (Kind::Email, self.email()),
            (Kind::GivenName, self.given_name()),
            (Kind::FamilyName, self.family_name()),
            (Kind::Address, self.address()),
            (Kind::Town, self.town()),
            (Kind::BirthDate, self.birth_date()),
            (Kind::Phone, self.phone()),
            (Kind::Reference, self.reference()),
            (Kind::Document, STANDARD.encode(self.mark())),
            (Kind::Document, self.mark()),
        ]
    }
}
