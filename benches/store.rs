//! The cost of the store, below HTTP: reads by index, adds to groups of several sizes, and creates compared to raw
//! SQLite.
#![expect(clippy::expect_used, reason = "a benchmark that cannot go on has failed")]

mod raw;
mod seed;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::future::join_all;
use rollcall::clock;
use rollcall::error::Result;
use rollcall::model::configuration::ConfigurationKey;
use rollcall::provisioning::Members;
use rollcall::provisioning::lists::{self, ListQuery, PageStart, ResourcesPage, TypeQuery};
use rollcall::provisioning::patches::patch_resource;
use rollcall::provisioning::resources::{PreparedResource, ResourceWrite, build_rules, create_resource, read_resource};
use rollcall::scim::cursor::{CursorPosition, Direction};
use rollcall::scim::filter::ScimFilter;
use rollcall::scim::patch::{Patch, parse_patch as read_patch};
use rollcall::scim::schema::{GROUP_TYPE, USER_TYPE};
use rollcall::scim::sort::Sort;
use rollcall::store::WorkOwner;
use rollcall::store::filter_sql::{self, CompiledFilter, FilterContext, SortKey, compile_filter};
use rollcall::store::tables::pages::{self, PageWindow, ResourceStream};
use rollcall::store::tables::resources::ResourceCollection;
use seed::Seeded;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Adds per transaction, so that the cost of the disk per add is small.
const OWNER: WorkOwner = WorkOwner::Configuration(ConfigurationKey { account: 1, key: 1 });
const ADDS: usize = 100;
/// Users who are initially in no group.
const SPARE: usize = 20_000;
const WRITERS: usize = 64;
const CREATES: usize = 4_096;

static SMALL: LazyLock<Seeded> = LazyLock::new(|| Seeded::with_users(1_000));
static MIDDLE: LazyLock<Seeded> = LazyLock::new(|| Seeded::with_users(10_000));
static LARGE: LazyLock<Seeded> = LazyLock::new(|| Seeded::with_users(100_000 + SPARE));

fn main() {
    // Statics are never dropped: their stores are in a folder that this function deletes.
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    tempfile::env::override_temp_dir(folder.path()).expect("the first to choose");
    divan::main();
}

fn of_size(users: usize) -> &'static Seeded {
    match users {
        1_000 => &SMALL,
        10_000 => &MIDDLE,
        _ => &LARGE,
    }
}

/// Scattered numbers below `end`.
fn scattered(end: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(7_919, Ordering::Relaxed) % end
}

#[divan::bench(args = [1_000, 100_000], sample_count = 5_000)]
fn read_a_user_by_id(bencher: Bencher<'_, '_>, users: usize) {
    let at = of_size(users);
    bencher.with_inputs(|| &at.users[scattered(users)]).bench_values(|id| {
        at.store
            .read_inline(|snapshot| read_resource(snapshot, &at.scope, &USER_TYPE, id, Members::Skip))
            .expect("a user of that id")
    });
}

/// From the text of the filter to the page.
#[divan::bench(args = [1_000, 100_000], sample_count = 5_000)]
fn find_a_user_by_name(bencher: Bencher<'_, '_>, users: usize) {
    let at = of_size(users);
    let filters = || format!("userName eq \"{}\"", seed::user_name(scattered(users)));
    bencher.with_inputs(filters).bench_refs(|text| {
        let page = find(at, text).expect("a page");
        assert_eq!(page.total, 1, "{text}");
    });
}

fn find(at: &Seeded, text: &str) -> Result<ResourcesPage> {
    let context = FilterContext {
        configuration: at.scope.configuration,
        resource_type: &USER_TYPE,
        base: "http://x",
        parameters_used: 2,
    };
    let filter = compile_filter(&ScimFilter::parse(text)?.check(&USER_TYPE)?, &context);
    page(at, Some(filter), None, PageStart::Index(1))
}

