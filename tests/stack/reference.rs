//! Is the reference of the records, in docs/audit.md, what the schema says?
//!
//! `DOCS_WRITE=1 cargo test --test stack reference` writes it.

use std::fmt::Write;
use std::fs;

use dcams_gateway::audit;
use serde_json::Value;

const DOCUMENT: &str = "docs/audit.md";
const BEGIN: &str = "<!-- reference: generated from schemas/audit.schema.json -->\n";
const END: &str = "<!-- end of the reference -->\n";

#[test]
fn the_reference_of_the_records_is_generated_from_the_schema() {
    let path = format!("{}/{DOCUMENT}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the reference begins");
    let (written, after) = rest.split_once(END).expect("the mark where it ends");
    let generated = Reference::of(&serde_json::from_str(audit::SCHEMA).unwrap());
    if std::env::var_os("DOCS_WRITE").is_some() {
        fs::write(&path, [before, BEGIN, &generated, END, after].concat()).unwrap();
    } else {
        assert_eq!(written, generated, "DOCS_WRITE=1 cargo test --test stack reference writes {DOCUMENT}");
    }
}

struct Reference<'a> {
    schema: &'a Value,
    text: String,
    /// Definitions that got a section of their own, in order of their first mention.
    parts: Vec<&'a str>,
}

impl<'a> Reference<'a> {
    fn of(schema: &'a Value) -> String {
        let mut reference = Self { schema, text: String::new(), parts: Vec::new() };
        for kind in schema["oneOf"].as_array().unwrap() {
            let name = definition_name(kind).unwrap();
            let object = &schema["$defs"][name];
            let title = object["properties"]["kind"]["const"].as_str().unwrap_or(name);
            let title = if title == name { format!("`{title}`") } else { format!("`{title}`: {name}") };
            writeln!(reference.text, "\n### {title}\n\n{}\n", described(object)).unwrap();
            reference.members(object);
        }
        let mut done = 0;
        while let Some(name) = reference.parts.get(done).copied() {
            let object = &schema["$defs"][name];
            writeln!(reference.text, "\n#### {name}\n").unwrap();
            if object.get("description").is_some() {
                writeln!(reference.text, "{}\n", described(object)).unwrap();
            }
            for form in object["oneOf"].as_array().map_or(vec![object], |forms| forms.iter().collect()) {
                reference.members(form);
            }
            done += 1;
        }
        reference.text.push('\n');
        reference.text
    }

    fn members(&mut self, object: &'a Value) {
        self.text.push_str("| member | value | |\n|---|---|---|\n");
        let required: Vec<_> = object["required"].as_array().into_iter().flatten().collect();
        for (name, member) in object["properties"].as_object().unwrap() {
            let mark = if required.iter().any(|known| *known == name) { "" } else { " (optional)" };
            let value = self.value(member);
            writeln!(self.text, "| `{name}`{mark} | {value} | {} |", self.description(member)).unwrap();
        }
        self.text.push('\n');
    }

    /// What a member says of itself, and what its definition adds.
    fn description(&self, member: &Value) -> String {
        let referred = definition_name(member).map(|name| &self.schema["$defs"][name]);
        let scalar = referred.filter(|definition| !is_object(definition));
        let texts = [Some(member), scalar].into_iter().flatten().map(described);
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The form of a value in a few words; objects are linked.
    fn value(&mut self, member: &'a Value) -> String {
        if let Some(name) = definition_name(member) {
            let definition = &self.schema["$defs"][name];
            if !is_object(definition) {
                return self.value(definition);
            }
            if !self.parts.contains(&name) {
                self.parts.push(name);
            }
            return format!("[{name}](#{name})");
        }
        if let Some(constant) = member.get("const") {
            return format!("`{constant}`");
        }
        if let Some(values) = member["enum"].as_array() {
            let values: Vec<_> =
                values.iter().map(|value| format!("`{}`", value.as_str().unwrap())).collect();
            return values.join(", ");
        }
        match member["type"].as_str() {
            Some("array") => format!("list of {}", self.value(&member["items"])),
            Some("object") => {
                let members = member["properties"].as_object().unwrap();
                let members: Vec<_> = members.iter().map(|(name, form)| (name, self.value(form))).collect();
                let members: Vec<_> =
                    members.iter().map(|(name, form)| format!("`{name}`: {form}")).collect();
                format!("{{{}}}", members.join(", "))
            }
            Some("string") => match member["pattern"].as_str() {
                Some(pattern) => format!("`{}`", pattern.replace('|', "\\|")),
                None => "text".to_owned(),
            },
            Some("integer") => match (&member["minimum"], &member["maximum"]) {
                (least, Value::Null) => format!("{least} or more"),
                (least, most) => format!("{least} to {most}"),
            },
            Some(other) => other.to_owned(),
            None => "see the schema".to_owned(),
        }
    }
}

fn is_object(definition: &Value) -> bool {
    definition["type"] == "object" || definition.get("oneOf").is_some()
}

fn described(form: &Value) -> &str {
    form["description"].as_str().unwrap_or_default()
}

fn definition_name(form: &Value) -> Option<&str> {
    form["$ref"].as_str()?.strip_prefix("#/$defs/")
}
