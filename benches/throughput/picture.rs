//! The pictures: how many times as fast as what it is compared with, a bar for each
//! server, and a line where both are the same.

use crate::report::{Report, Row};
use crate::setting::Mode;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use stand::Failure;

const WIDTH: u32 = 960;
/// Of a bar, of the space between groups, of a title of a setting.
const BAR: f64 = 13.0;
const GAP: f64 = 9.0;
const TITLE: f64 = 30.0;
/// Above and below the bars.
const TOP: u32 = 64;
const BOTTOM: u32 = 34;
/// Left of the bars: what is compared.
const NAMES: u32 = 330;

const COLOURS: [RGBColor; 4] = [
    RGBColor(200, 30, 45),
    RGBColor(235, 130, 120),
    RGBColor(110, 110, 110),
    RGBColor(30, 100, 190),
];

type DrawError = DrawingAreaErrorKind<std::io::Error>;
type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::combinators::LogCoord<f64>, RangedCoordf64>,
>;

/// Where something is drawn, from the top.
enum Piece<'a> {
    Title(Mode, f64),
    Names(&'a Row, f64),
    Bar(&'a Row, f64),
}

/// Where the axis has figures: it is logarithmic.
const FIGURES: [f64; 7] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

/// The picture of some settings as SVG; none if nothing was measured in them.
pub fn drawn(report: &Report, modes: &[Mode]) -> Result<Option<String>, Failure> {
    let mut servers: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !servers.contains(&row.server.as_str()) {
            servers.push(&row.server);
        }
    }
    servers.sort_unstable();
    let (pieces, height) = pieces(report, modes);
    if pieces.is_empty() {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(&mut svg, &servers, &pieces, height).map_err(|error| error.to_string())?;
    Ok(Some(svg))
}

/// Everything in its place, and how high all of it is.
fn pieces<'a>(report: &'a Report, modes: &[Mode]) -> (Vec<Piece<'a>>, f64) {
    let (mut pieces, mut y) = (Vec::new(), 0.0);
    for &mode in modes {
        let rows = report.of(mode);
        if rows.is_empty() {
            continue;
        }
        y += TITLE;
        pieces.push(Piece::Title(mode, y - TITLE / 3.0));
        for group in rows.chunk_by(|a, b| a.id == b.id) {
            y += GAP / 2.0;
            let middle = y + BAR * group.len() as f64 / 2.0;
            pieces.extend(group.first().map(|row| Piece::Names(row, middle)));
            for row in group {
                pieces.push(Piece::Bar(row, y));
                y += BAR;
            }
            y += GAP / 2.0;
        }
    }
    (pieces, y)
}

