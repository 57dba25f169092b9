//! Whatever happens to the file: the history goes on, in a new one if need be, and says so.
