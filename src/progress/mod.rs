//! What is applied, and the proof of it.
