//! The job: where it comes from, and what it says. Cortex hands over a folder with
//! `input/input.json` (its `JobRunnerSrv.scala`); people, scripts and tests use the standard input.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value};

use crate::config::{is_unset, to_bool};
use crate::json;
use crate::markings::{self, Pap, Scale, Tlp};
use crate::secret::truncate_text;

/// The largest job that is read, in bytes: Cortex itself takes no larger one unless told otherwise.
pub const LARGEST_JOB: u64 = 10 << 20;
/// Where Cortex puts the job in a container.
const DEFAULT_FOLDER: &str = "/job";

/// Where the job comes from, and so where the report goes.
#[derive(Clone, Debug)]
pub enum JobSource {
    /// A job folder: `input/input.json` in, `output/output.json` out.
    Folder(PathBuf),
    /// Standard input and output. The folder is the one that had no job in it.
    Streams(PathBuf),
}

impl JobSource {
    /// The place that the first argument names, or Cortex's default.
    pub fn find(argument: Option<PathBuf>) -> Self {
        let folder = argument.unwrap_or_else(|| PathBuf::from(DEFAULT_FOLDER));
        // Whatever stands where the job should be is meant to be it, a pipe or a link that leads
        // nowhere too: the standard input of a worker that Cortex started would never end.
        if input_path(&folder).symlink_metadata().is_ok() {
            Self::Folder(folder)
        } else {
            Self::Streams(folder)
        }
    }

    /// The job folder, if there is a job in it.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Streams(_) => None,
        }
    }

    /// Reads the job as JSON.
    ///
    /// # Errors
    /// That it is missing, too large, or no JSON; never what it says, which may be a secret.
    pub fn read_job(&self) -> Result<Value> {
        let text = match self {
            Self::Folder(folder) => {
                let path = input_path(folder);
                let reading = || format!("reading the job from {}", path.display());
                // A pipe is not opened: that would wait for whoever writes into it.
                let is_file = path.metadata().with_context(reading)?.is_file();
                ensure!(is_file, "{}: it is no regular file", reading());
                File::open(&path)
                    .map_err(anyhow::Error::from)
                    .and_then(read_capped)
                    .with_context(reading)?
            }
            // Nobody types a job: a person at a terminal is told what is wanted.
            Self::Streams(_) if io::stdin().is_terminal() => Vec::new(),
            Self::Streams(_) => read_capped(io::stdin().lock())
                .context("reading the job from the standard input")?,
        };

        self.parse(&text)
    }

    fn parse(&self, text: &[u8]) -> Result<Value> {
        if let Self::Streams(file) = self
            && file.is_file()
        {
            let file = file.display();
            bail!(
                "{file} is a file, and a job folder is wanted: give what is in it on the standard \
                 input, `< {file}`"
            );
        }

        ensure!(
            !text.starts_with(b"\xff\xfe") && !text.starts_with(b"\xfe\xff"),
            "the job is UTF-16, as some editors and shells write: save it as UTF-8"
        );
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);

        match self {
            Self::Streams(folder) if text.trim_ascii().is_empty() => bail!(
                "no job: the standard input is empty, and there is no file {}. Give a job folder \
                 as the first argument, \
                 or a job as JSON on the standard input; --help shows one",
                input_path(folder).display()
            ),
            Self::Folder(folder) if text.trim_ascii().is_empty() => {
                bail!("the job {} is empty", input_path(folder).display())
            }
            Self::Folder(_) | Self::Streams(_) => {}
        }

        serde_json::from_slice(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            match error.classify() {
                serde_json::error::Category::Eof => {
                    anyhow!("the job is cut off at {place}: it is not complete JSON")
                }
                _ => anyhow!("the job is not JSON: {error}"),
            }
        })
    }
}

fn input_path(folder: &Path) -> PathBuf {
    folder.join("input").join("input.json")
}

fn read_capped(source: impl Read) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(LARGEST_JOB + 1).read_to_end(&mut text)?;

    ensure!(
        text.len() as u64 <= LARGEST_JOB,
        "the job has more than {} MiB: a job carries a case or a value, not bulk data; let the \
         program read the \
         observables from TheHive (\"thehive_url\" and \"thehive_key\")",
        LARGEST_JOB >> 20
    );

    Ok(text)
}

