//! Branding: how the pages of setup links are named and look.

use askama::Template;

use crate::management::instance::branding;
use crate::model::branding::{Branding, Logo};
use crate::model::field_change::FieldChange;
use crate::web::portal::forms::{FormError, PageRequest, UploadForm, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::settings::admins::SystemAdmin;
use crate::web::portal::setup::brand::BrandView;
use crate::web::portal::texts;

#[derive(Template)]
#[template(path = "portal/branding.html")]
struct BrandingPage {
    layout: PageLayout,
    tab: &'static str,
    /// The stored branding.
    brand: BrandView,
    /// The values of the form.
    form: Branding,
    problems: Vec<FormError>,
}

impl BrandingPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    /// The value of an optional field.
    fn text(value: Option<&String>) -> &str {
        value.map(String::as_str).unwrap_or_default()
    }
}

fn render_branding(
    admin: &SystemAdmin,
    page_request: &PageRequest,
    form: Branding,
    problems: Vec<FormError>,
) -> PageResult {
    let layout = PageLayout::new(texts::settings::BRANDING, Some(&admin.signed), NavigationEntry::Settings);
    let brand = BrandView::read(&page_request.state)?;
    let status = if problems.is_empty() { 200 } else { 422 };
    Ok(render_page(status, &BrandingPage { layout, tab: "branding", brand, form, problems }))
}

/// `GET /settings/branding`
pub(crate) async fn show_branding(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let stored = page_request.read_inline(branding::get_branding)?;
    render_branding(&admin, &page_request, stored.branding, Vec::new())
}

/// `POST /settings/branding`
pub(crate) async fn save_branding(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let UploadForm { mut fields, mut files } = page_request.upload_form(&admin.signed).await?;
    let mut field = |name: &str| fields.remove(name).unwrap_or_default();
    let form = Branding {
        product_name: field("product_name"),
        accent: Some(field("accent")),
        support: Some(field("support")),
        return_url: Some(field("return_url")),
    }
    .normalized();
    let must_remove = field("remove_logo") == "on";
    let mut problems = form.find_problems();
    let logo = match files.remove("logo").map(Logo::from_file) {
        Some(Ok(logo)) => FieldChange::Set(logo),
        Some(Err(problem)) => {
            problems.push(problem);
            FieldChange::Keep
        }
        None if must_remove => FieldChange::Clear,
        None => FieldChange::Keep,
    };
    if !problems.is_empty() {
        let problems = problems.iter().map(|problem| FormError {
            field: match problem.field {
                "productName" => "product_name",
                "returnUrl" => "return_url",
                other => other,
            },
            sentence: problem.sentence.to_owned(),
        });
        let problems = problems.collect();
        return render_branding(&admin, &page_request, form, problems);
    }
    let context = admin.context;
    page_request.write(move |tx| branding::update_branding(tx, &context, &form, &logo)).await?;
    Ok(redirect_to("/settings/branding?done=saved").finish())
}
