//! In which of the two text formats are metrics shown?

use std::fmt::Write;

/// A format of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, for who asks for it, as Prometheus does.
    OpenMetrics,
    /// Prometheus text 0.0.4, for everybody else.
    Classic,
}

impl Format {
    /// What `Accept` asks for.
    #[must_use]
    pub fn asked_for(accept: &str) -> Self {
        let open = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named =
                parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            named && parts.all(|parameter| !matches!(parameter, "q=0" | "q=0.0"))
        });
        if open { Self::OpenMetrics } else { Self::Classic }
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Rewrites OpenMetrics as Prometheus text 0.0.4. They differ in that a counter's family bears the name of
/// its samples there, with `_total`, and that units and an end are not known.
pub(super) fn classic(open: &str) -> String {
    let counter = |line: &str| line.strip_prefix("# TYPE ")?.strip_suffix(" counter").map(str::to_owned);
    let counters: Vec<String> = open.lines().filter_map(counter).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        let (mark, what, name, rest) = (words.next(), words.next(), words.next(), words.next());
        // Writing into a String cannot fail.
        let _ = match (mark, what, name, rest) {
            (Some("#"), Some(what), Some(name), Some(rest))
                if counters.iter().any(|counter| counter == name) =>
            {
                writeln!(text, "# {what} {name}_total {rest}")
            }
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::asked_for(prometheus), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain", "application/openmetrics-text;q=0"] {
            assert_eq!(Format::asked_for(other), Format::Classic, "{other}");
        }
    }

    #[test]
    fn a_counter_is_named_as_its_samples_in_the_classic_format() {
        let open = "# HELP requests Requests that ended.\n# TYPE requests counter\nrequests_total{a=\"b c\"} 1\n\
                    # HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\nage_seconds 2\n# EOF\n";
        let expected = "# HELP requests_total Requests that ended.\n# TYPE requests_total counter\n\
                        requests_total{a=\"b c\"} 1\n# HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 2\n";
        assert_eq!(classic(open), expected);
    }
}
