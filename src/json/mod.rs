//! Reading JSON from outside: as a stream, and leniently.

mod element;
mod loose;
mod stream;

pub use element::{Element, Flaw};
pub use loose::{
    brief, exactly_true, flag, fold, kind, long_text, marking, moment, name, number, number_in, number_said, object,
    objects, start, text, texts, truth, whole,
};
pub use stream::{JsonStream, is_place};
