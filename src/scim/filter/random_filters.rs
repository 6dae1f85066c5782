//! Random filters for tests: any filter of the grammar, and filters that are valid for a resource type.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::Number;

use crate::scim::filter::{FilterLiteral, FilterOperator, FilterTest, ScimFilter};
use crate::scim::path::AttrPath;
use crate::scim::schema::{Attribute, DataType, ResourceType, ResourceTypeExtension, Schema, USER_TYPE};

/// URI of the extension of [`BADGE_USERS`].
pub(crate) const BADGE: &str = "urn:acme:params:2.0:Badge";

/// Users with a second extension, as if it was loaded at run time. It has attribute types that the standard schemas do
/// not have.
pub(crate) static BADGE_USERS: LazyLock<Arc<ResourceType>> = LazyLock::new(|| {
    let mut level = Attribute::string("level", "A whole number.");
    level.kind = DataType::Integer;
    let mut weight = Attribute::string("weight", "A number.");
    weight.kind = DataType::Decimal;
    let code = Attribute::string("value", "Door code.").case_exact().indexed();
    let keys = Attribute::string("keys", "A list in a list.").multi_valued();
    let schema = Schema {
        id: Cow::Owned(BADGE.to_owned()),
        name: "Badge".into(),
        description: "Badge".into(),
        attributes: vec![
            level,
            weight,
            Attribute::date_time("issued", "When it was issued."),
            Attribute::string("tags", "A list of text.").multi_valued(),
            Attribute::complex("doors", "Doors it opens.", vec![code, keys.clone()]).multi_valued(),
            Attribute::complex("chip", "A single complex value.", vec![keys, Attribute::string("maker", "Maker.")]),
        ],
    };
    let mut resource_type = (**USER_TYPE).clone();
    resource_type.extensions.push(ResourceTypeExtension { schema: Arc::new(schema), required: false });
    Arc::new(resource_type)
});

/// Text values that are often equal, differ in case, or are parts of each other.
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

/// Timestamps that are often equal.
pub(crate) const TIMESTAMPS: &[&str] = &[
    "2024-05-13T04:42:34.000Z",
    "2024-05-13T06:42:34+02:00",
    "2024-05-13T04:42:34.001Z",
    "2024-05-13T04:42:34.0005Z",
    "2024-05-13T04:42:35Z",
    "1969-12-31T23:59:59.9999Z",
];

const NUMBERS: &[f64] = &[-1.0, 0.0, 0.5, 1.0, 2.0];

#[derive(Debug, Clone, Copy)]
enum SampleValues {
    Text,
    Flag,
    Timestamp,
    Number,
    Schemas,
    Id,
    Complex,
}

const USER_PATHS: &[(&str, SampleValues)] = &[
    ("userName", SampleValues::Text),
    ("displayName", SampleValues::Text),
    ("externalId", SampleValues::Text),
    ("id", SampleValues::Id),
    ("active", SampleValues::Flag),
    ("title", SampleValues::Text),
    ("name.familyName", SampleValues::Text),
    ("name", SampleValues::Complex),
    ("emails", SampleValues::Text),
    ("emails", SampleValues::Complex),
    ("emails.value", SampleValues::Text),
    ("emails.type", SampleValues::Text),
    ("emails.primary", SampleValues::Flag),
    ("groups", SampleValues::Complex),
    ("groups.value", SampleValues::Id),
    ("groups.display", SampleValues::Text),
    ("groups.type", SampleValues::Text),
    ("groups.$ref", SampleValues::Id),
    ("manager", SampleValues::Text),
    ("manager", SampleValues::Complex),
    ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", SampleValues::Text),
    ("meta", SampleValues::Complex),
    ("meta.created", SampleValues::Timestamp),
    ("meta.lastModified", SampleValues::Timestamp),
    ("meta.version", SampleValues::Id),
    ("meta.location", SampleValues::Id),
    ("meta.resourceType", SampleValues::Id),
    ("schemas", SampleValues::Schemas),
    ("level", SampleValues::Number),
    ("weight", SampleValues::Number),
    ("issued", SampleValues::Timestamp),
    ("tags", SampleValues::Text),
    ("doors", SampleValues::Complex),
    ("doors.value", SampleValues::Text),
    ("doors.keys", SampleValues::Text),
    ("chip", SampleValues::Complex),
    ("chip.keys", SampleValues::Text),
];

