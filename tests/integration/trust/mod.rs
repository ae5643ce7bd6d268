//! What strangers write is no order, and what must not leave does not.

pub(crate) mod echoed_keys;
pub(crate) mod foreign_tags;
pub(crate) mod hostile;
pub(crate) mod inert_text;
pub(crate) mod secrets_in_content;
pub(crate) mod strangers;
