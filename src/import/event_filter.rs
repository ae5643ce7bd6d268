//! Which events become alerts. Every filter is checked here, whatever the server was asked: MISP
//! ignores filters that it does not know (`fixtures/wire/misp/233-index-unknown-filter.json`), and
//! one unknown organisation empties its answer.

use crate::misp::wire::Event;
use crate::tags::{are_alike, excludes, matches};
use crate::text::format_count;
use crate::time::{self, DAY};
use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The filters on events.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventFilters {
    /// Maximum age in days of an event that gets a new alert; 0 for no limit. Known alerts go on
    /// being updated.
    pub max_age_days: u64,
    /// Which date counts for the maximum age: `event` (its own date), `published` (last
    /// publication) or `modified` (last change).
    pub max_age_date: AgeDate,
    /// Only events created by one of these organisations, such as `CIRCL`: name (in any case), uuid
    /// or number on the server.
    pub include_organisations: Vec<String>,
    /// No events created by one of these organisations, named in the same way.
    pub exclude_organisations: Vec<String>,
    /// No new alerts of events with more attributes than this, those in objects included; 0 for no
    /// limit. Known alerts go on being updated, but get no new observables beyond twice this
    /// number.
    pub max_attributes: u64,
    /// Only events with at least one of these tags, such as `type:OSINT`, in any case; `*` stands
    /// for any text.
    pub include_tags: Vec<String>,
    /// No events with one of these tags, such as `workflow:*`, in any case, however disguised; `*`
    /// stands for any text.
    pub exclude_tags: Vec<String>,
    /// Only events of at least this threat level: `low`, `medium`, `high`. An undefined one is
    /// below `low`. Not set: all.
    pub min_threat_level: Option<ThreatLevel>,
    /// Only events in one of these states of analysis: `initial`, `ongoing`, `completed`. Not set:
    /// all.
    pub include_analysis: Vec<Analysis>,
    /// Only events with one of these distributions: 0 your organisation, 1 this community, 2
    /// connected communities, 3 all communities, 4 a sharing group. A feed's events count as 3. Not
    /// set: all.
    pub include_distributions: Vec<u64>,
    /// Only events with this text in their info line, such as `phishing`, in any case; `*` stands
    /// for any text.
    pub include_event_info: Option<String>,
    /// Only published events. What stands in a feed counts as published.
    pub published_only: bool,
    /// No events that this installation exported itself.
    pub loop_guard: bool,
    /// No events of the organisation that the key's user belongs to. A feed's events have no such
    /// organisation.
    pub skip_own_organisation: bool,
}

impl Default for EventFilters {
    fn default() -> Self {
        Self {
            max_age_days: 90,
            max_age_date: AgeDate::default(),
            include_organisations: Vec::new(),
            exclude_organisations: Vec::new(),
            max_attributes: 5_000,
            include_tags: Vec::new(),
            exclude_tags: Vec::new(),
            min_threat_level: None,
            include_analysis: Vec::new(),
            include_distributions: Vec::new(),
            include_event_info: None,
            published_only: true,
            loop_guard: true,
            skip_own_organisation: false,
        }
    }
}

/// A threat level, from low to high.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ThreatLevel {
    /// Mass malware.
    Low,
    /// Targeted malware.
    Medium,
    /// Sophisticated malware, or a zero-day attack.
    High,
}

/// How far the analysis of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Analysis {
    /// Just begun.
    Initial,
    /// Going on.
    Ongoing,
    /// Done.
    Completed,
}

impl ThreatLevel {
    /// MISP's numbers for this level and those above it: 1 is high, 3 low; 4, undefined, is below
    /// all.
    pub fn misp_numbers_at_or_above(self) -> Vec<u64> {
        match self {
            Self::Low => vec![1, 2, 3],
            Self::Medium => vec![1, 2],
            Self::High => vec![1],
        }
    }

