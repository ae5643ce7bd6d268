//! Reading JSON from outside: as a stream, and leniently.

mod element;
mod lenient;
mod stream;

pub use element::{ByShape, Element, Flaw, Scalar, Shape, is_cut_short};
pub use lenient::{
    describe_kind, exactly_true, flag, float_to_integer, fold_objects, leading_text, long_text,
    marking, name, number, object, object_or_default, objects, parse_bool, parse_number, set,
    short_text, strict_number, text, texts, timestamp,
};
pub use stream::{JsonStream, is_list_index};