const GROUP_PATHS: &[(&str, SampleValues)] = &[
    ("displayName", SampleValues::Text),
    ("externalId", SampleValues::Text),
    ("id", SampleValues::Id),
    ("members", SampleValues::Id),
    ("members", SampleValues::Complex),
    ("members.value", SampleValues::Id),
    ("members.display", SampleValues::Text),
    ("members.type", SampleValues::Id),
    ("members.$ref", SampleValues::Id),
    ("meta.lastModified", SampleValues::Timestamp),
    ("schemas", SampleValues::Schemas),
];

/// Attributes that allow brackets, and their sub-attributes.
type SampleContainers = &'static [(&'static str, &'static [(&'static str, SampleValues)])];

const USER_CONTAINERS: SampleContainers = &[
    ("emails", &[("value", SampleValues::Text), ("type", SampleValues::Text), ("primary", SampleValues::Flag)]),
    ("groups", &[("value", SampleValues::Id), ("display", SampleValues::Text), ("type", SampleValues::Text)]),
    ("manager", &[("value", SampleValues::Text), ("displayName", SampleValues::Text)]),
    ("meta", &[("resourceType", SampleValues::Id), ("created", SampleValues::Timestamp)]),
    ("doors", &[("value", SampleValues::Text), ("keys", SampleValues::Text)]),
    ("chip", &[("maker", SampleValues::Text), ("keys", SampleValues::Text)]),
];

const GROUP_CONTAINERS: SampleContainers = &[(
    "members",
    &[
        ("value", SampleValues::Id),
        ("display", SampleValues::Text),
        ("type", SampleValues::Id),
        ("$ref", SampleValues::Id),
    ],
)];

/// Ids, versions, URLs and type names of test documents, for resources 0 to 6.
fn sample_identifiers() -> impl Strategy<Value = String> {
    let kinds = ["Users", "Groups"];
    prop_oneof![
        5 => (0..7_u8).prop_map(|n| format!("id-{n}")),
        1 => (0..7_u8, prop::sample::select(vec!["\"", "."])).prop_map(|(n, end)| format!("W/\"{n}{end}")),
        1 => (0..7_u8, 0..2_usize).prop_map(move |(n, kind)| format!("https://x.example/scim/{}/id-{n}", kinds[kind])),
        1 => prop::sample::select(vec!["User", "Group", "user", "id-"]).prop_map(str::to_owned),
    ]
}

fn parse_path(text: &str) -> AttrPath {
    AttrPath::parse(text).expect("a sample path is well formed")
}

fn select_operator(allowed: &'static [FilterOperator]) -> impl Strategy<Value = FilterOperator> {
    prop::sample::select(allowed)
}

fn generate_tests(values: SampleValues) -> BoxedStrategy<FilterTest> {
    use FilterOperator::{Eq, Ge, Gt, Le, Lt, Ne};
    let compare = |(operator, literal)| FilterTest::Compare(operator, literal);
    let texts = || prop::sample::select(TEXTS).prop_map(|text| FilterLiteral::Text(text.to_owned()));
    let some = match values {
        SampleValues::Text => (select_operator(&FilterOperator::ALL), texts()).prop_map(compare).boxed(),
        SampleValues::Id => (select_operator(&FilterOperator::ALL), sample_identifiers().prop_map(FilterLiteral::Text))
            .prop_map(compare)
            .boxed(),
        SampleValues::Flag => {
            (select_operator(&[Eq, Ne]), any::<bool>().prop_map(FilterLiteral::Bool)).prop_map(compare).boxed()
        }
        SampleValues::Timestamp => {
            let timestamps = prop::sample::select(TIMESTAMPS).prop_map(|text| FilterLiteral::Text(text.to_owned()));
            (select_operator(&[Eq, Ne, Gt, Ge, Lt, Le]), timestamps).prop_map(compare).boxed()
        }
        SampleValues::Number => {
            let numbers = prop::sample::select(NUMBERS).prop_map(number_literal);
            (select_operator(&[Eq, Ne, Gt, Ge, Lt, Le]), numbers).prop_map(compare).boxed()
        }
        SampleValues::Schemas => {
            let uris = prop::sample::select(vec![BADGE, crate::scim::urn::USER, crate::scim::urn::GROUP, "urn:x"]);
            (select_operator(&FilterOperator::ALL), uris.prop_map(|text| FilterLiteral::Text(text.to_owned())))
                .prop_map(compare)
                .boxed()
        }
        SampleValues::Complex => return Just(FilterTest::Present).boxed(),
    };
    let null = select_operator(&[Eq, Ne]).prop_map(|operator| FilterTest::Compare(operator, FilterLiteral::Null));
    prop_oneof![8 => some, 1 => Just(FilterTest::Present), 1 => null].boxed()
}

