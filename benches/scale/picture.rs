//! The picture: how many pings had to wait how long while many leases ended at once
//! and while the server grew. Both axes are logarithmic; the first server is shown.

use crate::report::{Gaps, Report};
use crate::Failure;
use plotters::prelude::*;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 420;
const COLOURS: [RGBColor; 6] = [
    RGBColor(110, 110, 110),
    RGBColor(200, 30, 45),
    RGBColor(235, 130, 120),
    RGBColor(30, 100, 190),
    RGBColor(215, 140, 20),
    RGBColor(60, 150, 80),
];

/// The picture as SVG, if there is anything to see.
pub fn drawn(report: &Report) -> Result<Option<String>, Failure> {
    let first = report.rows.first().map(|row| row.server.as_str());
    let Some(server) = first.filter(|server| report.gaps_ms.contains_key(*server)) else {
        return Ok(None);
    };
    let mut svg = String::new();
    draw(report, server, &mut svg).map_err(|error| error.to_string())?;
    Ok(Some(svg))
}

/// The longest gaps, each with the number of pings that took as long or longer.
fn steps(gaps: &Gaps) -> Vec<(f64, f64)> {
    let longest = gaps.longest.iter().zip(1..);
    longest
        .map(|(gap, count)| (*gap, f64::from(count)))
        .collect()
}

fn draw(
    report: &Report,
    server: &str,
    svg: &mut String,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let area = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let lines = &report.gaps_ms[server];
    let longest = lines.values().filter_map(|gaps| gaps.longest.first());
    let most = longest.copied().fold(20.0, f64::max) * 1.5;
    let title = format!("{server}: pings that waited so long, or longer");
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((0.1..most).log_scale(), (0.8..1_200.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("milliseconds from PING to PONG")
        .y_desc("pings")
        .x_label_formatter(&|number| format!("{number}"))
        .y_label_formatter(&|number| format!("{number:.0}"))
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    for ((name, gaps), colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let line = colour.stroke_width(2);
        let points = steps(gaps).into_iter().filter(|(gap, _)| *gap >= 0.1);
        chart
            .draw_series(LineSeries::new(points, line))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], line));
        let end = gaps.longest.first().map(|gap| (*gap, 1.0));
        let dot = end.map(|point| Circle::new(point, 3, colour.filled()));
        chart.draw_series(dot)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 12))
        .background_style(WHITE.mix(0.85))
        .draw()?;
    area.present()
}
