//! Which bytes and endings does a fault below HTTP put on the wire?

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::wire::Wire;

/// One step on a connection that was taken back from hyper. A script without an ending hands it on to hyper again.
pub(super) enum Step {
    /// Writes and flushes, so that the peer can see these bytes before the next step.
    Write(Bytes),
    Wait(Duration),
    /// TLS close_notify, then FIN.
    CloseCleanly,
    /// FIN alone: on TLS, what truncation by an attacker looks like.
    CloseAbruptly,
    /// RST.
    Reset,
}

/// Performs the steps; gives the connection back if none of them ended it and the peer is still there.
pub(super) async fn perform(mut wire: Wire, steps: Vec<Step>) -> Option<Wire> {
    for step in steps {
        let done: io::Result<()> = match step {
            Step::Write(bytes) => write(&mut wire, &bytes).await,
            Step::Wait(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            Step::CloseCleanly => {
                // An error means that the peer left first: the connection is closed either way.
                let _ = wire.shutdown().await;
                return None;
            }
            Step::CloseAbruptly => return None,
            Step::Reset => {
                wire.tap().reset_on_drop();
                return None;
            }
        };
        done.ok()?;
    }
    Some(wire)
}

async fn write(wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    wire.write_all(bytes).await?;
    wire.flush().await
}