    /// MISP's word for a number; 4 is undefined.
    pub fn word_of(number: Option<i64>) -> &'static str {
        Self::from_misp_number(number).map_or("undefined", Self::as_str)
    }

    fn from_misp_number(number: Option<i64>) -> Option<Self> {
        match number {
            Some(1) => Some(Self::High),
            Some(2) => Some(Self::Medium),
            Some(3) => Some(Self::Low),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Analysis {
    /// The states by MISP's numbers.
    const ALL: [Self; 3] = [Self::Initial, Self::Ongoing, Self::Completed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Ongoing => "ongoing",
            Self::Completed => "completed",
        }
    }

    pub fn to_misp_number(self) -> u64 {
        self as u64
    }

    pub fn from_misp_number(number: Option<i64>) -> Option<Self> {
        Self::ALL.get(usize::try_from(number?).ok()?).copied()
    }
}

/// MISP's words for who sees an event.
pub fn distribution_word(number: Option<i64>) -> &'static str {
    const WORDS: [&str; 5] = [
        "your organisation only",
        "this community only",
        "connected communities",
        "all communities",
        "sharing group",
    ];

    let number = number.and_then(|number| usize::try_from(number).ok());
    number
        .and_then(|number| WORDS.get(number).copied())
        .unwrap_or("unknown")
}

/// What counts as an event's distribution if it names none: everyone who can pull a feed reads it.
const OF_A_FEED: u64 = 3;

/// Which date counts for the age of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgeDate {
    /// The event's own date.
    #[default]
    Event,
    /// Its last publication.
    Published,
    /// Its last change.
    Modified,
}

/// What has to be there, and what must not.
#[derive(Clone, Copy)]
pub struct NameList<'f> {
    pub include: &'f [String],
    pub exclude: &'f [String],
}

impl<'f> NameList<'f> {
    /// All names of both lists.
    pub fn all(self) -> impl Iterator<Item = &'f str> {
        self.include.iter().chain(self.exclude).map(String::as_str)
    }

    /// The rule by which these patterns leave out what has these texts, several or one.
    pub fn rule<'t, I: Iterator<Item = &'t str>>(
        self,
        what: &str,
        texts: impl Fn() -> I,
    ) -> Option<String> {
        let is_in = |pattern: &String| texts().any(|text| matches(pattern, text));
        if !self.include.is_empty() && !self.include.iter().any(is_in) {
            return Some(match what {
                "tag" | "attribute tag" => format!("no {what} is included"),
                _ => format!("{what} is not included"),
            });
        }
        let is_excluded = |pattern: &&String| texts().any(|text| excludes(pattern, text));
        let pattern = self.exclude.iter().find(is_excluded)?;
        Some(format!("{what} {pattern} is excluded"))
    }
}

impl EventFilters {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The item, what is wrong with it, and what to write.
    pub fn validate(&self) -> Result<()> {
        ensure!(
            self.include_distributions.iter().all(|number| *number <= 4),
            "configuration item \"include_distributions\" has a number above 4: write numbers \
             from 0 (your organisation) to 4 (a sharing group)"
        );
        Ok(())
    }

    /// True if a filter names an organisation or a tag.
    pub fn has_names(&self) -> bool {
        self.organisations()
            .all()
            .chain(self.tags().all())
            .next()
            .is_some()
    }

    /// The patterns of tags that keep an event in or out.
    pub fn tag_patterns(&self) -> Vec<String> {
        self.tags().all().map(ToOwned::to_owned).collect()
    }

    /// The rule that keeps an event out; none if it passes. Whether it is an export of our own is
    /// for the loop guard to say.
    pub fn find_skip_rule(&self, event: &Event, is_own_export: bool) -> Option<String> {
        if is_own_export {
            return Some("exported by this installation (loop guard)".to_owned());
        }
        if self.published_only && event.published != Some(true) {
            return Some("not published".to_owned());
        }
        self.organisation_rule(event)
            .or_else(|| self.tags().rule("tag", || event.all_tag_names()))
            .or_else(|| self.event_field_rule(event))
    }

    /// The rule that keeps an event from becoming a new alert; an alert that is there goes on being
    /// updated. A feed does not tell how many attributes an event has: they are counted before it
    /// is read.
    pub fn find_new_alert_skip_rule(&self, event: &Event, now: i64) -> Option<String> {
        self.age_rule(event, now).or_else(|| {
            let count = event
                .attribute_count
                .and_then(|count| u64::try_from(count).ok());
            count
                .filter(|count| self.is_too_large(*count))
                .map(|_| self.too_large_rule())
        })
    }

    /// True for a number of attributes above the limit.
    pub fn is_too_large(&self, attributes: u64) -> bool {
        self.max_attributes > 0 && attributes > self.max_attributes
    }

