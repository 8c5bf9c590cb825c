//! Pure: what a connector and the engine say to each other, in logical inodes only.
//!
//! The engine keeps two views of the namespace: *merged* (all entries it has) and *applied* (what the connector's
//! filesystem shows). The connector reports what it noticed as [`LocalTxn`]s and brings its filesystem to the
//! [`Image`]s that it is given; their difference to what it reported applied is its work. State, not events: an image
//! is the whole truth about one inode, so a repeated or skipped image does no harm.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::error::Result;
pub use crate::journal::device::DeviceImage;
use crate::journal::dot::Dot;
use crate::journal::op::{Change, Content, FileTime, Name, Owner, Place};

/// What an inode is; never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
}

/// A value and the version that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// Who wrote it.
    pub dot: Dot,
    /// The value.
    pub value: T,
}

/// One name under which an inode is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLink {
    /// Id of the hard link; the inode for a directory, a symbolic link and a file's first link.
    pub link: u64,
    /// Directory that shows it: the representative of a merged group.
    pub parent: u64,
    /// Name as shown, which a clash may have altered.
    pub name: Name,
    /// The version of the place register behind it.
    pub dot: Dot,
    /// The register says just this. False: the name was altered by a clash, the link was resurrected, or the
    /// directory is kept only for its children; a local touch then makes it explicit.
    pub explicit: bool,
}

/// What one inode should look like, or looks like, on a connector's filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Logical inode.
    pub inode: u64,
    /// What it is.
    pub kind: NodeKind,
    /// Where it is shown. Empty: nowhere, it is to be removed.
    pub links: Vec<ShownLink>,
    /// The directory is shown as part of this one, which has the same name and is the smaller inode. Its `links`
    /// are then those of the representative; nothing of its own is on the filesystem.
    pub merged_into: Option<u64>,
    /// Bytes of a file. None: a file that was created and not written, or no file.
    pub content: Option<Versioned<Content>>,
    /// Lower 12 bits of the mode.
    pub mode: Option<Versioned<u32>>,
    /// Owner.
    pub owner: Option<Versioned<Owner>>,
    /// mtime: of the content or as set by hand, whichever is later. None for directories after their creation.
    pub mtime: Option<Versioned<FileTime>>,
    /// Inode flags.
    pub flags: Option<Versioned<u32>>,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Bytes, Versioned<Bytes>>,
    /// Text of a symbolic link.
    pub target: Option<Bytes>,
    /// Highest hybrid clock among the versions above: images are applied in this order.
    pub order_us: u64,
    /// How many foreign entries had touched the inode when the image was made; the engine's own mark on it.
    pub merge_gen: u32,
}

impl Image {
    /// An image of an inode that is not shown anywhere.
    #[must_use]
    pub const fn absent(inode: u64, kind: NodeKind) -> Self {
        Self {
            inode,
            kind,
            links: Vec::new(),
            merged_into: None,
            content: None,
            mode: None,
            owner: None,
            mtime: None,
            flags: None,
            xattrs: BTreeMap::new(),
            target: None,
            order_us: 0,
            merge_gen: 0,
        }
    }
}

/// One operation on one inode, as the connector noticed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOp {
    /// Logical inode; a new one comes from [`Engine::mint`].
    pub inode: u64,
    /// Hard link concerned; the inode itself for anything but further links of a file.
    pub link: u64,
    /// What was done. Places name directories by the inode that shows them.
    pub change: Change,
    /// Set when the change was found after downtime: content and attributes are then stamped with this ctime in
    /// microseconds, as far as causality allows. Places never are.
    pub back_date_us: Option<u64>,
    /// What the file looked like on the device after the operation.
    pub device: Option<DeviceImage>,
}

/// Operations that are one: they get one transaction, and nobody sees half of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalTxn {
    /// In order.
    pub ops: Vec<LocalOp>,
}

/// What became of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The filesystem shows it.
    Applied,
    /// It cannot be shown for a reason that concerns this inode alone; the rest goes on. Tried again later.
    Parked {
        /// For people: what failed and why.
        reason: String,
    },
    /// A local change was found underneath; it is journaled first and the image comes again.
    Changed,
}

/// What one round of applying did to the connector's filesystem: the engine takes it over as a whole, in one commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// What became of the images given out by [`Engine::work`].
    pub outcomes: Vec<(Image, Outcome)>,
    /// What the files behind inodes look like on the device; none: nothing of the inode is there any more.
    pub devices: Vec<(u64, Option<DeviceImage>)>,
    /// Directories that stand on the disk as before and are another inode's from here on, which was not shown and
    /// shows both as one: (absorbed, by). Name and content pass over to it without a change on the disk.
    pub absorbed: Vec<(u64, u64)>,
}

/// The engine as a connector sees it. Calls are short: merging never waits for a connector.
pub trait Engine: Send {
    /// New logical inode or link ids, never given out before.
    ///
    /// # Errors
    /// When the state store fails.
    fn mint(&mut self, count: usize) -> Result<Vec<u64>>;

