//! What goes wrong with a request: what it means for what is asked and written next, and in words
//! that say what to do.

use std::fmt;

use serde_json::Value;
use url::Url;

use super::tls::recognise_page;
use crate::json::is_cut_short;
use crate::secret::truncate_text;
use crate::text::one_line;

/// What is said of an answer that did not come to its end.
pub(super) const BROKE_OFF: &str = "the answer broke off";
/// How much of a server's own words is repeated, in characters.
pub(super) const WORDS: usize = 1_000;

/// A request that was not answered as it should be.
#[derive(Clone, Debug)]
pub struct HttpError {
    pub(super) line: Box<str>,
    /// What went wrong.
    pub cause: HttpErrorKind,
    /// What can be done about it; empty if nothing is known.
    pub(super) help: Box<str>,
    /// The server cannot have seen it: there was no connection to it.
    pub(super) is_unsent: bool,
}

/// What went wrong with a request.
#[derive(Clone, Debug)]
pub enum HttpErrorKind {
    /// No answer: name, network, certificate or time.
    Unreachable(String),
    /// A connection that broke off before the answer came, or a file that broke off.
    Broken(String),
    /// A file that is larger than so many bytes, which are as many as are wanted.
    TooLarge(u64),
    /// The server points elsewhere.
    Redirected {
        /// 301, 302, …
        status: u16,
        /// Where it points.
        to: String,
    },
    /// The server says no.
    Refused {
        /// 400 and above.
        status: u16,
        /// Whose refusal it is.
        kind: RefusalKind,
        /// Its words.
        message: String,
        /// Its `errors`, where it lists them.
        errors: Box<Value>,
        /// True if it has a `Location` header, as some of MISP's.
        has_location: bool,
        /// Seconds after which it may be asked again, if it says that.
        wait: Option<u32>,
    },
    /// A good status, but no JSON; the text is the content type.
    NotJson(String),
    /// The run's deadline passed before it was sent.
    Deadline,
}

/// Whose refusal an answer is, as far as it shows that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RefusalKind {
    /// That of an API that names no kind, as MISP.
    #[default]
    Plain,
    /// TheHive's, by the name that it has there: `CreateError`.
    Named(Box<str>),
    /// A web page: a website's or a proxy's, and not an API's word.
    Page,
}

impl HttpError {
    pub(super) fn new(line: String, cause: HttpErrorKind) -> Self {
        let is_unsent = matches!(cause, HttpErrorKind::Deadline);
        Self {
            line: line.into(),
            cause,
            help: Box::default(),
            is_unsent,
        }
    }

    /// The same of a request that no server can have seen.
    #[must_use]
    pub(super) fn mark_unsent(self) -> Self {
        Self {
            is_unsent: true,
            ..self
        }
    }

    /// A request that is not sent, since it could not be right.
    #[must_use]
    pub fn not_sent(line: impl Into<String>, why: &str) -> Self {
        Self::new(
            line.into(),
            HttpErrorKind::Unreachable(format!("not sent: {why}")),
        )
        .mark_unsent()
    }

    /// A request whose answer could not be read to its end, or was none.
    #[must_use]
    pub fn unreadable_answer(line: impl Into<String>, error: &anyhow::Error) -> Self {
        Self::new(
            line.into(),
            HttpErrorKind::Broken(format!("reading the answer: {}", error.root_cause())),
        )
    }

