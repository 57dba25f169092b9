//! What the terminal can show: colours, Unicode, how wide.

use std::io::IsTerminal;

/// Width when nothing says.
const WIDTH: usize = 100;

/// What standard output can show.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// ANSI colours: a terminal, and NO_COLOR is not set.
    pub colour: bool,
    /// The locale has Unicode.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
    /// Columns at which lines are cut; `None`: what is piped stays whole.
    pub lines: Option<usize>,
}

impl Terminal {
    /// Asks the environment.
    pub fn ask() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let is_dumb = set("TERM").is_some_and(|t| t == "dumb");
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        let asked = set("COLUMNS").and_then(|c| c.parse().ok());
        let width = asked.or(size.map(|s| usize::from(s.ws_col))).filter(|w| *w > 0).unwrap_or(WIDTH);
        let unicode = !is_terminal || locale.to_ascii_uppercase().replace('-', "").contains("UTF8");
        let lines = is_terminal.then_some(width);
        Self { colour: is_terminal && !is_dumb && set("NO_COLOR").is_none(), unicode, width, lines }
    }
}
