//! When is a configuration read again?

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::Signal;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::Reloader;
use super::files::{Files, Seen, look};
use crate::audit::{ReloadCause, ReloadResult};

/// Files are looked at so often without being told of a change: not every file system tells.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// And so soon where half of a pair is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A change has come to its end when so long nothing happened.
const QUIET: Duration = Duration::from_millis(50);
/// And is not waited for any longer than this.
const LONGEST_CHANGE: Duration = Duration::from_secs(1);

/// Reads the configuration again whenever `hangup` comes or one of its files changed, for ever.
pub async fn follow(reloader: Reloader, mut hangup: Signal) {
    let changed = Arc::new(Notify::new());
    let mut follower = Follower::new(Arc::new(reloader), Arc::clone(&changed));
    loop {
        let cause = tokio::select! {
            _ = hangup.recv() => ReloadCause::Signal,
            () = settled(&changed) => ReloadCause::Change,
            () = sleep(follower.pause()) => ReloadCause::Change,
        };
        // Compiling schemas and reading files must not keep the listeners waiting.
        let acted = tokio::task::spawn_blocking(move || {
            follower.act(cause, Reloader::reload);
            follower
        });
        match acted.await {
            Ok(same) => follower = same,
            // Only where the process ends.
            Err(_) => return,
        }
    }
}

/// Ends when something changed and that change is over: editors and tools write in several steps.
async fn settled(changed: &Notify) {
    changed.notified().await;
    let latest = Instant::now() + LONGEST_CHANGE;
    loop {
        // Looked at once for all that is told meanwhile: another file of the folder may change all the time.
        sleep(QUIET).await;
        if changed.notified().now_or_never().is_none() || Instant::now() >= latest {
            return;
        }
    }
}

/// What was seen of the files, and what tells of their changes.
struct Follower {
    reloader: Arc<Reloader>,
    changed: Arc<Notify>,
    files: Files,
    configuration: Seen,
    credentials: Seen,
    /// No half of a pair of credentials is waited for.
    settled: bool,
    /// Since when the configuration in the files is known to be refused.
    refused: Option<Instant>,
    watched: BTreeSet<Watched>,
    /// Tells as long as it is kept.
    watcher: Option<RecommendedWatcher>,
}

/// A folder as it is now: another one may come to bear its name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Watched {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Follower {
    fn new(reloader: Arc<Reloader>, changed: Arc<Notify>) -> Self {
        let files = Files::of(&reloader.source, &reloader.gateway.current().config);
        let mut follower = Self {
            configuration: Seen::nothing(),
            credentials: Seen::nothing(),
            settled: true,
            refused: None,
            reloader,
            changed,
            files,
            watched: BTreeSet::new(),
            watcher: None,
        };
        follower.watch();
        // What changed since the start read it is not missed: everything is read once more.
        follower.changed.notify_one();
        follower
    }

    /// Looks at the files and reads again what changed; everything when it was told to. Goes on where `reload` panics: a
    /// configuration that cannot even be read leaves the last good one in force, is tried again as a refused one is,
    /// and keeps no password from being followed.
    fn act(&mut self, cause: ReloadCause, reload: impl FnOnce(&Reloader, ReloadCause) -> ReloadResult) {
        if catch_unwind(AssertUnwindSafe(|| self.follow_configuration(cause, reload))).is_err() {
            self.reloader.broke_off(cause);
            self.refused = Some(Instant::now());
        }
        if catch_unwind(AssertUnwindSafe(|| self.follow_credentials(cause))).is_err() {
            tracing::error!("the reading of the credentials panicked");
            // They are read at the next look, and not before it.
            (self.credentials, self.settled) = (Seen::nothing(), true);
        }
    }

    fn follow_configuration(
        &mut self,
        cause: ReloadCause,
        reload: impl FnOnce(&Reloader, ReloadCause) -> ReloadResult,
    ) {
        // Before the look: what changes after it is told of.
        self.watch();
        let configuration = look(&self.files.configuration);
        if cause == ReloadCause::Signal || configuration != self.configuration || self.is_to_be_tried_again()
        {
            self.configuration = configuration;
            let result = reload(&self.reloader, cause);
            self.refused = matches!(result, ReloadResult::Refused { .. }).then(Instant::now);
            self.follow_other_files();
        }
    }

    fn follow_credentials(&mut self, cause: ReloadCause) {
        let credentials = look(&self.files.credentials);
        if cause == ReloadCause::Signal || credentials != self.credentials || !self.settled {
            self.credentials = credentials;
            self.settled = self.reloader.reread_credentials();
        }
    }

    /// What a refused configuration wants for may lie in files that are none of those of the one in force.
    fn is_to_be_tried_again(&self) -> bool {
        let is_due = |refused: Instant| {
            refused.elapsed() >= LOOK_EVERY || look(&self.files.credentials) != self.credentials
        };
        self.refused.is_some_and(is_due)
    }

    /// Until the next look that nobody asks for.
    fn pause(&self) -> Duration {
        if self.settled { LOOK_EVERY } else { LOOK_AGAIN }
    }

    /// A new configuration may consist of other files.
    fn follow_other_files(&mut self) {
        let files = Files::of(&self.reloader.source, &self.reloader.gateway.current().config);
        if files.configuration != self.files.configuration {
            // What was written since they were read is not missed: they are read once more.
            self.configuration = Seen::nothing();
        }
        self.files = files;
        self.watch();
    }

    /// Watches the folders of the files, and does so anew when one of them is another: what the kernel watches is the
    /// folder and not its name.
    fn watch(&mut self) {
        let wanted: BTreeSet<Watched> = self.files.folders().into_iter().filter_map(Watched::now).collect();
        if wanted == self.watched && self.watcher.is_some() {
            return;
        }
        let changed = Arc::clone(&self.changed);
        let tell = move |event: notify::Result<notify::Event>| {
            // Reading is no change, and this process reads.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                changed.notify_one();
            }
        };
        self.watcher = notify::recommended_watcher(tell).ok().map(|mut watcher| {
            for folder in &wanted {
                // A folder that cannot be watched is looked at, every few seconds.
                if let Err(error) = watcher.watch(&folder.path, RecursiveMode::NonRecursive) {
                    tracing::warn!(folder = %folder.path.display(), %error, "cannot be watched");
                }
            }
            watcher
        });
        self.watched = wanted;
    }
}

