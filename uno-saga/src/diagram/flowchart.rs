//! [`of_steps`]: a definition of steps as a flowchart.

use std::fmt::Write as _;

use super::text::{span, text};
use crate::{
    StepSaga,
    steps::{Deadline, Node, Step, Steps, Task},
};

/// The steps of a saga as a flowchart. What follows because time has gone by is dashed; what a step is undone by hangs on it.
#[must_use]
pub fn of_steps<S: StepSaga>() -> String {
    let mut chart = Chart::default();
    chart.node("begin", "([", &[S::NAME.to_owned()], "])");
    let exits = chart.lay(S::steps().nodes(), vec![Exit::plain("begin")]);
    chart.node("done", "([", &["completed".to_owned()], "])");
    chart.arrows(&exits, "done");
    if chart.undoes {
        chart.node("undo", "([", &["undo all in reverse".to_owned()], "])");
    }
    chart.lines
}

struct Chart {
    lines: String,
    steps: usize,
    forks: usize,
    undoes: bool,
}

/// Where one comes from.
#[derive(Clone)]
struct Exit {
    from: String,
    label: Option<String>,
    dashed: bool,
}

impl Exit {
    fn plain(from: &str) -> Self {
        Self {
            from: from.to_owned(),
            label: None,
            dashed: false,
        }
    }

    fn when(from: &str, label: &str) -> Self {
        Self {
            label: Some(label.to_owned()),
            ..Self::plain(from)
        }
    }

    fn after(from: &str, label: String) -> Self {
        Self {
            label: Some(label),
            dashed: true,
            ..Self::plain(from)
        }
    }
}

impl Default for Chart {
    fn default() -> Self {
        Self {
            lines: "flowchart TD\n".to_owned(),
            steps: 0,
            forks: 0,
            undoes: false,
        }
    }
}

impl Chart {
    /// Puts these down one after the other; where one leaves them.
    fn lay<S: StepSaga>(&mut self, nodes: &[Node<S>], entries: Vec<Exit>) -> Vec<Exit> {
        let mut exits = entries;
        for node in nodes {
            exits = match node {
                Node::Step(step) => self.lay_step(step, &exits),
                Node::Fork(branches) => self.lay_fork(branches, &exits),
            };
        }
        exits
    }

    fn lay_fork<S: StepSaga>(&mut self, branches: &[Steps<S>], entries: &[Exit]) -> Vec<Exit> {
        let (fork, join) = (format!("f{}", self.forks), format!("j{}", self.forks));
        self.forks += 1;
        self.node(&fork, "((", &["fork".to_owned()], "))");
        self.arrows(entries, &fork);
        let mut exits = Vec::new();
        for branch in branches {
            exits.extend(self.lay(branch.nodes(), vec![Exit::plain(&fork)]));
        }
        self.node(&join, "((", &["join".to_owned()], "))");
        self.arrows(&exits, &join);
        vec![Exit::plain(&join)]
    }

    fn lay_step<S: StepSaga>(&mut self, step: &Step<S>, entries: &[Exit]) -> Vec<Exit> {
        let id = format!("s{}", self.steps);
        self.steps += 1;
        let name = step.name.to_owned();
        match &step.task {
            Task::Send { command, undo } => {
                let sends = format!("sends {}", command.names());
                self.node(&id, "[", &[name, sends], "]");
                self.arrows(entries, &id);
                for (number, undo) in undo.iter().enumerate() {
                    let undoing = format!("{id}u{number}");
                    self.node(&undoing, "[/", &[undo.names()], "/]");
                    self.line(&format!(r#"{id} ---|"undone by"| {undoing}"#));
                }
            }
            Task::Wait(_) => {
                self.node(&id, "{{", &[name, "waits".to_owned()], "}}");
                self.arrows(entries, &id);
            }
        }
        for (number, escalation) in step.escalations.iter().enumerate() {
            let told = format!("{id}e{number}");
            self.node(&told, ">", &[escalation.make.names()], "]");
            let word = if escalation.repeats { "every" } else { "after" };
            let label = format!("{word} {}", span(escalation.wait));
            // Each level counts from the one before.
            let from = match number {
                0 => id.clone(),
                number => format!("{id}e{}", number - 1),
            };
            self.arrows(&[Exit::after(&from, label)], &told);
        }
        let mut exits = vec![Exit::plain(&id)];
        let is_wait = matches!(step.task, Task::Wait(_));
        let no = if is_wait { "refused" } else { "rejected" };
        exits.extend(self.instead(step.rejected.as_ref(), Exit::when(&id, no)));
        if !is_wait {
            exits.extend(self.instead(step.gave_up.as_ref(), Exit::when(&id, "gave up")));
        }
        if let Some(Deadline { wait, instead }) = &step.deadline {
            let exit = Exit::after(&id, format!("after {}", span(*wait)));
            exits.extend(self.instead(instead.as_ref(), exit));
        }
        exits
    }

    /// What is done in place of a step.
    fn instead<S: StepSaga>(&mut self, instead: Option<&Steps<S>>, exit: Exit) -> Vec<Exit> {
        if let Some(instead) = instead {
            return self.lay(instead.nodes(), vec![exit]);
        }
        self.undoes = true;
        self.arrows(&[exit], "undo");
        Vec::new()
    }

    fn node(&mut self, id: &str, open: &str, label: &[String], close: &str) {
        let lines: Vec<_> = label.iter().map(|line| text(line)).collect();
        self.line(&format!(r#"{id}{open}"{}"{close}"#, lines.join("<br/>")));
    }

    fn arrows(&mut self, exits: &[Exit], to: &str) {
        for exit in exits {
            let arrow = if exit.dashed { "-.->" } else { "-->" };
            let label = exit.label.as_deref().map(text);
            let label = label.map(|label| format!(r#"|"{label}"|"#));
            let label = label.unwrap_or_default();
            self.line(&format!("{} {arrow}{label} {to}", exit.from));
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "    {line}");
    }
}
