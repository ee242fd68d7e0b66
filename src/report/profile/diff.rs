//! Before and after: functions and modules by processor time a request.

use crate::analysis::profile::Profiled;
use crate::profile::diff::{By, Difference, Side, differences, in_nanoseconds};
use crate::profile::flamegraph::{self, Titles};
use crate::report::format;
use crate::report::model::{Block, Cell, Chart, Column, Note, Report, Section, Table, Text, Tone};

/// Functions in a table.
const FUNCTIONS: usize = 25;

const NOISE: &str = "CPU ms a request: share of the samples x measured processor time of the target / requests (attempts) that ended meanwhile. Shares would not do: where one function becomes cheaper, the shares of all others grow. z: the difference in standard errors, each share taken as one of so many independent samples; the error of the measured processor time is not in it. Larger than sampling noise: |z| above 3, and more than one hundredth of what a request took before.";

/// A run and its profile of the target's processor time.
#[derive(Debug, Clone, Copy)]
pub struct Half<'a> {
    /// Its folder, for the reader.
    pub run: &'a str,
    /// The profile.
    pub profiled: &'a Profiled,
    /// Processor time a request, in milliseconds.
    pub ms_per_request: f64,
}

/// The report of what differs.
pub fn build(before: Half<'_>, after: Half<'_>) -> Report {
    let are_sound = before.profiled.is_sound() && after.profiled.is_sound();
    let functions = sides(before, after, |profiled| &profiled.functions);
    let modules = sides(before, after, |profiled| &profiled.modules);
    let own = differences(functions.0, functions.1, By::Own, are_sound);
    let cumulative = differences(functions.0, functions.1, By::Cumulative, are_sound);
    let modules = differences(modules.0, modules.1, By::Own, are_sound);
    let named = |title: &str, what: &str, rows: &[Difference]| {
        Section::new(title).brief(true).with(table(what, rows))
    };
    let mut report = Report {
        title: "Profiles, before and after".to_owned(),
        subtitle: vec![headline(&own, before, after, are_sound)],
        sections: vec![
            summary(before, after),
            named("Functions by self time", "Function", &own),
            Section {
                brief: false,
                ..named("Functions by cumulative time", "Function", &cumulative)
            },
            named("Modules", "Module", &modules),
        ],
        footnotes: vec![NOISE.to_owned()],
        location: None,
    };
    let charts: Vec<Block> = charts(before, after).into_iter().map(Block::Chart).collect();
    report.sections.push(Section { blocks: charts, ..Section::new("Flamegraphs") });
    report
}

fn sides<'a>(
    before: Half<'a>,
    after: Half<'a>,
    table: fn(&Profiled) -> &crate::profile::table::Table,
) -> (Side<'a>, Side<'a>) {
    let side = |half: Half<'a>| Side {
        table: table(half.profiled),
        samples: half.profiled.total(),
        ms_per_request: half.ms_per_request,
    };
    (side(before), side(after))
}

fn headline(own: &[Difference], before: Half<'_>, after: Half<'_>, are_sound: bool) -> Text {
    if !are_sound {
        return Text::emphasis(Tone::Warning, "low quality: no conclusions");
    }
    let real = own.iter().filter(|difference| difference.is_real);
    let (more, less): (Vec<_>, Vec<_>) = real.partition(|difference| difference.more_ms() > 0.0);
    let count = |of: &[&Difference]| format::counted(of.len() as u64, "function", "functions");
    let (was, is) = (before.ms_per_request, after.ms_per_request);
    Text::from(format!(
        "CPU per request {} ms, was {} ms ({}). Larger than sampling noise: {} grew, {} shrank.",
        format::amount(is),
        format::amount(was),
        percent(was, is),
        count(&more),
        count(&less)
    ))
}

/// A change in percent, with its sign.
fn percent(was: f64, is: f64) -> String {
    match was > 0.0 {
        true => signed((is / was - 1.0) * 100.0) + "%",
        false if is > 0.0 => "new".to_owned(),
        false => "0%".to_owned(),
    }
}

