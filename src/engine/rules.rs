//! State machines per rule, bound instance and step.