    /// Journals operations in order; durable when it returns. What they describe is on the connector's filesystem
    /// and its bytes are durable. The applied view follows them.
    ///
    /// # Errors
    /// When the journal or the store fails; nothing may then be taken as journaled, and the connector stops.
    fn submit(&mut self, txns: Vec<LocalTxn>) -> Result<()>;

    /// At most `limit` images that differ from the applied view, in the order in which they are to be applied.
    /// Images that are parked or wait for content are left out until they change, or [`Engine::retry`] or [`Engine::retry_parked`] puts them back.
    ///
    /// # Errors
    /// When the state store fails.
    fn work(&mut self, limit: usize) -> Result<Vec<Image>>;

    /// Reports a round of applying. Durable when it returns.
    ///
    /// # Errors
    /// When the state store fails.
    fn done(&mut self, round: Round) -> Result<()>;

    /// Puts all parked images back into the work.
    ///
    /// # Errors
    /// When the state store fails.
    fn retry_parked(&mut self) -> Result<()>;

    /// Puts parked images back into the work, but for those that wait for content: their source tells when to try.
    ///
    /// # Errors
    /// When the state store fails.
    fn retry_faults(&mut self) -> Result<()>;

    /// Puts those of `inodes` back into the work that are parked.
    ///
    /// # Errors
    /// When the state store fails.
    fn retry(&mut self, inodes: Vec<u64>) -> Result<()>;

    /// What the connector last reported of each of `inodes`: the base of every local diff.
    ///
    /// # Errors
    /// When the state store fails.
    fn applied_of(&mut self, inodes: Vec<u64>) -> Result<Vec<Option<Image>>>;

    /// The same for one.
    ///
    /// # Errors
    /// When the state store fails.
    fn applied(&mut self, inode: u64) -> Result<Option<Image>> {
        Ok(self.applied_of(vec![inode])?.pop().flatten())
    }

    /// What `directory` shows in the applied view: name, inode and link of every entry, by name.
    ///
    /// # Errors
    /// When the state store fails.
    fn applied_entries(&mut self, directory: u64) -> Result<Vec<(Name, u64, u64)>>;

    /// The inodes that are shown at these places in the applied view.
    ///
    /// # Errors
    /// When the state store fails.
    fn applied_at(&mut self, places: Vec<Place>) -> Result<Vec<Option<u64>>>;

    /// Records what the file behind `inode` looks like on the device where nothing was journaled or applied.
    ///
    /// # Errors
    /// When the state store fails.
    fn set_device(&mut self, inode: u64, device: Option<DeviceImage>) -> Result<()>;

    /// What the file behind each of `inodes` looked like on the device when it was last journaled or applied.
    ///
    /// # Errors
    /// When the state store fails.
    fn devices(&mut self, inodes: Vec<u64>) -> Result<Vec<Option<DeviceImage>>>;

    /// The same for one.
    ///
    /// # Errors
    /// When the state store fails.
    fn device(&mut self, inode: u64) -> Result<Option<DeviceImage>> {
        Ok(self.devices(vec![inode])?.pop().flatten())
    }

    /// Whether each of these inodes is in the applied view, and looks on the device as it did then.
    ///
    /// # Errors
    /// When the state store fails.
    fn unchanged(&mut self, seen: Vec<(u64, DeviceImage)>) -> Result<Vec<bool>>;

    /// The logical inodes of files on the device, by their numbers and times of birth there.
    ///
    /// # Errors
    /// When the state store fails.
    fn inodes_of(&mut self, files: Vec<(u64, FileTime)>) -> Result<Vec<Option<u64>>>;

    /// The same for one.
    ///
    /// # Errors
    /// When the state store fails.
    fn inode_of(&mut self, ino: u64, btime: FileTime) -> Result<Option<u64>> {
        Ok(self.inodes_of(vec![(ino, btime)])?.pop().flatten())
    }

    /// Corrects what the connector reported before: the filesystem shows `shown` of `inode`, or nothing. What should
    /// be shown comes again as work if it differs.
    ///
    /// # Errors
    /// When the state store fails.
    fn correct(&mut self, inode: u64, shown: Option<Image>) -> Result<()>;

    /// Records that other bytes of `inode` than any site journaled are on this site's filesystem and give way to what
    /// is merged: they are the loser of a conflict, known to this site alone. Durable when it returns. False: they are
    /// the same bytes, or are on record.
    ///
    /// # Errors
    /// When the state store fails.
    fn give_way(&mut self, inode: u64, content: Content) -> Result<bool>;

    /// Whether [`Engine::work`] gives, one after the other, everything that is merged and not shown: nothing is held for an
    /// operator, no snapshot of another site is on its way, nothing that is shown nowhere waits for its content.
    ///
    /// # Errors
    /// When the state store fails.
    fn is_level(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// When the run before this one ended, in the hybrid clock, as far as that is on record.
    ///
    /// # Errors
    /// When the state store fails.
    fn ended_us(&mut self) -> Result<u64>;

    /// Everything up to this hybrid clock was noticed: the basis of the mark that tells others how current they are.
    ///
    /// # Errors
    /// When the state store fails.
    fn observed_through(&mut self, wall_us: u64) -> Result<()>;
}
