//! Does the documentation show the table of faults as it is?

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;

use super::table;

const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->\n";

fn rendered() -> String {
    let mut text = String::new();
    for (part, rows) in table::parts() {
        write!(
            text,
            "\n**{part}** ({})\n\n| fault | a read is told | a write is told |\n|---|---|---|\n",
            rows.len()
        )
        .unwrap();
        for row in rows {
            let told = |codes: &str| {
                let codes = codes.split(" | ").map(|code| match code.split_once(' ') {
                    Some((code, outcome)) => format!("`{code}`, {outcome}"),
                    None if code == "success" => "DCAMS's answer".to_owned(),
                    None => format!("`{code}`"),
                });
                codes.collect::<Vec<_>>().join(" or ")
            };
            writeln!(text, "| {} | {} | {} |", row.name, told(&row.read), told(&row.write)).unwrap();
        }
    }
    text + "\n"
}

#[test]
fn the_documentation_shows_the_table_of_faults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
    let text = fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (shown, after) = rest.split_once(END).expect("where the table ends");
    let rendered = rendered();
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, [before, BEGIN, &rendered, END, after].concat()).unwrap();
    } else {
        assert!(
            shown == rendered,
            "docs/reliability.md is not the table: see tests/reliability/faults/mod.rs"
        );
    }
}

#[test]
fn the_table_has_more_than_sixty_faults_and_no_name_twice() {
    let mut names = HashSet::new();
    let mut count = 0;
    for (part, rows) in table::parts() {
        for row in rows {
            count += 1;
            assert!(names.insert((part, row.name.clone())), "{}", row.name);
        }
    }
    assert!(count > 60);
}
