//! Directories of ordinary companies over months, and mass removals: what holds a configuration, and what does not.

use std::path::Path;
use std::time::Duration;

use rollcall::clock::{self, simulated};
use rollcall::management::configurations::holds::{HoldState, find_status};
use rollcall::model::audit_context::AccountScope;
use rollcall::model::switches::Preset;
use rollcall::provisioning::Scope;
use rollcall::store::simulation::SimulatedStore;

use crate::disk::Disk;
use crate::episode::Violation;
use crate::jobs::{Change, run_change};
use crate::random::Random;
use crate::vfs::{reset_randomness, with_disk};
use crate::{create_configuration_of, empty_files, run_write};

type Checked<T> = Result<T, Violation>;

const HOUR: Duration = Duration::from_hours(1);
/// Sizes of the directories, in users; the sizes come in turns.
const SIZES: [usize; 10] = [12, 25, 40, 60, 90, 140, 220, 350, 600, 1_500];
/// Working days of a month, and days between the months.
const WORKING_DAYS: usize = 22;
const FREE_DAYS: usize = 8;
/// Writes after which the log is moved to the database, as the checkpointer of the server does.
const WRITES_PER_CHECKPOINT: usize = 200;

/// How an identity provider writes that a user is no longer assigned.
#[derive(Debug, Clone, Copy)]
enum RemovalForm {
    /// PATCH of `active`.
    Patch,
    /// PUT of the whole user.
    Put,
    /// DELETE.
    Delete,
    /// One request that removes members from a group.
    GroupRemoval,
}

const FORMS: [RemovalForm; 4] = [RemovalForm::Patch, RemovalForm::Put, RemovalForm::Delete, RemovalForm::GroupRemoval];

/// A user of a directory.
#[derive(Debug, Clone)]
struct Person {
    id: String,
    name: String,
    team: usize,
}

/// A configuration and what its identity provider knows.
struct Directory {
    store: SimulatedStore,
    scope: Scope,
    random: Random,
    people: Vec<Person>,
    /// Ids of the groups of the teams, and the one of all people.
    teams: Vec<String>,
    everyone: String,
    /// Users who left, who are deleted in the next month.
    left: Vec<String>,
    joined: usize,
    writes: usize,
}

impl Directory {
    /// Creates a directory whose grace time is over.
    fn start(folder: &Path, seed: u64, people: usize) -> Checked<Self> {
        with_disk(|disk| disk.reset(empty_files(folder), seed));
        simulated::reset(seed);
        reset_randomness();
        let failed = |error: &dyn std::fmt::Display| Violation(format!("a new directory: {error}"));
        let mut store = SimulatedStore::open(folder).map_err(|error| failed(&error))?;
        let (scope, _) = create_configuration_of(&mut store, "directory", Preset::Standard).map_err(|e| failed(&e))?;
        let mut directory = Self {
            store,
            scope,
            random: Random::new(seed, 4),
            people: Vec::new(),
            teams: Vec::new(),
            everyone: String::new(),
            left: Vec::new(),
            joined: 0,
            writes: 0,
        };
        for team in 0..(people / 8).max(1) {
            let id = directory.create_group(&format!("team {team}"))?;
            directory.teams.push(id);
        }
        directory.everyone = directory.create_group("everyone")?;
        for _ in 0..people {
            directory.hire()?;
        }
        simulated::advance(25 * HOUR);
        Ok(directory)
    }

    fn write(&mut self, change: Change) -> Checked<()> {
        let scope = self.scope.clone();
        let text = format!("{change:?}");
        run_write(&mut self.store, move |tx| run_change(tx, &scope, &change))
            .map_err(|error| Violation(format!("{text}: {error}")))?;
        self.writes += 1;
        if self.writes.is_multiple_of(WRITES_PER_CHECKPOINT) {
            self.store.run_checkpoint();
        }
        Ok(())
    }

    fn create_group(&mut self, name: &str) -> Checked<String> {
        let id = clock::new_id();
        self.write(Change::CreateGroup { id: id.clone(), name: name.to_owned(), members: Vec::new() })?;
        Ok(id)
    }

