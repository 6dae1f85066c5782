//! Random resources and filters: SQL must find the same resources as the evaluator finds in the rendered documents.

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use rusqlite::{Connection, params};
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::scim::filter::ScimFilter;
use crate::scim::filter::evaluate::matches_resource;
use crate::scim::filter::random_filters::{BADGE, BADGE_USERS, TEXTS, TIMESTAMPS, group_filters, user_filters};
use crate::scim::index;
use crate::scim::schema::{COMMON, GROUP_TYPE};
use crate::scim::sort::{Sort, SortField, SortPosition, SortValue};
use crate::scim::timestamp::parse_timestamp;
use crate::scim::work::WorkBudget;
use crate::scim::{entity_tag, fold, urn};
use crate::store::Snapshot;
use crate::store::tables::pages::{PageWindow, ResourceStream, read_page};
use crate::store::tables::resources::ResourceCollection;

const BASE: &str = "https://x.example/scim";
const SCHEMA: &str = include_str!("../../../schema.sql");

/// One resource: its stored body and, for a group, the indexes of its members.
#[derive(Debug, Clone)]
struct Sample {
    body: Map<String, Json>,
    created: i64,
    modified: i64,
    members: Option<Vec<usize>>,
}

/// Text that is often absent.
fn maybe_text() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        3 => prop::sample::select(TEXTS).prop_map(Json::from),
    ]
}

fn text_list() -> impl Strategy<Value = Json> {
    prop::collection::vec(prop::sample::select(TEXTS), 0..3).prop_map(Json::from)
}

fn millis() -> impl Strategy<Value = i64> {
    prop::sample::select(TIMESTAMPS).prop_map(|text| parse_timestamp(text).unwrap().div_euclid(1000))
}

fn flag() -> impl Strategy<Value = Json> {
    prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from)]
}

fn element() -> impl Strategy<Value = Json> {
    (maybe_text(), maybe_text(), flag())
        .prop_map(|(value, kind, primary)| json!({"value": value, "type": kind, "primary": primary}))
}

fn badge() -> impl Strategy<Value = Json> {
    let doors = prop::collection::vec((maybe_text(), text_list()), 0..3).prop_map(|doors| {
        let doors = doors.into_iter();
        doors.map(|(value, keys)| json!({"value": value, "keys": keys})).collect::<Json>()
    });
    let chip = (maybe_text(), text_list()).prop_map(|(maker, keys)| json!({"maker": maker, "keys": keys}));
    let numbers = (-1..3_i8, prop::sample::select(vec![-1.0, 0.5, 1.0]));
    let issued = prop::sample::select(TIMESTAMPS);
    (numbers, issued, text_list(), doors, chip).prop_map(|((level, weight), issued, tags, doors, chip)| {
        json!({"level": level, "weight": weight, "issued": issued, "tags": tags, "doors": doors, "chip": chip})
    })
}

fn user() -> impl Strategy<Value = Sample> {
    let names = (maybe_text(), maybe_text(), maybe_text(), maybe_text());
    let lists = (prop::collection::vec(element(), 0..3), maybe_text(), maybe_text());
    let badge = prop::option::of(badge());
    (names, flag(), lists, badge, (millis(), millis())).prop_map(
        |(names, active, lists, badge, (created, modified))| {
            let (display_name, external_id, title, family_name) = names;
            let (emails, manager, department) = lists;
            let body = json!({
                "displayName": display_name, "externalId": external_id, "title": title, "active": active,
                "name": {"familyName": family_name},
                "emails": emails,
                urn::ENTERPRISE_USER: {"department": department, "manager": {"value": manager}},
                BADGE: badge,
            });
            Sample { body: stored(body, urn::USER), created, modified, members: None }
        },
    )
}

fn group() -> impl Strategy<Value = Sample> {
    let members = prop::collection::btree_set(0..7_usize, 0..4);
    (maybe_text(), maybe_text(), members, (millis(), millis())).prop_map(
        |(name, external, members, (created, modified))| {
            let body = stored(json!({"displayName": name, "externalId": external}), urn::GROUP);
            Sample { body, created, modified, members: Some(members.into_iter().collect()) }
        },
    )
}