fn draw(
    svg: &mut String,
    servers: &[&str],
    pieces: &[Piece<'_>],
    height: f64,
) -> Result<(), DrawError> {
    let size = (WIDTH, height as u32 + TOP + BOTTOM);
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let bars = pieces.iter().filter_map(|piece| match piece {
        Piece::Bar(row, _) => Some(row),
        _ => None,
    });
    let ratios = bars.map(|row| row.ratio);
    let least = ratios.clone().fold(0.5, f64::min) / 1.25;
    let most = ratios.fold(2.0, f64::max) * 1.25;
    let title = "times as fast as what it is compared with (stroke: the target)";
    area.draw(&Text::new(title, (16, 14), ("sans-serif", 18)))?;
    for (at, server) in servers.iter().enumerate() {
        let (x, y) = (16 + 160 * at as i32, 44);
        let colour = COLOURS[at % COLOURS.len()];
        area.draw(&Rectangle::new([(x, y), (x + 12, y + 10)], colour.filled()))?;
        area.draw(&Text::new(
            (*server).to_owned(),
            (x + 18, y),
            ("sans-serif", 13),
        ))?;
    }
    let mut chart = ChartBuilder::on(&area)
        .margin_top(TOP)
        .margin_right(16)
        .x_label_area_size(BOTTOM)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((least..most).log_scale(), height..0.0)?;
    for figure in FIGURES {
        if (least..most).contains(&figure) {
            let light = RGBColor(225, 225, 225).stroke_width(1);
            let line = PathElement::new([(figure, 0.0), (figure, height)], light);
            chart.draw_series([line])?;
            let style = ("sans-serif", 13).into_font().color(&BLACK);
            let style = style.pos(Pos::new(HPos::Center, VPos::Top));
            let below = Text::new(format!("{figure}"), (0, 8), style);
            let below = EmptyElement::at((figure, height)) + below;
            chart.plotting_area().draw(&below)?;
        }
    }
    for piece in pieces {
        match piece {
            Piece::Bar(row, y) => bar(&mut chart, row, *y, servers)?,
            Piece::Names(row, y) => {
                let names = format!("{}, beside {}", row.ours, row.theirs);
                words(&chart, (least, *y), names, (HPos::Right, -8, 12))?;
            }
            Piece::Title(mode, y) => {
                let title = mode.title().to_owned();
                words(
                    &chart,
                    (least, *y),
                    title,
                    (HPos::Left, 16 - NAMES as i32, 14),
                )?;
            }
        }
    }
    let same = PathElement::new([(1.0, 0.0), (1.0, height)], BLACK.stroke_width(1));
    chart.draw_series([same])?;
    area.present()
}

/// From 1 to the ratio, with the figure at its end and a stroke at its target.
fn bar(chart: &mut Chart<'_, '_>, row: &Row, y: f64, servers: &[&str]) -> Result<(), DrawError> {
    let at = servers.iter().position(|it| *it == row.server).unwrap_or(0);
    let colour = COLOURS[at % COLOURS.len()];
    let corners = [(1.0, y + 1.0), (row.ratio, y + BAR - 1.0)];
    chart.draw_series([Rectangle::new(corners, colour.filled())])?;
    if let Some(target) = row.target {
        let stroke = PathElement::new([(target, y), (target, y + BAR)], BLACK.stroke_width(2));
        chart.draw_series([stroke])?;
    }
    let target = row.target.unwrap_or(row.ratio);
    let (side, shift, end) = if row.ratio < 1.0 {
        (HPos::Right, -4, row.ratio.min(target))
    } else {
        (HPos::Left, 4, row.ratio.max(target))
    };
    words(
        chart,
        (end, y + BAR / 2.0),
        format!("{:.2}", row.ratio),
        (side, shift, 11),
    )
}

fn words(
    chart: &Chart<'_, '_>,
    at: (f64, f64),
    words: String,
    (side, shift, size): (HPos, i32, i32),
) -> Result<(), DrawError> {
    let style = ("sans-serif", size).into_font().color(&BLACK);
    let style = style.pos(Pos::new(side, VPos::Center));
    let text = EmptyElement::at(at) + Text::new(words, (shift, 0), style);
    chart.plotting_area().draw(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Which;
    use crate::report::Round;

    #[test]
    fn the_picture_shows_the_settings_that_were_asked_for() {
        let row = |id, mode, ours: f64| {
            let rounds = vec![Round::new((Which::Ours, ours), 100.0)];
            let names = ("LOCK.ACQUIRE", "SET NX PX");
            Row::new(id, names, "Redis 7.0.15", mode, rounds).expect("a row")
        };
        let report = Report {
            rows: vec![
                row("acquire", Mode::Plain, 131.0),
                row("acquire", Mode::Replica, 47.0),
            ],
            ..Report::default()
        };
        let plain = drawn(&report, &[Mode::Plain]).expect("drawn");
        let plain = plain.expect("a picture");
        assert!(plain.contains("Redis 7.0.15") && plain.contains("1.31"));
        assert!(!plain.contains("0.47"));
        assert!(drawn(&report, &[Mode::Everysec]).expect("drawn").is_none());
    }
}
