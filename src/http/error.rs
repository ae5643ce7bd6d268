//! What goes wrong with a request, in words that say what to do.

use std::fmt;

use serde_json::Value;

use super::tls::recognise_page;
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
        /// What kind of refusal TheHive calls it, `CreateError` for instance; empty where it does
        /// not say, as MISP.
        kind: Box<str>,
        /// Its words.
        message: String,
        /// Its `errors`, where it lists them.
        errors: Box<Value>,
        /// The `Location` header, which MISP sends with some refusals.
        location: Option<Box<str>>,
        /// Seconds after which it may be asked again, if it says that.
        wait: Option<u32>,
    },
    /// A good status, but no JSON; the text is the content type.
    NotJson(String),
    /// The run's deadline passed before it was sent.
    Deadline,
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

    /// False if the server cannot have seen the request.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        !self.is_unsent
    }

    /// True if the server may still be at work on it: a gateway gave up waiting, or the answer was
    /// lost. A server that names the kind of what went wrong has ended the work itself, and whoever
    /// is asked too often (429) has done none.
    #[must_use]
    pub fn may_still_run(&self) -> bool {
        let is_over = matches!(&self.cause, HttpErrorKind::Refused { status, kind, .. } if *status == 429 || !kind.is_empty());
        self.was_sent() && !is_over
    }

    /// The status of a refusal; none for the other causes.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            HttpErrorKind::Refused { status, .. } => Some(status),
            HttpErrorKind::Unreachable(_)
            | HttpErrorKind::Broken(_)
            | HttpErrorKind::TooLarge(_)
            | HttpErrorKind::Redirected { .. }
            | HttpErrorKind::NotJson(_)
            | HttpErrorKind::Deadline => None,
        }
    }
}

/// True if what went wrong is a server's no that will be the same next time: 4xx, but not 429.
#[must_use]
pub fn is_permanent_refusal(error: &anyhow::Error) -> bool {
    let failure = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<HttpError>());
    failure
        .and_then(HttpError::status)
        .is_some_and(|status| (400..=499).contains(&status) && status != 429)
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
                     URL in the configuration",
                    to_short_line(to)
                )
            }
            HttpErrorKind::Refused {
                status,
                message,
                errors,
                ..
            } => {
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

pub(super) fn body_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => "no further words".to_owned(),
        text if recognise_page(text).is_some() => {
            recognise_page(text).unwrap_or_default().to_owned()
        }
        text if text.starts_with('<') => "a web page, not an API's answer".to_owned(),
        text => text.to_owned(),
    }
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
        let text = error.to_string();
        let text = text
            .split(" for url (")
            .next()
            .unwrap_or_default()
            .to_owned();

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
    use serde_json::json;

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
             give the final URL in the configuration"
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
            kind: Box::default(),
            message: "No.".into(),
            errors: Box::new(json!({"value": ["bad"]})),
            location: None,
            wait: None,
        };

        let failure = HttpError::new("POST https://m/events/add".into(), cause);
        assert_eq!(
            failure.to_string(),
            "POST https://m/events/add: 403: No. (bad)"
        );
    }
}