/// Four users and three groups.
fn worlds() -> impl Strategy<Value = Vec<Sample>> {
    (prop::collection::vec(user(), 4), prop::collection::vec(group(), 3)).prop_map(|(mut users, groups)| {
        for (number, user) in users.iter_mut().enumerate() {
            // User names are unique ignoring case, so each user gets its own name.
            user.body.insert("userName".into(), ["ada", "ADAM", "E\u{301}va", "STRASSE"][number].into());
        }
        users.into_iter().chain(groups).collect()
    })
}

/// Removes attributes without a value, as the product does before it stores a resource, and adds `schemas`.
fn stored(body: Json, base: &str) -> Map<String, Json> {
    let Some(Json::Object(mut body)) = without_nulls(body) else {
        return Map::new();
    };
    let extensions = [urn::ENTERPRISE_USER, BADGE].into_iter().filter(|uri| body.contains_key(*uri));
    let schemas: Vec<&str> = std::iter::once(base).chain(extensions).collect();
    body.insert("schemas".into(), schemas.into());
    body
}

fn without_nulls(value: Json) -> Option<Json> {
    match value {
        Json::Null => None,
        Json::Array(values) => {
            let values: Vec<Json> = values.into_iter().filter_map(without_nulls).collect();
            (!values.is_empty()).then_some(values.into())
        }
        Json::Object(members) => {
            let members: Map<String, Json> =
                members.into_iter().filter_map(|(name, value)| Some((name, without_nulls(value)?))).collect();
            (!members.is_empty()).then_some(members.into())
        }
        value => Some(value),
    }
}

fn type_of(sample: &Sample) -> &'static ResourceType {
    if sample.members.is_some() { &GROUP_TYPE } else { &BADGE_USERS }
}

fn label(sample: &Sample) -> Option<&str> {
    ["displayName", "userName"].into_iter().find_map(|name| sample.body.get(name)?.as_str())
}

fn database(world: &[Sample]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    register_functions(&connection).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for (number, sample) in world.iter().enumerate() {
        insert(&connection, number, sample);
    }
    connection
}

fn insert(connection: &Connection, number: usize, sample: &Sample) {
    let text_of = |name: &str| sample.body.get(name).and_then(Json::as_str);
    let key_of = |name: &str| text_of(name).map(|text| fold::fold_case(text).into_owned());
    let active = sample.body.get("active").and_then(Json::as_bool);
    let resource = i64::try_from(number).unwrap();
    let sql = "INSERT INTO resources (resource, configuration, type, id, version, created_at, last_modified, active, \
               user_name_key, display_name_key, external_id, label, body) \
               VALUES (?1, 7, ?2, ?3, ?1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let row = params![
        resource,
        type_of(sample).name,
        format!("id-{number}"),
        sample.created,
        sample.modified,
        active,
        key_of("userName"),
        key_of("displayName"),
        text_of("externalId"),
        label(sample),
        Json::Object(sample.body.clone()).to_string(),
    ];
    connection.execute(sql, row).unwrap();
    for (path, key) in index::build_index_keys(&sample.body, type_of(sample)).values {
        let sql = "INSERT INTO resource_values (configuration, path, key, resource) VALUES (7, ?1, ?2, ?3)";
        connection.execute(sql, params![path, key, resource]).unwrap();
    }
    for member in sample.members.iter().flatten() {
        let sql = "INSERT INTO group_members (group_resource, member_resource) VALUES (?1, ?2)";
        connection.execute(sql, params![resource, i64::try_from(*member).unwrap()]).unwrap();
    }
}

