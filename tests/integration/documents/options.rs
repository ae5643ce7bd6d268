//! `docs/options.md`, made from the configuration types: every option once, in the order in which a person fills them in.

use std::collections::BTreeSet;
use std::path::Path;

use cortex_misp::config::overrides::is_overridable;
use cortex_misp::config::schema::{self, OptionSpec};
use cortex_misp::config::{self, OptionSource};
use cortex_misp::{export, import};
use serde_json::{Map, Value, json};

use super::generated::compare;

/// What is said before the options.
const INTRODUCTION: &str = "# Options

The configuration of both workers, in the order in which it is filled in. In Cortex's form each stands under its name; in a file it is JSON, as in `misp-export check < configuration.json`. [Check a configuration](administrators.md#check-a-configuration) says what is wrong with one.

An option with a star holds for all connections; any other can be set for one in `connection_settings`. An option that is not set (`null`, `[]`, `[null]`, an empty text) takes its default. Numbers and booleans may be texts. For limits, 0 means none. `check_tlp`, `max_tlp`, `check_pap` and `max_pap`, which Cortex offers for every worker but does not enforce, are enforced.
";

/// The options by what they are for.
const GROUPS: [(&str, &[&str]); 9] = [
    (
        "The MISP connections",
        &[
            "name",
            "url",
            "key",
            "purpose",
            "cert_path",
            "client_cert_path",
            "cert_check",
            "connection_settings",
        ],
    ),
    (
        "TheHive, and this installation",
        &[
            "thehive_url",
            "thehive_key",
            "thehive_organisations",
            "thehive_former_users",
            "include_thehive_organisations",
            "exclude_thehive_organisations",
            "instance",
            "instance_secret",
        ],
    ),
    (
        "Each run",
        &[
            "dry_run",
            "deadline_minutes",
            "connect_timeout",
            "read_timeout",
            "max_parallel",
        ],
    ),
    (
        "What an export sends",
        &[
            "distribution",
            "sharing_group",
            "event_info",
            "max_export_tlp",
            "max_export_pap",
            "export_case_tags",
            "export_observable_tags",
            "exclude_export_tags",
            "export_case_url",
            "export_attachments",
            "max_attachment_mb",
            "export_sightings",
            "export_procedures",
            "export_report",
            "add_external_link",
            "type_mapping",
            "removed_iocs",
            "warninglists",
        ],
    ),
    (
        "Which events an import takes",
        &[
            "window_days",
            "max_age_days",
            "max_age_date",
            "published_only",
            "include_organisations",
            "exclude_organisations",
            "include_tags",
            "exclude_tags",
            "min_threat_level",
            "include_analysis",
            "include_distributions",
            "include_event_info",
            "max_attributes",
            "loop_guard",
            "skip_own_organisation",
        ],
    ),
    (
        "Which attributes an import takes",
        &[
            "ids_only",
            "attribute_types",
            "exclude_attribute_types",
            "attribute_categories",
            "attribute_tags",
            "exclude_attribute_tags",
            "max_false_positives",
        ],
    ),
    (
        "What an import makes of them",
        &[
            "default_tlp",
            "alert_tags",
            "observable_tags",
            "case_template",
            "import_attachments",
            "max_new_alerts",
            "update_cases",
            "reopen",
            "mark_withdrawn",
        ],
    ),
    (
        "Look-ups",
        &[
            "lookup_related",
            "lookup_artifacts",
            "look_up_seconds",
            "click_imports",
        ],
    ),
    (
        "What a report offers, and who may command",
        &["max_artifacts", "observable_commands"],
    ),
];

/// One value of every list.
fn examples() -> Map<String, Value> {
    let examples = json!({
        "name": ["misp-corp", "partner"],
        "url": ["https://misp.example.org", "https://misp.partner.example"],
        "key": ["the key of misp-corp", "the key of partner"],
        "purpose": ["ImportAndExport", "ImportOnly"],
        "cert_path": ["/etc/ssl/certs/house-ca.pem"],
        "client_cert_path": [null, "/etc/ssl/private/cortex.pem"],
        "connection_settings": [{"name": "partner", "max_age_days": 7}],
        "include_thehive_organisations": ["cert"],
        "exclude_thehive_organisations": ["training"],
        "thehive_organisations": ["cert", "soc"],
        "thehive_former_users": ["old-import@example.org"],
        "exclude_export_tags": ["internal:*"],
        "type_mapping": ["ip=Network activity/ip-src"],
        "include_organisations": ["CIRCL"],
        "exclude_organisations": ["5e0b5c1a-7d2b-4a8e-9d6a-0a1b2c3d4e5f"],
        "include_tags": ["type:OSINT", "tlp:*"],
        "exclude_tags": ["workflow:*"],
        "include_analysis": ["ongoing", "completed"],
        "include_distributions": [1, 2, 3],
        "attribute_types": ["ip-*", "domain", "url", "sha256"],
        "exclude_attribute_types": ["text", "email-*"],
        "attribute_categories": ["Network activity", "Payload delivery"],
        "attribute_tags": ["kill-chain:*"],
        "exclude_attribute_tags": ["false-positive:*"],
        "alert_tags": ["misp"],
        "observable_tags": ["misp"],
    });
    let Value::Object(examples) = examples else {
        unreachable!("an object")
    };
    examples
}