/// A job, taken apart. `data` and `parameters` are the worker's to read.
#[derive(Clone, Debug)]
pub struct Job {
    /// `thehive:case`, `other`, `domain`, …
    pub data_type: String,
    /// What the job is about: an object for a responder, a text for an analyzer.
    pub data: Value,
    /// The TLP that Cortex was told, on its scale of four: 0 to 3.
    pub tlp: i64,
    /// The PAP that Cortex was told, 0 to 3.
    pub pap: i64,
    /// What the caller adds; empty if nothing.
    pub parameters: Map<String, Value>,
    /// The worker's configuration.
    pub config: Map<String, Value>,
    /// True if the data is an observable's, and so may have come from MISP: TheHive names the user
    /// who clicked, and Cortex's module for MISP says nothing at all (`MispSrv.query` in Cortex's
    /// `MispSrv.scala`).
    pub is_click: bool,
    /// The job folder, if it has one.
    pub folder: Option<PathBuf>,
    /// The file that it carries, by its name in `input` of the job folder, where the data is a
    /// file; `data` is what it was called.
    pub file: Option<String>,
}

/// The data type of a job that carries a file in place of a text
/// (`fixtures/jobs/analyzer_file_cortex41.json`).
pub const FILE: &str = "file";

impl Job {
    /// Takes a job apart. The first missing part is named in the words of cortexutils, which
    /// administrators know.
    ///
    /// # Errors
    /// Which part is missing or of the wrong kind.
    pub fn new(mut job: Value, data_types: &[&str]) -> Result<Self> {
        ensure!(
            job.is_object(),
            "the job is {}, not an object",
            json::describe_kind(&job)
        );

        let data_type = take_data_type(&mut job, data_types)?;
        let is_without_message = job.get("message").is_some_and(|message| message == "");

        let (data, file) = match data_type.as_str() {
            FILE => {
                let file = take_member(&mut job, "file").and_then(into_text);
                let file = file.context("the job carries no file: its \"file\" names none")?;
                let name = take_member(&mut job, "filename").and_then(into_text);
                (name.unwrap_or_default().into(), Some(file))
            }
            _ => {
                let data = take_member(&mut job, "data");
                (data.context("Missing data field")?, None)
            }
        };

        let mut new = Self {
            data,
            file,
            tlp: take_marking(&mut job, "tlp")?,
            pap: take_marking(&mut job, "pap")?,
            parameters: take_object(&mut job, "parameters")?,
            config: take_object(&mut job, "config")?,
            data_type,
            is_click: false,
            folder: None,
        };

        // TheHive names the user who clicked.
        let is_of_thehive = new
            .parameters
            .get("user")
            .is_some_and(|user| !is_unset(user));
        // So Cortex's own module for MISP writes its jobs (`MispSrv.query`).
        let is_of_misp =
            is_without_message && new.parameters.is_empty() && (new.tlp, new.pap) == (0, 0);
        new.is_click = is_of_thehive || is_of_misp;
        Ok(new)
    }

    /// A job that is about nothing, for the limits that a configuration sets.
    pub fn without_data(config: Map<String, Value>) -> Self {
        Self {
            data_type: String::new(),
            data: Value::Null,
            tlp: 0,
            pap: 0,
            parameters: Map::new(),
            config,
            is_click: false,
            folder: None,
            file: None,
        }
    }

    /// Opens the file that it carries.
    ///
    /// # Errors
    /// That there is none, or what is wrong with its name.
    pub fn open_file(&self) -> Result<File> {
        let name = self.file.as_deref().context("the job carries no file")?;
        let folder = self.folder.as_deref().with_context(
            || "the job carries a file, and came without a job folder, in which the file would be",
        )?;
        // A name with a folder in it could lead to a file outside the job.
        let mut parts = Path::new(name).components();
        let is_plain = matches!(
            (parts.next(), parts.next()),
            (Some(std::path::Component::Normal(_)), None)
        );
        ensure!(is_plain, "the job's \"file\" is no name of a file");

        let path = folder.join("input").join(name);
        let reading = || format!("reading the file that the job carries, {}", path.display());
        // A pipe is not opened: that would wait for whoever writes into it.
        let is_file = path.metadata().with_context(reading)?.is_file();
        ensure!(is_file, "{}: it is no regular file", reading());
        File::open(&path).with_context(reading)
    }

    /// The same job, in the folder that it came from.
    pub fn with_folder_of(self, place: Option<&JobSource>) -> Self {
        Self {
            folder: place.and_then(JobSource::folder).map(Path::to_owned),
            ..self
        }
    }

