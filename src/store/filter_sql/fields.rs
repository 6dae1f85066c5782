//! Where the values of a field are stored: in a column, in the JSON body, or in the table of memberships.

use crate::scim::filter::FilterField;
use crate::scim::schema::{ResourceType, standard_types};
use crate::store::filter_sql::{AccessPath, FilterCompiler};

/// The object whose field is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldOwner {
    /// The resource `r` itself.
    Resource,
    /// The element `e` of a list in the body.
    Json,
    /// The membership `l` with the linked resource `x`.
    Link(MembershipLinks),
}

/// An SQL expression for one value of a field.
#[derive(Debug, Clone)]
pub(super) struct FieldExpression {
    pub(super) sql: String,
    pub(super) form: ValueForm,
    /// Whether an index sorts by this expression.
    pub(super) sorted: bool,
    /// How SQLite finds the resources for an `eq` test.
    pub(super) access_path: AccessPath,
}

impl FieldExpression {
    pub(super) fn new(sql: String, form: ValueForm) -> Self {
        Self { sql, form, sorted: false, access_path: AccessPath::Scan }
    }

    fn indexed(sql: &str, form: ValueForm, access_path: AccessPath) -> Self {
        Self { sql: sql.into(), form, sorted: true, access_path }
    }
}

/// The form of the value of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueForm {
    /// The JSON value: text, 0 or 1 for a boolean, or a number.
    Json,
    /// Text already normalized for comparison.
    Key,
    /// Milliseconds since 1970.
    Millis,
}

/// Attributes that are derived from memberships instead of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum MembershipLinks {
    /// A group's `members`.
    Members,
    /// The `groups` of a user.
    Groups,
}

impl MembershipLinks {
    /// Returns the link attribute of the field, if it is one.
    pub(in crate::store) fn from_field(resource_type: &ResourceType, field: &FilterField) -> Option<Self> {
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

    /// Returns the FROM item for the links `l` of the resource `r`, with the linked resource `x`. A user is also an
    /// indirect member of the groups that contain its groups (RFC 7643 section 4.1.2). The recursion ends for cyclic
    /// groups, because each group is visited once.
    pub(super) fn rows_sql(self) -> &'static str {
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

    /// Returns the query for the resources linked to a resource `x` that satisfies `fixes`, where `condition` is true
    /// for the link.
    pub(super) fn linked_resources_sql(self, fixes: &str, condition: &str) -> String {
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

    /// Returns table and condition for any link of `r`.
    pub(super) fn any_link_sql(self) -> &'static str {
        match self {
            Self::Members => "group_members l WHERE l.group_resource = r.resource",
            Self::Groups => "group_members l WHERE l.member_resource = r.resource",
        }
    }
}

impl FilterCompiler<'_> {
    /// Returns the column that stores a field of the resource itself, if there is one.
    pub(super) fn column(&mut self, field: &FilterField) -> Option<FieldExpression> {
        if field.extension.is_some() {
            return None;
        }
        if field.attribute == "meta" {
            return self.meta(field.sub.as_deref());
        }
        let expression = match &*field.attribute {
            "id" => FieldExpression::indexed("r.id", ValueForm::Json, AccessPath::Row),
            "externalId" => FieldExpression::indexed("r.external_id", ValueForm::Json, AccessPath::Index),
            // The names and `active` have columns if the schema marks them as indexed.
            _ if !field.indexed || field.multi_valued || field.sub.is_some() => return None,
            "userName" => FieldExpression::indexed("r.user_name_key", ValueForm::Key, AccessPath::Index),
            "displayName" => FieldExpression::indexed("r.display_name_key", ValueForm::Key, AccessPath::Index),
            "active" => FieldExpression::new("r.active".into(), ValueForm::Json),
            _ => return None,
        };
        Some(expression)
    }

    fn meta(&mut self, sub: Option<&str>) -> Option<FieldExpression> {
        let (sql, form) = match sub {
            // Every resource has `meta`, so any non-NULL column satisfies a presence test.
            None => ("r.version".into(), ValueForm::Json),
            Some("created") => ("r.created_at".into(), ValueForm::Millis),
            Some("lastModified") => ("r.last_modified".into(), ValueForm::Millis),
            Some("resourceType") => ("r.type".into(), ValueForm::Json),
            Some("version") => (self.tag(), ValueForm::Json),
            Some("location") => {
                let head = format!("{}{}/", self.context.base, self.context.resource_type.endpoint);
                (format!("({} || r.id)", self.bind(head)), ValueForm::Json)
            }
            Some(_) => return None,
        };
        Some(FieldExpression::new(sql, form))
    }

    /// Returns the expression for the entity tag. The tag of a user also depends on its groups.
    fn tag(&self) -> String {
        let own = "('W/\"' || r.version || '\"')";
        if self.context.resource_type.schema.attribute("groups").is_none() {
            return own.into();
        }
        format!(
            "iif(EXISTS (SELECT 1 FROM {}), scim_tag(r.version, (SELECT json_group_array(
                 json_array(x.id, l.direct, x.label) ORDER BY x.resource) FROM {})), {own})",
            MembershipLinks::Groups.any_link_sql(),
            MembershipLinks::Groups.rows_sql()
        )
    }

    /// Returns the expression for a field of a membership, which is derived from the linked resource.
    pub(super) fn link_expression(&mut self, links: MembershipLinks, field: &FilterField) -> FieldExpression {
        let sql = match (field.sub.as_deref(), links) {
            (Some("value"), _) => "x.id".into(),
            (Some("display"), _) => "x.label".into(),
            (Some("type"), MembershipLinks::Members) => "x.type".into(),
            (Some("type"), MembershipLinks::Groups) => "iif(l.direct, 'direct', 'indirect')".into(),
            (Some("$ref"), _) => self.reference(),
            _ => "NULL".into(),
        };
        FieldExpression::new(sql, ValueForm::Json)
    }

    /// Returns the expression for the URL of the resource `x`.
    fn reference(&mut self) -> String {
        let cases = standard_types().map(|standard| {
            let name = self.bind(standard.name.to_string());
            let head = self.bind(format!("{}{}/", self.context.base, standard.endpoint));
            format!(" WHEN {name} THEN {head}")
        });
        let cases = cases.concat();
        format!("(CASE x.type{cases} END || x.id)")
    }
}

/// Selects a part of the path of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathDepth {
    /// From the body to the attribute.
    Attribute,
    /// From the body to the compared value.
    Leaf,
    /// From the element to its sub-attribute.
    Sub,
}

/// Builds a path for SQLite's JSON functions. Each name is quoted, because URNs contain dots and `$ref` a dollar sign.
pub(super) fn build_json_path(field: &FilterField, depth: PathDepth) -> String {
    let sub = field.sub.as_deref();
    let names = match depth {
        PathDepth::Attribute => [field.extension.as_deref(), Some(&*field.attribute), None],
        PathDepth::Leaf => [field.extension.as_deref(), Some(&*field.attribute), sub],
        PathDepth::Sub => [None, None, sub],
    };
    let mut path = String::from("$");
    for name in names.into_iter().flatten() {
        path.extend([".\"", name, "\""]);
    }
    path
}
