//! Logs: one sentence plus fields, on stderr.
//!
//! When stderr is the journal, which stamps the time, each line carries only the priority prefix of
//! sd-daemon(3); elsewhere an event carries the time of day. Secrets never reach this file: they are
//! [`secrecy::SecretString`] and print as redacted.

use std::fmt;
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, time::FormatTime, time::SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging for this process: our own events from `level` up, those of libraries from warnings up.
pub fn init(level: Level) {
    let journal = is_journal(std::io::stderr());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .fmt_fields(DefaultFields::new())
        .event_format(Line { journal });
    let filter = Targets::new().with_default(Level::WARN).with_target("sexton", level);
    // A second call (tests) finds a subscriber in place and leaves it.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

/// Prints why the process cannot go on: for a person on a terminal behind `prefix`, as an error in the
/// journal, which knows who speaks.
pub fn last_words(prefix: &str, why: &str) {
    if is_journal(std::io::stderr()) {
        tracing::error!("{why}");
    } else {
        eprintln!("{prefix}{why}");
    }
}

/// Whether `file` leads to the journal. The variable alone says nothing: whoever is started by a service and
/// redirected to a file inherits it.
fn is_journal(file: impl AsFd) -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(file).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

struct Line {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (priority, word) = match *event.metadata().level() {
            Level::ERROR => (3, "error"),
            Level::WARN => (4, "warning"),
            Level::INFO => (6, "info"),
            _ => (7, "debug"),
        };
        if self.journal {
            // Each line is an entry of its own there; without a prefix the rest would be mere information.
            let mut text = String::new();
            context.format_fields(Writer::new(&mut text), event)?;
            return text.lines().try_for_each(|line| writeln!(writer, "<{priority}>{line}"));
        }
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {word}: ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(journal: bool, tell: impl FnOnce()) -> String {
        let buffer = Shared::default();
        let writer = buffer.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(DefaultFields::new())
            .event_format(Line { journal });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), tell);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn every_line_of_a_message_has_its_priority_in_the_journal() {
        let refused =
            || tracing::error!("the configuration is refused\nerror: no such signal\n --> a.toml:6:10");
        assert_eq!(
            written(true, refused),
            "<3>the configuration is refused\n<3>error: no such signal\n<3> --> a.toml:6:10\n"
        );
        let rules = 29;
        assert_eq!(
            written(true, || tracing::info!(rules, "sexton is watching")),
            "<6>sexton is watching rules=29\n"
        );
        let on_a_terminal = written(false, refused);
        assert!(on_a_terminal.contains("Z error: the configuration is refused\nerror: no such signal\n"));
    }

    #[test]
    fn a_file_is_not_the_journal() {
        assert!(!is_journal(tempfile::tempfile().unwrap()));
    }
}
