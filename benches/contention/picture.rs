//! The picture: cycles a second over the number of clients, and the longest wait.

use crate::crowd::Failure;
use crate::report::{Report, Row};
use crate::ways::{Way, WAYS};
use plotters::prelude::*;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 420;

fn colour(way: Way) -> RGBColor {
    match way {
        Way::Lock => RGBColor(200, 30, 45),
        Way::List => RGBColor(110, 110, 110),
        Way::Message => RGBColor(30, 100, 190),
        Way::BackOff => RGBColor(215, 140, 20),
    }
}

/// The picture as SVG.
pub fn drawn(report: &Report) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let (left, right) = area.split_horizontally(WIDTH / 2);
        let cycles = |row: &Row| row.cycles_per_second;
        panel(&left, report, "cycles per second", cycles, Legend::Below).map_err(failed)?;
        let wait = |row: &Row| row.wait_longest_ms;
        panel(
            &right,
            report,
            "longest wait in milliseconds",
            wait,
            Legend::None,
        )
        .map_err(failed)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    error.to_string().into()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawError = DrawingAreaErrorKind<std::io::Error>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Legend {
    /// In the corner at the lower left, where no line goes.
    Below,
    None,
}

/// Both axes are logarithmic: the ways are orders of magnitude apart.
fn panel(
    area: &Area<'_>,
    report: &Report,
    title: &str,
    value: impl Fn(&Row) -> f64,
    legend: Legend,
) -> Result<(), DrawError> {
    let values = || report.rows.iter().map(&value).filter(|it| *it > 0.0);
    let clients = || report.rows.iter().map(|row| row.clients as f64);
    let (least, most) = (
        values().fold(f64::MAX, f64::min),
        values().fold(1.0, f64::max),
    );
    let (fewest, all) = (
        clients().fold(f64::MAX, f64::min),
        clients().fold(1.0, f64::max),
    );
    let across = (fewest / 1.3..all * 1.3).log_scale();
    let up = (least / 1.6..most * 1.6).log_scale();
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .x_desc("clients that want the one lock")
        .x_label_formatter(&|number| format!("{number:.0}"))
        .y_label_formatter(&|number| format!("{number:.0}"))
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    for way in WAYS {
        let rows = report.rows.iter().filter(|row| row.way == way);
        let points: Vec<_> = rows
            .map(|row| (row.clients as f64, value(row)))
            .filter(|(_, value)| *value > 0.0)
            .collect();
        let line = colour(way).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.clone(), line))?
            .label(way.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], line));
        let dots = points
            .into_iter()
            .map(|point| Circle::new(point, 3, colour(way).filled()));
        chart.draw_series(dots)?;
    }
    if legend == Legend::None {
        return Ok(());
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.85))
        .draw()
}
