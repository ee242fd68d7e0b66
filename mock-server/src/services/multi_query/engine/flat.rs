//! All rows at once, in waves: a wave begins when the one before is done.

use super::super::settings::Order;
use super::Batch;

pub(super) async fn run(batch: &mut Batch) {
    let rows = batch.rows.len();
    let queries = batch.core.queries.len();
    match batch.core.settings.order() {
        Order::Row => {
            for row in 0..rows {
                batch.wave(batch.row(row)).await;
            }
        }
        Order::Criterion => {
            for query in 0..queries {
                batch.wave((0..rows).map(|row| (row, query))).await;
            }
        }
        Order::Flat => {
            let all = (0..rows).flat_map(|row| (0..queries).map(move |query| (row, query)));
            batch.wave(all).await;
        }
    }
}
