//! Random filters for tests: any that the grammar allows, and those that fit a resource type.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::Number;

use super::{Filter, Literal, Operator, Test};
use crate::scim::path::AttrPath;
use crate::scim::schema::{Attribute, Extension, Kind, ResourceType, Schema, USER_TYPE};

/// URI of the extension of [`BADGE_USERS`].
pub(crate) const BADGE: &str = "urn:acme:params:2.0:Badge";

/// Users with a second extension, made as if it was loaded at run time: it has what the standard schemas lack.
pub(crate) static BADGE_USERS: LazyLock<Arc<ResourceType>> = LazyLock::new(|| {
    let mut level = Attribute::string("level", "A whole number.");
    level.kind = Kind::Integer;
    let mut weight = Attribute::string("weight", "A number.");
    weight.kind = Kind::Decimal;
    let code = Attribute::string("value", "Code of the door.").case_exact().indexed();
    let keys = Attribute::string("keys", "A list in a list.").list();
    let schema = Schema {
        id: Cow::Owned(BADGE.to_owned()),
        name: "Badge".into(),
        description: "Badge".into(),
        attributes: vec![
            level,
            weight,
            Attribute::date_time("issued", "When it was issued."),
            Attribute::string("tags", "A list of text.").list(),
            Attribute::complex("doors", "Doors it opens.", vec![code, keys.clone()]).list(),
            Attribute::complex("chip", "A single complex value.", vec![keys, Attribute::string("maker", "Maker.")]),
        ],
    };
    let mut resource_type = (**USER_TYPE).clone();
    resource_type.extensions.push(Extension { schema: Arc::new(schema), required: false });
    Arc::new(resource_type)
});

/// Text values that often meet, differ in case, or hide one another.
pub(crate) const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ada",
    "ADA",
    "adam",
    "a_%*[x]",
    "work",
    "Work",
    "home",
    "é",
    "E\u{301}",
    "straße",
    "STRASSE",
    "\"q\\",
    "\u{10ffff}",
];

/// Moments that often meet.
pub(crate) const MOMENTS: &[&str] = &[
    "2024-05-13T04:42:34.000Z",
    "2024-05-13T06:42:34+02:00",
    "2024-05-13T04:42:34.001Z",
    "2024-05-13T04:42:34.0005Z",
    "2024-05-13T04:42:35Z",
    "1969-12-31T23:59:59.9999Z",
];

const NUMBERS: &[f64] = &[-1.0, 0.0, 0.5, 1.0, 2.0];

#[derive(Debug, Clone, Copy)]
enum Values {
    Text,
    Flag,
    Moment,
    Number,
    Schemas,
    Id,
    Complex,
}

const USER_PATHS: &[(&str, Values)] = &[
    ("userName", Values::Text),
    ("displayName", Values::Text),
    ("externalId", Values::Text),
    ("id", Values::Id),
    ("active", Values::Flag),
    ("title", Values::Text),
    ("name.familyName", Values::Text),
    ("name", Values::Complex),
    ("emails", Values::Text),
    ("emails", Values::Complex),
    ("emails.value", Values::Text),
    ("emails.type", Values::Text),
    ("emails.primary", Values::Flag),
    ("groups", Values::Complex),
    ("groups.value", Values::Id),
    ("groups.display", Values::Text),
    ("groups.type", Values::Text),
    ("groups.$ref", Values::Id),
    ("manager", Values::Text),
    ("manager", Values::Complex),
    ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", Values::Text),
    ("meta", Values::Complex),
    ("meta.created", Values::Moment),
    ("meta.lastModified", Values::Moment),
    ("meta.version", Values::Id),
    ("meta.location", Values::Id),
    ("meta.resourceType", Values::Id),
    ("schemas", Values::Schemas),
    ("level", Values::Number),
    ("weight", Values::Number),
    ("issued", Values::Moment),
    ("tags", Values::Text),
    ("doors", Values::Complex),
    ("doors.value", Values::Text),
    ("doors.keys", Values::Text),
    ("chip", Values::Complex),
    ("chip.keys", Values::Text),
];

const GROUP_PATHS: &[(&str, Values)] = &[
    ("displayName", Values::Text),
    ("externalId", Values::Text),
    ("id", Values::Id),
    ("members", Values::Id),
    ("members", Values::Complex),
    ("members.value", Values::Id),
    ("members.display", Values::Text),
    ("members.type", Values::Id),
    ("members.$ref", Values::Id),
    ("meta.lastModified", Values::Moment),
    ("schemas", Values::Schemas),
];

/// Attributes that take brackets, and what may stand in them.
type Containers = &'static [(&'static str, &'static [(&'static str, Values)])];

const USER_CONTAINERS: Containers = &[
    ("emails", &[("value", Values::Text), ("type", Values::Text), ("primary", Values::Flag)]),
    ("groups", &[("value", Values::Id), ("display", Values::Text), ("type", Values::Text)]),
    ("manager", &[("value", Values::Text), ("displayName", Values::Text)]),
    ("meta", &[("resourceType", Values::Id), ("created", Values::Moment)]),
    ("doors", &[("value", Values::Text), ("keys", Values::Text)]),
    ("chip", &[("maker", Values::Text), ("keys", Values::Text)]),
];

const GROUP_CONTAINERS: Containers =
    &[("members", &[("value", Values::Id), ("display", Values::Text), ("type", Values::Id), ("$ref", Values::Id)])];

