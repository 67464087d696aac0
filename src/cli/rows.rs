//! Tables: columns where the screen is wide enough, and otherwise the last cell of each row on a
//! line of its own, so that no word is broken in the middle.

use crate::base::ui::{Tone, Ui, clean};

/// What a screen holds by default, in characters.
pub(super) const SCREEN: usize = 80;

/// The indentation of a cell that did not fit, behind that of its row.
const FOLDED: usize = 4;

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A cell in the colour of `tone`.
    pub(super) fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self {
            tone: Some(tone),
            ..Self::from(text.as_ref())
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self {
            text: clean(text).replace('\n', " "),
            tone: None,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// The rows, each a line behind `indent` blanks; `width` is that of the screen, where there is one.
/// From the first column that does not fit, each cell has lines of its own.
pub(super) fn lay_out(ui: Ui, rows: &[Vec<Cell>], indent: usize, width: Option<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(Cell::width).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let start = |column: usize| indent + widths[..column].iter().map(|it| it + 2).sum::<usize>();
    let fits = |column: usize, own: usize| width.is_none_or(|most| start(column) + own <= most);
    let first_folded = (1..columns).find(|&column| !fits(column, widths[column]));
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (column, cell) in row.iter().enumerate() {
            // Of a pair each row stands for itself; in a table all rows look alike.
            let folds = match columns {
                2 => column == 1 && !fits(1, cell.width()),
                _ => first_folded.is_some_and(|first| column >= first),
            };
            match folds {
                // A reference is not broken: it is copied.
                true if column + 1 == columns => fold(&mut line, ui, cell, indent, None),
                true => fold(&mut line, ui, cell, indent, width),
                false => {
                    line.push_str(&painted(ui, cell));
                    line.push_str(&" ".repeat(widths[column] - cell.width() + 2));
                }
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Puts `cell` on lines of its own below `line`, its words as many a line as fit.
fn fold(line: &mut String, ui: Ui, cell: &Cell, indent: usize, width: Option<usize>) {
    let before = indent + FOLDED;
    let most = width.map_or(usize::MAX, |width| width.saturating_sub(before));
    let mut lines: Vec<String> = vec![];
    for word in cell.text.split(' ').filter(|_| cell.width() > 0) {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= most => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    for text in lines {
        let part = Cell { text, ..*cell };
        line.truncate(line.trim_end().len());
        line.push_str(&format!("\n{}{}", " ".repeat(before), painted(ui, &part)));
    }
}

fn painted(ui: Ui, cell: &Cell) -> String {
    match cell.tone {
        Some(tone) => ui.paint(tone, &cell.text),
        None => cell.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ui::{Color, Level};

    fn shown(width: Option<usize>) -> String {
        let ui = Ui::new("oc-secrets", Level::Normal, Color::Never);
        let rows = [["A", "found", "op://v/i/f"], ["LONG", "x", ""]];
        let rows = rows.map(|row| row.map(Cell::from).to_vec());
        lay_out(ui, &rows, 2, width)
    }

    #[test]
    fn columns_stand_side_by_side_where_they_fit() {
        let wide = "  A     found  op://v/i/f\n  LONG  x\n";
        assert_eq!(shown(None), wide);
        assert_eq!(shown(Some(25)), wide);
    }

    #[test]
    fn of_pairs_only_the_long_ones_are_folded() {
        let ui = Ui::new("oc-secrets", Level::Normal, Color::Never);
        let rows = [["item", "short"], ["reference", "op://v/i/field"]];
        let rows = rows.map(|row| row.map(Cell::from).to_vec());
        assert_eq!(
            lay_out(ui, &rows, 0, Some(20)),
            "item       short\nreference\n    op://v/i/field\n"
        );
    }

    #[test]
    fn from_the_first_column_that_does_not_fit_each_cell_has_lines_of_its_own() {
        let ui = Ui::new("oc-secrets", Level::Normal, Color::Never);
        let row = [
            "NAME",
            "missing",
            "the item has: one, two",
            "op://v/an item/f",
        ];
        let rows = [row.map(Cell::from).to_vec()];
        assert_eq!(
            lay_out(ui, &rows, 0, Some(22)),
            "NAME  missing\n    the item has: one,\n    two\n    op://v/an item/f\n"
        );
    }

    #[test]
    fn on_a_narrow_screen_the_last_cell_gets_a_line_of_its_own() {
        assert_eq!(
            shown(Some(24)),
            "  A     found\n      op://v/i/f\n  LONG  x\n"
        );
    }
}