fn rendered(world: &[Sample], number: usize) -> Map<String, Json> {
    let sample = &world[number];
    let url = |other: usize| format!("{BASE}{}/id-{other}", type_of(&world[other]).endpoint);
    let mut document = sample.body.clone();
    document.insert("id".into(), format!("id-{number}").into());
    let meta = json!({
        "resourceType": type_of(sample).name, "created": rfc3339(sample.created), "lastModified": rfc3339(sample.modified),
        "location": url(number), "version": format!("W/\"{number}\""),
    });
    document.insert("meta".into(), meta);
    let display_name = |other: usize| label(&world[other]).unwrap_or_default();
    let link = |other: usize, kind: &str| {
        let link =
            json!({"value": format!("id-{other}"), "$ref": url(other), "type": kind, "display": label(&world[other])});
        without_nulls(link).unwrap()
    };
    if let Some(members) = &sample.members {
        let members = members.iter().map(|member| link(*member, &type_of(&world[*member]).name));
        document.insert("members".into(), members.collect());
    } else {
        let holders = |member: usize| {
            let holds = move |other: &usize| world[*other].members.iter().flatten().any(|index| *index == member);
            (0..world.len()).filter(holds).collect::<Vec<usize>>()
        };
        let direct = holders(number);
        let mut all = direct.clone();
        let mut at = 0;
        while at < all.len() {
            let further: Vec<usize> = holders(all[at]).into_iter().filter(|group| !all.contains(group)).collect();
            all.extend(further);
            at += 1;
        }
        // Responses list the groups in the order of creation.
        all.sort_unstable();
        let kind = |group: &usize| if direct.contains(group) { "direct" } else { "indirect" };
        let groups: Vec<Json> = all.iter().map(|group| link(*group, kind(group))).collect();
        let ids: Vec<String> = all.iter().map(|group| format!("id-{group}")).collect();
        let marked = all.iter().zip(&ids).map(|(group, id)| (&**id, direct.contains(group), display_name(*group)));
        document["meta"]["version"] =
            entity_tag::format_entity_tag(i64::try_from(number).unwrap(), entity_tag::hash_groups(marked)).into();
        document.insert("groups".into(), groups.into());
    }
    document
}

fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap().to_string()
}

fn found(connection: &Connection, condition: &CompiledFilter, type_name: &str) -> Vec<usize> {
    let sql = format!("SELECT r.resource FROM resources r WHERE {} ORDER BY r.resource", condition.clause(1, 2));
    let mut values = vec![Value::Integer(7), Value::Text(type_name.to_owned())];
    values.extend(condition.params.iter().cloned());
    let mut statement = connection.prepare(&sql).unwrap();
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|row| usize::try_from(row.unwrap()).unwrap()).collect()
}

fn agree(
    world: &[Sample],
    connection: &Connection,
    filter: &ScimFilter,
    resource_type: &ResourceType,
) -> Result<(), TestCaseError> {
    let predicate = filter.check(resource_type).unwrap();
    let condition =
        compile_filter(&predicate, &FilterContext { configuration: 7, resource_type, base: BASE, parameters_used: 2 });
    let documents = (0..world.len()).filter(|number| type_of(&world[*number]).name == resource_type.name);
    let matches =
        |number: &usize| matches_resource(&predicate, &rendered(world, *number), &mut WorkBudget::default()).unwrap();
    let expected: Vec<usize> = documents.filter(matches).collect();
    prop_assert_eq!(found(connection, &condition, &resource_type.name), expected, "{}\n{}", filter, condition.sql);
    Ok(())
}

/// Worlds in a default run: 10,000 filters and 38,000 match results. `PROPTEST_CASES` (default 256) scales it.
const WORLDS: u32 = 30;
const USER_FILTERS: usize = 140;
const GROUP_FILTERS: usize = 60;

#[test]
fn sql_finds_what_the_evaluator_finds() {
    let default = ProptestConfig::default();
    let seed = match default.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => rand::random(),
    };
    let cases = (WORLDS * default.cases).div_ceil(256);
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..default
    };
    let filters =
        (prop::collection::vec(user_filters(), USER_FILTERS), prop::collection::vec(group_filters(), GROUP_FILTERS));
    let tried = TestRunner::new(config).run(&(worlds(), filters), |(world, (users, groups))| {
        let connection = database(&world);
        for filter in &users {
            agree(&world, &connection, filter, &BADGE_USERS)?;
        }
        for filter in &groups {
            agree(&world, &connection, filter, &GROUP_TYPE)?;
        }
        Ok(())
    });
    if let Err(found) = tried {
        panic!("PROPTEST_RNG_SEED={seed} repeats this: {found}");
    }
}

/// Every path that a resource type can be sorted by.
fn sortable(of: &ResourceType) -> Vec<SortField> {
    let base = of.schema.attributes.iter().chain(COMMON.iter()).map(|attribute| (String::new(), attribute));
    let extended = of.extensions.iter().flat_map(|extension| {
        extension.schema.attributes.iter().map(|attribute| (format!("{}:", extension.schema.id), attribute))
    });
    let paths = base.chain(extended).flat_map(|(urn, attribute)| {
        let whole = format!("{urn}{}", attribute.name);
        let subs = attribute.sub_attributes.iter().map(|sub| format!("{whole}.{}", sub.name)).collect::<Vec<_>>();
        std::iter::once(whole.clone()).chain(subs)
    });
    let field =
        |path: String| Sort::read(Some(&path), None).unwrap().unwrap().fields(std::iter::once(of)).ok()?.remove(0);
    paths.filter_map(field).collect()
}