fn number_literal(value: f64) -> FilterLiteral {
    // Integers are written without a fraction, as clients send them.
    FilterLiteral::Number(serde_json::from_str(&value.to_string()).unwrap_or_else(|_| Number::from(0)))
}

fn combine_filters(leaf: BoxedStrategy<ScimFilter>) -> BoxedStrategy<ScimFilter> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|filter| ScimFilter::Not(Box::new(filter))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(ScimFilter::And),
            prop::collection::vec(inner, 2..4).prop_map(ScimFilter::Or),
        ]
    })
    .boxed()
}

fn generate_terms(paths: &'static [(&'static str, SampleValues)]) -> BoxedStrategy<ScimFilter> {
    prop::sample::select(paths)
        .prop_flat_map(|(name, values)| {
            generate_tests(values).prop_map(move |test| ScimFilter::Term(parse_path(name), test))
        })
        .boxed()
}

fn generate_valid_filters(
    paths: &'static [(&'static str, SampleValues)],
    containers: SampleContainers,
) -> BoxedStrategy<ScimFilter> {
    let elements = prop::sample::select(containers).prop_flat_map(|(name, subs)| {
        let tails = prop::sample::select(subs)
            .prop_flat_map(|(sub, values)| generate_tests(values).prop_map(move |test| (sub.to_owned(), test)));
        (combine_filters(generate_terms(subs)), prop::option::of(tails))
            .prop_map(move |(inner, tail)| ScimFilter::Element { path: parse_path(name), inner: Box::new(inner), tail })
    });
    combine_filters(prop_oneof![2 => generate_terms(paths), 1 => elements].boxed())
}

/// Filters that are valid for [`BADGE_USERS`].
pub(crate) fn user_filters() -> BoxedStrategy<ScimFilter> {
    generate_valid_filters(USER_PATHS, USER_CONTAINERS)
}

/// Filters that are valid for groups.
pub(crate) fn group_filters() -> BoxedStrategy<ScimFilter> {
    generate_valid_filters(GROUP_PATHS, GROUP_CONTAINERS)
}

/// Filters of the grammar, on attributes that may not exist.
pub(crate) fn any_filters() -> BoxedStrategy<ScimFilter> {
    let literals = prop_oneof![
        "[^\\x00]{0,12}".prop_map(FilterLiteral::Text),
        any::<i64>().prop_map(|value| FilterLiteral::Number(value.into())),
        any::<f64>().prop_filter_map("a number", |value| Number::from_f64(value).map(FilterLiteral::Number)),
        any::<bool>().prop_map(FilterLiteral::Bool),
        Just(FilterLiteral::Null),
    ];
    let compare = (select_operator(&FilterOperator::ALL), literals)
        .prop_map(|(operator, literal)| FilterTest::Compare(operator, literal));
    let tests = prop_oneof![4 => compare, 1 => Just(FilterTest::Present)].boxed();
    let reserved = |name: &String| !["and", "or", "not"].contains(&name.to_ascii_lowercase().as_str());
    let names = r"([a-zA-Z][a-zA-Z0-9_-]{0,8}(\.\$?[a-z]{1,5})?)|(urn:[a-z0-9.:]{1,12}:[a-z]{1,4})"
        .prop_filter("not a keyword", reserved);
    let terms =
        (names.clone(), tests.clone()).prop_map(|(name, test)| ScimFilter::Term(parse_path(&name), test)).boxed();
    let tails = prop::option::of(("[a-z]{1,5}", tests));
    let elements = (names, combine_filters(terms.clone()), tails).prop_map(|(name, inner, tail)| ScimFilter::Element {
        path: parse_path(&name),
        inner: Box::new(inner),
        tail,
    });
    combine_filters(prop_oneof![2 => terms, 1 => elements].boxed())
}