    /// Adds what can be done about it, unless more is known already.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        if self.help.is_empty() {
            Self {
                help: help.into().into(),
                ..self
            }
        } else {
            self
        }
    }

    /// True if the server wants to be asked by https at the same host, and was by http.
    pub fn is_redirect_to_https(&self) -> bool {
        let HttpErrorKind::Redirected { to, .. } = &self.cause else {
            return false;
        };
        let asked = self.line.split_once(' ').map(|(_, url)| Url::parse(url));
        match (asked, Url::parse(to)) {
            (Some(Ok(asked)), Ok(to)) => {
                (asked.scheme(), to.scheme()) == ("http", "https") && asked.host() == to.host()
            }
            _ => false,
        }
    }

    /// True for a web page: a website's, or that of a proxy or login that stands before a server.
    pub fn is_page(&self) -> bool {
        match &self.cause {
            HttpErrorKind::Refused { kind, .. } => *kind == RefusalKind::Page,
            HttpErrorKind::NotJson(kind) => kind.contains("html"),
            HttpErrorKind::Unreachable(_)
            | HttpErrorKind::Broken(_)
            | HttpErrorKind::TooLarge(_)
            | HttpErrorKind::Redirected { .. }
            | HttpErrorKind::Deadline => false,
        }
    }

    /// The request that failed, if an error is about one.
    pub fn of(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }

    /// The status of a refusal; none for the other causes.
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            HttpErrorKind::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The status by which a server refused what an error is about.
    pub fn status_of(error: &anyhow::Error) -> Option<u16> {
        Self::of(error)?.status()
    }

    /// False if the server cannot have seen the request.
    pub fn was_sent(&self) -> bool {
        !self.is_unsent
    }

    /// True if the server may still be at work on it: a gateway gave up waiting, or the answer was
    /// lost. A server that names the kind of what went wrong has ended the work itself, and whoever
    /// is asked too often (429) has done none.
    pub fn may_still_run(&self) -> bool {
        let is_over = matches!(
            self.cause,
            HttpErrorKind::Refused { status: 429, .. }
                | HttpErrorKind::Refused {
                    kind: RefusalKind::Named(_),
                    ..
                }
        );
        self.was_sent() && !is_over
    }

    /// True if something may have been written: the server did not say no.
    pub fn may_have_written(&self) -> bool {
        match self.cause {
            // A server may break down, or a gateway give up, after something was written.
            HttpErrorKind::Refused { status, .. } => status >= 500,
            // A redirect is not followed, so nobody has taken the request.
            HttpErrorKind::Redirected { .. } | HttpErrorKind::Deadline => false,
            HttpErrorKind::Unreachable(_)
            | HttpErrorKind::Broken(_)
            | HttpErrorKind::TooLarge(_)
            | HttpErrorKind::NotJson(_) => true,
        }
    }

    /// True for a no that will be the same next time: 4xx, but not 429.
    pub fn is_permanent(&self) -> bool {
        self.status()
            .is_some_and(|status| status < 500 && status != 429)
    }

    /// True if the server does not show what was asked for, and will not later either.
    pub fn is_hidden(&self) -> bool {
        match self.cause {
            HttpErrorKind::Refused { status, .. } => !matches!(status, 429 | 502..=504),
            HttpErrorKind::Redirected { .. } | HttpErrorKind::NotJson(_) => true,
            HttpErrorKind::Unreachable(_)
            | HttpErrorKind::Broken(_)
            | HttpErrorKind::TooLarge(_)
            | HttpErrorKind::Deadline => false,
        }
    }

    /// What went wrong, in a word, if it may go better when it is asked again, and after how many
    /// seconds the server wants to be.
    fn retry(&self) -> Option<(String, Option<u32>)> {
        match self.cause {
            HttpErrorKind::Refused {
                status: 429, wait, ..
            } => Some(("429".to_owned(), wait)),
            HttpErrorKind::Refused {
                status: status @ 502..=504,
                ..
            } => Some((status.to_string(), None)),
            HttpErrorKind::Broken(_) => Some(("broken connection".to_owned(), None)),
            _ => None,
        }
    }

    /// True if the server broke down over what it was asked.
    fn is_breakdown(&self) -> bool {
        matches!(
            self.cause,
            HttpErrorKind::Broken(_)
                | HttpErrorKind::Refused {
                    status: 500 | 502 | 504,
                    ..
                }
        )
    }
}

/// What went wrong with a question, in a word, if it may go better when it is put again, and after
/// how many seconds the server wants to be asked.
pub(super) fn retry_reason(error: &anyhow::Error) -> Option<(String, Option<u32>)> {
    match HttpError::of(error) {
        Some(failure) => failure.retry(),
        None => broke_off(error).then(|| ("broken answer".to_owned(), None)),
    }
}

/// True if a server broke down over what it was asked, so that less of it may be worth asking for:
/// it says so, or the process that was at it died, as PHP does where its memory ends, and left no
/// answer or the beginning of one.
pub fn is_breakdown(error: &anyhow::Error) -> bool {
    match HttpError::of(error) {
        Some(failure) => failure.is_breakdown(),
        None => is_cut_short(error) || broke_off(error),
    }
}

/// True for the error of a body that broke off. It may have come through readers that keep nothing
/// of it but its words.
fn broke_off(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains(BROKE_OFF)
}

