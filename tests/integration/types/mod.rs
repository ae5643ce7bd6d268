//! Tests of the mapping, through its public functions only.

mod corpus;
mod export;
mod import;
mod page;
mod properties;
mod validation;
