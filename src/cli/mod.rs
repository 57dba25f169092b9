//! The verbs of the `sexton` command, one per file. A verb gets its parsed arguments and what it needs,
//! prints, and returns an exit code: 0 fine, 1 finding, 2 could not run, 3 daemon not reachable.

pub mod check;
