//! The audit log as a file: CSV for a spreadsheet, JSON for a program.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use serde_json::{Value, json};

use super::Query;
use crate::clock;
use crate::store::audit::{self as rows, Kept};
use crate::web::access::Audit;
use crate::web::portal::page::{Refusal, Shown};
use crate::web::portal::session::{Person, Visit};

/// The most changes in a file; dates make a file of the rest.
const ROWS_MAX: u32 = 10_000;

const COLUMNS: [&str; 13] = [
    "number",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "request_id",
    "account",
    "connection",
    "action",
    "subject",
    "before",
    "after",
];

/// `GET /audit/export.csv`
pub(in crate::web::portal) async fn csv(person: Person<Audit>, visit: Visit) -> Shown {
    let found = read(&person, &visit).await?;
    let mut text = COLUMNS.join(",");
    text.push_str("\r\n");
    for kept in &found {
        let cells: Vec<String> = cells(kept).iter().map(|value| cell(value)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    Ok(file("csv", "text/csv; charset=utf-8").body(text))
}

/// `GET /audit/export.json`
pub(in crate::web::portal) async fn json(person: Person<Audit>, visit: Visit) -> Shown {
    let found = read(&person, &visit).await?;
    let items: Vec<Value> = found.iter().map(object).collect();
    Ok(file("json", "application/json").body(Value::from(items).to_string()))
}

async fn read(person: &Person<Audit>, visit: &Visit) -> Result<Vec<Kept>, Refusal> {
    let query: Query = visit.query();
    let Some(wanted) = query.wanted(&person.by.reach, &person.signed.zone()) else { return Ok(Vec::new()) };
    Ok(super::super::read_aside(&visit.state, move |at| rows::page(at, &wanted, ROWS_MAX)).await?)
}

fn file(ending: &str, kind: &'static str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    let name = format!("attachment; filename=\"audit.{ending}\"");
    response.content_type(kind).insert_header((CONTENT_DISPOSITION, name));
    response
}

fn cells(kept: &Kept) -> [String; 13] {
    let [kind, id, name] = kept.actor.clone();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let document = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    [
        kept.number.to_string(),
        clock::rfc3339(kept.at),
        kind,
        id,
        name,
        text(&kept.address),
        text(&kept.request_id),
        text(&kept.account),
        text(&kept.configuration_id),
        kept.action.clone(),
        text(&kept.subject_id),
        document(&kept.before),
        document(&kept.after),
    ]
}

/// A cell that a spreadsheet takes for text: what begins like a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = text.replace('"', "\"\"");
    if is_formula { format!("\"'{text}\"") } else { format!("\"{text}\"") }
}

fn object(kept: &Kept) -> Value {
    let [kind, id, name] = &kept.actor;
    json!({
        "number": kept.number,
        "at": clock::rfc3339(kept.at),
        "actor": {"kind": kind, "id": id, "name": name},
        "address": kept.address,
        "requestId": kept.request_id,
        "accountId": kept.account,
        "configurationId": kept.configuration_id,
        "action": kept.action,
        "subjectId": kept.subject_id,
        "before": kept.before,
        "after": kept.after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_taken_for_a_formula_or_ends_early() {
        for (text, written) in [
            ("plain", "\"plain\""),
            ("", "\"\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("say \"hi\", then\r\nleave", "\"say \"\"hi\"\", then\r\nleave\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
