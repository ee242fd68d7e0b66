//! One row after another. Only a row's own queries run together, so a pool that is larger than a row
//! has no effect.

use super::Batch;

pub(super) async fn run(batch: &mut Batch) {
    for row in 0..batch.rows.len() {
        batch.wave(batch.row(row)).await;
    }
}