/// Ids, versions, URLs and type names as a test's documents have them, for resources 0 to 6.
fn identifiers() -> impl Strategy<Value = String> {
    let kinds = ["Users", "Groups"];
    prop_oneof![
        5 => (0..7_u8).prop_map(|n| format!("id-{n}")),
        1 => (0..7_u8, prop::sample::select(vec!["\"", "."])).prop_map(|(n, end)| format!("W/\"{n}{end}")),
        1 => (0..7_u8, 0..2_usize).prop_map(move |(n, kind)| format!("https://x.example/scim/{}/id-{n}", kinds[kind])),
        1 => prop::sample::select(vec!["User", "Group", "user", "id-"]).prop_map(str::to_owned),
    ]
}

fn path(text: &str) -> AttrPath {
    AttrPath::parse(text).expect("a sample path is well formed")
}

fn operators(words: &'static [Operator]) -> impl Strategy<Value = Operator> {
    prop::sample::select(words)
}

fn tests(values: Values) -> BoxedStrategy<Test> {
    use Operator::{Eq, Ge, Gt, Le, Lt, Ne};
    let compare = |(operator, literal)| Test::Compare(operator, literal);
    let texts = || prop::sample::select(TEXTS).prop_map(|text| Literal::Text(text.to_owned()));
    let some = match values {
        Values::Text => (operators(&Operator::ALL), texts()).prop_map(compare).boxed(),
        Values::Id => (operators(&Operator::ALL), identifiers().prop_map(Literal::Text)).prop_map(compare).boxed(),
        Values::Flag => (operators(&[Eq, Ne]), any::<bool>().prop_map(Literal::Bool)).prop_map(compare).boxed(),
        Values::Moment => {
            let moments = prop::sample::select(MOMENTS).prop_map(|text| Literal::Text(text.to_owned()));
            (operators(&[Eq, Ne, Gt, Ge, Lt, Le]), moments).prop_map(compare).boxed()
        }
        Values::Number => {
            let numbers = prop::sample::select(NUMBERS).prop_map(number);
            (operators(&[Eq, Ne, Gt, Ge, Lt, Le]), numbers).prop_map(compare).boxed()
        }
        Values::Schemas => {
            let known = prop::sample::select(vec![BADGE, crate::scim::urn::USER, crate::scim::urn::GROUP, "urn:x"]);
            (operators(&Operator::ALL), known.prop_map(|text| Literal::Text(text.to_owned()))).prop_map(compare).boxed()
        }
        Values::Complex => return Just(Test::Present).boxed(),
    };
    let null = operators(&[Eq, Ne]).prop_map(|operator| Test::Compare(operator, Literal::Null));
    prop_oneof![8 => some, 1 => Just(Test::Present), 1 => null].boxed()
}

fn number(value: f64) -> Literal {
    // Whole numbers are written without a fraction, as clients do.
    Literal::Number(serde_json::from_str(&value.to_string()).unwrap_or_else(|_| Number::from(0)))
}

fn combined(leaf: BoxedStrategy<Filter>) -> BoxedStrategy<Filter> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner, 2..4).prop_map(Filter::Or),
        ]
    })
    .boxed()
}

fn terms(paths: &'static [(&'static str, Values)]) -> BoxedStrategy<Filter> {
    prop::sample::select(paths)
        .prop_flat_map(|(name, values)| tests(values).prop_map(move |test| Filter::Term(path(name), test)))
        .boxed()
}

fn fitting(paths: &'static [(&'static str, Values)], containers: Containers) -> BoxedStrategy<Filter> {
    let elements = prop::sample::select(containers).prop_flat_map(|(name, subs)| {
        let tails = prop::sample::select(subs)
            .prop_flat_map(|(sub, values)| tests(values).prop_map(move |test| (sub.to_owned(), test)));
        (combined(terms(subs)), prop::option::of(tails)).prop_map(move |(inner, tail)| Filter::Element {
            path: path(name),
            inner: Box::new(inner),
            tail,
        })
    });
    combined(prop_oneof![2 => terms(paths), 1 => elements].boxed())
}

/// Filters that fit [`BADGE_USERS`].
pub(crate) fn user_filters() -> BoxedStrategy<Filter> {
    fitting(USER_PATHS, USER_CONTAINERS)
}

/// Filters that fit groups.
pub(crate) fn group_filters() -> BoxedStrategy<Filter> {
    fitting(GROUP_PATHS, GROUP_CONTAINERS)
}

/// Filters that the grammar allows, on attributes that need not exist.
pub(crate) fn any_filters() -> BoxedStrategy<Filter> {
    let literals = prop_oneof![
        "[^\\x00]{0,12}".prop_map(Literal::Text),
        any::<i64>().prop_map(|value| Literal::Number(value.into())),
        any::<f64>().prop_filter_map("a number", |value| Number::from_f64(value).map(Literal::Number)),
        any::<bool>().prop_map(Literal::Bool),
        Just(Literal::Null),
    ];
    let compare =
        (operators(&Operator::ALL), literals).prop_map(|(operator, literal)| Test::Compare(operator, literal));
    let tests = prop_oneof![4 => compare, 1 => Just(Test::Present)].boxed();
    let reserved = |name: &String| !["and", "or", "not"].contains(&name.to_ascii_lowercase().as_str());
    let names = r"([a-zA-Z][a-zA-Z0-9_-]{0,8}(\.\$?[a-z]{1,5})?)|(urn:[a-z0-9.:]{1,12}:[a-z]{1,4})"
        .prop_filter("not a keyword", reserved);
    let terms = (names.clone(), tests.clone()).prop_map(|(name, test)| Filter::Term(path(&name), test)).boxed();
    let tails = prop::option::of(("[a-z]{1,5}", tests));
    let elements = (names, combined(terms.clone()), tails).prop_map(|(name, inner, tail)| Filter::Element {
        path: path(&name),
        inner: Box::new(inner),
        tail,
    });
    combined(prop_oneof![2 => terms, 1 => elements].boxed())
}