impl Watched {
    fn now(path: PathBuf) -> Option<Self> {
        let metadata = std::fs::metadata(&path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino(), path })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::gateway::Gateway;
    use crate::gateway::tests::{gateway_in, write_private};
    use crate::ids::CredentialId;

    /// A gateway whose files are in `folder`, and who follows them.
    fn followed(folder: &Path) -> (Arc<Gateway>, Follower) {
        let (gateway, source) = gateway_in(folder);
        let reloader = Reloader::new(Arc::clone(&gateway), source);
        let follower = Follower::new(Arc::new(reloader), Arc::default());
        (gateway, follower)
    }

    fn faults(gateway: &Gateway) -> usize {
        gateway.faults_of_reload.load(std::sync::atomic::Ordering::Acquire)
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_counts_as_a_refusal_and_following_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, mut follower) = followed(folder.path());
        let panics = |_: &Reloader, _| panic!("as a fault of this program would");
        let version = || gateway.current().credentials.of(CredentialId(0)).unwrap().current().number;
        follower.act(ReloadCause::Change, panics);
        assert_eq!((faults(&gateway), version()), (1, 1));
        write_private(&folder.path().join("veratad_user"), "another user");
        write_private(&folder.path().join("veratad_pass"), "another long password");
        follower.act(ReloadCause::Change, panics);
        assert_eq!((faults(&gateway), version()), (1, 2), "passwords are followed");
        follower.act(ReloadCause::Change, Reloader::reload);
        assert_eq!(faults(&gateway), 1, "not yet");
        tokio::time::advance(LOOK_EVERY).await;
        follower.act(ReloadCause::Change, Reloader::reload);
        assert_eq!(faults(&gateway), 0, "it was read, and is as good as before");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_refused_configuration_wants_for_is_looked_for_every_few_seconds() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (gateway, mut follower) = followed(folder.path());
        let act = |follower: &mut Follower| follower.act(ReloadCause::Change, Reloader::reload);
        act(&mut follower);
        let path = folder.path().join("gateway.toml");
        let (before, pass) = (gateway.number(), elsewhere.path().join("pass"));
        let text = std::fs::read_to_string(&path).unwrap().replace("veratad_pass", pass.to_str().unwrap());
        std::fs::write(&path, text).unwrap();
        act(&mut follower);
        assert_eq!((faults(&gateway), gateway.number()), (1, before));
        write_private(&pass, "another long password");
        act(&mut follower);
        assert_eq!(faults(&gateway), 1, "not yet");
        tokio::time::advance(LOOK_EVERY).await;
        act(&mut follower);
        assert_eq!((faults(&gateway), gateway.number()), (0, before + 1));
    }
}
