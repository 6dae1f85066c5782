//! An invented company whose identity provider provisions its users: a first sync, then joiners, movers and leavers.

use serde_json::{Value, json};

use super::conversation::Library;
use super::exchange::{SimulatedRequest, TargetServer};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Users whose requests a wrong mapping of Entra makes fail.
const WRONG_USERS: usize = 5;
/// Number of the first of them: no employee has it.
const WRONG_USER_NUMBER: usize = 900;
/// After so many changes, a provider repeats the requests that failed.
const REPEAT_INTERVAL: usize = 4;
/// Most users of a company. At this number, no employee joins any more.
const USERS_MAX: usize = 250;

const GIVEN_NAMES: [&str; 32] = [
    "Amara", "Bruno", "Chiara", "Daniel", "Elena", "Farid", "Greta", "Hassan", "Ines", "Jonas", "Keiko", "Lars", "Mei",
    "Noah", "Olga", "Pavel", "Quinn", "Rosa", "Samir", "Tara", "Umut", "Vera", "Wanda", "Xavier", "Yara", "Zoltan",
    "Aisha", "Benno", "Carla", "Dmitri", "Esther", "Felix",
];
const FAMILY_NAMES: [&str; 32] = [
    "Abara",
    "Bergman",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quist",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Ueda",
    "Varga",
    "Weber",
    "Xu",
    "Yilmaz",
    "Zimmer",
    "Almeida",
    "Brandt",
    "Chen",
    "Diaz",
    "Engel",
    "Ferrari",
];
/// Departments, each with two titles.
const DEPARTMENTS: [(&str, [&str; 2]); 5] = [
    ("Engineering", ["Software Engineer", "Lead Engineer"]),
    ("Sales", ["Account Manager", "Sales Director"]),
    ("Support", ["Support Agent", "Support Lead"]),
    ("Finance", ["Accountant", "Controller"]),
    ("Operations", ["Planner", "Operations Manager"]),
];

/// How the provider of a company writes its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderStyle {
    /// Whole users by PUT, and status by PATCH without a path.
    Okta,
    /// Differences by PATCH, with operations in capital letters and booleans as text.
    Entra,
}

impl ProviderStyle {
    /// Name of the conversation with the headers of this provider.
    fn conversation(self) -> &'static str {
        match self {
            Self::Okta => "okta-users",
            Self::Entra => "entra-users",
        }
    }
}

/// An employee, and the id that the server returned.
#[derive(Debug, Clone)]
struct Employee {
    number: usize,
    department: usize,
    is_lead: bool,
    is_active: bool,
    id: String,
}

/// A company whose provider sends requests to a server.
pub struct SimulatedCompany {
    server: TargetServer,
    style: ProviderStyle,
    headers: Vec<(String, String)>,
    /// Domain of the user names.
    domain: String,
    employees: Vec<Employee>,
    /// Ids of the groups.
    groups: Vec<String>,
    /// Number of changes since the first sync.
    changes: usize,
}

impl SimulatedCompany {
    /// Creates a company without users. `domain` is the domain of its user names.
    pub fn new(library: &Library, style: ProviderStyle, server: TargetServer, domain: &str) -> Self {
        let headers = library.find_conversation(style.conversation()).map(|conversation| &conversation.headers);
        let headers = headers.into_iter().flatten();
        let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        let domain = domain.to_owned();
        Self { server, style, headers, domain, employees: Vec::new(), groups: Vec::new(), changes: 0 }
    }

    /// Provisions so many users, and groups with a part of them each.
    ///
    /// # Errors
    /// A sentence, if the server does not accept it.
    pub fn run_first_sync(&mut self, users: usize, groups: &[&str]) -> Result<(), String> {
        for _ in 0..users {
            self.add_employee()?;
        }
        for (position, name) in groups.iter().enumerate() {
            let found = format!("/Groups?filter=displayName%20eq%20%22{}%22", name.replace(' ', "%20"));
            self.call("GET", &found, None)?;
            let body = json!({"schemas": [GROUP], "displayName": name});
            let id = read_id(&self.call("POST", "/Groups", Some(&body))?)?;
            self.groups.push(id);
            let share = self.employees.iter().filter(|employee| employee.number % groups.len() == position);
            let members: Vec<Value> = share.map(|employee| json!({"value": employee.id})).collect();
            self.add_members(position, &members.into())?;
        }
        Ok(())
    }

