//! Asks the daemon, and has it do something: one connection for each question, which ends by itself.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::message::{Act, Ask, Done, Failed, Outcome, Told};
use crate::admin::client::{Address, Client, ClientError};
use crate::admin::filter::{ConflictFilter, RestoreRequest};
use crate::admin::view::journal::{EntryView, TailRequest};
use crate::admin::view::preview::{PreviewPiece, PreviewRequest};
use crate::cli::exit::{CliError, Exit};
use crate::text::{bytes, printable};

/// A loser may be fetched from another site; the daemon gives up after the same time.
const LOSER_MAX: Duration = Duration::from_secs(300);
/// A preview reads what is to be sent.
const PREVIEW_MAX: Duration = Duration::from_secs(60);
/// Longest text of which two versions are compared.
const TEXT_MAX: usize = 256 * 1024;

/// The daemon that is asked.
#[derive(Clone)]
pub struct Daemon {
    /// Where it is.
    pub address: Address,
    /// How long it may take to answer.
    pub patience: Duration,
    /// What the command line tells of a failure, which looks for more than the failure itself says.
    pub explain: Arc<dyn Fn(ClientError) -> CliError + Send + Sync>,
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Daemon {
    /// A failure, as the command line tells it.
    #[must_use]
    pub fn failed(&self, error: ClientError) -> Failed {
        match (self.explain)(error) {
            CliError::Failed(failure) => Failed {
                denied: failure.exit == Exit::NotPermitted,
                unknown: failure.exit == Exit::TimedOut,
                message: failure.message,
                causes: failure.causes,
                hint: failure.hint,
            },
            CliError::Told(_) | CliError::OutputClosed => Failed::default(),
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(self.address.clone(), self.patience).await
    }
}

fn failed_io(message: String, error: &std::io::Error) -> Failed {
    Failed {
        message,
        causes: vec![error.to_string()],
        hint: None,
        ..Failed::default()
    }
}

/// Asks, and returns what there is to be told.
pub async fn ask(daemon: Daemon, ask: Ask) -> Vec<Told> {
    let failed = |error| daemon.failed(error);
    let client = match daemon.connect().await {
        Ok(client) => client,
        Err(error) => return vec![Told::Unanswered(failed(error))],
    };
    match ask {
        Ask::Conflicts { limit } => match client
            .conflicts(ConflictFilter::default(), Some(limit))
            .await
        {
            Ok(found) => vec![Told::Conflicts {
                list: found.conflicts,
                found: found.found,
            }],
            Err(error) => vec![Told::Unanswered(failed(error))],
        },
        Ask::Detail { id } => match client.show(&id).await {
            Ok((_, detail)) => vec![Told::Detail(Box::new(detail))],
            Err(error) => vec![Told::Unanswered(failed(error))],
        },
        Ask::Texts { id } => {
            let texts = texts(&daemon, client, &id).await;
            vec![Told::Texts { id, texts }]
        }
        Ask::Tail { last } => match tail(client, last).await {
            Ok(entries) => vec![Told::Tail(entries)],
            Err(error) => vec![Told::Unanswered(failed(error))],
        },
        Ask::Preview => {
            let mut sites = Vec::new();
            let take = |piece| {
                if let PreviewPiece::Site(site) = piece {
                    sites.push(site);
                }
                true
            };
            let client = client.patient(PREVIEW_MAX);
            let asked = client.preview(PreviewRequest::default(), take).await;
            match asked {
                Ok(()) => vec![Told::Preview(sites)],
                Err(error) => vec![Told::Unanswered(failed(error))],
            }
        }
    }
}

/// Both versions as text, or why they cannot be compared. The daemon reads both: it may where its operators may not.
async fn texts(daemon: &Daemon, client: Client, id: &str) -> Result<[String; 2], String> {
    let failed = |error| daemon.failed(error);
    let too_long = || {
        format!(
            "texts longer than {} are not compared",
            bytes(TEXT_MAX as u64)
        )
    };
    let client = client.patient(LOSER_MAX);
    let (mut lost, mut here) = (Vec::new(), Vec::new());
    let take = |piece: &[u8]| {
        lost.extend_from_slice(piece);
        if lost.len() > TEXT_MAX {
            return Err(std::io::Error::other("too long"));
        }
        Ok(())
    };
    match client.loser(id, take).await {
        Ok(_) => {}
        Err(ClientError::NotTaken { .. }) => return Err(too_long()),
        Err(error) => return Err(failed(error).message),
    }
    let take = |piece: &[u8]| {
        here.extend_from_slice(piece);
        Ok(())
    };
    let read = client.shown(id, TEXT_MAX as u64, take).await;
    read.map_err(|error| failed(error).message)?;
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|_| "one of the versions is no text".to_owned())
    };
    Ok([text(lost)?, text(here)?])
}

