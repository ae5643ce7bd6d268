//! A job from its first byte to the last of its report: what cannot be read, signals, a terminal, a schedule.

pub(crate) mod case_folders;
pub(crate) mod now_export;
pub(crate) mod now_import;
pub(crate) mod signals;
pub(crate) mod terminal;
pub(crate) mod unreadable;
pub(crate) mod unset_options;
