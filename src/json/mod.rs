//! Reading JSON from outside: as a stream, and leniently.

mod loose;
mod stream;

pub use loose::{
    elements, exactly_true, flag, kind, long_text, marking, moment, number, number_in, object, objects, text, texts,
    truth, whole,
};
pub use stream::{Each, Element, Hand, LARGEST_ELEMENT, Path, Source};
