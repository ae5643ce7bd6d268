//! Reading JSON from outside: as a stream, and leniently.

mod element;
mod loose;
mod stream;

pub use element::{Element, Flaw};
pub use loose::{
    short_text, exactly_true, flag, fold_objects, describe_kind, long_text, marking, timestamp, name, number, parse_number, strict_number, object,
    objects, leading_text, text, texts, parse_bool, float_to_integer,
};
pub use stream::{JsonStream, is_list_index};
