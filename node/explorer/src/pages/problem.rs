//! What is shown instead of a page: what is wrong, and what would be right.

use super::layout::{Live, Place, page};
use crate::{problem::Problem, reply::Reply};
use maud::html;
use mvb_node::handle::NodeHandle;

/// The page of a problem.
pub fn problem(node: &NodeHandle, problem: &Problem) -> Reply {
    let status = problem.status;
    let title = match status.as_u16() {
        404 => "Not found",
        400 => "That cannot be looked up",
        403 | 421 => "Not for this address",
        405 => "Not done this way",
        413 | 414 => "Too long",
        503 => "Not now",
        _ => "The node is at fault",
    };
    let main = html! {
        div .heading {
            h1 { (title) }
            p .about { "Status " (status.as_u16()) }
        }
        p { (sentence(&problem.message)) }
        p { "Go to the " a href="/" { "overview" } ", or search above for a height, an id or an address." }
    };
    let body = page(node, Place::Elsewhere, title, Live::No, main);
    Reply::page(body).with_status(status)
}

/// A message as a sentence.
pub fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if message.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}
