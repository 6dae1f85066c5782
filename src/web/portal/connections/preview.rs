//! The preview of a connection: what the application would receive on going live, and what may be wrong with it.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Result;
use crate::model::quota::QuotaKind;
use crate::provisioning::directory::DirectoryResource;
use crate::provisioning::directory::preview::{
    self, AttributeFill, OtherConfiguration, Preview, PreviewItem, PreviewProblem, PreviewProblemKind,
};
use crate::provisioning::resource_details;
use crate::web::portal::connections::overview::ConnectionView;
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{PageLayout, PageResult, render_page};
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::required_permission::Directory;

#[derive(Template)]
#[template(path = "portal/preview.html")]
struct PreviewPage {
    layout: PageLayout,
    connection: ConnectionView,
    domains: String,
    problems: Vec<FormError>,
    preview: Preview,
    found: Vec<PreviewProblemView>,
    users: Vec<PreviewUserLine>,
    groups: Vec<PreviewGroupLine>,
}

/// One of the first users.
struct PreviewUserLine {
    id: String,
    name: String,
    display: String,
    email: String,
    is_on: bool,
}

/// One of the largest groups.
struct PreviewGroupLine {
    id: String,
    name: String,
    members: i64,
}

impl PreviewUserLine {
    fn from_resource(DirectoryResource { stored, .. }: &DirectoryResource) -> Result<Self> {
        let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let emails = body.get("emails").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let primary = emails.iter().find(|email| email.get("primary") == Some(&Value::Bool(true)));
        Ok(Self {
            id: stored.id.clone(),
            name: resource_details::extract_name(&body).unwrap_or_else(|| stored.id.clone()),
            display: text(body.get("displayName")),
            email: text(primary.or(emails.first()).and_then(|email| email.get("value"))),
            is_on: body.get("active") == Some(&Value::Bool(true)),
        })
    }
}

impl PreviewGroupLine {
    fn from_resource(DirectoryResource { stored, .. }: &DirectoryResource) -> Result<Self> {
        let body = resource_details::parse_stored_json(&stored.id, &stored.body)?;
        let name = resource_details::extract_name(&body).unwrap_or_else(|| stored.id.clone());
        Ok(Self { id: stored.id.clone(), name, members: stored.member_count })
    }
}

impl PreviewPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn count_users(&self) -> u64 {
        self.preview.count(QuotaKind::Users)
    }

    fn count_active(&self) -> u64 {
        self.preview.count(QuotaKind::ActiveUsers)
    }

    fn count_groups(&self) -> u64 {
        self.preview.count(QuotaKind::Groups)
    }

    fn count_memberships(&self) -> u64 {
        self.preview.count(QuotaKind::Members)
    }

    fn is_staged(&self) -> bool {
        self.preview.configuration.staged
    }

    /// What was examined, if that is not everything.
    fn cut(&self) -> Option<String> {
        let examined = &self.preview.examined;
        examined
            .is_cut
            .then(|| texts::directory::say_partly_examined(examined.users, examined.groups, examined.other_addresses))
    }

    /// The attributes that at least one user has.
    fn filled(&self) -> impl Iterator<Item = &AttributeFill> {
        self.preview.attributes.iter().filter(|fill| fill.users > 0)
    }

    /// The attributes that no user has, as a list.
    fn unfilled(&self) -> String {
        let unfilled = self.preview.attributes.iter().filter(|fill| fill.users == 0);
        unfilled.map(|fill| fill.path.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn percent(&self, fill: &AttributeFill) -> u64 {
        self.preview.percent(fill.users)
    }
}

/// A problem on the page.
struct PreviewProblemView {
    heading: String,
    advice: String,
    items: Vec<PreviewItemView>,
    /// How many are not listed.
    more: u64,
}

/// One user, group, address or domain of a problem.
struct PreviewItemView {
    name: String,
    /// Address of the page of the user or group.
    path: Option<String>,
    /// Number of users with the domain.
    users: Option<String>,
    others: Vec<OtherConfiguration>,
}

impl PreviewProblemView {
    fn new(connection: &str, problem: &PreviewProblem) -> Self {
        let folder = if problem.kind == PreviewProblemKind::GroupsWithoutMembers { "groups" } else { "users" };
        let view = |item: &PreviewItem| PreviewItemView {
            name: item.name.clone(),
            path: item.resource_id.as_ref().map(|id| format!("/connections/{connection}/{folder}/{id}")),
            users: item.users.map(texts::formats::count_users),
            others: item.configurations.clone(),
        };
        Self {
            heading: texts::directory::describe_problem(problem.kind, problem.count),
            advice: texts::directory::explain_problem(problem.kind),
            items: problem.items.iter().map(view).collect(),
            more: problem.count.saturating_sub(problem.items.len() as u64),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PreviewPageQuery {
    domains: String,
}

/// `GET /connections/{id}/preview`
pub(crate) async fn show_preview(admin: PermittedAdmin<Directory>, page_request: PageRequest) -> PageResult {
    let connection = ConnectionView::read(&page_request, &admin.context.scope, "preview")?;
    let PreviewPageQuery { domains } = page_request.query().unwrap_or_default();
    let (expected, problems) = match preview::parse_domains(&domains) {
        Ok(expected) => (expected, Vec::new()),
        Err(error) => (Vec::new(), vec![FormError { field: "domains", sentence: render_sentence(&error) }]),
    };
    let (scope, id) = (admin.context.scope.clone(), connection.id().to_owned());
    let read = page_request.read(move |at| {
        let found = preview::read_preview(at, &scope, &id, &expected)?;
        let users = found.sample_users.iter().map(PreviewUserLine::from_resource).collect::<Result<Vec<_>>>()?;
        let groups = found.groups.iter().map(PreviewGroupLine::from_resource).collect::<Result<Vec<_>>>()?;
        Ok((found, users, groups))
    });
    let (preview, users, groups) = read.await?;
    let found = preview.problems.iter().filter(|problem| problem.count > 0);
    let found = found.map(|problem| PreviewProblemView::new(connection.id(), problem)).collect();
    let layout = connection.layout(
        &admin.signed,
        if connection.is_staged() { texts::directory::PREVIEW } else { texts::directory::DATA_CHECK },
    );
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(render_page(status, &PreviewPage { layout, connection, domains, problems, preview, found, users, groups }))
}