/// The end of the journal of the site that answers.
async fn tail(client: Client, last: u64) -> Result<Vec<EntryView>, ClientError> {
    let wanted = TailRequest {
        last,
        ..TailRequest::default()
    };
    let mut stream = client.journal_tail(wanted).await?;
    let mut entries = Vec::new();
    while let Some(some) = stream.next().await? {
        entries.extend(some);
    }
    Ok(entries)
}

/// Does it.
pub async fn act(daemon: Daemon, act: Act) -> Done {
    let result = match daemon.connect().await {
        Ok(client) => perform(&daemon, client, &act).await,
        Err(error) => Err(daemon.failed(error)),
    };
    Done { act, result }
}

async fn perform(daemon: &Daemon, client: Client, act: &Act) -> Result<Outcome, Failed> {
    let answered = match act {
        Act::Ack(request) => client.ack(request.clone()).await.map(Outcome::Acked),
        Act::Restore {
            id,
            as_path,
            over_later,
        } => {
            let client = client.patient(LOSER_MAX);
            let wanted = RestoreRequest {
                id,
                as_path: as_path.as_deref().map(str::as_bytes),
                over_later: *over_later,
            };
            client.restore(wanted).await.map(Outcome::Restored)
        }
        Act::Save { id, file } => return save(daemon, client, id, file).await,
        Act::Pause { site, note } => client.pause(site, note).await.map(Outcome::Paused),
        Act::Resume { site, confirm } => client.resume(site, *confirm).await.map(Outcome::Resumed),
        Act::Reconnect { site } => client.reconnect(site).await.map(|()| Outcome::Reconnecting),
        Act::Reload => client.reload().await.map(Outcome::Reloaded),
        Act::LogLevel { filter } => client.set_log_level(filter).await.map(Outcome::Logging),
    };
    answered.map_err(|error| daemon.failed(error))
}

/// Writes the loser to a new file. What is not whole goes again.
async fn save(daemon: &Daemon, client: Client, id: &str, path: &str) -> Result<Outcome, Failed> {
    let told = printable(path);
    let mut options = OpenOptions::new();
    // They may be of a file that others could not read.
    let made = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = made.map_err(|error| Failed {
        hint: Some("name a file that does not exist, in a directory that does".to_owned()),
        ..failed_io(format!("cannot make {told}"), &error)
    })?;
    let client = client.patient(LOSER_MAX);
    let read = client.loser(id, |bytes| file.write_all(bytes)).await;
    let saved = match read {
        Ok(size) => match file.sync_all() {
            Ok(()) => return Ok(Outcome::Saved(size)),
            Err(error) => failed_io(format!("cannot write {told}"), &error),
        },
        Err(error) => daemon.failed(error),
    };
    match std::fs::remove_file(path) {
        Ok(()) => Err(saved),
        Err(error) => Err(failed_io(
            format!("{told} is not whole and cannot be removed"),
            &error,
        )),
    }
}
