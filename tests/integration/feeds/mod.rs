//! MISP feeds, in a folder and on a web server.

pub(crate) mod folders;
pub(crate) mod web;
