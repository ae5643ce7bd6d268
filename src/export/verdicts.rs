//! Why something does not go out, and what is said beside a verdict. Each rule is worded here, once.

use std::fmt;

use crate::misp::write_log::WriteLog;
use crate::report::ledger::Verdict;
use uuid::Uuid;

/// A rule by which an observable, a file or an attribute is left out, or left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipRule {
    NotAnIoc,
    /// It, or its case, is too strict to go there.
    Tlp,
    Pap,
    /// The option, in MiB.
    FileTooLarge(u64),
    DeletedInMisp,
    InOtherEvent,
    /// The event is published, and this alone is no reason to touch it.
    Waits,
    /// The event came by synchronisation.
    ManagedElsewhere,
    RemovedIocsAreKept,
    /// TheHive shares the case with other organisations.
    CaseIsShared,
    /// The case was not read as a whole, for this reason.
    CaseIsNotWhole(String),
    /// So many may be retracted at once.
    MoreThan(usize),
    MayBeUnmapped,
    /// Of a sighting.
    NoAttribute,
    /// Of a sighting: no such moment can be.
    ImpossibleDate,
    /// Of an expiration: our organisation has said another day.
    OtherExpiration,
}

impl fmt::Display for SkipRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnIoc => "not an IOC",
            Self::Tlp => "tlp",
            Self::Pap => "pap",
            Self::FileTooLarge(limit) => {
                return write!(f, "larger than max_attachment_mb ({limit} MiB)");
            }
            Self::DeletedInMisp => "deleted in MISP",
            Self::InOtherEvent => "in another event of the case",
            Self::Waits => "waits for the next change",
            Self::ManagedElsewhere => "managed on another MISP",
            Self::RemovedIocsAreKept => "removed_iocs is keep",
            Self::CaseIsShared => super::load::SHARED,
            Self::CaseIsNotWhole(why) => why,
            Self::MoreThan(limit) => return write!(f, "more than {limit} at once"),
            Self::MayBeUnmapped => "it may be an IOC of the case that could not be mapped",
            Self::NoAttribute => "its attribute is not ours or not there",
            Self::ImpossibleDate => "its date cannot be true",
            Self::OtherExpiration => {
                "your organisation has set another expiration: delete that in MISP first"
            }
        })
    }
}

impl From<SkipRule> for Verdict {
    fn from(rule: SkipRule) -> Self {
        Self::Skipped(rule.to_string())
    }
}

/// What is said of an attribute beside its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The fields that are not as they are wanted, since somebody changed them.
    Differs(String),
    /// The same of one that was added just now: MISP stored it so.
    Stored(String),
    Text(String),
}

impl Remark {
    /// The same of an attribute that this run added: nobody else can have changed it.
    pub fn of_new_attribute(remarks: &[Self]) -> Vec<Self> {
        let stored = remarks.iter().filter_map(|remark| match remark {
            Self::Differs(fields) => Some(Self::Stored(fields.clone())),
            Self::Stored(_) | Self::Text(_) => None,
        });

        stored.collect()
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(fields) => write!(f, "differs in MISP, left as it is: {fields}"),
            Self::Stored(fields) => {
                write!(f, "MISP stored it otherwise than it was sent: {fields}")
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What became of an attribute, and what is said beside that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeResult {
    pub verdict: Verdict,
    pub remarks: Vec<Remark>,
}

impl AttributeResult {
    pub fn new(verdict: Verdict, remarks: Vec<Remark>) -> Self {
        Self { verdict, remarks }
    }

    /// What became of it by this log, if it is not there as it should be; `lost` is said if MISP
    /// took it.
    pub fn failed(log: &WriteLog, uuid: &Uuid, lost: &str) -> Self {
        let known = match log.sent.get(uuid) {
            None => super::NOT_SENT,
            Some(true) if !log.is_unseen => lost,
            Some(_) => "not verified",
        };
        let mut reason = log
            .reasons
            .get(uuid)
            .map_or(known, String::as_str)
            .to_owned();

        if log.is_held_elsewhere(uuid) {
            reason.push_str(
                ": another event holds every uuid that it can have; \"instance_secret\" makes \
                 uuids that nobody else can claim",
            );
        }

        Verdict::Failed(reason).into()
    }

    pub fn describe_remarks(&self) -> Option<String> {
        let remarks: Vec<_> = self.remarks.iter().map(ToString::to_string).collect();
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }
}

impl From<Verdict> for AttributeResult {
    fn from(verdict: Verdict) -> Self {
        Self::new(verdict, Vec::new())
    }
}

/// The words that apply, in one line.
pub fn join_applying<'w>(words: impl IntoIterator<Item = (&'w str, bool)>) -> String {
    let applying = words.into_iter().filter(|(_, applies)| *applies);
    applying
        .map(|(word, _)| word)
        .collect::<Vec<_>>()
        .join(", ")
}
