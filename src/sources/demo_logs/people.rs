//! The invented team, and who of it sits in which notebook session.
//!
//! Livebook names everyone connected to a session, so the same few groups return for as long as a session is open.
//! A group is written out once, in both forms: its text is as long as many a cell.

use super::prng::Prng;
use crate::event::json::string::quote_into;
use crate::livebook::inspect::write_literal;

struct Person {
    id: &'static str,
    name: &'static str,
    email: Option<&'static str>,
}

/// In the order of their ids, which is how Livebook lists the users of a session.
const PEOPLE: [Person; 11] = [
    Person { id: "104", name: "Ilse Vandenbroucke", email: Some("ilse@example.com") },
    Person { id: "118", name: "Søren Kjærgård", email: Some("soren.kjaergard@example.org") },
    Person { id: "127", name: "Nkechi Ọbáṣẹ́", email: Some("nkechi@example.com") },
    Person { id: "23", name: "Mateusz Źrebiec", email: Some("mateusz+notebooks@example.com") },
    Person { id: "31", name: "Aroha Tūī", email: Some("aroha@example.org") },
    Person {
        id: "3e0c5b7a-91d4-4c8e-b6a2-7f15d0c94e38", name: "小川 ゆき", email: Some("yuki@example.com")
    },
    Person { id: "58", name: "Tomás O’Ceallaigh", email: None },
    Person {
        id: "7b41f9d2-5e63-4a07-8c1d-e29a60b83f75",
        name: "Zoë Þórsdóttir",
        email: Some("zoe@example.org"),
    },
    Person { id: "okta|00w4tz7kd", name: "Дарина Коваль", email: Some("daryna@example.com") },
    Person { id: "q5xkz2m7vtr4hbn3wcyd6jgf2aselupo", name: "Bram", email: None },
    Person {
        id: "uvd3nq7yhsk2xw5zgjbt4rcm6pfaeoil",
        name: "Leïla Ben Saïd",
        email: Some("leila@example.com"),
    },
];

/// How many sessions are open at a time.
const SESSIONS: u64 = 16;
/// How many groups of two to four people meet in them.
const GROUPS: usize = 40;
/// One evaluation in so many is the first of a new session, in the place of an older one.
const TURNOVER: u64 = 48;
/// One evaluation in so many comes from a session whose people have all left.
const DESERTED_ONCE_IN: u64 = 25;

/// People who are named together in a record, as it writes them.
#[derive(Debug, Default)]
pub struct Users {
    /// A JSON array.
    pub json: Vec<u8>,
    /// An Elixir list.
    pub text: Vec<u8>,
}

/// Which of [`Team::users`].
pub type UsersId = usize;

/// Who works here.
#[derive(Debug)]
pub struct Team {
    /// Nobody, then each person alone, then groups.
    users: Vec<Users>,
    sessions: Vec<UsersId>,
}

const NOBODY: UsersId = 0;

impl Team {
    /// Puts people together in sessions.
    pub fn new(prng: &mut Prng) -> Self {
        let everyone = 0..PEOPLE.len();
        let mut users = vec![Users::new(&[])];
        users.extend(everyone.map(|person| Users::new(&[person])));
        for _ in 0..GROUPS {
            let size = 2 + prng.below(3) as usize;
            let mut group = Vec::with_capacity(size);
            while group.len() < size {
                let person = prng.below(PEOPLE.len() as u64) as usize;
                if !group.contains(&person) {
                    group.push(person);
                }
            }
            group.sort_unstable();
            users.push(Users::new(&group));
        }
        let mut team = Team { users, sessions: Vec::new() };
        team.sessions = (0..SESSIONS).map(|_| team.company(prng)).collect();
        team
    }

    /// One person or a group, as likely.
    fn company(&self, prng: &mut Prng) -> UsersId {
        if prng.once_in(2) {
            Team::anyone(prng)
        } else {
            NOBODY + 1 + prng.below(self.users.len() as u64 - 1) as usize
        }
    }