    /// The organisation of TheHive that it runs for, as TheHive says (its
    /// `parameters.organisation`).
    pub fn organisation(&self) -> Option<&str> {
        self.parameters
            .get("organisation")
            .filter(|value| !is_unset(value))
            .and_then(Value::as_str)
    }

    /// Refuses a job whose TLP or PAP is above what the administrator allows; Cortex itself does
    /// not check. The words are those of cortexutils. What counts is the strictest of what the job
    /// says, what its data and the case in them say, and what their tags say. A `tlp` of 4 in the
    /// data is RED: Cortex's own scale ends at 3.
    ///
    /// # Errors
    /// A [`MarkingRefusal`]; or which limit has a wrong value.
    pub fn check_markings(&self) -> Result<()> {
        let strictest_in_data = |name: &str, on_scale: fn(i64) -> i64| {
            // A marking that cannot be read counts as the strictest (`json::marking`).
            self.marked_values()
                .filter_map(|marked| json::marking(marked.get(name)?).ok().flatten())
                .map(on_scale)
                .max()
                .unwrap_or(0)
        };

        let tlp = strictest_in_data("tlp", |number| {
            // A number outside the scale counts as RED.
            let tlp = Tlp::from_number(number, Scale::Five).unwrap_or(Tlp::Red);
            tlp.cortex_number().into()
        });
        let pap = strictest_in_data("pap", |number| {
            Pap::from_number(number).unwrap_or(Pap::Red).number().into()
        });
        let tlp_of_tags = strictest_tag(self.data_tags(), |tag| {
            Some(Tlp::from_tags([tag])?.cortex_number().into())
        });
        let pap_of_tags = strictest_tag(self.data_tags(), |tag| {
            Some(Pap::from_tags([tag])?.number().into())
        });

        self.check_limit(MarkingKind::Tlp, self.tlp.max(tlp), tlp_of_tags)?;
        self.check_limit(MarkingKind::Pap, self.pap.max(pap), pap_of_tags)
    }

    /// The same for what was read since: what TheHive says of the case.
    ///
    /// # Errors
    /// See [`Self::check_markings`].
    pub fn check_case_markings(&self, tlp: Tlp, pap: Option<Pap>) -> Result<()> {
        self.check_limit(MarkingKind::Tlp, tlp.cortex_number().into(), None)?;
        self.check_limit(
            MarkingKind::Pap,
            pap.map_or(0, |pap| pap.number().into()),
            None,
        )
    }

    /// What carries markings: the data, and the case of an observable.
    fn marked_values(&self) -> impl Iterator<Item = &Value> {
        std::iter::once(&self.data).chain(self.data.get("case"))
    }

    fn data_tags(&self) -> impl Iterator<Item = &str> {
        let lists = self
            .marked_values()
            .filter_map(|marked| marked.get("tags")?.as_array());
        lists.flatten().filter_map(Value::as_str)
    }

    fn check_limit(
        &self,
        kind: MarkingKind,
        marking: i64,
        of_tags: Option<(i64, &str)>,
    ) -> Result<()> {
        let set = |item: &str| self.config.get(item).filter(|value| !is_unset(value));

        let check_option = kind.check_option();
        let checks = set(check_option).map_or(Some(CHECKED), to_bool);
        let checks = checks.with_context(|| {
            format!("configuration item \"{check_option}\" is neither true nor false: write one of these")
        })?;
        let max_option = kind.max_option();
        let most = set(max_option).map_or(Some(MOST), to_integer);
        let most = most.with_context(|| {
            format!(
                "configuration item \"{max_option}\" is no whole number: write 0 (CLEAR) to 3 (RED)"
            )
        })?;

        let strictest_tag = of_tags.filter(|(marking, _)| *marking > most);
        if checks && (marking > most || strictest_tag.is_some()) {
            // Where the field alone is too strict, cortexutils' own words are the whole message.
            let tag = strictest_tag
                .filter(|_| marking <= most)
                .map(|(_, tag)| tag.to_owned());
            return Err(MarkingRefusal { kind, tag }.into());
        }

        Ok(())
    }
}

/// The marking that a limit is about.
#[derive(Clone, Copy, Debug)]
enum MarkingKind {
    Tlp,
    Pap,
}