    /// Sends the requests of a wrong attribute mapping, which the server rejects.
    ///
    /// # Errors
    /// A sentence, if the server does not answer.
    pub fn send_mistake(&mut self) -> Result<(), String> {
        // The mapped attribute has a text for one user, or no value for several.
        let (attribute, value, users) = match self.style {
            ProviderStyle::Okta => ("active", json!("employed"), 1),
            ProviderStyle::Entra => ("userName", Value::Null, WRONG_USERS),
        };
        for number in WRONG_USER_NUMBER..WRONG_USER_NUMBER + users {
            let wrong = Employee { number, department: 1, is_lead: false, is_active: true, id: String::new() };
            let mut body = self.describe_employee(&wrong);
            body[attribute] = value.clone();
            self.send("POST", "/Users", Some(&body))?;
        }
        Ok(())
    }

    /// Makes the next change: an employee joins, moves to another department, leaves, or returns.
    ///
    /// # Errors
    /// A sentence, if the server does not accept it.
    pub fn make_change(&mut self) -> Result<(), String> {
        let change = self.changes;
        self.changes += 1;
        if self.style == ProviderStyle::Entra && change % REPEAT_INTERVAL == REPEAT_INTERVAL - 1 {
            self.send_mistake()?;
        }
        if self.employees.is_empty() || change.is_multiple_of(3) && self.employees.len() < USERS_MAX {
            self.add_employee()?;
            return self.add_last_to_group();
        }
        let position = (change * 5) % self.employees.len();
        let mut employee = self.employees[position].clone();
        if change % 3 == 1 {
            employee.is_lead = !employee.is_lead;
            employee.department =
                if employee.is_lead { employee.department } else { (employee.department + 1) % DEPARTMENTS.len() };
            self.update_employee(&employee)?;
        } else {
            employee.is_active = !employee.is_active;
            self.set_active(&employee)?;
        }
        self.employees[position] = employee;
        Ok(())
    }

    fn add_employee(&mut self) -> Result<(), String> {
        let number = self.employees.len();
        let department = number % DEPARTMENTS.len();
        let mut employee =
            Employee { number, department, is_lead: number.is_multiple_of(7), is_active: true, id: String::new() };
        let login = self.login_of(&employee).replace('@', "%40");
        self.call("GET", &format!("/Users?filter=userName%20eq%20%22{login}%22"), None)?;
        let body = self.describe_employee(&employee);
        employee.id = read_id(&self.call("POST", "/Users", Some(&body))?)?;
        self.employees.push(employee);
        Ok(())
    }

    fn add_last_to_group(&mut self) -> Result<(), String> {
        let Some(last) = self.employees.last().filter(|_| !self.groups.is_empty()) else { return Ok(()) };
        let members = json!([{"value": last.id}]);
        let position = last.number % self.groups.len();
        self.add_members(position, &members)
    }

    fn add_members(&self, group: usize, members: &Value) -> Result<(), String> {
        let Some(group) = self.groups.get(group) else { return Ok(()) };
        let op = if self.style == ProviderStyle::Entra { "Add" } else { "add" };
        let operation = json!({"op": op, "path": "members", "value": members});
        let body = json!({"schemas": [PATCH], "Operations": [operation]});
        self.call("PATCH", &format!("/Groups/{group}"), Some(&body)).map(drop)
    }