    /// The most observables of an alert, whether it is new or has grown; none for no limit. An
    /// attribute may become two.
    pub fn max_observables(&self) -> Option<u64> {
        (self.max_attributes > 0).then(|| self.max_attributes.saturating_mul(2))
    }

    /// The rule for events above the limit.
    pub fn too_large_rule(&self) -> String {
        format!("more than {} attributes", self.max_attributes)
    }

    /// The names of organisations.
    pub fn organisations(&self) -> NameList<'_> {
        NameList {
            include: &self.include_organisations,
            exclude: &self.exclude_organisations,
        }
    }

    /// The patterns of tags.
    pub fn tags(&self) -> NameList<'_> {
        NameList {
            include: &self.include_tags,
            exclude: &self.exclude_tags,
        }
    }

    fn organisation_rule(&self, event: &Event) -> Option<String> {
        let NameList { include, exclude } = self.organisations();
        let is_creator = |name: &String| is_created_by(event, name);
        if !include.is_empty() && !include.iter().any(is_creator) {
            return Some("organisation is not included".to_owned());
        }
        // What does not say who made it is not let past a list that keeps somebody out.
        if !exclude.is_empty() && event.orgc.is_none() {
            return Some("its organisation is not shown".to_owned());
        }

        // Compared by its look too: whoever makes a feed writes the names in it.
        let is_like = |name: &str| {
            let orgc = event.orgc.as_ref();
            orgc.is_some_and(|orgc| are_alike(name, &orgc.name))
        };
        let excluded = exclude
            .iter()
            .find(|name| is_created_by(event, name) || is_like(name))?;
        Some(format!("organisation {excluded} is excluded"))
    }

    fn event_field_rule(&self, event: &Event) -> Option<String> {
        if let Some(least) = self.min_threat_level
            // An undefined level is `None`, which is less than any other.
            && ThreatLevel::from_misp_number(event.threat_level_id) < Some(least)
        {
            return Some(format!("threat level below {}", least.as_str()));
        }
        let analysis = Analysis::from_misp_number(event.analysis);
        if !self.include_analysis.is_empty()
            && !self
                .include_analysis
                .iter()
                .any(|state| Some(*state) == analysis)
        {
            return Some("state of analysis is not included".to_owned());
        }
        // One that cannot be read is none of those that are included.
        let distribution = event.distribution.map_or(OF_A_FEED, |number| {
            u64::try_from(number).unwrap_or(u64::MAX)
        });
        if !self.include_distributions.is_empty()
            && !self.include_distributions.contains(&distribution)
        {
            return Some("distribution is not included".to_owned());
        }
        let pattern = self
            .include_event_info
            .as_ref()
            .map(|text| format!("*{}*", text.trim()))?;

        (!matches(&pattern, &event.info)).then(|| "its info is not included".to_owned())
    }

    fn age_rule(&self, event: &Event, now: i64) -> Option<String> {
        let days = i64::try_from(self.max_age_days)
            .ok()
            .filter(|days| *days > 0)?;
        let changed = event.timestamp.filter(|moment| *moment > 0);
        let has_date = !["", "0000-00-00"].contains(&event.date.trim());
        let moment = match self.max_age_date {
            AgeDate::Event if has_date => time::parse_day(&event.date),
            // In a feed it is always 0.
            AgeDate::Published => event
                .publish_timestamp
                .and_then(|moment| if moment > 0 { Some(moment) } else { changed }),
            // MISP takes today for an event without a date; its last change is nearer to the truth.
            AgeDate::Event | AgeDate::Modified => changed,
        };

        let Some(moment) = moment else {
            return Some("its date cannot be read".to_owned());
        };
        // One far ahead would keep the event young for years.
        if moment > now.saturating_add(DAY) {
            return Some("its date lies in the future".to_owned());
        }
        let oldest = now.saturating_sub(days.saturating_mul(DAY));
        // An event's own date is a day without a time: the oldest day counts as a whole.
        let oldest = if self.max_age_date == AgeDate::Event {
            oldest - oldest.rem_euclid(DAY)
        } else {
            oldest
        };

        (moment < oldest).then(|| {
            format!(
                "older than {}",
                format_count(self.max_age_days, "day", "days")
            )
        })
    }
}