impl MarkingKind {
    /// The item of the configuration that says whether it is checked.
    fn check_option(self) -> &'static str {
        match self {
            Self::Tlp => "check_tlp",
            Self::Pap => "check_pap",
        }
    }

    /// The item of the configuration with the strictest value that passes.
    fn max_option(self) -> &'static str {
        match self {
            Self::Tlp => "max_tlp",
            Self::Pap => "max_pap",
        }
    }
}

/// That a job's markings are above what the administrator allows, in the words of cortexutils,
/// which administrators know.
#[derive(Debug)]
pub struct MarkingRefusal {
    kind: MarkingKind,
    /// The tag that is too strict, where the field that it stands beside would pass.
    tag: Option<String>,
}

impl MarkingRefusal {
    /// The item of the configuration whose limit is passed.
    pub fn max_option(&self) -> &'static str {
        self.kind.max_option()
    }
}

impl fmt::Display for MarkingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            MarkingKind::Tlp => "TLP is higher than allowed.",
            MarkingKind::Pap => "PAP is higher than allowed.",
        })?;

        let Some(tag) = &self.tag else { return Ok(()) };
        let counts = match markings::unreadable_tags([tag.as_str()]).next() {
            Some(_) => ": it cannot be read, and counts as RED",
            None => "",
        };
        let shown = truncate_text(tag.trim(), LONGEST_TAG);
        write!(
            f,
            " The tag \"{shown}\" is stricter than the field{counts}."
        )
    }
}

impl std::error::Error for MarkingRefusal {}

/// The strictest marking that tags say, and the tag that says it.
fn strictest_tag<'t>(
    tags: impl Iterator<Item = &'t str>,
    read: fn(&str) -> Option<i64>,
) -> Option<(i64, &'t str)> {
    tags.filter_map(|tag| Some((read(tag)?, tag)))
        .max_by_key(|(marking, _)| *marking)
}

/// The longest tag that a message shows, in characters.
const LONGEST_TAG: usize = 100;

/// Whether TLP and PAP are checked where the configuration does not say. The manifest's `config`
/// block is made of it, and it holds for a worker that was enabled without one too.
pub const CHECKED: bool = true;
/// The strictest TLP and PAP that pass then: AMBER.
pub const MOST: i64 = 2;

fn take_member(job: &mut Value, name: &str) -> Option<Value> {
    job.get_mut(name)
        .map(Value::take)
        .filter(|value| !value.is_null())
}

fn take_data_type(job: &mut Value, supported: &[&str]) -> Result<String> {
    let data_type = match take_member(job, "dataType") {
        Some(Value::String(name)) if !name.trim().is_empty() => name,
        Some(other) => bail!(
            "the job's dataType is {}, not a text",
            json::describe_kind(&other)
        ),
        None if job.get("url").is_some() => {
            bail!(
                "Missing dataType field: this is a configuration, not a job: have it looked at by \
                 `check`"
            )
        }
        None => bail!("Missing dataType field"),
    };

    ensure!(
        supported.contains(&data_type.as_str()),
        "the data type {} is not supported: supported {} {}",
        quote_short(&data_type),
        if supported.len() == 1 { "is" } else { "are" },
        supported.join(", ")
    );
    Ok(data_type)
}

fn into_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn take_object(job: &mut Value, name: &str) -> Result<Map<String, Value>> {
    match take_member(job, name) {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(other) => bail!(
            "the job's {name} is {}, not an object",
            json::describe_kind(&other)
        ),
    }
}

/// Cortex writes 2 where nobody said anything.
fn take_marking(job: &mut Value, name: &str) -> Result<i64> {
    match take_member(job, name) {
        None => Ok(2),
        Some(value) => to_integer(&value).with_context(|| {
            format!(
                "the job's {name} is {}, not a whole number",
                json::describe_kind(&value)
            )
        }),
    }
}

fn to_integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other
            .as_i64()
            .or_else(|| other.as_f64().and_then(json::float_to_integer)),
    }
}

