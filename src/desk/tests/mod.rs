//! The desk as a whole: a real listener on loopback, a real database in a throw-away directory, a real client.

mod sample;
