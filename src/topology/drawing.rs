//! A plan as a picture: who feeds whom, ports included.

use super::plan::{Node, OutputId, Plan};
use crate::delivery::REJECTED;
use std::fmt::Write;

/// How a plan is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// A table for people.
    Text,
    /// A flowchart of Mermaid, as documentation and forges show it.
    Mermaid,
    /// A digraph of Graphviz.
    Dot,
}

/// A component of a picture.
struct Room<'a> {
    id: &'a str,
    role: &'static str,
    kind: &'a str,
    inputs: &'a [OutputId],
    /// Its ports, each with what becomes of its events where nobody consumes them.
    ports: Vec<(String, &'static str)>,
}

/// Draws `plan`.
pub fn draw(plan: &Plan, how: Drawing) -> String {
    let rooms = rooms(plan);
    match how {
        Drawing::Text => text(&rooms),
        Drawing::Mermaid => mermaid(&rooms),
        Drawing::Dot => dot(&rooms),
    }
}

/// The components: each behind those that feed it.
fn rooms(plan: &Plan) -> Vec<Room<'_>> {
    fn room<'a, C: ?Sized>(
        role: &'static str,
        node: &'a Node<C>,
        ports: Vec<(String, &'static str)>,
    ) -> Room<'a> {
        Room { id: &node.id, role, kind: node.kind, inputs: &node.inputs, ports }
    }
    let with =
        |ports: Vec<String>, else_: &'static str| ports.into_iter().map(|port| (port, else_)).collect();
    let sources =
        plan.sources.iter().map(|node| room("source", node, with(node.config.ports(), "counted and logged")));
    let sinks = plan.sinks.iter().map(|node| {
        let is_letter = |port: &String| port == REJECTED;
        let ports = node.config.ports();
        let else_ = if ports.iter().any(is_letter) { "kept as dead letters" } else { "sent nowhere" };
        room("sink", node, with(ports, else_))
    });
    let mut rest: Vec<Room<'_>> = plan
        .transforms
        .iter()
        .map(|node| room("transform", node, with(node.config.ports(), "dropped")))
        .chain(sinks)
        .collect();
    let mut rooms: Vec<Room<'_>> = sources.collect();
    // A plan has no cycle, so there is always one that is fed by those in front of it alone.
    while let Some(at) = rest
        .iter()
        .position(|one| one.inputs.iter().all(|input| rooms.iter().any(|other| other.id == input.component)))
    {
        rooms.push(rest.remove(at));
    }
    rooms.extend(rest);
    rooms
}

/// Who consumes the port `port` of `of`.
fn consumers<'r>(rooms: &'r [Room<'_>], of: &str, port: &str) -> Vec<&'r str> {
    let is_it = |input: &OutputId| input.component == of && input.port.as_deref() == Some(port);
    rooms.iter().filter(|room| room.inputs.iter().any(is_it)).map(|room| room.id).collect()
}

fn text(rooms: &[Room<'_>]) -> String {
    let width = |of: fn(&Room<'_>) -> usize| rooms.iter().map(of).max().unwrap_or(0);
    let (ids, kinds) = (width(|room| room.id.len()), width(|room| room.kind.len()));
    let mut out = String::new();
    for room in rooms {
        let inputs: Vec<String> = room.inputs.iter().map(ToString::to_string).collect();
        let from = if inputs.is_empty() { String::new() } else { format!("  ← {}", inputs.join(", ")) };
        let line = format!("{:<9}  {:<ids$}  {:<kinds$}{from}", room.role, room.id, room.kind);
        out.push_str(line.trim_end());
        out.push('\n');
        for (port, else_) in &room.ports {
            let to = consumers(rooms, room.id, port);
            let to = if to.is_empty() { format!("({else_})") } else { to.join(", ") };
            // Writing to a string does not fail.
            writeln!(out, "{:<9}  .{port} → {to}", "").unwrap_or_default();
        }
    }
    out
}

/// Where an edge begins: the place of the component among `rooms`, and the name of the port.
fn edges<'r>(rooms: &'r [Room<'_>]) -> impl Iterator<Item = (usize, usize, Option<&'r str>)> {
    rooms.iter().enumerate().flat_map(move |(to, room)| {
        room.inputs.iter().filter_map(move |input| {
            let from = rooms.iter().position(|other| other.id == input.component)?;
            Some((from, to, input.port.as_deref()))
        })
    })
}

fn mermaid(rooms: &[Room<'_>]) -> String {
    // Ids may be words that mean something in a flowchart, so that components get numbers.
    let mut out = String::from("flowchart LR\n");
    for (at, Room { id, role, kind, .. }) in rooms.iter().enumerate() {
        let (open, close) = match *role {
            "source" => ("([", "])"),
            "sink" => ("[(", ")]"),
            _ => ("[", "]"),
        };
        writeln!(out, "    c{at}{open}\"{id}<br>{kind}\"{close}").unwrap_or_default();
    }
    for (from, to, port) in edges(rooms) {
        let label = port.map(|port| format!("|\"{port}\"|")).unwrap_or_default();
        writeln!(out, "    c{from} -->{label} c{to}").unwrap_or_default();
    }
    out
}

fn dot(rooms: &[Room<'_>]) -> String {
    let mut out = String::from("digraph evaltrail {\n    rankdir = LR;\n    node [shape = box];\n");
    for Room { id, role, kind, .. } in rooms {
        let shape = match *role {
            "source" => ", style = rounded",
            "sink" => ", shape = cylinder",
            _ => "",
        };
        writeln!(out, "    \"{id}\" [label = \"{id}\\n{kind}\"{shape}];").unwrap_or_default();
    }
    for (from, to, port) in edges(rooms) {
        let id = |at: usize| rooms.get(at).map_or("", |room| room.id);
        let label = port.map(|port| format!(" [label = \"{port}\"]")).unwrap_or_default();
        writeln!(out, "    \"{}\" -> \"{}\"{label};", id(from), id(to)).unwrap_or_default();
    }
    out.push_str("}\n");
    out
}