/// One hundred users of one sequence.
fn page(at: &Seeded, filter: Option<CompiledFilter>, key: Option<SortKey>, from: PageStart) -> Result<ResourcesPage> {
    let part = TypeQuery { resource_type: Arc::clone(&USER_TYPE), filter, sort_key: key, with_members: false };
    let request = ListQuery { parts: vec![part], descending: false, start: from, count: 100 };
    at.store.read_inline(|snapshot| {
        lists::list_resources(snapshot, &at.scope, &request, &mut |_, resource| Ok(resource.length()))
    })
}

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// The baseline for pages at any depth.
#[divan::bench(args = SIZES, sample_count = 500)]
fn page_at_the_start(bencher: Bencher<'_, '_>, users: usize) {
    let at = of_size(users);
    bencher.bench(|| page(at, None, None, PageStart::Index(1)).expect("a page"));
}

#[divan::bench(args = SIZES, sample_count = 500)]
fn page_at_the_end(bencher: Bencher<'_, '_>, users: usize) {
    let at = of_size(users);
    let start = at.users.len() as u64 - 99;
    bencher.bench(|| {
        let page = page(at, None, None, PageStart::Index(start)).expect("a page");
        assert_eq!(page.count, 100);
    });
}

#[divan::bench(args = SIZES, sample_count = 500)]
fn page_anywhere(bencher: Bencher<'_, '_>, users: usize) {
    let at = of_size(users);
    bencher.with_inputs(|| scattered(users - 100) as u64 + 1).bench_values(|start| {
        let page = page(at, None, None, PageStart::Index(start)).expect("a page");
        assert_eq!(page.count, 100);
    });
}

#[divan::bench(args = SIZES, sample_count = 500)]
fn page_by_cursor_near_the_end(bencher: Bencher<'_, '_>, users: usize) {
    let at = of_size(users);
    let before = at.users.len() as u64 - 250;
    let mark = near(at, None, before);
    bencher.with_inputs(|| PageStart::Cursor(Direction::Forward, mark.clone())).bench_values(|from| {
        let page = page(at, None, None, from).expect("a page");
        assert!(page.count == 100 && page.next.is_some());
    });
}

/// Sort attribute and number of users; the last one has no index.
const SORTS: [(&str, usize); 6] = [
    ("userName", 1_000),
    ("userName", 100_000),
    ("active", 100_000),
    ("nickName", 1_000),
    ("nickName", 10_000),
    ("nickName", 100_000),
];

#[divan::bench(args = SORTS, sample_count = 20)]
fn sorted_page_at_the_start(bencher: Bencher<'_, '_>, (by, users): (&str, usize)) {
    let at = of_size(users);
    let key = sort_key(by);
    bencher.bench(|| page(at, None, Some(key.clone()), PageStart::FirstPage).expect("a page"));
}

#[divan::bench(args = SORTS, sample_count = 20)]
fn sorted_page_by_cursor_near_the_end(bencher: Bencher<'_, '_>, (by, users): (&str, usize)) {
    let at = of_size(users);
    let key = sort_key(by);
    let mark = near(at, Some(key.clone()), at.users.len() as u64 - 250);
    bencher.with_inputs(|| PageStart::Cursor(Direction::Forward, mark.clone())).bench_values(|from| {
        let page = page(at, None, Some(key.clone()), from).expect("a page");
        assert!(page.count == 100 && page.next.is_some());
    });
}

fn sort_key(by: &str) -> SortKey {
    let sort = Sort::read(Some(by), None).expect("a path").expect("a sort");
    let field =
        sort.fields(std::iter::once(&**USER_TYPE)).expect("an attribute").remove(0).expect("a user's attribute");
    let context = FilterContext { configuration: 0, resource_type: &USER_TYPE, base: "http://x", parameters_used: 2 };
    filter_sql::compile_sort_key(&field, &context)
}

/// The cursor position of the user at that index.
fn near(at: &Seeded, key: Option<SortKey>, position: u64) -> CursorPosition {
    let of = ResourceCollection { configuration: at.scope.configuration, resource_type: &USER_TYPE.name };
    let stream = ResourceStream { collection: of, filter: None, key: key.as_ref() };
    let window = PageWindow { ascending: true, after: None, skip: position, limit: 1 };
    let found = at.store.read_inline(|snapshot| pages::read_page(snapshot, &[stream], &window)).expect("a position");
    CursorPosition::from(found[0].position.clone())
}

