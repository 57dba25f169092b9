//! Documents as the daemon gives them, and the lines that are made of them.