#[test]
fn the_page_of_options_lists_every_option_once() {
    let options = options();
    let placed = GROUPS.iter().flat_map(|(_, names)| names.iter().copied());
    let placed: Vec<&str> = placed.collect();
    let known: BTreeSet<&str> = options
        .iter()
        .map(|option| option.spec.name.as_str())
        .collect();
    assert_eq!(placed.iter().copied().collect::<BTreeSet<_>>(), known);
    assert_eq!(placed.len(), known.len(), "an option has two places");

    let mut page = INTRODUCTION.to_owned();
    for (title, names) in GROUPS {
        page += &format!(
            "\n## {title}\n\n| option | worker | default | meaning |\n|---|---|---|---|\n"
        );
        for name in names {
            let option = options.iter().find(|option| option.spec.name == *name);
            page += &option.unwrap().row();
        }
    }
    compare(Path::new("docs/options.md"), &page);
}

/// What the page shows of a list is taken by both programs as it stands there.
#[test]
fn the_examples_of_the_page_of_options_are_a_configuration() {
    let examples = examples();
    let lists = options().into_iter().filter(|option| option.spec.multi);
    let lists: BTreeSet<String> = lists.map(|option| option.spec.name).collect();
    assert_eq!(examples.keys().cloned().collect::<BTreeSet<_>>(), lists);

    let of = |specs: &[OptionSpec]| -> Map<String, Value> {
        let names: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let own = examples
            .iter()
            .filter(|(name, _)| names.contains(name.as_str()));
        own.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let exported = of(&schema::for_config::<export::Config>());
    let imported = of(&schema::for_config::<import::Config>());
    let (_, warnings) =
        config::parse_options::<export::Config>(&exported, OptionSource::Configuration).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let (_, warnings) =
        config::parse_options::<import::Config>(&imported, OptionSource::Configuration).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// An option with the workers that have it, and what it means to each.
struct DocumentedOption {
    spec: OptionSpec,
    meanings: Vec<(&'static str, String)>,
}

fn options() -> Vec<DocumentedOption> {
    let workers = [
        ("export", schema::for_config::<export::Config>()),
        ("import", schema::for_config::<import::Config>()),
    ];
    let mut options: Vec<DocumentedOption> = Vec::new();
    for (worker, specs) in workers {
        for spec in specs {
            let meaning = (worker, spec.description.clone());
            match options
                .iter_mut()
                .find(|known| known.spec.name == spec.name)
            {
                Some(known) => known.meanings.push(meaning),
                None => options.push(DocumentedOption {
                    spec,
                    meanings: vec![meaning],
                }),
            }
        }
    }
    options
}

impl DocumentedOption {
    /// Where it means something else to each worker, both meanings stand there. A star marks what no connection can have of its
    /// own.
    fn row(&self) -> String {
        let Self { spec, meanings } = self;
        let workers: Vec<_> = meanings.iter().map(|(worker, _)| *worker).collect();
        let meaning = if meanings
            .iter()
            .all(|(_, meaning)| *meaning == spec.description)
        {
            spec.description.clone()
        } else {
            let each = meanings
                .iter()
                .map(|(worker, meaning)| format!("**{worker}**: {meaning}"));
            each.collect::<Vec<_>>().join(" ")
        };
        let example = examples().get(&spec.name).map(|example| {
            let example = serde_json::to_string(example).unwrap();
            format!(" Example: `{example}`.")
        });
        format!(
            "| `{}{}`{} | {} | {} | {meaning}{} |\n",
            spec.name,
            if spec.multi { "[]" } else { "" },
            if is_overridable(&spec.name) { "" } else { " *" },
            workers.join(", "),
            default_word(spec),
            example.unwrap_or_default(),
        )
    }
}

fn default_word(spec: &OptionSpec) -> String {
    match &spec.default {
        _ if spec.required => "required".to_owned(),
        Some(Value::Array(_)) | None => "–".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}
