//! The cost of the protocol core: pure functions, no disk and no network.
#![expect(clippy::expect_used, reason = "a benchmark that cannot go on has failed")]

mod seed;

use divan::{Bencher, black_box};
use rollcall::scim::dialect::DialectRules;
use rollcall::scim::filter::ScimFilter;
use rollcall::scim::patch;
use rollcall::scim::render::{self, ResourceMeta};
use rollcall::scim::schema::USER_TYPE;
use rollcall::scim::work::WorkBudget;
use rollcall::scim::{json, validate};
use rollcall::store::filter_sql::{self, FilterContext};
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FILTERS: [&str; 3] = [
    r#"userName eq "ada@example.com""#,
    r#"emails[type eq "work" and value eq "ada@example.com"]"#,
    r#"active eq true and (name.familyName sw "Lo" or not (title pr)) and meta.lastModified gt "2026-01-01T00:00:00Z""#,
];

fn main() {
    divan::main();
}

/// From the text of a filter to the SQL condition.
#[divan::bench(args = FILTERS)]
fn parse_check_and_compile_a_filter(text: &str) -> filter_sql::CompiledFilter {
    let context = FilterContext {
        configuration: 1,
        resource_type: &USER_TYPE,
        base: "http://127.0.0.1:8080",
        parameters_used: 2,
    };
    let predicate = ScimFilter::parse(black_box(text)).and_then(|filter| filter.check(&USER_TYPE));
    filter_sql::compile_filter(&predicate.expect("a right filter"), &context)
}

#[divan::bench]
fn read_the_json_of_a_user(bencher: Bencher<'_, '_>) {
    let text = seed::user(1).to_string();
    let bytes = divan::counter::BytesCount::new(text.len());
    bencher.counter(bytes).bench(|| json::parse_json(black_box(text.as_bytes())));
}

#[divan::bench]
fn check_a_user_against_the_schema(bencher: Bencher<'_, '_>) {
    let body = seed::user(1);
    bencher.bench(|| validate::read_new_resource(black_box(&body), &USER_TYPE, DialectRules::LENIENT));
}

/// Reads a PATCH of one operation and applies it to a copy of the user's attributes.
#[divan::bench(args = ["active", "emails[type eq \"work\"].value"])]
fn read_and_apply_a_patch(bencher: Bencher<'_, '_>, path: &str) {
    let value = if path == "active" { Value::from(false) } else { "new@example.com".into() };
    let body = seed::patch_body("replace", path, value);
    let user = attributes();
    bencher.bench(|| {
        let request = patch::parse_patch(black_box(&body), &USER_TYPE, DialectRules::LENIENT).expect("a right PATCH");
        let mut after = user.clone();
        let mut work = WorkBudget::default();
        patch::apply_edits(&request.edits, &mut after, &USER_TYPE, DialectRules::LENIENT, &mut work)
            .expect("an attribute to change");
        after
    });
}

/// From attributes to the stored text.
#[divan::bench]
fn render_the_stored_text_of_a_user(bencher: Bencher<'_, '_>) {
    let user = attributes();
    bencher.bench(|| render::build_stored_text(black_box(&user), &USER_TYPE));
}

/// From the stored text to the document for a client.
#[divan::bench]
fn render_the_answer_from_the_stored_text(bencher: Bencher<'_, '_>) {
    let text = render::build_stored_text(&attributes(), &USER_TYPE);
    let meta = ResourceMeta {
        resource_type: "User",
        created: 1_767_225_600_000,
        last_modified: 1_767_225_600_000,
        base: "http://127.0.0.1:8080/directory/resources/scim/v2.0/0",
        endpoint: "/Users",
        version: (1, None),
    };
    bencher.bench(|| {
        let mut out = Vec::new();
        render::write_head(&mut out, black_box(&text), "01890a5d-ac96-774b-bcce-b302099a8057", &meta);
        render::close_document(&mut out, false);
        out
    });
}

fn attributes() -> validate::Attributes {
    validate::read_new_resource(&seed::user(1), &USER_TYPE, DialectRules::LENIENT)
        .expect("a body without a fault")
        .attributes
}
