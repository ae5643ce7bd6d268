//! What TheHive's refusals mean: what it says that it does not have, and what a write that went
//! wrong means for what is written next.

use crate::http::{HttpError, HttpErrorKind, RefusalKind};

/// A write that was not answered as it should be.
#[derive(Clone, Debug)]
pub enum WriteError {
    /// TheHive does not take the content: an unknown observable type, custom field, pattern or case
    /// template, a value that is too long, a body that is too large. Nothing was written.
    Content(HttpError),
    /// It is there already.
    Duplicate(HttpError),
    /// The alert, case or observable itself is not there, or not visible to this user.
    Gone(HttpError),
    /// The user may not: a wrong key, another organisation, a missing permission. Nothing was
    /// written. TheHive 4 says so too if observables are added to what is not there (its
    /// `ObservableCtrl.scala`).
    Denied(HttpError),
    /// Nobody knows whether it was written. A server that cannot be reached cannot have written
    /// anything, but it is looked at all the same.
    Unclear(HttpError),
}

impl WriteError {
    /// Tells by the status, and by TheHive's words where the status is not enough: `CreateError`
    /// and `NotFoundError` stand for two things each (ScalliGraph's `ErrorHandler.scala`).
    pub fn from_http_error(failure: HttpError) -> Self {
        match (Missing::from_http_error(&failure), failure.status()) {
            (Some(Missing::Content), _) => Self::Content(failure),
            (Some(_), _) => Self::Gone(failure),
            (_, Some(400)) if is_duplicate(&failure) => Self::Duplicate(failure),
            (_, Some(400 | 413 | 422)) => Self::Content(failure),
            (_, Some(401..=403)) => Self::Denied(failure),
            _ => Self::Unclear(failure),
        }
    }
}

/// What a server does not have, as its words say it (404).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The route: TheHive names its path (`fixtures/wire/thehive/531-unknown-route.json`), or for a
    /// `GET` says that there is no such file.
    Route,
    /// The organisation that is asked for.
    Organisation,
    /// Something that the request named: an observable type, a custom field.
    Content,
    /// What was asked for, or was to be written to.
    Record,
}

impl Missing {
    pub(super) fn from_http_error(failure: &HttpError) -> Option<Self> {
        let HttpErrorKind::Refused {
            status: 404,
            message,
            ..
        } = &failure.cause
        else {
            return None;
        };

        // TheHive has no codes for these: the words are those of TheHive 4.1
        // (`fixtures/wire/thehive`).
        let words = message.to_ascii_lowercase().replace(' ', "");
        Some(
            if words.starts_with('/') || words.contains("assetscontroller") {
                Self::Route
            } else if words.starts_with("organisation") {
                Self::Organisation
            } else if CONTENT.iter().any(|name| words.contains(name)) {
                Self::Content
            } else {
                Self::Record
            },
        )
    }
}

/// What a request may name that a TheHive need not have.
const CONTENT: [&str; 5] = [
    "observabletype",
    "customfield",
    "pattern",
    "casetemplate",
    "alertstatus",
];

/// True if TheHive itself says that it has nothing of this name, and not that it has no such route
/// or organisation.
pub(super) fn is_not_found(failure: &HttpError) -> bool {
    let is_its_own = matches!(
        failure.cause,
        HttpErrorKind::Refused {
            kind: RefusalKind::Named(_),
            ..
        }
    );
    let missing = Missing::from_http_error(failure);
    is_its_own && matches!(missing, Some(Missing::Content | Missing::Record))
}

fn is_duplicate(failure: &HttpError) -> bool {
    match &failure.cause {
        HttpErrorKind::Refused { kind, message, .. } => {
            *kind == RefusalKind::Named("CreateError".into()) || is_duplicate_message(message)
        }
        _ => false,
    }
}

/// Why TheHive did not store one of several values that came by one call (`failure` of an answer
/// 207).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What TheHive calls it: the `type` of an error.
    pub kind: String,
    /// Its words.
    pub message: String,
}

impl Refusal {
    /// True for what is there already.
    pub fn is_duplicate(&self) -> bool {
        is_duplicate_message(&self.message)
    }

