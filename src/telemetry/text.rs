//! OpenMetrics text as Prometheus's older text format 0.0.4, which `promtool check metrics` and small scrapers read.
//!
//! They differ in little: there a family of counters is called by the name of its samples, and there are no units,
//! exemplars or end. Made from the text, so that there is one list of metrics. Called by: `metrics`.

/// The older form of an exposition.
pub(super) fn of_open_metrics(text: &str) -> String {
    let mut older = String::with_capacity(text.len());
    let mut help = "";
    for line in text.lines() {
        match line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')) {
            // The kind comes in the next line, and has a say in the name.
            Some(("HELP", rest)) => help = rest,
            Some(("TYPE", rest)) => {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
                let about = help.strip_prefix(name).unwrap_or_default();
                let name = match kind {
                    "counter" => format!("{name}_total"),
                    _ => name.to_owned(),
                };
                older.push_str(&format!("# HELP {name}{about}\n# TYPE {name} {kind}\n"));
            }
            Some(_) => {}
            None if line == "# EOF" => {}
            None => {
                older.push_str(without_exemplar(line));
                older.push('\n');
            }
        }
    }
    older
}

/// A sample without what follows its value. Label values may hold anything, but quotes are escaped.
fn without_exemplar(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (at, each) in line.char_indices() {
        match each {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return line[..at].trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_changes() {
        let text = "# HELP a_seconds Time of \"#\" it.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
            a_seconds_bucket{le=\"1.0\"} 4 # {trace_id=\"0a\"} 0.5 1.5\na_seconds_sum 2.5\n\
            # HELP b Things.\n# TYPE b counter\nb_total{of=\"# {\\\" # \"} 1 # {trace_id=\"0a\"} 1.0\n# EOF\n";
        let older = "# HELP a_seconds Time of \"#\" it.\n# TYPE a_seconds histogram\n\
            a_seconds_bucket{le=\"1.0\"} 4\na_seconds_sum 2.5\n\
            # HELP b_total Things.\n# TYPE b_total counter\nb_total{of=\"# {\\\" # \"} 1\n";
        assert_eq!(of_open_metrics(text), older);
    }
}
