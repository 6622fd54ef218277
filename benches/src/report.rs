//! What a benchmark says: a table for people, in Markdown, and the same as JSON.

use std::path::Path;

use serde_json::{Value, json};

/// Figures of one benchmark: rows of contenders or cases, columns of figures, several rounds of each.
pub struct Report {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Row>,
}

struct Row {
    name: String,
    rounds: Vec<Vec<f64>>,
}

impl Report {
    /// `name` is the file's, too.
    pub fn new(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self { name, columns, rows: Vec::new() }
    }

    /// One round of the row `name`.
    pub fn add(&mut self, name: &str, figures: &[f64]) {
        assert_eq!(figures.len(), self.columns.len(), "a figure a column");
        let found = self.rows.iter().position(|row| row.name == name);
        let index = found.unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_owned(), rounds: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[index].rounds.push(figures.to_vec());
        let said: Vec<String> =
            self.columns.iter().zip(figures).map(|(column, figure)| format!("{column} {}", short(*figure))).collect();
        eprintln!("{}: {name}: {}", self.name, said.join(", "));
    }

    /// Prints the table and writes `results/{name}.json`. With more than one round a cell is the median, and the spread behind it.
    pub fn finish(self, postgres: &str) -> anyhow::Result<()> {
        println!("\n| | {} |\n|---|{}", self.columns.join(" | "), "---|".repeat(self.columns.len()));
        for row in &self.rows {
            let cells: Vec<String> = (0..self.columns.len()).map(|column| row.cell(column)).collect();
            println!("| {} | {} |", row.name, cells.join(" | "));
        }
        let rows: Vec<Value> = self.rows.iter().map(|row| json!({ "name": row.name, "rounds": row.rounds })).collect();
        let result =
            json!({ "benchmark": self.name, "machine": machine(postgres), "columns": self.columns, "rows": rows });
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{}.json", self.name)), format!("{result:#}\n"))?;
        Ok(())
    }
}

impl Row {
    fn cell(&self, column: usize) -> String {
        let figures: Vec<f64> = self.rounds.iter().map(|round| round[column]).collect();
        let (least, most) = (percentile(&figures, 0.0), percentile(&figures, 1.0));
        let median = short(percentile(&figures, 0.5));
        if figures.len() == 1 { median } else { format!("{median} ({}-{})", short(least), short(most)) }
    }
}

/// Cores, memory and versions, and nothing that names the machine.
fn machine(postgres: &str) -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
    json!({ "cores": cores, "memory_gb": kilobytes.div_ceil(1 << 20), "postgres": postgres, "load_at_the_end": load })
}

/// The value below which the share `part` of `figures` lies.
pub fn percentile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((part * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Three digits that mean something.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size.is_nan() => "-".to_owned(),
        size if size >= 100.0 || figure.fract() == 0.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
