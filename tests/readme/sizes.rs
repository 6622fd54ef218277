//! The sizes that a person gets.

use carousel::job::{AspectRatio, Size};
use carousel::provider::size_for;

use crate::{file, name, table};

#[test]
fn every_ratio_has_the_sizes_that_the_provider_is_asked_for() {
    let rows = table(&file("supabase/README.md"), "| Ratio | Size | With quality `xhigh` or `max` |");
    let expected: Vec<Vec<String>> = AspectRatio::ALL
        .into_iter()
        .filter(|ratio| *ratio != AspectRatio::Auto)
        .map(|ratio| {
            let photo = Size { width: 4032, height: 3024 };
            let size = |quality| size_for("gpt-image-2", ratio, Some(quality), photo).expect("it has one").to_string();
            assert_eq!((size("low"), size("xhigh")), (size("high"), size("max")), "two sizes a ratio");
            vec![ratio.to_string(), size("low"), size("xhigh")]
        })
        .collect();
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| vec![name(&row[0]), row[1].clone(), row[2].clone()]).collect();
    assert_eq!(rows, expected);
}
