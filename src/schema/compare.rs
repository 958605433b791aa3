//! Are two values equal as JSON Schema sees it, without building either of them?

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use jsonschema::json::cmp::equal_numbers;
use serde_json::{Map, Number, Value};

use crate::json::{Kind, Node, Text};

/// Whether `node` equals a value of the schema; numbers compare by value, members in any order.
pub(super) fn equals(node: Node<'_>, expected: &Value) -> bool {
    match expected {
        Value::Null => node.kind() == Kind::Null,
        Value::Bool(expected) => node.boolean() == Some(*expected),
        Value::Number(expected) => number(node).is_some_and(|number| equal_numbers(&number, expected)),
        Value::String(expected) => node.text().is_some_and(|text| text.equals(expected)),
        Value::Array(expected) => {
            node.kind() == Kind::Array
                && node.len() == expected.len()
                && node.elements().zip(expected).all(|(element, expected)| equals(element, expected))
        }
        Value::Object(expected) => {
            node.kind() == Kind::Object
                && node.len() == expected.len()
                && expected
                    .iter()
                    .all(|(name, value)| node.member(name).is_some_and(|member| equals(member, value)))
        }
    }
}

/// Whether two values of a document are equal.
pub(super) fn same(left: Node<'_>, right: Node<'_>) -> bool {
    if left.kind() != right.kind() || left.len() != right.len() {
        return false;
    }
    match left.kind() {
        Kind::Null => true,
        Kind::Bool => left.boolean() == right.boolean(),
        Kind::Number => match (number(left), number(right)) {
            (Some(left), Some(right)) => equal_numbers(&left, &right),
            _ => false,
        },
        Kind::String => match (left.text(), right.text()) {
            (Some(left), Some(right)) => left.equals_text(right),
            _ => false,
        },
        Kind::Array => left.elements().zip(right.elements()).all(|(left, right)| same(left, right)),
        Kind::Object => left.members().all(|(name, value)| {
            right.members().any(|(other, right)| name.equals_text(other) && same(value, right))
        }),
    }
}

/// Whether no two elements of an array are equal.
///
/// Each is hashed once, and only those of the same hash are compared, so that time grows linearly with the bytes.
/// The hash is keyed at random: nobody can choose elements that collide.
pub(super) fn all_differ<'a>(elements: impl Iterator<Item = Node<'a>>) -> bool {
    let keys = RandomState::new();
    let mut hashed: Vec<(u64, Node<'a>)> = elements.map(|node| (hash(node, &keys), node)).collect();
    hashed.sort_unstable_by_key(|(hash, _)| *hash);
    hashed.iter().enumerate().all(|(at, (hash, one))| {
        let rest = hashed.iter().skip(at.saturating_add(1));
        rest.take_while(|(other, _)| other == hash).all(|(_, other)| !same(*one, *other))
    })
}

/// A hash that values have in common where [`same`] holds.
fn hash(node: Node<'_>, keys: &RandomState) -> u64 {
    let mut hasher = keys.build_hasher();
    (node.kind() as u8, node.len()).hash(&mut hasher);
    match node.kind() {
        Kind::Null => {}
        Kind::Bool => node.boolean().hash(&mut hasher),
        Kind::Number => {
            let value = number(node).and_then(|number| number.as_f64());
            // 0 and -0 are equal.
            value.map(|value| (value + 0.0).to_bits()).hash(&mut hasher);
        }
        Kind::String => node.text().into_iter().for_each(|text| hash_text(text, &mut hasher)),
        Kind::Array => node.elements().for_each(|element| hasher.write_u64(hash(element, keys))),
        Kind::Object => {
            let members = node.members().map(|(name, value)| {
                let mut hasher = keys.build_hasher();
                hash_text(name, &mut hasher);
                hasher.write_u64(hash(value, keys));
                hasher.finish()
            });
            // In any order.
            hasher.write_u64(members.fold(0, u64::wrapping_add));
        }
    }
    hasher.finish()
}

fn hash_text(text: Text<'_>, hasher: &mut impl Hasher) {
    text.chars().for_each(|letter| hasher.write_u32(u32::from(letter)));
}

/// Builds `node` where it needs at most `left` bytes, which is lowered by what it took.
pub(super) fn build(node: Node<'_>, left: &mut usize) -> Option<Value> {
    *left = left.checked_sub(8)?;
    Some(match node.kind() {
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(node.boolean()?),
        Kind::Number => Value::Number(number(node)?),
        Kind::String => {
            let text = node.text()?;
            *left = left.checked_sub(text.raw().len())?;
            Value::String(text.unescape().into_owned())
        }
        Kind::Array => {
            let elements: Option<Vec<Value>> = node.elements().map(|element| build(element, left)).collect();
            Value::Array(elements?)
        }
        Kind::Object => {
            let mut members = Map::new();
            for (name, value) in node.members() {
                *left = left.checked_sub(name.raw().len())?;
                members.insert(name.unescape().into_owned(), build(value, left)?);
            }
            Value::Object(members)
        }
    })
}

/// The number of a document as the validator reads numbers.
pub(super) fn number(node: Node<'_>) -> Option<Number> {
    serde_json::from_str(node.number_text()?).ok()
}