impl std::error::Error for HttpError {}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;

        match &self.cause {
            HttpErrorKind::Unreachable(why) | HttpErrorKind::Broken(why) => f.write_str(why),
            HttpErrorKind::TooLarge(most) => write!(f, "the answer is larger than {most} bytes"),
            HttpErrorKind::Redirected { status, to } if to.is_empty() => {
                write!(
                    f,
                    "{status}: the server redirects without saying where to: check the URL"
                )
            }
            // Where something is known of it, its address is no remedy.
            HttpErrorKind::Redirected { status, to } if !self.help.is_empty() => {
                write!(f, "{status}: the server redirects to {}", to_short_line(to))
            }
            HttpErrorKind::Redirected { status, to } => {
                write!(
                    f,
                    "{status}: the server redirects to {}, which is not followed: give the final \
                     URL, or have this machine let through if that is a login page",
                    to_short_line(to)
                )
            }
            HttpErrorKind::Refused {
                status,
                message,
                errors,
                ..
            } => {
                // Our help follows behind a colon, which a full stop must not stand before.
                let is_followed = errors.is_null() && !self.help.is_empty();

                write!(
                    f,
                    "{status}: {}",
                    if is_followed {
                        message.trim_end_matches('.')
                    } else {
                        message
                    }
                )?;

                if errors.is_null() {
                    Ok(())
                } else {
                    write!(f, " ({})", to_short_line(&describe_errors(errors)))
                }
            }
            HttpErrorKind::NotJson(kind) if kind.is_empty() => {
                f.write_str("the answer is not JSON: this URL is not that of an API")
            }
            HttpErrorKind::NotJson(kind) => {
                write!(
                    f,
                    "the answer is {}, not JSON: this URL is not that of an API",
                    to_short_line(kind)
                )
            }
            HttpErrorKind::Deadline => f.write_str("not sent: the deadline of the run has passed"),
        }?;

        if self.help.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.help)
        }
    }
}

