//! Plain tables for terminals: columns as wide as they need to be, the last one takes the rest.

/// Lays out rows under each other, two spaces between columns, indented by two.
pub fn lay_out(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            text.push(' ');
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 1 - cell.chars().count()));
        }
        text.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let text = lay_out(&[row(&["P1", "INC000001", "größer"]), row(&["P22", "x", "y"])]);
        assert_eq!(text, "  P1   INC000001  größer\n  P22  x          y\n");
    }
}
