//! What keeps a raise from becoming an incident, proven: a story in, what people see out.
//!
//! The real engine goes by a configuration in TOML; its state rows are kept as the store keeps them, so that
//! a story can restart it anywhere. See `suppress/stage.rs` for the language of the stories.

#[path = "suppress/depends.rs"]
mod depends;
#[path = "suppress/explained.rs"]
mod explained;
#[path = "suppress/stage.rs"]
mod stage;
#[path = "suppress/windows.rs"]
mod windows;
