//! Claims about the walk: bounds, flaws, and that all else is read as it is written.

use super::scan::{LARGEST_ELEMENT, VALUE};
use super::*;
use crate::misp::wire::{Attribute, Event, Tag};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The elements of a list: their names, or what is wrong with them.
fn collect_tag_names(body: impl Read) -> Result<Vec<Result<String, String>>> {
    let mut elements = Vec::new();
    let mut source = JsonStream::new(body);
    source.for_each_at(&[], &mut |element: Element<Tag>| {
        elements.push(match element {
            Element::Good(tag) => Ok(tag.name),
            Element::Bad(flaw) => Err(flaw.describe("it")),
        });
        Ok(())
    })?;

    source.require_end()?;

    Ok(elements)
}

/// Hands over a body in pieces of some bytes.
struct Pieces<'b>(&'b [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let number = self.1.min(self.0.len()).min(buffer.len());
        let (now, later) = self.0.split_at(number);
        buffer[..number].copy_from_slice(now);
        self.0 = later;

        Ok(number)
    }
}

#[test]
fn a_bad_element_costs_itself_wherever_it_breaks() {
    for (bad, why) in [
        (r#""text""#, "it is a text, not an object"),
        ("[[{}]]", "it is a list, not an object"),
        ("-7.5", "it is a number, not an object"),
        ("null", "it is null, not an object"),
        (
            r#"{"uuid": "u", "name": "\ud800"}"#,
            "it (uuid u) cannot be read: unexpected end of hex escape",
        ),
        (
            r#"{"name": "\ud800x", "deep": [{"uuid": "w"}], "uuid": "u"}"#,
            "it (uuid u) cannot be read: unexpected end of hex escape",
        ),
        (
            r#"{"id": 7, "name": 1e999}"#,
            "it (id 7) cannot be read: number out of range",
        ),
        (
            r#"{"name": 1e999, "id": 7, "x": "y"}"#,
            "it (id 7) cannot be read: number out of range",
        ),
        (
            r#"{"name": "a", "name": "b"}"#,
            "it cannot be read: duplicate field `name`",
        ),
        (r#"{"name": nonsense}"#, "it cannot be read: expected ident"),
        (r#"{"name" 7}"#, "it cannot be read: expected `:`"),
        (
            r#"{"name": "a" "colour": "b"}"#,
            "it cannot be read: expected `,` or `}`",
        ),
        (r#"{7: "a"}"#, "it cannot be read: expected a key"),
        (r#"{"name": ,}"#, "it cannot be read: expected value"),
        ("nonsense {}", "it cannot be read: expected ident"),
    ] {
        let body = format!("[{{\"name\": \"one\"}}, {bad}, {{\"name\": \"two\"}}]");
        for size in [1, 2, 7, 1 << 20] {
            let elements = collect_tag_names(Pieces(body.as_bytes(), size)).unwrap();
            let ok = |name: &str| Ok(name.to_owned());
            assert_eq!(
                elements,
                [ok("one"), Err(why.to_owned()), ok("two")],
                "{bad}"
            );
        }
    }

    let bytes = b"[{\"name\": \"\xff\"}, {\"name\": \"two\", \"ignored\": \"\xff\"}]";
    let elements = collect_tag_names(bytes.as_slice()).unwrap();
    assert_eq!(
        elements,
        [
            Err("it cannot be read: a text is no UTF-8".to_owned()),
            Ok("two".to_owned())
        ]
    );
}

#[test]
fn what_is_passed_over_is_neither_read_nor_counted() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("\"{}\"", "x".repeat(2 * LARGEST_ELEMENT));
    let many = format!("[{}1]", "{\"a\":1},".repeat(100_000));

    for ignored in [
        &deep,
        &long,
        &many,
        &r#""\ud800""#.to_owned(),
        &"1e999".to_owned(),
        &"[nonsense]".to_owned(),
    ] {
        let body = format!("[{{\"x\": {ignored}, \"name\": \"one\", \"y\": {ignored}}}]");
        assert_eq!(
            collect_tag_names(body.as_bytes()).unwrap(),
            [Ok("one".to_owned())]
        );
    }

    // A used field of another kind is passed over too.
    assert_eq!(
        collect_tag_names(format!("[{{\"name\": {deep}}}]").as_bytes()).unwrap(),
        [Ok(String::new())]
    );
}

#[test]
fn a_text_and_an_element_have_a_bound_and_what_is_above_it_costs_itself() {
    let name = |length: usize| format!("{{\"name\": \"{}\"}}", "x".repeat(length));
    let body = format!(
        "[{}, {}, {}]",
        name(1 << 20),
        name((1 << 20) + 1),
        name(LARGEST_ELEMENT)
    );

    let elements = collect_tag_names(body.as_bytes()).unwrap();
    assert!(elements[0].is_ok());
    assert_eq!(
        elements[1],
        Err("it cannot be read: a text has more than 1024 KiB".to_owned())
    );
    assert_eq!(
        elements[2],
        Err("it cannot be read: a text has more than 16 MiB".to_owned())
    );
    let escaped = format!(
        "[{{\"name\": \"{}\"}}, {{\"name\": \"two\"}}]",
        "x".repeat(LARGEST_ELEMENT) + "\\n"
    );
    assert_eq!(
        collect_tag_names(escaped.as_bytes()).unwrap()[1],
        Ok("two".to_owned())
    );
    // So many tags as fit.
    let fits = (LARGEST_ELEMENT - 200) / (3 * VALUE + 2);

    let with = |tags: usize| {
        format!(
            "[{{\"Tag\": [{}{{}}]}}, {{}}]",
            "{\"name\": \"a\", \"colour\": \"b\"},".repeat(tags)
        )
    };

    let read = |body: String| {
        let mut flaws = Vec::new();

        let mut on = |element: Element<Event>| {
            flaws.push(if let Element::Bad(flaw) = element {
                flaw.describe("it")
            } else {
                String::new()
            });

            Ok(())
        };

        JsonStream::new(body.as_bytes())
            .for_each_at(&[], &mut on)
            .unwrap();
        flaws
    };

    assert_eq!(read(with(fits)), ["", ""]);
    assert_eq!(
        read(with(fits + 2)),
        ["it cannot be read: it has more than 16 MiB", ""]
    );
}

#[test]
fn what_is_only_counted_is_not_kept() {
    const NUMBER: usize = 200_000;

    let list = |one: &str| format!("[{}{one}]", format!("{one},").repeat(NUMBER - 1));
    let sightings = list(r#"{"type": "0", "source": "a source of some length"}"#);
    let body = format!("[{{\"Sighting\": {sightings}, \"value\": \"v\"}}]");

    let mut on = |element: Element<Attribute>| {
        let attribute = element.into_option().unwrap();
        assert_eq!(
            (attribute.sightings.seen, attribute.value.as_str()),
            (NUMBER as u64, "v")
        );
        Ok(())
    };

    JsonStream::new(body.as_bytes())
        .for_each_at(&[], &mut on)
        .unwrap();
}

#[test]
fn large_elements_of_a_list_share_what_it_may_keep() {
    let element =
        |length: usize| format!("{{\"uuid\": \"u\", \"name\": \"{}\"}}", "x".repeat(length));
    let list = |elements: &[String]| format!("[{}]", elements.join(","));
    let body = list(&[vec![element(1 << 20); 33], vec![element(100); 500]].concat());
    let collect = |body: &str, most| {
        JsonStream::new(body.as_bytes()).collect(&[], most, &mut Some::<Element<Tag>>)
    };
    let elements = collect(&body, 1_000).unwrap();
    let bad: Vec<_> = elements
        .iter()
        .filter(|one| matches!(one, Element::Bad(_)))
        .collect();
    let Element::Bad(flaw) = bad[0] else { panic!() };
    assert_eq!((elements.len(), bad.len()), (533, 2), "31 and a bit fit");
    assert_eq!(
        flaw.describe("a tag"),
        "a tag (uuid u) cannot be read: there is no room for it beside other large ones"
    );
    let error = collect(&list(&vec![element(1); 11]), 10).unwrap_err();

    assert_eq!(
        error.to_string(),
        "the server sends more than the 10 elements asked for"
    );
}

#[test]
fn a_body_has_a_limit_even_if_nothing_of_it_is_kept() {
    let body = io::Cursor::new("[".to_owned() + &"{},".repeat(1 << 20));

    let error = JsonStream::with_limit(body, 1 << 20)
        .for_each_at(&[], &mut |_: Element<Tag>| Ok(()))
        .unwrap_err();
    assert_eq!(error.to_string(), "it has more than 1 MiB");
}

#[test]
fn a_list_may_be_written_as_an_object_of_places() {
    assert_eq!(
        collect_tag_names("{\"0\": {}, \"2\": {\"name\": 7}, \"3\": 1}".as_bytes())
            .unwrap()
            .len(),
        3
    );

    assert_eq!(collect_tag_names("{}".as_bytes()).unwrap().len(), 0);
    assert_eq!(collect_tag_names(" null ".as_bytes()).unwrap().len(), 0);

    for body in [
        "{\"message\": \"no\"}",
        "{\"\": 1}",
        "{\"0\": {}, \"-1\": {}}",
        "\"\"",
        "7",
        "true",
    ] {
        let error = collect_tag_names(body.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("expected a list"), "{error}");
    }
}

#[test]
fn a_body_goes_on_to_its_very_end() {
    assert_eq!(
        collect_tag_names("[{}, 1, null, {\"name\": 7}] ".as_bytes())
            .unwrap()
            .len(),
        4
    );

    for body in [
        "[{}] x",
        "[{}",
        "[{\"name\": \"",
        "[{\"name\": \"\\",
        "[{\"name\"",
        "[",
        "",
        "[{\"x\": [",
        "[{} {}]",
    ] {
        assert!(collect_tag_names(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn an_encoding_that_is_none_of_json_is_named() {
    let check = |body: &[u8]| {
        JsonStream::new(body)
            .check_encoding()
            .map_err(|error| error.to_string())
    };

    assert!(check(b"{}").is_ok() && check("\u{feff}{}".as_bytes()).is_ok() && check(b"").is_ok());
    for start in [b"\xff\xfe{\0".as_slice(), b"\xfe\xff\0{", b"{\0}\0"] {
        assert!(check(start).unwrap_err().contains("UTF-16"));
    }
    assert!(check(b"\x1f\x8b\x08").unwrap_err().contains("gzip"));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |number| number.is_finite().then(|| json!(number))),
        ".{0,20}".prop_map(Value::from),
        Just(json!("x".repeat(3 * BUFFER))),
    ];

    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..8).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// What is read is what `serde_json` reads, however it comes.
    #[test]
    fn a_value_is_read_as_it_is_written(value in json_value(), size in 1usize..100, is_pretty: bool) {
        let text = if is_pretty { format!("{value:#}") } else { value.to_string() };
        let read: Value = JsonStream::new(Pieces(text.as_bytes(), size)).read_whole().unwrap();
        prop_assert_eq!(&read, &serde_json::from_str::<Value>(&text).unwrap());
        let mut source = JsonStream::new(Pieces(text.as_bytes(), size));
        source.skip_value().unwrap();
        prop_assert!(source.require_end().is_ok());
    }

    /// Whatever is done to an element, those around it are read.
    #[test]
    fn a_spoilt_element_is_in_nobodys_way(value in json_value(), at in 0usize..200, by in "[a-z0-9:,. ]{0,3}") {
        let mut text = json!({"name": value}).to_string();
        let at = text.floor_char_boundary(at.min(text.len() - 1)).max(1);
        // Between a backslash and the quote that it is for, a sign would make of that quote the end
        // of the text.
        let escapes = text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        let at = at - escapes % 2;
        text.insert_str(at, &by);
        // A sign within a text is only another text.
        let body = format!("[{{\"name\": \"one\"}}, {text}, {{\"name\": \"two\"}}]");
        let elements = collect_tag_names(body.as_bytes()).unwrap();
        prop_assert_eq!(elements.len(), 3);
        prop_assert_eq!(elements.first(), Some(&Ok("one".to_owned())));
        prop_assert_eq!(elements.last(), Some(&Ok("two".to_owned())));
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"[]{}\",:\\u0 e".to_vec())], 0..200)) {
        let _ = collect_tag_names(bytes.as_slice());
    }
}