/// A server's `errors`, whatever their shape, as plain words: a text, a list, or an object of
/// lists.
#[must_use]
pub fn describe_errors(errors: &Value) -> String {
    match errors {
        Value::String(text) => unescape_html(text),
        Value::Array(list) => list
            .iter()
            .map(describe_errors)
            .collect::<Vec<_>>()
            .join("; "),
        Value::Object(map) => map
            .values()
            .map(describe_errors)
            .collect::<Vec<_>>()
            .join("; "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// MISP escapes its messages for HTML.
pub(super) fn unescape_html(text: &str) -> String {
    // The order counts: with `&amp;` first, `&amp;lt;` would become `<`.
    [
        ("&#039;", "'"),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// What a refusal is that is no API's JSON.
pub(super) fn describe_body(body: &[u8]) -> (RefusalKind, String) {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let (kind, words) = match recognise_page(text) {
        Some(words) => (RefusalKind::Plain, words),
        None if text.is_empty() => (RefusalKind::Plain, "no further words"),
        None if text.starts_with('<') => (RefusalKind::Page, "a web page, not an API's answer"),
        None => (RefusalKind::Plain, text),
    };

    (kind, words.to_owned())
}

/// Errors are cleaned already, so a cut can leave no half of a secret.
fn to_short_line(text: &str) -> String {
    truncate_text(&one_line(text), WORDS)
}

pub(super) fn describe_unreachable(error: &reqwest::Error) -> String {
    let why = join_causes(error);
    if error.is_timeout() && !error.is_connect() {
        return format!(
            "no answer in time ({why}): the server is overloaded, or \"read_timeout\" is too short"
        );
    }

    if error.is_timeout() {
        return format!(
            "no connection in time ({why}): a firewall may drop it, or a proxy is needed"
        );
    }

    // The client has no kinds for these: the words are of hyper-util 0.1 and rustls 0.23.
    let help = [
        ("dns", "the host name is not known here"),
        ("refused", "nothing listens there: check host and port"),
        (
            "tls handshake eof",
            "the server ended the TLS handshake without a word: check the port",
        ),
    ];

    let help = help.iter().find(|(sign, _)| why.contains(sign));

    help.map_or_else(|| why.clone(), |(_, help)| format!("{help} ({why})"))
}

/// An error with all its causes, without the URL, which the caller names.
pub(super) fn join_causes(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);

    while let Some(error) = next {
        // reqwest 0.13 adds the URL behind its words.
        let text = error.to_string();
        let text = text
            .split(" for url (")
            .next()
            .unwrap_or_default()
            .to_owned();

        // What reqwest and hyper-util wrap every failure in.
        let is_noise = [
            "",
            "error sending request",
            "client error (Connect)",
            "client error (SendRequest)",
        ]
        .contains(&text.as_str());

        if !is_noise && parts.last() != Some(&text) {
            parts.push(text);
        }
        next = error.source();
    }

    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::JsonStream;
    use anyhow::anyhow;
    use serde_json::json;

    fn refusal(status: u16, kind: RefusalKind, wait: Option<u32>) -> HttpErrorKind {
        HttpErrorKind::Refused {
            status,
            kind,
            message: "No.".into(),
            errors: Box::default(),
            has_location: false,
            wait,
        }
    }

    /// The answers to: may it have been written, may it still run, will it be the same next time,
    /// will it never be shown, did the server break down, and the word for asking again.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_a_failure_means_is_told_by_its_cause() {
        let plain = |status| refusal(status, RefusalKind::Plain, Some(7));
        let named = |status| refusal(status, RefusalKind::Named("CreateError".into()), None);
        let redirected = HttpErrorKind::Redirected {
            status: 302,
            to: "/login".into(),
        };

        for (cause, expected) in [
            (plain(400), (false, true, true, true, false, None)),
            (plain(403), (false, true, true, true, false, None)),
            (plain(404), (false, true, true, true, false, None)),
            (
                refusal(403, RefusalKind::Page, None),
                (false, true, true, true, false, None),
            ),
            (named(400), (false, false, true, true, false, None)),
            (
                plain(429),
                (false, false, false, false, false, Some(("429", Some(7)))),
            ),
            (plain(500), (true, true, false, true, true, None)),
            (named(500), (true, false, false, true, true, None)),
            (
                plain(502),
                (true, true, false, false, true, Some(("502", None))),
            ),
            (
                plain(503),
                (true, true, false, false, false, Some(("503", None))),
            ),
            (
                plain(504),
                (true, true, false, false, true, Some(("504", None))),
            ),
            (redirected, (false, true, false, true, false, None)),
            (
                HttpErrorKind::NotJson("text/html".into()),
                (true, true, false, true, false, None),
            ),
            (
                HttpErrorKind::TooLarge(1),
                (true, true, false, false, false, None),
            ),
            (
                HttpErrorKind::Unreachable("refused".into()),
                (true, true, false, false, false, None),
            ),
            (
                HttpErrorKind::Broken("reset".into()),
                (
                    true,
                    true,
                    false,
                    false,
                    true,
                    Some(("broken connection", None)),
                ),
            ),
            (
                HttpErrorKind::Deadline,
                (false, false, false, false, false, None),
            ),
        ] {
            let error = anyhow!(HttpError::new("GET x".into(), cause)).context("asking");
            let failure = HttpError::of(&error).unwrap();
            let retry = retry_reason(&error);

            let said = (
                failure.may_have_written(),
                failure.may_still_run(),
                failure.is_permanent(),
                failure.is_hidden(),
                is_breakdown(&error),
                retry.as_ref().map(|(why, wait)| (why.as_str(), *wait)),
            );
            assert_eq!(said, expected, "{failure:?}");
        }
    }

    #[test]
    fn an_answer_that_ends_too_early_is_a_server_that_broke_down() {
        let cut = JsonStream::new(b"[1, 2".as_slice())
            .read_whole::<Value>()
            .unwrap_err();
        assert!(is_breakdown(&cut.context("reading the answer")));
        let off = anyhow!("reading the answer: {BROKE_OFF}: reset");
        assert!(is_breakdown(&off));
        assert_eq!(retry_reason(&off), Some(("broken answer".to_owned(), None)));
        let other = anyhow!("the server does not sort attributes");
        assert!(!is_breakdown(&other) && retry_reason(&other).is_none());
    }

    #[test]
    fn errors_of_any_shape_become_words() {
        assert_eq!(describe_errors(&json!("It&#039;s wrong")), "It's wrong");

        assert_eq!(
            describe_errors(
                &json!({"attribute_0": {"value": ["IP address has an invalid format."]}})
            ),
            "IP address has an invalid format."
        );

        assert_eq!(
            describe_errors(&json!({"Event": {"info": ["valueNotEmpty"], "date": ["bad"]}})),
            "valueNotEmpty; bad"
        );
    }

    /// The URL may be MISP's, TheHive's or a feed's.
    #[test]
    fn a_redirection_says_where_to_and_names_no_others_item() {
        let said = |to: &str| {
            let cause = HttpErrorKind::Redirected {
                status: 302,
                to: to.to_owned(),
            };
            HttpError::new("GET https://m/x".into(), cause).to_string()
        };

        assert_eq!(
            said("https://sso/"),
            "GET https://m/x: 302: the server redirects to https://sso/, which is not followed: \
             give the final URL, or have this machine let through if that is a login page"
        );

        assert_eq!(
            said(""),
            "GET https://m/x: 302: the server redirects without saying where to: check the URL"
        );
    }

    #[test]
    fn a_refusal_says_what_was_asked_and_what_was_answered() {
        let cause = HttpErrorKind::Refused {
            status: 403,
            kind: RefusalKind::Plain,
            message: "No.".into(),
            errors: Box::new(json!({"value": ["bad"]})),
            has_location: false,
            wait: None,
        };

        let failure = HttpError::new("POST https://m/events/add".into(), cause);
        assert_eq!(
            failure.to_string(),
            "POST https://m/events/add: 403: No. (bad)"
        );
    }
}