    /// A person, alone.
    pub fn anyone(prng: &mut Prng) -> UsersId {
        NOBODY + 1 + prng.below(PEOPLE.len() as u64) as usize
    }

    /// Everyone in the session where the next cell is evaluated.
    pub fn session(&mut self, prng: &mut Prng) -> UsersId {
        if prng.once_in(DESERTED_ONCE_IN) {
            return NOBODY;
        }
        let at = prng.below(SESSIONS) as usize;
        if prng.once_in(TURNOVER) {
            let company = self.company(prng);
            if let Some(session) = self.sessions.get_mut(at) {
                *session = company;
            }
        }
        self.sessions.get(at).copied().unwrap_or(NOBODY)
    }

    /// Who previews an app: one person, or nobody where it was deployed without one.
    pub fn previewer(prng: &mut Prng) -> UsersId {
        if prng.once_in(3) { NOBODY } else { Team::anyone(prng) }
    }

    /// The people, as a record writes them.
    pub fn users(&self, id: UsersId) -> Option<&Users> {
        self.users.get(id)
    }

    /// The name of the person `id`, alone; empty for anything else.
    pub fn name(id: UsersId) -> &'static str {
        id.checked_sub(NOBODY + 1).and_then(|person| PEOPLE.get(person)).map_or("", |person| person.name)
    }
}

impl Users {
    fn new(people: &[usize]) -> Self {
        let mut users = Users { json: b"[".to_vec(), text: b"[".to_vec() };
        for person in people.iter().filter_map(|&person| PEOPLE.get(person)) {
            users.add(person);
        }
        users.json.push(b']');
        users.text.push(b']');
        users
    }

    fn add(&mut self, person: &Person) {
        if self.json.len() > 1 {
            self.json.extend_from_slice(b",");
            self.text.extend_from_slice(b", ");
        }
        self.member(("{\"id\":", "%{id: "), person.id);
        self.member((",\"name\":", ", name: "), person.name);
        if let Some(email) = person.email {
            self.member((",\"email\":", ", email: "), email);
        }
        self.json.push(b'}');
        self.text.push(b'}');
    }

    fn member(&mut self, (json, text): (&str, &str), value: &str) {
        self.json.extend_from_slice(json.as_bytes());
        quote_into(value.as_bytes(), &mut self.json);
        self.text.extend_from_slice(text.as_bytes());
        write_literal(value.as_bytes(), &mut self.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_written_in_both_ways() {
        let team = Team::new(&mut Prng::new(1));
        let [nobody, ilse] = [0, 1].map(|id| team.users(id).unwrap());
        assert_eq!((nobody.json.as_slice(), nobody.text.as_slice()), (&b"[]"[..], &b"[]"[..]));
        assert_eq!(
            String::from_utf8_lossy(&ilse.json),
            r#"[{"id":"104","name":"Ilse Vandenbroucke","email":"ilse@example.com"}]"#
        );
        assert_eq!(
            String::from_utf8_lossy(&ilse.text),
            r#"[%{id: "104", name: "Ilse Vandenbroucke", email: "ilse@example.com"}]"#
        );
    }

    #[test]
    fn names_need_no_escape_and_ids_are_in_order() {
        for person in &PEOPLE {
            let mut json = Vec::new();
            quote_into(person.name.as_bytes(), &mut json);
            assert_eq!(json, format!("\"{}\"", person.name).into_bytes());
        }
        assert!(PEOPLE.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn sessions_hold_nobody_to_four_people() {
        let mut prng = Prng::new(3);
        let mut team = Team::new(&mut prng);
        let mut seen = [0; 5];
        for _ in 0..2000 {
            let id = team.session(&mut prng);
            let users: Vec<serde_json::Value> =
                serde_json::from_slice(&team.users(id).unwrap().json).unwrap();
            seen[users.len()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 20), "{seen:?}");
    }
}