    fn hire(&mut self) -> Checked<()> {
        self.joined += 1;
        let (id, name) = (clock::new_id(), format!("person{}@example.com", self.joined));
        let team = self.random.below(self.teams.len());
        self.write(Change::CreateUser { id: id.clone(), name: name.clone(), title: None })?;
        for group in [self.teams[team].clone(), self.everyone.clone()] {
            self.write(Change::AddMembers { id: group, members: vec![id.clone()] })?;
        }
        self.people.push(Person { id, name, team });
        Ok(())
    }

    /// A person leaves: out of the groups, inactive, and deleted a month later.
    fn dismiss(&mut self) -> Checked<()> {
        if self.people.is_empty() {
            return Ok(());
        }
        let person = self.people.swap_remove(self.random.below(self.people.len()));
        for group in [self.teams[person.team].clone(), self.everyone.clone()] {
            self.write(Change::RemoveMembers { id: group, members: vec![person.id.clone()] })?;
        }
        self.write(Change::PatchUser { id: person.id.clone(), title: "left".to_owned(), active: false })?;
        self.left.push(person.id);
        Ok(())
    }

    fn change_team(&mut self, at: usize, team: usize) -> Checked<()> {
        let Person { id, team: before, .. } = self.people[at].clone();
        self.write(Change::RemoveMembers { id: self.teams[before].clone(), members: vec![id.clone()] })?;
        self.write(Change::AddMembers { id: self.teams[team].clone(), members: vec![id] })?;
        self.people[at].team = team;
        Ok(())
    }

    /// One team in ten, at least one, is merged into another within minutes, and its group is deleted.
    fn reorganize(&mut self) -> Checked<()> {
        for _ in 0..(self.teams.len() / 10).max(1) {
            if self.teams.len() < 2 {
                return Ok(());
            }
            let (old, new) = (self.teams.len() - 1, self.random.below(self.teams.len() - 1));
            for at in 0..self.people.len() {
                if self.people[at].team == old {
                    self.change_team(at, new)?;
                }
            }
            let group = self.teams.remove(old);
            self.write(Change::DeleteGroup { id: group })?;
        }
        let count = self.joined;
        let id = self.create_group(&format!("new team after {count}"))?;
        self.teams.push(id);
        Ok(())
    }

    /// How many people a percentage is; a rest is a chance.
    fn share(&mut self, percent: usize) -> usize {
        let hundredths = self.people.len() * percent;
        hundredths / 100 + usize::from(self.random.chance(hundredths % 100, 100))
    }

    /// Joiners and leavers of 2 %, 3 % who change their team, the deletion of last month's leavers in one run, and a
    /// re-organization every six months.
    fn run_month(&mut self, month: usize) -> Checked<()> {
        let (leavers, joiners, movers) = (self.share(2), self.share(2), self.share(3));
        let draw_days =
            |random: &mut Random, count| (0..count).map(|_| random.below(WORKING_DAYS)).collect::<Vec<usize>>();
        // Contracts end on the last day of the month, for one in two months.
        let leave_on = if self.random.chance(1, 2) {
            vec![WORKING_DAYS - 1; leavers]
        } else {
            draw_days(&mut self.random, leavers)
        };
        let (join_on, move_on) = (draw_days(&mut self.random, joiners), draw_days(&mut self.random, movers));
        let count_on = |days: &[usize], day| days.iter().filter(|one| **one == day).count();
        for day in 0..WORKING_DAYS {
            simulated::advance(24 * HOUR);
            if day == 1 {
                for id in std::mem::take(&mut self.left) {
                    self.write(Change::DeleteUser { id })?;
                }
            }
            for _ in 0..count_on(&leave_on, day) {
                self.dismiss()?;
            }
            for _ in 0..count_on(&join_on, day) {
                self.hire()?;
            }
            for _ in 0..count_on(&move_on, day) {
                if !self.people.is_empty() {
                    let (at, team) = (self.random.below(self.people.len()), self.random.below(self.teams.len()));
                    self.change_team(at, team)?;
                }
            }
            if month % 6 == 5 && day == 10 {
                self.reorganize()?;
            }
            self.expect_held(false, &format_args!("month {month}, day {day}, {} people", self.people.len()))?;
        }
        simulated::advance(u32::try_from(FREE_DAYS).unwrap_or_default() * 24 * HOUR);
        Ok(())
    }