    fn update_employee(&self, employee: &Employee) -> Result<(), String> {
        let path = format!("/Users/{}", employee.id);
        self.call("GET", &path, None)?;
        let body = self.describe_employee(employee);
        match self.style {
            ProviderStyle::Okta => self.call("PUT", &path, Some(&body)),
            ProviderStyle::Entra => {
                let replace = |path: &str, value: &Value| json!({"op": "Replace", "path": path, "value": value});
                let department = format!("{ENTERPRISE}:department");
                let operations =
                    [replace("title", &body["title"]), replace(&department, &body[ENTERPRISE]["department"])];
                self.call("PATCH", &path, Some(&json!({"schemas": [PATCH], "Operations": operations})))
            }
        }
        .map(drop)
    }

    fn set_active(&self, employee: &Employee) -> Result<(), String> {
        let operation = match self.style {
            ProviderStyle::Okta => json!({"op": "replace", "value": {"active": employee.is_active}}),
            ProviderStyle::Entra => {
                json!({"op": "Replace", "path": "active", "value": if employee.is_active { "True" } else { "False" }})
            }
        };
        let body = json!({"schemas": [PATCH], "Operations": [operation]});
        self.call("PATCH", &format!("/Users/{}", employee.id), Some(&body)).map(drop)
    }

    fn login_of(&self, employee: &Employee) -> String {
        let (given, family) = name_employee(employee.number);
        format!("{}.{}@{}", given.to_lowercase(), family.to_lowercase(), self.domain)
    }

    /// The user of an employee, as the provider writes it.
    fn describe_employee(&self, employee: &Employee) -> Value {
        let (given, family) = name_employee(employee.number);
        let login = self.login_of(employee);
        let (department, titles) = DEPARTMENTS[employee.department % DEPARTMENTS.len()];
        let mut user = json!({
            "schemas": [USER, ENTERPRISE],
            "userName": login,
            "name": {"givenName": given, "familyName": family},
            "displayName": format!("{given} {family}"),
            "emails": [{"primary": true, "value": login, "type": "work"}],
            "title": titles[usize::from(employee.is_lead)],
            "active": employee.is_active,
            ENTERPRISE: {"department": department, "employeeNumber": format!("{}", 1_000 + employee.number)},
        });
        match self.style {
            ProviderStyle::Okta => {
                user["externalId"] = json!(format!("00u{:09}demo", employee.number));
                user["locale"] = json!("en-US");
                user["groups"] = json!([]);
            }
            ProviderStyle::Entra => {
                user["externalId"] = json!(login.split('@').next().unwrap_or_default());
                user["meta"] = json!({"resourceType": "User"});
                user["roles"] = json!([]);
            }
        }
        user
    }

    /// Sends a request that the server must accept, and returns the body of the answer.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let (status, document) = self.send(method, path, body)?;
        if (200..300).contains(&status) {
            return Ok(document);
        }
        let detail = document["detail"].as_str().unwrap_or_default();
        Err(format!("{method} {path} answered {status} {detail}"))
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), String> {
        let mut headers = self.headers.clone();
        headers.push(("Authorization".to_owned(), format!("Bearer {}", self.server.token)));
        if body.is_none() {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        let body = body.map(|document| document.to_string().into_bytes());
        let request = SimulatedRequest { method: method.to_owned(), path: path.to_owned(), headers, body };
        let answer = self.server.send(&request)?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}

/// Given and family name of an employee. The first 1,024 are different.
fn name_employee(number: usize) -> (&'static str, &'static str) {
    let (given, family) = (number % GIVEN_NAMES.len(), number * 7 + number / GIVEN_NAMES.len());
    (GIVEN_NAMES[given], FAMILY_NAMES[family % FAMILY_NAMES.len()])
}

fn read_id(document: &Value) -> Result<String, String> {
    document["id"].as_str().map(str::to_owned).ok_or_else(|| "the answer has no id".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn employees_have_different_names() {
        let names: std::collections::BTreeSet<_> = (0..1_000).map(name_employee).collect();
        assert_eq!(names.len(), 1_000);
    }
}