    /// True for what will be refused again. Anything else may pass: now and then TheHive loses the
    /// file that it unpacked, `java.nio.file.NoSuchFileException`
    /// (`fixtures/wire/thehive/016-add-file-207.json`).
    pub fn is_final(&self) -> bool {
        ["BadRequest", "CreateError", "NotFoundError"].contains(&self.kind.as_str())
    }
}

/// True for a refusal of what is there already: `Alert misp:a:1 already exist in organisation b`
/// and `Observable already exists` (TheHive 4's `AlertSrv.scala` and `ObservableSrv.scala`).
fn is_duplicate_message(message: &str) -> bool {
    message.to_ascii_lowercase().contains("already exist")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, kind: &str, message: &str) -> HttpError {
        let mut failure = HttpError::not_sent("POST x", "");

        failure.cause = HttpErrorKind::Refused {
            status,
            kind: RefusalKind::Named(kind.into()),
            message: message.to_owned(),
            errors: Box::default(),
            has_location: false,
            wait: None,
        };

        failure
    }

    fn name(trouble: &WriteError) -> &'static str {
        match trouble {
            WriteError::Content(_) => "content",
            WriteError::Duplicate(_) => "duplicate",
            WriteError::Gone(_) => "gone",
            WriteError::Denied(_) => "denied",
            WriteError::Unclear(_) => "unclear",
        }
    }

    #[test]
    fn a_refusal_means_what_its_status_and_words_say() {
        for (status, kind, message, meant) in [
            (
                400,
                "BadRequest",
                "Predicate (6926 > 4096) did not fail",
                "content",
            ),
            (400, "CreateError", "", "duplicate"),
            (
                400,
                "BadRequest",
                "Alert misp:m:1 already exist in organisation cert",
                "duplicate",
            ),
            (
                401,
                "AuthenticationError",
                "Authentication failure",
                "denied",
            ),
            (402, "MultiFactorCodeRequired", "", "denied"),
            (
                403,
                "AuthorizationError",
                "Operation not permitted",
                "denied",
            ),
            (
                404,
                "NotFoundError",
                "ObservableType jarm not found",
                "content",
            ),
            (404, "NotFoundError", "CustomField a not found", "content"),
            (404, "NotFoundError", "Pattern T9 not found", "content"),
            (404, "NotFoundError", "Case template a not found", "content"),
            (404, "NotFoundError", "Alert not found", "gone"),
            (404, "NotFoundError", "Observable not found", "gone"),
            (413, "", "a web page, not an API's answer", "content"),
            (422, "", "", "content"),
            (429, "", "", "unclear"),
            (500, "CreateError", "already exists", "unclear"),
            (503, "", "", "unclear"),
        ] {
            assert_eq!(
                name(&WriteError::from_http_error(refused(status, kind, message))),
                meant,
                "{status} {kind} {message}"
            );
        }
    }

    #[test]
    fn only_what_thehive_says_no_to_is_refused_for_good() {
        let is = |kind: &str, message: &str| {
            let refusal = Refusal {
                kind: kind.to_owned(),
                message: message.to_owned(),
            };
            (refusal.is_final(), refusal.is_duplicate())
        };

        assert_eq!(is("CreateError", "Observable already exists"), (true, true));
        assert_eq!(
            is("BadRequest", "A text observable doesn't accept attachment"),
            (true, false)
        );
        assert_eq!(
            is("NotFoundError", "ObservableType jarm not found"),
            (true, false)
        );

        for passing in [
            "java.nio.file.NoSuchFileException",
            "java.io.IOException",
            "InternalError",
            "",
        ] {
            assert_eq!(
                is(passing, "/opt/thehive/tmp/playtemp1/zip1"),
                (false, false)
            );
        }
    }

    #[test]
    fn what_was_not_refused_is_unclear() {
        for cause in [
            HttpErrorKind::Unreachable("connection refused".to_owned()),
            HttpErrorKind::Broken("reset".to_owned()),
            HttpErrorKind::NotJson("text/html".to_owned()),
            HttpErrorKind::Redirected {
                status: 302,
                to: "/login".to_owned(),
            },
            HttpErrorKind::Deadline,
        ] {
            let mut failure = HttpError::not_sent("POST x", "");
            failure.cause = cause;
            assert_eq!(name(&WriteError::from_http_error(failure)), "unclear");
        }
    }
}