    /// Number of removals and of the threshold, if the configuration is held.
    fn find_hold(&self) -> Checked<Option<(i64, i64)>> {
        let id = self.scope.configuration_id.clone();
        let status = self.store.store.read_inline(move |at| {
            find_status(at, &AccountScope::AllAccounts, &id, (None, 0), clock::current_millis())
        });
        let status = status.map_err(|error| Violation(format!("the hold: {error}")))?;
        let numbers = status.record.map(|record| (record.counted, record.threshold));
        Ok(numbers.filter(|_| status.state == HoldState::Held))
    }

    fn expect_held(&self, expected: bool, when: &dyn std::fmt::Display) -> Checked<()> {
        match self.find_hold()? {
            found if found.is_some() == expected => Ok(()),
            found => Err(Violation(format!("{when}: held is {found:?}, expected {expected}"))),
        }
    }

    /// Removes people one after the other within this time, until the configuration is held; returns how many.
    fn remove_until_held(&mut self, form: RemovalForm, within: Duration) -> Checked<usize> {
        let people = std::mem::take(&mut self.people);
        let pause = within / u32::try_from(people.len()).unwrap_or(u32::MAX).min(500);
        for (at, person) in people.into_iter().enumerate() {
            self.write(match form {
                RemovalForm::Patch => Change::PatchUser { id: person.id, title: "left".to_owned(), active: false },
                RemovalForm::Put => {
                    Change::ReplaceUser { id: person.id, name: person.name, title: None, active: false }
                }
                RemovalForm::Delete => Change::DeleteUser { id: person.id },
                RemovalForm::GroupRemoval => {
                    Change::RemoveMembers { id: self.everyone.clone(), members: vec![person.id] }
                }
            })?;
            if self.find_hold()?.is_some() {
                return Ok(at + 1);
            }
            simulated::advance(pause);
        }
        Err(Violation(format!("{form:?} within {within:?}: all were removed, and nothing was held")))
    }

    fn end(self) {
        self.store.close();
        with_disk(Disk::kill_process);
    }
}

/// Runs months of ordinary directories; fails if one is held.
pub(crate) fn run_ordinary(folder: &Path, directories: usize, months: usize, seed: u64) -> Checked<()> {
    let (mut writes, mut people) = (0, 0);
    for number in 0..directories {
        let size = SIZES[number % SIZES.len()];
        let mut directory = Directory::start(folder, seed + number as u64, size)?;
        for month in 0..months {
            directory
                .run_month(month)
                .map_err(|Violation(text)| Violation(format!("directory {number} of {size} people: {text}")))?;
        }
        writes += directory.writes;
        people += size;
        directory.end();
    }
    println!("{directories} directories, {people} people, {months} months: {writes} writes, 0 holds");
    Ok(())
}

/// Removes people in each form, at once and over 59 minutes; fails if the hold does not begin with the right removal.
pub(crate) fn run_waves(folder: &Path, people: usize, seed: u64) -> Checked<()> {
    for form in FORMS {
        for minutes in [0, 59] {
            let mut directory = Directory::start(folder, seed, people)?;
            // Each person is in two groups.
            let expected = match form {
                RemovalForm::GroupRemoval => (people * 2).div_ceil(4).max(50),
                _ => people.div_ceil(10).max(10),
            };
            let found = directory.remove_until_held(form, Duration::from_mins(minutes))?;
            if found != expected {
                return Err(Violation(format!(
                    "{form:?} of {people} people within {minutes} minutes: held with removal {found} instead of {expected}"
                )));
            }
            directory.end();
        }
    }
    println!(
        "waves in {} forms, at once and over 59 minutes, {people} people: held with the right removal",
        FORMS.len()
    );
    Ok(())
}