/// One decimal with its sign; what is rounded to nothing has none.
fn signed(figure: f64) -> String {
    let text = format!("{figure:+.1}");
    match text.as_str() {
        "+0.0" | "-0.0" => "0".to_owned(),
        _ => text.replace('-', "\u{2212}"),
    }
}

fn summary(before: Half<'_>, after: Half<'_>) -> Section {
    let mut table = Table::new([
        Column::words(""),
        Column::words("Run"),
        Column::figures("Samples"),
        Column::figures("CPU s"),
        Column::figures("Requests"),
        Column::figures("CPU ms/request"),
        Column::words("Quality"),
    ]);
    for (name, half) in [("before", before), ("after", after)] {
        let profiled = half.profiled;
        let quality = match profiled.is_sound() {
            true => Text::from("good"),
            false => Text::emphasis(Tone::Warning, "low")
                .plain(format!(": {}", profiled.weaknesses.join("; "))),
        };
        table.rows.push(vec![
            name.into(),
            Text::literal(half.run).into(),
            Cell::Figure(format::count(profiled.total()), None),
            Cell::figure(profiled.cpu_seconds.map(format::amount), format::NOT_MEASURED),
            Cell::Figure(format::count(profiled.requests.round() as u64), None),
            Cell::Figure(format::amount(half.ms_per_request), None),
            quality.into(),
        ]);
    }
    Section::new("Profiles compared").brief(true).with(table)
}

fn table(what: &str, rows: &[Difference]) -> Table {
    let mut table = Table::new([
        Column::words(what),
        Column::figures("Before ms/request").note(Note(1)),
        Column::figures("After ms/request"),
        Column::figures("Change"),
        Column::figures("z"),
        Column::words("Larger than noise"),
    ]);
    for row in rows.iter().take(FUNCTIONS) {
        let verdict = match (row.is_real, row.more_ms() > 0.0) {
            (false, _) => Text::from("no"),
            (true, true) => Text::emphasis(Tone::Bad, "grew"),
            (true, false) => Text::emphasis(Tone::Good, "shrank"),
        };
        table.rows.push(vec![
            Text::literal(&row.name).into(),
            Cell::Figure(format::amount(row.before_ms), None),
            Cell::Figure(format::amount(row.after_ms), None),
            Cell::Figure(percent(row.before_ms, row.after_ms), None),
            Cell::Figure(signed(row.z), None),
            verdict.into(),
        ]);
    }
    if rows.len() > FUNCTIONS {
        let caption = format!("The largest {FUNCTIONS} differences of {}.", rows.len());
        table.caption = Some(caption.into());
    }
    table
}

/// One flamegraph as wide as what there is now, and one as what there was: what is gone is not in
/// the first.
fn charts(before: Half<'_>, after: Half<'_>) -> Vec<Chart> {
    let scaled = |half: Half<'_>| {
        in_nanoseconds(&half.profiled.folded, half.profiled.total(), half.ms_per_request)
    };
    let (was, is) = (scaled(before), scaled(after));
    let titles = |widths: &str| Titles {
        title: "CPU time a request, before and after".to_owned(),
        subtitle: format!("widths: {widths}; red: more than before, blue: less"),
        unit: "ns a request".to_owned(),
    };
    let chart = |stem: &str, widths: &str, svg: Option<String>| {
        svg.map(|svg| Chart {
            folder: "charts",
            file_stem: stem.to_owned(),
            title: format!("Differential flamegraph, widths of {widths}"),
            alt: format!(
                "CPU time a request by stack, as wide as {widths}; red grew, blue shrank."
            ),
            svg,
        })
    };
    let now = flamegraph::difference(&was, &is, false, &titles("after"));
    let then = flamegraph::difference(&is, &was, true, &titles("before"));
    [chart("diff-after", "after", now), chart("diff-before", "before", then)]
        .into_iter()
        .flatten()
        .collect()
}