fn quote_short(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(mut more: Value) -> Result<Job> {
        let mut job = json!({"dataType": "other", "data": "misp:sync", "tlp": 2, "pap": 2});
        job.as_object_mut()
            .unwrap()
            .append(more.as_object_mut().unwrap());

        Job::new(job, &["other"])
    }

    #[test]
    fn a_click_in_thehive_or_misp_is_told_from_a_job_by_hand() {
        let is_click = |more: Value| job(more).unwrap().is_click;
        assert!(is_click(
            json!({"message": "47", "parameters": {"organisation": "soc", "user": "a@b.example"}})
        ));

        assert!(is_click(
            json!({"tlp": 0, "pap": 0, "message": "", "parameters": {}})
        ));

        for by_hand in [
            json!({}),
            json!({"parameters": {"since": "7d", "organisation": "soc"}}),
            json!({"tlp": 0, "pap": 0, "parameters": {}}),
            json!({"tlp": 0, "pap": 0, "message": "cron", "parameters": {}}),
            json!({"tlp": 0, "pap": 0, "message": "", "parameters": {"command": "misp:sync"}}),
        ] {
            assert!(!is_click(by_hand.clone()), "{by_hand}");
        }
    }

    #[test]
    fn missing_parts_are_named() {
        let missing = [
            json!({"dataType": null}),
            json!({"data": null}),
            json!({"dataType": "domain"}),
            json!({"tlp": "x"}),
            json!({"config": []}),
        ];

        let messages: Vec<_> = missing
            .into_iter()
            .map(|part| job(part).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        Missing dataType field
        Missing data field
        the data type "domain" is not supported: supported is other
        the job's tlp is a text, not a whole number
        the job's config is a list, not an object
        "#);
    }

    #[test]
    fn markings_above_the_limit_are_refused_in_the_words_of_cortexutils() {
        let check = |tlp: Value, config: Value| {
            job(json!({"tlp": tlp, "config": config}))
                .and_then(|job| job.check_markings())
                .map_err(|e| e.to_string())
        };

        assert_eq!(
            check(json!(3), json!({"check_tlp": true, "max_tlp": 2})),
            Err("TLP is higher than allowed.".into())
        );
        assert_eq!(
            check(json!("3"), json!({"check_tlp": "true", "max_tlp": "2"})),
            Err("TLP is higher than allowed.".into())
        );
        assert_eq!(
            check(json!(3), json!({"check_tlp": true})),
            Err("TLP is higher than allowed.".into())
        );
        assert_eq!(
            check(json!(3), json!({"check_tlp": false, "max_tlp": 2})),
            Ok(())
        );
        assert_eq!(
            check(json!(0), json!({"check_pap": 1, "max_pap": 1})),
            Err("PAP is higher than allowed.".into())
        );
        assert!(
            check(json!(0), json!({"check_tlp": "maybe"}))
                .unwrap_err()
                .contains("check_tlp")
        );
    }

    #[test]
    fn the_gate_holds_whatever_is_not_set_and_sees_tags_and_the_case() {
        let refused = |more: Value| {
            job(more)
                .unwrap()
                .check_markings()
                .err()
                .map(|error| error.to_string())
        };

        let (tlp, pap) = ("TLP is higher than allowed.", "PAP is higher than allowed.");

        for unset in [json!(null), json!([]), json!([null]), json!("")] {
            let config =
                json!({"check_tlp": unset, "max_tlp": unset, "check_pap": unset, "max_pap": unset});
            assert_eq!(
                refused(json!({"tlp": 3, "config": config})).as_deref(),
                Some(tlp)
            );
            assert_eq!(
                refused(json!({"pap": 3, "config": config})).as_deref(),
                Some(pap)
            );
            assert_eq!(refused(json!({"config": config})), None);
        }

        assert_eq!(refused(json!({"tlp": 3})).as_deref(), Some(tlp));
        assert_eq!(
            refused(json!({"data": {"case": {"tlp": 3}}})).as_deref(),
            Some(tlp)
        );
        assert_eq!(refused(json!({"data": {"pap": "x"}})).as_deref(), Some(pap));

        for data in [
            json!({"tags": ["x", "TLP: amber+strict"]}),
            json!({"case": {"tags": ["tlp:rde"]}}),
        ] {
            assert!(
                refused(json!({"data": data})).unwrap().starts_with(tlp),
                "{data}"
            );
        }

        assert!(
            refused(json!({"data": {"tags": ["PAP:RED"]}}))
                .unwrap()
                .starts_with(pap)
        );

        assert_eq!(
            refused(json!({"data": {"tags": ["tlp:amber", "tlp:ex:chr"]}})),
            None
        );
    }

    #[test]
    fn red_on_the_scale_of_five_is_red_for_cortex() {
        let refused = |most: i64| {
            let job =
                job(json!({"data": {"tlp": 4}, "tlp": 2, "config": {"check_tlp": true, "max_tlp": most}})).unwrap();
            job.check_markings().is_err()
        };

        assert!(refused(2) && !refused(3));
    }
}
