//! Where a field's values lie: a column, the JSON of the body, or the table of memberships.

use super::{Compiler, Reach};
use crate::scim::filter::Field;
use crate::scim::schema::{ResourceType, standard_types};

/// Whose field a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The resource `r` itself.
    Resource,
    /// The element `e` of a list in the body.
    Json,
    /// The membership `l` with the resource `x` at its other end.
    Link(Links),
}

/// An SQL expression that gives one value of a field.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) sql: String,
    pub(super) form: Form,
    /// Whether an index keeps it in order.
    pub(super) sorted: bool,
    /// How an `eq` on it reaches the resources.
    pub(super) reach: Reach,
}

impl Spot {
    pub(super) fn new(sql: String, form: Form) -> Self {
        Self { sql, form, sorted: false, reach: Reach::Scan }
    }

    fn indexed(sql: &str, form: Form, reach: Reach) -> Self {
        Self { sql: sql.into(), form, sorted: true, reach }
    }
}

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The value as JSON has it: text, 0 or 1, a number.
    Json,
    /// Text already prepared for comparison.
    Key,
    /// Milliseconds since 1970.
    Millis,
}

/// Attributes that are not in the body but are memberships of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Links {
    /// A group's `members`.
    Members,
    /// The `groups` of a user.
    Groups,
}

impl Links {
    /// Whether the field is one of them.
    pub(in crate::store) fn of(resource_type: &ResourceType, field: &Field) -> Option<Self> {
        if field.extension.is_some() {
            return None;
        }
        if field.attribute == "members" && resource_type.members().is_some() {
            return Some(Self::Members);
        }
        let groups = resource_type.schema.attribute("groups");
        let derived = groups.is_some_and(|groups| groups.multi_valued && groups.is_read_only());
        (field.attribute == "groups" && derived).then_some(Self::Groups)
    }

    /// The links `l` of the resource `r` with the resource `x` at their other end. A user is also in the groups that
    /// hold its groups (RFC 7643 section 4.1.2); each counts once, so a circle of groups ends.
    pub(super) fn rows(self) -> &'static str {
        match self {
            Self::Members => {
                "(SELECT member_resource FROM group_members WHERE group_resource = r.resource) l
                 JOIN resources x ON x.resource = l.member_resource"
            }
            Self::Groups => {
                "(WITH RECURSIVE up (holder, direct) AS (
                     SELECT group_resource, 1 FROM group_members WHERE member_resource = r.resource
                     UNION SELECT m.group_resource, 0 FROM up JOIN group_members m ON m.member_resource = up.holder)
                  SELECT holder, max(direct) AS direct FROM up GROUP BY holder) l
                 JOIN resources x ON x.resource = l.holder"
            }
        }
    }

    /// The resources that are linked to those for which `fixes` holds, and which satisfy `condition` with the link.
    pub(super) fn reached(self, fixes: &str, condition: &str) -> String {
        match self {
            Self::Members => format!(
                "SELECT l.group_resource FROM group_members l JOIN resources x ON x.resource = l.member_resource
                 WHERE {condition}"
            ),
            Self::Groups => format!(
                "WITH RECURSIVE down (holder, member, direct) AS (
                     SELECT m.group_resource, m.member_resource, 1
                     FROM group_members m JOIN resources x ON x.resource = m.group_resource WHERE {fixes}
                     UNION SELECT down.holder, m.member_resource, 0
                     FROM down JOIN group_members m ON m.group_resource = down.member)
                 SELECT l.member
                 FROM (SELECT holder, member, max(direct) AS direct FROM down GROUP BY holder, member) l
                 JOIN resources x ON x.resource = l.holder WHERE {condition}"
            ),
        }
    }

    /// Table and condition that ask for any link of `r`.
    pub(super) fn of_resource(self) -> &'static str {
        match self {
            Self::Members => "group_members l WHERE l.group_resource = r.resource",
            Self::Groups => "group_members l WHERE l.member_resource = r.resource",
        }
    }
}

