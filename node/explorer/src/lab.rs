//! The page of a lab: the fork tree of all its machines, and forms that split, heal, pay and
//! attack. A form becomes a line as it could be typed in the terminal, and whoever plays the lab
//! reads both from one queue, so nothing can be done here that cannot be typed.
//!
//! Only a lab has such a page, never a node. A page from elsewhere that makes a browser send a
//! form here fails thrice: by its Origin, by its Host, and because it lacks the token that only
//! this page has.

mod page;

use crate::{
    ask::Query,
    events::{self, Words},
    problem::Problem,
    reply::Reply,
    routes::{self, Asked, Kind, Verb},
    site::Site,
};
use actix_web::http::StatusCode;
use mvb_node::lab::{Forest, Picture};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

/// The longest command.
const LONGEST: usize = 200;

/// The fields of the forms.
const FIELDS: &[&str] = &[
    "token", "do", "sides", "from", "to", "amount", "miner", "percent", "attack",
];

/// The kind of body that a form sends.
const FORM: &str = "application/x-www-form-urlencoded";

/// Everything that the page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// How long a block takes with all the hash power, in seconds.
    pub block_seconds: f64,
    /// The blocks that anybody knows.
    pub forest: Forest,
    /// Who owns what by which branch.
    pub picture: Picture,
    /// Each miner's parts of 100 of the hash power.
    pub powers: Vec<f64>,
    /// Who reaches whom.
    pub sides: Vec<Vec<String>>,
    /// Who can pay and be paid.
    pub people: Vec<String>,
    /// What was done and what came of it, the oldest first.
    pub told: Vec<Told>,
    /// The command that is at work.
    pub busy: Option<String>,
}

/// Something that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A command, as it could be typed.
    Command(String),
    /// What came of it.
    Fact(String),
}

/// The page of a lab.
#[derive(Clone)]
pub struct LabPage {
    shown: watch::Receiver<Arc<Shown>>,
    commands: mpsc::Sender<String>,
    token: Arc<str>,
}

impl LabPage {
    /// A page that shows this and sends commands there. Nobody may guess the token.
    pub fn new(
        shown: watch::Receiver<Arc<Shown>>,
        commands: mpsc::Sender<String>,
        token: &str,
    ) -> Self {
        Self {
            shown,
            commands,
            token: token.into(),
        }
    }

    fn try_answer(&self, asked: &Asked<'_>) -> Result<Reply, Problem> {
        match (asked.verb, asked.path) {
            (Verb::Get, "/") => {
                let shown = self.shown.borrow().clone();
                Ok(Reply::page(page::lab(&shown, &self.token)))
            }
            (Verb::Post, "/do") => {
                let body = std::str::from_utf8(&asked.body)
                    .map_err(|_| Problem::malformed("the form is not UTF-8"))?;
                let form = Query::parse(body, FIELDS)?;
                if form.get("token") != Some(&*self.token) {
                    return Err(Problem::new(
                        StatusCode::FORBIDDEN,
                        "wrong_token",
                        "the form is not of this lab's page as it is now; load the page again",
                    ));
                }
                self.commands.try_send(command(&form)?).map_err(|_| {
                    Problem::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "busy",
                        "the lab has not come to earlier commands yet, or has ended",
                    )
                })?;
                Ok(Reply::see("/"))
            }
            (_, path) => Err(routes::wrong_method(path, &self.allowed(path))),
        }
    }
}

/// A form as the line that does the same.
fn command(form: &Query) -> Result<String, Problem> {
    let field = |name: &str| form.get(name).unwrap_or_default();
    let line = match field("do") {
        "split" => format!("split {}", field("sides")),
        "heal" => "heal".to_owned(),
        "pay" => format!("pay {} {} {}", field("from"), field("to"), field("amount")),
        "power" => format!("power {} {}", field("miner"), field("percent")),
        "share" => "power equal".to_owned(),
        "attack" => format!("attack {}", field("attack")),
        other => {
            return Err(Problem::malformed(format!(
                "got {other:?}, expected split, heal, pay, power, share or attack"
            )));
        }
    };
    if line.len() > LONGEST || line.chars().any(char::is_control) {
        return Err(Problem::malformed(
            "expected a few words without control characters",
        ));
    }
    Ok(line)
}

impl Site for LabPage {
    fn answer(&self, asked: Asked<'_>) -> Reply {
        let answered = self.try_answer(&asked);
        answered.unwrap_or_else(|problem| self.refuse(Kind::Page, &problem))
    }

    fn refuse(&self, _: Kind, problem: &Problem) -> Reply {
        page::problem(problem)
    }

    fn allowed(&self, path: &str) -> String {
        match path {
            "/" => "GET, HEAD",
            "/do" => "POST",
            _ => "",
        }
        .to_owned()
    }

    fn body_kind(&self) -> &'static str {
        FORM
    }

    fn follow(&self, place: OwnedSemaphorePermit) -> Words {
        let word = |shown: &Shown| events::changed(&json!({"height": shown.forest.best.height.0}));
        events::stream(self.shown.clone(), word, place)
    }
}

#[cfg(test)]
mod tests;
