//! One line of CSV, as `op item get --fields` prints it for humans.

/// Joins the values; one that holds a comma, a line break or a quote is quoted, also when alone.
pub fn line(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| quote(value)).collect();
    quoted.join(",")
}

fn quote(value: &str) -> String {
    if value.contains([',', '\n', '\r', '"']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn quotes_what_would_be_misread() {
        let line =
            |values: &[&str]| line(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["admin", "a b"]), "admin,a b");
        assert_eq!(line(&["tok,en"]), "\"tok,en\"");
        assert_eq!(line(&["a\"b", "c\nd"]), "\"a\"\"b\",\"c\nd\"");
        assert_eq!(line(&["", ""]), ",");
    }
}