impl Compiler<'_> {
    /// The column that holds a field of the resource itself, where one does.
    pub(super) fn column(&mut self, field: &Field) -> Option<Spot> {
        if field.extension.is_some() {
            return None;
        }
        if field.attribute == "meta" {
            return self.meta(field.sub.as_deref());
        }
        let spot = match &*field.attribute {
            "id" => Spot::indexed("r.id", Form::Json, Reach::Row),
            "externalId" => Spot::indexed("r.external_id", Form::Json, Reach::Index),
            // The names and `active` have columns where the schema marks them as indexed.
            _ if !field.indexed || field.multi_valued || field.sub.is_some() => return None,
            "userName" => Spot::indexed("r.user_name_key", Form::Key, Reach::Index),
            "displayName" => Spot::indexed("r.display_name_key", Form::Key, Reach::Index),
            "active" => Spot::new("r.active".into(), Form::Json),
            _ => return None,
        };
        Some(spot)
    }

    fn meta(&mut self, sub: Option<&str>) -> Option<Spot> {
        let (sql, form) = match sub {
            // Every resource has a meta; its version is as good as any part to show that.
            None => ("r.version".into(), Form::Json),
            Some("created") => ("r.created_at".into(), Form::Millis),
            Some("lastModified") => ("r.last_modified".into(), Form::Millis),
            Some("resourceType") => ("r.type".into(), Form::Json),
            Some("version") => (self.tag(), Form::Json),
            Some("location") => {
                let head = format!("{}{}/", self.context.base, self.context.resource_type.endpoint);
                (format!("({} || r.id)", self.bind(head)), Form::Json)
            }
            Some(_) => return None,
        };
        Some(Spot::new(sql, form))
    }

    /// The entity tag: a user's depends on the groups it is in, too.
    fn tag(&self) -> String {
        let own = "('W/\"' || r.version || '\"')";
        if self.context.resource_type.schema.attribute("groups").is_none() {
            return own.into();
        }
        format!(
            "iif(EXISTS (SELECT 1 FROM {}), scim_tag(r.version, (SELECT json_group_array(
                 json_array(x.id, l.direct, x.label) ORDER BY x.resource) FROM {})), {own})",
            Links::Groups.of_resource(),
            Links::Groups.rows()
        )
    }

    /// A field of a membership: what is shown of the resource at its other end.
    pub(super) fn link_spot(&mut self, links: Links, field: &Field) -> Spot {
        let sql = match (field.sub.as_deref(), links) {
            (Some("value"), _) => "x.id".into(),
            (Some("display"), _) => "x.label".into(),
            (Some("type"), Links::Members) => "x.type".into(),
            (Some("type"), Links::Groups) => "iif(l.direct, 'direct', 'indirect')".into(),
            (Some("$ref"), _) => self.reference(),
            _ => "NULL".into(),
        };
        Spot::new(sql, Form::Json)
    }

    /// URL of the resource `x`.
    fn reference(&mut self) -> String {
        let cases = standard_types().map(|known| {
            let name = self.bind(known.name.to_string());
            let head = self.bind(format!("{}{}/", self.context.base, known.endpoint));
            format!(" WHEN {name} THEN {head}")
        });
        let cases = cases.concat();
        format!("(CASE x.type{cases} END || x.id)")
    }
}

/// Which part of a field's path is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// From the body to the attribute.
    Attribute,
    /// From the body to what is compared.
    Leaf,
    /// From the element to its sub-attribute.
    Sub,
}

/// The path as SQLite's JSON functions read it, each name quoted: URNs contain dots, and `$ref` a dollar sign.
pub(super) fn json_path(field: &Field, depth: Depth) -> String {
    let sub = field.sub.as_deref();
    let names = match depth {
        Depth::Attribute => [field.extension.as_deref(), Some(&*field.attribute), None],
        Depth::Leaf => [field.extension.as_deref(), Some(&*field.attribute), sub],
        Depth::Sub => [None, None, sub],
    };
    let mut path = String::from("$");
    for name in names.into_iter().flatten() {
        path.extend([".\"", name, "\""]);
    }
    path
}
