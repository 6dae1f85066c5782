//! Users and groups of a connection: the list with a look-up, and one of them with its history.

use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::attributes::{self, Section};
use super::connection::Connection;
use super::history::Step;
use super::moments::Moment;
use super::page::{Layout, Shown, page};
use super::session::{Person, Visit};
use crate::clock;
use crate::directory::people::{self, Mark, Whose};
use crate::directory::records::{self, Record};
use crate::error::Result;
use crate::model::actor::Reach;
use crate::store::Snapshot;
use crate::store::people::{Filter, Member, Place};
use crate::store::resources::Stored;
use crate::web::access::Directory;

/// Users, groups or members on a page.
const PER_PAGE: usize = 50;
/// Longest text that is looked up.
const TEXT_MAX_CHARS: usize = 200;
/// Groups of a user that are shown.
const GROUPS_MAX: usize = 100;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Users,
    Groups,
}

impl Kind {
    fn resource_type(self) -> &'static str {
        match self {
            Self::Users => "User",
            Self::Groups => "Group",
        }
    }

    /// The word in addresses.
    fn word(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "groups",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Users => "Users",
            Self::Groups => "Groups",
        }
    }
}

/// A user or group in a list.
struct Line {
    id: String,
    name: String,
    display: String,
    external_id: String,
    is_on: bool,
    members: i64,
    changed: Moment,
}

impl Line {
    fn of(stored: &Stored) -> Self {
        let body: Value = serde_json::from_str(&stored.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            name: records::name_in(&body).unwrap_or_else(|| stored.id.clone()),
            display: text("displayName"),
            external_id: text("externalId"),
            is_on: body.get("active") == Some(&Value::Bool(true)),
            members: stored.member_count,
            changed: Moment::of(stored.last_modified),
            id: stored.id.clone(),
        }
    }
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct Query {
    q: String,
    active: String,
    after: String,
    older: Option<i64>,
}

impl Query {
    fn text(&self) -> String {
        self.q.trim().chars().take(TEXT_MAX_CHARS).collect()
    }

    /// Where a page goes on: row and id of the one before.
    fn mark(&self, configuration: i64) -> Option<Mark> {
        let (row, id) = self.after.split_once('.')?;
        let place = Place { changed: 0, row: row.parse().ok()?, id: id.to_owned() };
        Some(Mark { configuration, place: Some(place) })
    }
}

/// A place as the next page is asked for.
fn after(mark: Option<Mark>) -> Option<String> {
    let place = mark?.place?;
    Some(format!("{}.{}", place.row, place.id))
}

#[derive(Template)]
#[template(path = "portal/people.html")]
struct ListPage {
    layout: Layout,
    connection: Connection,
    kind: Kind,
    query: Query,
    lines: Vec<Line>,
    next: Option<String>,
}

impl ListPage {
    fn of_users(&self) -> bool {
        self.kind == Kind::Users
    }

    fn total(&self) -> i64 {
        if self.of_users() { self.connection.one.users } else { self.connection.one.groups }
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= records::LOOKED_UP_MAX
    }
}

/// `GET /connections/{id}/users`
pub(super) async fn users(person: Person<Directory>, visit: Visit) -> Shown {
    list(person, visit, Kind::Users).await
}

/// `GET /connections/{id}/groups`
pub(super) async fn groups(person: Person<Directory>, visit: Visit) -> Shown {
    list(person, visit, Kind::Groups).await
}

async fn list(person: Person<Directory>, visit: Visit, kind: Kind) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, kind.word())?;
    let query: Query = visit.query();
    let (wanted, key, whose) = (query.clone(), connection.one.configuration.key, whose(&person.by.reach, &connection));
    let (lines, next) =
        super::read_aside(&visit.state, move |at| lines(at, &wanted, key, &whose, kind.resource_type())).await?;
    let layout = connection.layout(&person.signed, kind.title());
    Ok(page(200, &ListPage { layout, connection, kind, query, lines, next }))
}

fn whose(reach: &Reach, connection: &Connection) -> Whose {
    Whose { account: reach.account().map(str::to_owned), configuration: Some(connection.id().to_owned()) }
}

