//! The writes that every job makes, each fenced by its lease; those of many jobs go together.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::BILLED_TRIES;
use super::connection::Patience;
use super::gather::{Columns, Gather, Pair, Under, Write, column};

/// One place for each kind where writes meet.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) starts: Gather<StartJob>,
    pub(super) calls: Gather<BeginCall>,
    pub(super) reports: Gather<ReportProgress>,
    pub(super) images: Gather<RecordImage>,
    pub(super) ends: Gather<FinishJob>,
}

pub(super) struct StartJob {
    pub(super) under: Under,
    pub(super) images: i32,
}

impl Write for StartJob {
    const STATEMENT: Pair = Pair::of(include_str!("../../sql/start_job.sql"));

    fn under(&self) -> Under {
        self.under
    }

    fn rows(&self) -> i64 {
        1 + i64::from(self.images)
    }
}

pub(super) struct ReportProgress(pub(super) Under);

impl Write for ReportProgress {
    const STATEMENT: Pair = Pair::of(include_str!("../../sql/report_progress.sql"));
    const PATIENCE: Patience = Patience::PASSING;

    fn under(&self) -> Under {
        self.0
    }
}

pub(super) struct BeginCall {
    pub(super) under: Under,
    pub(super) image: Uuid,
    pub(super) model: String,
    pub(super) quality: Option<String>,
    pub(super) prompt: String,
    pub(super) object_name: String,
    pub(super) previews: i32,
    pub(super) estimate: Option<i64>,
}

impl Write for BeginCall {
    const STATEMENT: Pair = Pair::of(include_str!("../../sql/begin_call.sql"));

    fn under(&self) -> Under {
        self.under
    }

    fn columns(writes: &[Arc<Self>]) -> Columns {
        vec![
            column(writes, |write| write.image),
            column(writes, |write| write.model.clone()),
            column(writes, |write| write.quality.clone()),
            column(writes, |write| write.prompt.clone()),
            column(writes, |_| BILLED_TRIES.cast_signed()),
            column(writes, |write| write.object_name.clone()),
            column(writes, |write| write.previews),
            column(writes, |write| write.estimate),
        ]
    }
}

pub(super) struct RecordImage {
    pub(super) under: Under,
    pub(super) image: Uuid,
    pub(super) call: i64,
    pub(super) path: String,
    pub(super) thumbhash: String,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) bytes: i64,
    pub(super) mime: &'static str,
    pub(super) sha256: String,
    pub(super) usage: Option<Value>,
    pub(super) cost: Option<i64>,
    pub(super) duration_ms: i32,
    pub(super) request_id: Option<String>,
}

impl Write for RecordImage {
    const STATEMENT: Pair = Pair::of(include_str!("../../sql/record_image.sql"));

    fn under(&self) -> Under {
        self.under
    }

    fn columns(writes: &[Arc<Self>]) -> Columns {
        vec![
            column(writes, |write| write.image),
            column(writes, |write| write.call),
            column(writes, |write| write.path.clone()),
            column(writes, |write| write.thumbhash.clone()),
            column(writes, |write| write.width),
            column(writes, |write| write.height),
            column(writes, |write| write.bytes),
            column(writes, |write| write.mime),
            column(writes, |write| write.sha256.clone()),
            column(writes, |write| write.usage.clone()),
            column(writes, |write| write.cost),
            column(writes, |write| write.duration_ms),
            column(writes, |write| write.request_id.clone()),
        ]
    }
}

pub(super) struct FinishJob {
    pub(super) under: Under,
    pub(super) cancelled: bool,
    pub(super) code: Option<String>,
    pub(super) words: Option<String>,
}

impl Write for FinishJob {
    const STATEMENT: Pair = Pair::of(include_str!("../../sql/finish_job.sql"));

    fn under(&self) -> Under {
        self.under
    }

    fn columns(writes: &[Arc<Self>]) -> Columns {
        vec![
            column(writes, |write| write.cancelled),
            column(writes, |write| write.code.clone()),
            column(writes, |write| write.words.clone()),
        ]
    }
}
