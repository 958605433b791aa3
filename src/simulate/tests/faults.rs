//! Does each fault do what it says?
