//! The picture: one function for each pane, from the model alone. It fits any size, down to a
//! single cell; what has no room is left out, the least important first.

use super::model::{BlockLine, Model};
use crate::output::{count, duration, grouped, hash_rate};
use mvb_actors::view::{MiningState, PeerView};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Block, Paragraph, Row, Sparkline, Table},
};

/// Narrower than this, panes do not stand side by side.
const WIDE: u16 = 72;

/// Lower than this, there is room for lines, but not for panes.
const HIGH: u16 = 12;

/// From this width on the blocks' ids are shown.
const WITH_ID: u16 = 60;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    if area.height < HIGH || area.width < 24 {
        let lines: Vec<Line> = summary(model).into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let [head, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    title(frame, head, model);
    if area.width < WIDE {
        narrow(frame, rest, model);
    } else {
        wide(frame, rest, model);
    }
}

fn wide(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(8),
        Constraint::Fill(3),
        Constraint::Fill(2),
    ])
    .areas(area);
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [left, right] = Layout::horizontal(halves).areas(top);
    rate(frame, left, model);
    mining(frame, right, model);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(21), Constraint::Fill(19)]).areas(middle);
    blocks(frame, left, model);
    peers(frame, right, model);
    log(frame, bottom, model);
}

fn narrow(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let [first, second, third] = Layout::vertical([
        Constraint::Length(8),
        Constraint::Fill(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    mining(frame, first, model);
    blocks(frame, second, model);
    log(frame, third, model);
}

/// The most important things, one a line.
fn summary(model: &Model) -> Vec<String> {
    let seen = &model.seen;
    vec![
        format!(
            "block {} {}",
            grouped(seen.chain.tip.height.0),
            hash_rate(model.rates.back().copied().unwrap_or_default())
        ),
        job(model),
        format!(
            "{}, {} waiting",
            count(seen.peers.peers.len(), "peer"),
            count(seen.mempool.waiting, "payment")
        ),
        "q ends".to_owned(),
    ]
}

fn title(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let identity = &model.identity;
    let text = format!(
        " mvb miner   {:?} {:.8}   block {}   up {}   q ends",
        identity.network,
        identity.genesis,
        grouped(model.seen.chain.tip.height.0),
        duration(model.up.as_secs_f64())
    );
    let style = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(text).style(style), area);
}

fn pane(title: String) -> Block<'static> {
    Block::bordered()
        .title(format!(" {title} "))
        .border_style(Style::new().add_modifier(Modifier::DIM))
}

fn rate(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let block = pane("hash rate".to_owned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [told, plot] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(inner);
    let shown: Vec<u64> = model
        .rates
        .iter()
        .skip(model.rates.len().saturating_sub(usize::from(plot.width)))
        // A float cast saturates.
        .map(|rate| *rate as u64)
        .collect();
    let now = model.rates.back().copied().unwrap_or_default();
    let most = shown.iter().copied().max().unwrap_or_default();
    let text = format!(
        "{} now, most {} in {}",
        hash_rate(now),
        hash_rate(most as f64),
        duration(shown.len() as f64)
    );
    frame.render_widget(Paragraph::new(text), told);
    let plotted = Sparkline::default()
        .data(&shown)
        .style(Style::new().fg(Color::Cyan));
    frame.render_widget(plotted, plot);
}

fn mining(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let seen = &model.seen;
    let identity = &model.identity;
    let mempool = &seen.mempool;
    let lines = [
        job(model),
        expected(model),
        format!(
            "{}, kernel {}",
            count(identity.threads, "thread"),
            identity.kernel
        ),
        format!(
            "found {} here, {} of the last {}",
            count(seen.chain.blocks_found, "block"),
            model.own_blocks(),
            model.blocks.len()
        ),
        format!(
            "mempool: {} waiting, {} ready, {} B",
            grouped(mempool.waiting as u64),
            grouped(mempool.ready as u64),
            grouped(mempool.bytes as u64)
        ),
        format!(
            "reorgs: {}, the deepest of {}",
            grouped(seen.chain.reorgs),
            count(seen.chain.deepest_reorg, "block")
        ),
    ];
    let lines: Vec<Line> = lines.into_iter().map(Line::from).collect();
    let block = pane(format!("mining, blocks served on port {}", identity.port));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// What the miner does, in one line.
fn job(model: &Model) -> String {
    match &model.seen.mining.state {
        MiningState::Off => "does not mine".to_owned(),
        MiningState::Listening => "listens for others before it begins".to_owned(),
        MiningState::CatchingUp => match &model.seen.peers.sync {
            Some(sync) => format!(
                "catches up: block {} of {}",
                grouped(sync.height.0),
                grouped(sync.claimed.0)
            ),
            None => "catches up with a better chain".to_owned(),
        },
        MiningState::WaitingForPayments { missing } => {
            format!("waits for {}", count(*missing, "more payment"))
        }
        MiningState::Searching {
            height, payments, ..
        } => format!(
            "searches block {} with {}",
            grouped(height.0),
            count(*payments, "payment")
        ),
    }
}

fn expected(model: &Model) -> String {
    let mining = &model.seen.mining;
    let seconds = mining.block_work.as_f64() / mining.hashes_per_second;
    if matches!(mining.state, MiningState::Searching { .. }) && seconds.is_finite() {
        format!("about {} a block at this rate", duration(seconds))
    } else {
        String::new()
    }
}

fn blocks(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    // An id begins with zeros, so a few digits of it tell nothing.
    let columns = if area.width >= WITH_ID { 5 } else { 4 };
    let rows = model.blocks.iter().map(|block| {
        let cells = [
            grouped(block.height.0),
            age(model, block),
            block.payments.to_string(),
            model.miner_of(block),
            format!("{:.16}", block.id),
        ];
        let row = Row::new(cells.into_iter().take(columns));
        if block.miner == model.identity.reward_to {
            row.style(Style::new().fg(Color::Green))
        } else {
            row
        }
    });
    let widths = [
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(4),
        Constraint::Fill(1),
        Constraint::Length(16),
    ];
    let table = Table::new(rows, widths.into_iter().take(columns))
        .header(header(["height", "age", "pays", "mined by", "id"]))
        .block(pane("last blocks".to_owned()));
    frame.render_widget(table, area);
}

fn age(model: &Model, block: &BlockLine) -> String {
    let passed = model.now.0.saturating_sub(block.timestamp.0);
    short(passed / 1_000)
}

/// A length of time in one unit, for a narrow column.
fn short(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", grouped(seconds / 86_400)),
    }
}

fn peers(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let peers = &model.seen.peers.peers;
    let row = |peer: &PeerView| {
        Row::new([
            peer.address.to_string(),
            grouped(peer.tip.height.0),
            short(model.now.0.saturating_sub(peer.heard.0) / 1_000),
        ])
    };
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(6),
    ];
    let table = Table::new(peers.iter().map(row), widths)
        .header(header(["address", "height", "heard"]))
        .block(pane(format!("{} heard", count(peers.len(), "peer"))));
    frame.render_widget(table, area);
}

fn header<const N: usize>(titles: [&'static str; N]) -> Row<'static> {
    Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD))
}

fn log(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let block = pane("log".to_owned());
    let room = usize::from(block.inner(area).height);
    let newest = model.log.iter().skip(model.log.len().saturating_sub(room));
    let lines: Vec<Line> = newest.map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
