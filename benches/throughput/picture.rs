//! The picture: how many times as fast as what it is compared with, a bar for each
//! server, and a line where both are the same.

use crate::report::{Report, Row};
use crate::setting::{Mode, MODES};
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

/// The picture as SVG.
pub fn drawn(report: &Report) -> Result<String, Failure> {
    let mut servers: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !servers.contains(&row.server.as_str()) {
            servers.push(&row.server);
        }
    }
    let (pieces, height) = pieces(report);
    let mut svg = String::new();
    draw(&mut svg, report, &servers, &pieces, height).map_err(|error| error.to_string())?;
    Ok(svg)
}

/// Everything in its place, and how high all of it is.
fn pieces(report: &Report) -> (Vec<Piece<'_>>, f64) {
    let (mut pieces, mut y) = (Vec::new(), 0.0);
    for mode in MODES {
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
    report: &Report,
    servers: &[&str],
    pieces: &[Piece<'_>],
    height: f64,
) -> Result<(), DrawError> {
    let size = (WIDTH, height as u32 + TOP + BOTTOM);
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let ratios = || report.rows.iter().map(|row| row.ratio);
    let least = ratios().fold(0.5, f64::min) / 1.2;
    let most = ratios().fold(2.0, f64::max) * 1.5;
    let title = "times as fast as what it is compared with (right of the line: ours is faster)";
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
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_label_formatter(&|ratio| format!("{ratio}"))
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
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
    let (side, shift, end) = if row.ratio < 1.0 {
        (HPos::Right, -3, row.ratio)
    } else {
        (HPos::Left, 3, row.ratio.max(row.target.unwrap_or(0.0)))
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
