//! Labelled windows: when something was really wrong with a recorded series, as people or faults injected
//! say.
//!
//! A CSV file with the columns `series` (name of the file without its ending; of the host's own history
//! `history`), `start`, `end` and, if wanted, `subject` (columns of that file or signals, joined by `+`). A
//! window without an end is a point.

use std::path::Path;

use super::csv::{Table, time};

/// A labelled window, in ns since 1970.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Name of the series.
    pub series: String,
    /// Columns, signals (`cpu.busy`) or series (`fs.used{mount=/}`) it is about; empty: all.
    pub subject: Vec<String>,
    /// Start.
    pub from: i64,
    /// End; the start for a point.
    pub to: i64,
}

impl Window {
    /// Whether it is about that column of that series.
    pub fn is_about(&self, series: &str, column: &str) -> bool {
        self.series == series && (self.subject.is_empty() || self.subject.iter().any(|s| s == column))
    }

    /// As it is told of: `web-1`, `web-1 (m01+m02)`.
    pub fn name(&self) -> String {
        if self.subject.is_empty() {
            return self.series.clone();
        }
        format!("{} ({})", self.series, self.subject.join("+"))
    }
}

/// Reads a file of labels.
///
/// # Errors
/// It cannot be read, lacks a column, or has a time that is none.
pub fn read(path: &Path) -> Result<Vec<Window>, String> {
    windows(&Table::read(path)?)
}

fn windows(table: &Table) -> Result<Vec<Window>, String> {
    let need = |name: &str| {
        let missing =
            || format!("{}: no column `{name}`; labels have series, start, end", table.path.display());
        table.column(name).ok_or_else(missing)
    };
    let (series, start) = (need("series")?, need("start")?);
    let (end, subject) = (table.column("end"), table.column("subject"));
    let mut all = Vec::new();
    for (line, row) in table.rows() {
        let field = |at: usize| row.get(at).map_or("", |f| f.trim());
        let stamp = |at: usize| time(field(at)).map(|s| s.0).map_err(|what| table.wrong(line, what));
        let from = stamp(start)?;
        let to = match end.filter(|at| !field(*at).is_empty()) {
            Some(at) => stamp(at)?.max(from),
            None => from,
        };
        let subject = subject.map_or("", field).split('+').map(str::trim).filter(|s| !s.is_empty());
        let subject = subject.map(str::to_owned).collect();
        all.push(Window { series: field(series).to_owned(), subject, from, to });
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_name_their_series_and_columns() {
        let text = "series,subject,start,end,kind\na,,1970-01-01T00:00:10Z,1970-01-01T00:00:20Z,window\nb,m01+m02,30,,point\n";
        let all = windows(&Table::parse(Path::new("labels.csv"), text.to_owned()).unwrap()).unwrap();
        assert_eq!((all[0].from, all[0].to), (10_000_000_000, 20_000_000_000));
        assert_eq!((all[1].from, all[1].to), (30_000_000_000, 30_000_000_000));
        assert!(all[0].is_about("a", "value") && !all[0].is_about("b", "value"));
        assert!(all[1].is_about("b", "m02") && !all[1].is_about("b", "m03"));
        let bad = Table::parse(Path::new("l.csv"), "series,start\na,soon\n".to_owned()).unwrap();
        assert!(windows(&bad).unwrap_err().starts_with("l.csv:2: `soon` is no time"));
    }
}