#[divan::bench(args = [0, 100_000], sample_count = 1_000)]
fn read_a_group_without_its_members(bencher: Bencher<'_, '_>, members: usize) {
    let group = &LARGE.groups(&format!("read {members}"), 1, &LARGE.users[..members])[0];
    bencher.bench(|| {
        LARGE
            .store
            .read_inline(|snapshot| read_resource(snapshot, &LARGE.scope, &GROUP_TYPE, group, Members::Skip))
            .expect("a group")
    });
}

/// One hundred adds of one member each, in one transaction: to one hundred empty groups, or all to one large group.
#[divan::bench(args = [0, 10_000, 100_000], sample_count = 50, sample_size = 1)]
fn add_a_member(bencher: Bencher<'_, '_>, members: usize) {
    let names = format!("add {members}");
    let large = LARGE.groups(&names, 1, &LARGE.users[..members]);
    let mut next = 100_000;
    let inputs = || {
        let groups = if members == 0 { LARGE.groups(&format!("{names} {next}"), ADDS, &[]) } else { large.clone() };
        let adds: Vec<(String, Patch)> =
            (0..ADDS).map(|at| (groups[at % groups.len()].clone(), adding(&LARGE.users[next + at]))).collect();
        next += ADDS;
        adds
    };
    bencher.counter(ItemsCount::new(ADDS)).with_inputs(inputs).bench_local_values(|adds| {
        let scope = LARGE.scope.clone();
        let written = LARGE.store.write_blocking_without_savepoint(move |tx| {
            adds.iter().try_for_each(|(group, add)| {
                patch_resource(tx, &ResourceWrite::new(&scope, &GROUP_TYPE, group), add).map(drop)
            })
        });
        written.expect("members that are there");
    });
}

fn adding(user: &str) -> Patch {
    let body = seed::patch_body("add", "members", json!([{"value": user}]));
    read_patch(&body, &GROUP_TYPE, build_rules(&LARGE.scope)).expect("a right PATCH")
}

/// 4,096 creates by 64 writers that each wait for their commit.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn create_at_64_writers(bencher: Bencher<'_, '_>) {
    let inputs = || {
        let at = Seeded::with_users(0);
        let drafts: Vec<PreparedResource> =
            (0..CREATES).map(|number| at.prepared(&USER_TYPE, &seed::user(number))).collect();
        (at, drafts)
    };
    bencher.counter(ItemsCount::new(CREATES)).with_inputs(inputs).bench_local_values(|(at, drafts)| {
        let mut drafts = drafts;
        let shares = (0..WRITERS).map(|_| drafts.split_off(drafts.len() - CREATES / WRITERS));
        let writers: Vec<_> = shares.map(|share| write_in_turn(&at, share)).collect();
        actix_web::rt::System::new().block_on(join_all(writers));
        at
    });
}

async fn write_in_turn(at: &Seeded, drafts: Vec<PreparedResource>) {
    for draft in drafts {
        let (scope, id) = (at.scope.clone(), clock::new_id());
        let written = at.store.write_without_savepoint(OWNER, move |tx| {
            create_resource(tx, &ResourceWrite::new(&scope, &USER_TYPE, &id), &draft)
        });
        written.await.expect("a new name");
    }
}

/// The same rows written by SQLite alone, 32 creates per transaction.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn create_by_raw_sqlite(bencher: Bencher<'_, '_>) {
    let rows = {
        let written = Seeded::with_users(CREATES);
        written.store.close();
        raw::rows(written.folder.path()).expect("the rows of every user")
    };
    let inputs = || {
        let empty = Seeded::with_users(0);
        empty.store.close();
        let file = raw::open(empty.folder.path()).expect("the database");
        (file, empty)
    };
    bencher.counter(ItemsCount::new(CREATES)).with_inputs(inputs).bench_local_values(|(file, empty)| {
        raw::write(&file, &rows).expect("rows that are new");
        (file, empty)
    });
}
