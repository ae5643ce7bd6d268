//! Reading JSON from outside: as a stream, and leniently.

mod loose;
mod stream;

pub use loose::{
    brief, exactly_true, flag, fold, kind, long_text, marking, moment, number, number_in, object, objects, start, text,
    texts, truth, whole,
};
pub use stream::{Element, Flaw, Source, is_place};