fn lines(at: &Snapshot<'_>, query: &Query, key: i64, whose: &Whose, of: &str) -> Result<(Vec<Line>, Option<String>)> {
    let text = query.text();
    if !text.is_empty() {
        return Ok((records::look_up(at, key, of, &text)?.iter().map(Line::of).collect(), None));
    }
    let active = match &*query.active {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    let filter = Filter { active, ..Filter::default() };
    let found = people::current_page(at, whose, of, &filter, query.mark(key).as_ref(), PER_PAGE)?;
    Ok((found.items.iter().map(|found| Line::of(&found.stored)).collect(), after(found.next)))
}

#[derive(Template)]
#[template(path = "portal/record.html")]
struct RecordPage {
    layout: Layout,
    connection: Connection,
    kind: Kind,
    id: String,
    /// What it is now; none where it was deleted.
    present: Option<Present>,
    groups: Vec<(String, String, bool)>,
    more_groups: usize,
    members: Vec<Member>,
    next_members: Option<String>,
    is_later_members: bool,
    history: Vec<Step>,
    older: Option<i64>,
    is_older: bool,
}

/// A resource as it is now.
struct Present {
    is_on: bool,
    is_off: bool,
    created: Moment,
    changed: Moment,
    version: i64,
    member_count: i64,
    sections: Vec<Section>,
    raw: String,
}

impl Present {
    fn of(stored: &Stored, resource_type: &str) -> Self {
        let body: Map<String, Value> = serde_json::from_str(&stored.body).unwrap_or_default();
        let mut raw = body.clone();
        raw.insert("id".to_owned(), stored.id.clone().into());
        let meta = json!({
            "resourceType": resource_type,
            "created": clock::rfc3339(stored.created_at),
            "lastModified": clock::rfc3339(stored.last_modified),
        });
        raw.insert("meta".to_owned(), meta);
        Self {
            is_on: body.get("active") == Some(&Value::Bool(true)),
            is_off: body.get("active") == Some(&Value::Bool(false)),
            created: Moment::of(stored.created_at),
            changed: Moment::of(stored.last_modified),
            version: stored.version,
            member_count: stored.member_count,
            sections: attributes::sections(&body),
            raw: serde_json::to_string_pretty(&raw).unwrap_or_default(),
        }
    }
}

impl RecordPage {
    fn of_user(&self) -> bool {
        self.kind == Kind::Users
    }

    fn address(&self) -> String {
        format!("/connections/{}/{}/{}", self.connection.id(), self.kind.word(), self.id)
    }
}

/// `GET /connections/{id}/users/{uid}`
pub(super) async fn user(person: Person<Directory>, visit: Visit) -> Shown {
    record(person, visit, Kind::Users).await
}

/// `GET /connections/{id}/groups/{uid}`
pub(super) async fn group(person: Person<Directory>, visit: Visit) -> Shown {
    record(person, visit, Kind::Groups).await
}

async fn record(person: Person<Directory>, visit: Visit, kind: Kind) -> Shown {
    let connection = Connection::read(&visit, &person.by.reach, kind.word())?;
    let (query, id): (Query, String) = (visit.query(), visit.part("uid"));
    let (key, whose, wanted, of) =
        (connection.one.configuration.key, whose(&person.by.reach, &connection), id.clone(), kind.resource_type());
    let (is_later_members, is_older) = (!query.after.is_empty(), query.older.is_some());
    let read = move |at: &Snapshot<'_>| {
        let found = records::record(at, key, of, &wanted, query.older)?;
        let name = records::name(at, key, of, &wanted)?.unwrap_or_else(|| wanted.clone());
        let members = if kind == Kind::Groups && found.stored.is_some() {
            people::current_members(at, &whose, &wanted, query.mark(key).as_ref(), PER_PAGE)?
        } else {
            people::Page { items: Vec::new(), next: None }
        };
        Ok((found, name, members))
    };
    let (Record { stored, groups, history, older }, name, members) = super::read_aside(&visit.state, read).await?;
    let mut layout = connection.layout(&person.signed, "");
    layout.title = name;
    let present = stored.map(|stored| Present::of(&stored, of));
    let more_groups = groups.len().saturating_sub(GROUPS_MAX);
    let groups = groups.into_iter().take(GROUPS_MAX);
    let groups =
        groups.map(|(group, direct)| (group.label.unwrap_or_else(|| group.id.clone()), group.id, direct)).collect();
    let history = history.iter().map(Step::of).collect();
    let next_members = after(members.next);
    let members = members.items;
    Ok(page(
        200,
        &RecordPage {
            layout,
            connection,
            kind,
            id,
            present,
            groups,
            more_groups,
            members,
            next_members,
            is_later_members,
            history,
            older,
            is_older,
        },
    ))
}
