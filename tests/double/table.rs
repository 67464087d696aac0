//! Columns for humans: each but the last is padded to its widest cell and four spaces.

/// Lays out the rows, one line each.
pub fn lay_out(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}    ", width = *width));
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn pads_to_the_widest_cell() {
        let rows = [["a:", "1"], ["long:", "2"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(super::lay_out(&rows), "a:       1\nlong:    2\n");
    }
}
