//! Several connections: options of their own, TheHive organisations that may use them, and one that fails beside others.

mod organisations;
mod own;
mod together;
