//! Can what is about to happen be recorded?

use std::sync::Arc;

use super::{Parsed, Validated};
use crate::audit::Recorder;
use crate::reject::Reject;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// A request whose record can be written. Made only here.
pub struct Recorded(Parsed);

impl Recorded {
    pub(super) fn into_parsed(self) -> Parsed {
        self.0
    }
}

impl Tracks for Recorded {
    fn track(&self) -> &Track {
        self.0.track()
    }
}

/// Forwards nothing while audit lines do not reach their output. A durable intent before each
/// forward has its place here.
#[derive(Clone)]
pub struct Record {
    recorder: Arc<Recorder>,
}

impl Record {
    /// Looks at the health of `recorder`.
    #[must_use]
    pub fn new(recorder: Arc<Recorder>) -> Self {
        Self { recorder }
    }
}

impl Stage<Validated> for Record {
    type Next = Recorded;
    const STEP: Step = Step::Record;

    fn advance(&self, validated: Validated) -> Result<Recorded, Reject> {
        if self.recorder.health().available() {
            Ok(Recorded(validated.into_parsed()))
        } else {
            Err(Reject::AuditUnavailable)
        }
    }
}