fn is_created_by(event: &Event, organisation: &str) -> bool {
    event
        .orgc
        .as_ref()
        .is_some_and(|orgc| orgc.is_called(organisation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: i64 = 1_700_000_000;

    fn rule(filters: Value, event: Value) -> Option<String> {
        let filters: EventFilters = serde_json::from_value(filters).unwrap();
        let mut whole = json!({"date": "2023-11-01", "published": true, "timestamp": NOW, "Orgc": {"id": "7", "name": "CIRCL", "uuid": "55f6ea5e-2c60-40e5-964f-47a8950d210f"}});
        whole
            .as_object_mut()
            .unwrap()
            .extend(event.as_object().unwrap().clone());
        let event: Event = serde_json::from_value(whole).unwrap();

        filters
            .find_skip_rule(&event, false)
            .or_else(|| filters.find_new_alert_skip_rule(&event, NOW))
    }

    fn tags(names: &[&str]) -> Value {
        json!({"EventTag": names.iter().map(|name| json!({"Tag": {"name": name}})).collect::<Vec<_>>()})
    }

    #[test]
    fn without_filters_a_published_recent_event_passes() {
        assert_eq!(rule(json!({}), json!({})), None);
        assert_eq!(
            rule(json!({}), json!({"published": "0"})),
            Some("not published".into())
        );

        assert_eq!(
            rule(
                json!({"published_only": false}),
                json!({"published": false})
            ),
            None
        );
    }

    #[test]
    fn organisations_are_known_by_name_in_any_case_uuid_or_number() {
        for name in [
            "circl",
            " CIRCL ",
            "55F6EA5E-2c60-40e5-964f-47a8950d210f",
            "7",
        ] {
            assert_eq!(
                rule(json!({"include_organisations": [name]}), json!({})),
                None,
                "{name}"
            );

            assert_eq!(
                rule(json!({"exclude_organisations": [name]}), json!({})),
                Some(format!("organisation {name} is excluded"))
            );
        }

        let alike = json!({"Orgc": {"id": "8", "name": "СIRC\u{ad}L", "uuid": ""}});
        let excluded = Some("organisation circl is excluded".to_owned());
        assert_eq!(
            rule(json!({"exclude_organisations": ["circl"]}), alike.clone()),
            excluded
        );
        assert!(rule(json!({"include_organisations": ["circl"]}), alike).is_some());
        assert_eq!(
            rule(json!({"include_organisations": ["CIRC", ""]}), json!({})),
            Some("organisation is not included".into())
        );

        assert_eq!(
            rule(
                json!({"include_organisations": ["x"]}),
                json!({"Orgc": null})
            ),
            Some("organisation is not included".into())
        );
    }

    #[test]
    fn tags_are_matched_in_any_case_with_wildcards() {
        let event = tags(&["TLP:Red", "misp-galaxy:threat-actor=\"APT 29\""]);
        assert_eq!(
            rule(json!({"exclude_tags": ["tlp:red"]}), event.clone()),
            Some("tag tlp:red is excluded".into())
        );

        assert_eq!(
            rule(
                json!({"include_tags": ["tlp:green", "misp-galaxy:*actor=*"]}),
                event.clone()
            ),
            None
        );

        assert_eq!(
            rule(json!({"include_tags": ["tlp:"]}), event),
            Some("no tag is included".into())
        );
    }

    #[test]
    fn no_disguise_brings_a_tag_past_an_exclusion_or_into_an_inclusion() {
        for name in [
            "w\u{ad}orkflow: \"draft\"",
            "ＷＯＲＫＦＬＯＷ:draft",
            "wоrkflow:draft",
            "\u{200b}workflow:dráft",
        ] {
            let event = tags(&[name]);
            let excluded = Some("tag workflow:draft is excluded".to_owned());
            assert_eq!(
                rule(json!({"exclude_tags": ["workflow:draft"]}), event.clone()),
                excluded,
                "{name:?}"
            );

            let not_included = Some("no tag is included".to_owned());
            assert_eq!(
                rule(json!({"include_tags": ["workflow:draft"]}), event),
                not_included,
                "{name:?}"
            );
        }
    }

    #[test]
    fn age_is_measured_by_the_chosen_date() {
        let old = json!({"date": "2020-01-01"});
        assert_eq!(
            rule(json!({}), old.clone()),
            Some("older than 90 days".into())
        );
        assert_eq!(rule(json!({"max_age_days": 0}), old.clone()), None);
        assert_eq!(rule(json!({"max_age_date": "modified"}), old), None);

        assert_eq!(
            rule(
                json!({"max_age_date": "published"}),
                json!({"publish_timestamp": "1"})
            ),
            Some("older than 90 days".into())
        );
    }

    #[test]
    fn days_are_counted_to_the_day_of_the_run() {
        let date = || json!({"date": "2023-10-31"});
        assert_eq!(rule(json!({"max_age_days": 14}), date()), None);
        assert_eq!(
            rule(json!({"max_age_days": 13}), date()),
            Some("older than 13 days".into())
        );
    }

    #[test]
    fn a_date_is_understood_or_refused() {
        for date in [
            "2023/11/01",
            "2023-11-1",
            "2023-11-01T10:00:00Z",
            "",
            "0000-00-00",
        ] {
            assert_eq!(rule(json!({}), json!({"date": date})), None, "{date}");
        }

        for date in [
            json!("soon"),
            json!("10.11.2023"),
            json!("2023-02-30"),
            json!(1_698_000_000),
        ] {
            assert_eq!(
                rule(json!({}), json!({"date": date})),
                Some("its date cannot be read".into()),
                "{date}"
            );
        }

        assert_eq!(
            rule(json!({}), json!({"date": "2106-02-08"})),
            Some("its date lies in the future".into())
        );
    }

    #[test]
    fn a_moment_is_understood_or_refused() {
        let modified = |moment: Value| {
            rule(
                json!({"max_age_date": "modified"}),
                json!({"timestamp": moment}),
            )
        };

        assert_eq!(
            (
                modified(json!("1700000000.5")),
                modified(json!(NOW * 1_000))
            ),
            (None, None)
        );

        assert_eq!(
            modified(json!("1577836800000")),
            Some("older than 90 days".into())
        );
        assert_eq!(
            modified(json!(4_294_967_296_i64)),
            Some("its date lies in the future".into())
        );

        for moment in [
            json!(-5),
            json!(0),
            json!(""),
            json!("soon"),
            json!(null),
            json!([NOW]),
        ] {
            assert_eq!(
                modified(moment.clone()),
                Some("its date cannot be read".into()),
                "{moment}"
            );
        }

        let published = json!({"publish_timestamp": "soon"});
        assert_eq!(
            rule(json!({"max_age_date": "published"}), published),
            Some("its date cannot be read".into())
        );
    }

    #[test]
    fn a_number_that_cannot_be_read_is_none_that_is_included() {
        let only = |field: &str, value: &Value| {
            let all = json!({"include_distributions": [0, 1, 2, 3, 4], "include_analysis": ["initial", "ongoing", "completed"], "min_threat_level": "low"});
            rule(
                all,
                json!({"distribution": 0, "analysis": 0, "threat_level_id": 1, field: value}),
            )
        };

        for (field, rule) in [
            ("distribution", "distribution is not included"),
            ("analysis", "state of analysis is not included"),
            ("threat_level_id", "threat level below low"),
        ] {
            assert_eq!(only(field, &json!("1")), None);
            for odd in [
                json!("x"),
                json!(-1),
                json!(1e30),
                json!([1]),
                json!({"a": 1}),
                json!(true),
            ] {
                assert_eq!(only(field, &odd).as_deref(), Some(rule), "{field} {odd}");
            }
        }

        assert_eq!(only("distribution", &Value::Null), None);
    }

    #[test]
    fn large_events_are_left_out() {
        assert_eq!(
            rule(
                json!({"max_attributes": 10}),
                json!({"attribute_count": "11"})
            ),
            Some("more than 10 attributes".into())
        );

        assert_eq!(
            rule(
                json!({"max_attributes": 0}),
                json!({"attribute_count": "11000"})
            ),
            None
        );
    }

    #[test]
    fn our_own_events_do_not_come_back() {
        let filters: EventFilters = serde_json::from_value(json!({"max_age_days": 0})).unwrap();
        let event: Event = serde_json::from_value(json!({"published": true})).unwrap();
        assert!(
            filters
                .find_skip_rule(&event, true)
                .unwrap()
                .contains("loop guard")
        );

        assert_eq!(filters.find_skip_rule(&event, false), None);
    }
}