/// The sort value of a rendered document (RFC 7644 section 3.4.2.3).
fn sort_value(field: &FilterField, document: &Map<String, Json>) -> Option<SortValue> {
    let holder = field.extension.as_deref().map_or(Some(document), |uri| document.get(uri)?.as_object())?;
    let mut value = holder.get(&*field.attribute)?;
    if field.multi_valued {
        let elements = value.as_array()?;
        let primary = elements.iter().find(|element| element["primary"] == true);
        value = primary.or(elements.first())?;
    }
    if let Some(sub) = field.sub.as_deref() {
        value = value.get(sub)?;
    }
    if field.sub_multi_valued {
        value = value.as_array()?.first()?;
    }
    match value {
        Json::Bool(flag) => Some(SortValue::Integer((*flag).into())),
        Json::Number(number) => {
            number.as_i64().map(SortValue::Integer).or_else(|| number.as_f64().map(SortValue::Decimal))
        }
        Json::String(text) if field.kind == DataType::DateTime => parse_timestamp(text).map(SortValue::Integer),
        Json::String(text) if field.case_exact => Some(SortValue::Text(text.clone())),
        Json::String(text) => Some(SortValue::Text(fold::fold_case(text).into_owned())),
        _ => None,
    }
}

fn sorted_by_value(world: &[Sample], connection: &Connection, of: &ResourceType) -> Result<(), TestCaseError> {
    for sort in sortable(of) {
        // Some of these groups have no name, which the product does not allow.
        let sort = SortField { always_present: false, ..sort };
        let key = compile_sort_key(
            &sort,
            &FilterContext { configuration: 7, resource_type: of, base: BASE, parameters_used: 2 },
        );
        let collection = ResourceCollection { configuration: 7, resource_type: &of.name };
        let stream = ResourceStream { collection, filter: None, key: Some(&key) };
        let page = PageWindow { ascending: true, after: None, skip: 0, limit: 100 };
        let found = read_page(&Snapshot::new(connection), &[stream], &page).unwrap();
        let found: Vec<usize> = found.iter().map(|found| usize::try_from(found.position.row).unwrap()).collect();
        let mut expected: Vec<SortPosition> = (0..world.len())
            .filter(|number| type_of(&world[*number]).name == of.name)
            .map(|number| {
                let key = sort_value(&sort.field, &rendered(world, number));
                SortPosition { key, row: i64::try_from(number).unwrap() }
            })
            .collect();
        expected.sort_by(SortPosition::compare);
        let expected: Vec<usize> = expected.iter().map(|position| usize::try_from(position.row).unwrap()).collect();
        prop_assert_eq!(found, expected, "{}\n{}", sort.field, key.sql);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn sql_sorts_by_the_values_in_the_documents(world in worlds()) {
        let connection = database(&world);
        sorted_by_value(&world, &connection, &BADGE_USERS)?;
        sorted_by_value(&world, &connection, &GROUP_TYPE)?;
    }
}

#[test]
fn another_configurations_values_are_never_found() {
    let connection = database(&[]);
    connection
        .execute_batch(
            "INSERT INTO resources (resource, configuration, type, id, version, created_at, last_modified, body) VALUES
               (1, 7, 'User', 'u', 1, 0, 0, '{}'), (2, 8, 'Group', 'g', 1, 0, 0, '{}');
             INSERT INTO resource_values VALUES (8, 'emails.value', 'x', 1);
             INSERT INTO group_members VALUES (2, 1);",
        )
        .unwrap();
    for text in ["emails eq \"x\"", "groups eq \"g\"", "groups[value eq \"g\" and display pr]"] {
        let predicate = ScimFilter::parse(text).unwrap().check(&BADGE_USERS).unwrap();
        let context = FilterContext { configuration: 7, resource_type: &BADGE_USERS, base: BASE, parameters_used: 2 };
        assert!(found(&connection, &compile_filter(&predicate, &context), "User").is_empty(), "{text}");
    }
}
