//! Pure: which renames bring places from how they are to how they should be, in an order that works.
//!
//! Nothing overwrites: a place is taken when it is free, or exchanged with a file that is to be removed anyway. What
//! blocks itself (swaps, cycles of directories) goes through a temporary name. Paths in the steps are those at the
//! time of the step, so that undoing them from the last to the first finds everything.

use std::collections::{BTreeMap, BTreeSet};

use super::root::ROOT_INODE;
use crate::journal::op::{Name, Place};

/// Deepest nesting that is resolved: PATH_MAX allows about half of it; more is a cycle.
const DEPTH_MAX: usize = 4_096;

/// Which directory a [`Spot`]'s path starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// The root of the tree.
    Tree,
    /// `.cfs-repl/staging`.
    Staging,
    /// `.cfs-repl/trash`.
    Trash,
}

/// A name in a directory, as a path that can be opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Where the path starts.
    pub base: Base,
    /// Directories down from the base.
    pub dir: Vec<Name>,
    /// The logical inode of the directory; 0 for the reserved ones.
    pub dir_inode: u64,
    /// The name.
    pub name: Name,
}

impl Spot {
    /// A name in staging.
    #[must_use]
    pub const fn staging(name: Name) -> Self {
        Self::reserved(Base::Staging, name)
    }

    /// A name in the trash.
    #[must_use]
    pub const fn trash(name: Name) -> Self {
        Self::reserved(Base::Trash, name)
    }

    const fn reserved(base: Base, name: Name) -> Self {
        Self {
            base,
            dir: Vec::new(),
            dir_inode: 0,
            name,
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A staged object takes a free place.
    Place,
    /// An object of the tree takes a free place.
    Move,
    /// The object and the file that is to be removed change places; the latter goes on to the trash.
    Replace {
        /// The removed file.
        victim: u64,
        /// Whether the object comes from staging.
        staged: bool,
    },
    /// A file goes to the trash.
    Remove,
    /// An empty directory is removed.
    RemoveDir,
    /// Another name for a file that is in the tree.
    Link,
    /// New bytes and old bytes of a file change places; the old ones go on to the trash.
    Exchange,
}

/// One rename, link or removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whose place it is about.
    pub inode: u64,
    /// What is done.
    pub action: Action,
    /// Where the object is.
    pub from: Spot,
    /// Where it goes; for removals of directories the same as `from`.
    pub to: Spot,
}

/// A link and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAt {
    /// Id of the link.
    pub link: u64,
    /// Place.
    pub place: Place,
}

/// What one inode needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The inode.
    pub inode: u64,
    /// Whether it is a directory.
    pub dir: bool,
    /// Where it is.
    pub now: Vec<LinkAt>,
    /// Where it should be.
    pub goal: Vec<LinkAt>,
    /// Name in staging of a new object; then `now` is empty.
    pub staged: Option<Name>,
}

/// Where directories are, and who is where.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Place of every directory that matters, up to the root.
    pub dirs: BTreeMap<u64, Place>,
    /// Inode at every place that matters.
    pub taken: BTreeMap<Place, u64>,
    /// Directories that are in staging for the time being.
    parked: BTreeMap<u64, Name>,
}

impl Layout {
    /// Names that are shown in the directory.
    pub fn shown_in(&self, directory: u64) -> impl Iterator<Item = &Name> {
        let first = Place {
            parent: directory,
            name: Name::new(&b"\x01"[..]).expect("the smallest byte that a name may hold"),
        };
        let held = self.taken.range(first..);
        held.map(|(place, _)| place)
            .take_while(move |place| place.parent == directory)
            .map(|place| &place.name)
    }

    /// Base and path of directory `inode`; None when it is not there.
    #[must_use]
    pub fn path(&self, inode: u64) -> Option<(Base, Vec<Name>)> {
        let mut path = Vec::new();
        let mut at = inode;
        while at != ROOT_INODE {
            if path.len() > DEPTH_MAX {
                return None;
            }
            if let Some(name) = self.parked.get(&at) {
                path.push(name.clone());
                path.reverse();
                return Some((Base::Staging, path));
            }
            let place = self.dirs.get(&at)?;
            path.push(place.name.clone());
            at = place.parent;
        }
        path.reverse();
        Some((Base::Tree, path))
    }

    /// The place as a spot; None when its directory is not there.
    #[must_use]
    pub fn spot(&self, place: &Place) -> Option<Spot> {
        let (base, dir) = self.path(place.parent)?;
        Some(Spot {
            base,
            dir,
            dir_inode: place.parent,
            name: place.name.clone(),
        })
    }

    fn is_below(&self, mut inode: u64, above: u64) -> bool {
        for _ in 0..DEPTH_MAX {
            if inode == above {
                return true;
            }
            match self.dirs.get(&inode) {
                Some(place) if !self.parked.contains_key(&inode) => inode = place.parent,
                _ => return false,
            }
        }
        true
    }
}

/// The steps, and the inodes for which there is no way because something else is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Left as they are, at least in part.
    pub blocked: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
enum From {
    Staging(Name),
    Tree(Place),
    /// A further name of a file that has one.
    Itself,
}

#[derive(Debug, Clone)]
struct Task {
    inode: u64,
    dir: bool,
    from: From,
    /// None: it is removed.
    to: Option<Place>,
    detached: bool,
}

/// Plans the way from `layout` to what `wants` say; `layout` is then as after the steps. `fresh` gives names for
/// staging and trash that were never used.
pub fn plan(wants: &[Want], layout: &mut Layout, fresh: &mut dyn FnMut(u64) -> Name) -> Plan {
    let mut planner = Planner {
        tasks: wants.iter().flat_map(tasks_of).collect(),
        names: names_of(wants),
        layout,
        fresh,
        plan: Plan::default(),
    };
    while planner.pass() || planner.remove_victims() || planner.detach() {}
    let blocked = planner.tasks.iter().map(|task| task.inode).collect();
    let mut plan = planner.plan;
    plan.blocked = blocked;
    plan
}

fn tasks_of(want: &Want) -> Vec<Task> {
    let task = |from, to| Task {
        inode: want.inode,
        dir: want.dir,
        from,
        to,
        detached: false,
    };
    let mut tasks = Vec::new();
    let mut staged = want.staged.clone();
    let leaves = |now: &&LinkAt| !want.goal.iter().any(|goal| goal.link == now.link);
    // A name that goes becomes a new one, whatever the links are called: the object keeps a name all the time.
    let mut leaving = want.now.iter().filter(leaves);
    for goal in &want.goal {
        let now = want.now.iter().find(|now| now.link == goal.link);
        let to = Some(goal.place.clone());
        match now {
            Some(now) if now.place == goal.place => {}
            Some(now) => tasks.push(task(From::Tree(now.place.clone()), to)),
            None => {
                let from = match (staged.take(), leaving.next()) {
                    (Some(staged), _) => From::Staging(staged),
                    (None, Some(now)) => From::Tree(now.place.clone()),
                    (None, None) => From::Itself,
                };
                tasks.push(task(from, to));
            }
        }
    }
    tasks.extend(leaving.map(|now| task(From::Tree(now.place.clone()), None)));
    tasks
}

fn names_of(wants: &[Want]) -> BTreeMap<u64, Vec<Place>> {
    let names = wants.iter().map(|want| {
        let places = want.now.iter().map(|now| now.place.clone()).collect();
        (want.inode, places)
    });
    names.collect()
}

struct Planner<'a> {
    tasks: Vec<Task>,
    /// Present names of the files concerned.
    names: BTreeMap<u64, Vec<Place>>,
    layout: &'a mut Layout,
    fresh: &'a mut dyn FnMut(u64) -> Name,
    plan: Plan,
}

impl Planner<'_> {
    /// Does every task that can be done; true when there was one.
    fn pass(&mut self) -> bool {
        let before = self.tasks.len();
        let mut wanted: BTreeMap<Place, usize> = BTreeMap::new();
        let mut leaving: BTreeMap<u64, usize> = BTreeMap::new();
        for task in &self.tasks {
            if let (Some(to), false) = (&task.to, task.dir) {
                *wanted.entry(to.clone()).or_default() += 1;
            }
            if let From::Tree(from) = &task.from {
                *leaving.entry(from.parent).or_default() += 1;
            }
        }
        let mut victims: BTreeMap<Place, u64> = BTreeMap::new();
        for task in &self.tasks {
            if let (From::Tree(from), None, false) = (&task.from, &task.to, task.dir) {
                victims.insert(from.clone(), task.inode);
            }
        }
        let mut removed = BTreeSet::new();
        let mut left = Vec::new();
        for task in std::mem::take(&mut self.tasks) {
            let done = match (&task.to, &task.from) {
                (None, From::Tree(from)) if removed.contains(from) => true,
                (None, From::Tree(from)) if task.dir => {
                    let holds = leaving.get(&task.inode).copied().unwrap_or(0) > 0;
                    !holds && self.remove(&task, &from.clone())
                }
                (None, From::Tree(from)) => {
                    !wanted.contains_key(from) && self.remove(&task, &from.clone())
                }
                (None, From::Staging(_) | From::Itself) => true,
                (Some(to), _) => self.put(&task, &to.clone(), &victims, &mut removed),
            };
            if done {
                if let From::Tree(from) = &task.from
                    && let Some(count) = leaving.get_mut(&from.parent)
                {
                    *count = count.saturating_sub(1);
                }
            } else {
                left.push(task);
            }
        }
        // Removals that an exchange took care of after they were passed over.
        left.retain(|task| {
            !matches!((&task.to, &task.from), (None, From::Tree(from)) if removed.contains(from))
        });
        self.tasks = left;
        self.tasks.len() < before
    }

    fn put(
        &mut self,
        task: &Task,
        to: &Place,
        victims: &BTreeMap<Place, u64>,
        removed: &mut BTreeSet<Place>,
    ) -> bool {
        let Some(to_spot) = self.layout.spot(to) else {
            return false;
        };
        if task.dir && self.layout.is_below(to.parent, task.inode) {
            return false;
        }
        let Some(from_spot) = self.source(task) else {
            return false;
        };
        let staged = matches!(task.from, From::Staging(_));
        let action = match (self.layout.taken.get(to).copied(), &task.from) {
            (None, From::Itself) => Action::Link,
            (None, From::Staging(_)) => Action::Place,
            (None, From::Tree(_)) => Action::Move,
            (Some(_), From::Itself) => return false,
            (Some(there), From::Staging(_) | From::Tree(_)) => {
                let is_victim = victims.get(to) == Some(&there) && !removed.contains(to);
                if task.dir || !is_victim {
                    return false;
                }
                removed.insert(to.clone());
                self.forget_name(there, to);
                Action::Replace {
                    victim: there,
                    staged,
                }
            }
        };
        self.step(task.inode, action, from_spot, to_spot);
        if let From::Tree(from) = &task.from
            && !task.detached
        {
            self.layout.taken.remove(from);
            self.forget_name(task.inode, from);
        }
        self.layout.taken.insert(to.clone(), task.inode);
        self.names.entry(task.inode).or_default().push(to.clone());
        if task.dir {
            self.layout.parked.remove(&task.inode);
            self.layout.dirs.insert(task.inode, to.clone());
        }
        true
    }

    fn source(&self, task: &Task) -> Option<Spot> {
        match &task.from {
            From::Staging(name) => Some(Spot::staging(name.clone())),
            From::Tree(place) if task.detached => Some(Spot::staging(place.name.clone())),
            From::Tree(place) => self.layout.spot(place),
            From::Itself => self.layout.spot(self.names.get(&task.inode)?.first()?),
        }
    }

    fn remove(&mut self, task: &Task, from: &Place) -> bool {
        let Some(spot) = self.layout.spot(from) else {
            return false;
        };
        if task.dir && self.layout.shown_in(task.inode).next().is_some() {
            return false;
        }
        if task.dir {
            self.step(task.inode, Action::RemoveDir, spot.clone(), spot);
            self.layout.dirs.remove(&task.inode);
        } else {
            let trash = Spot::trash((self.fresh)(task.inode));
            self.step(task.inode, Action::Remove, spot, trash);
        }
        self.layout.taken.remove(from);
        self.forget_name(task.inode, from);
        true
    }

    /// Removes files whose place is wanted by something that cannot come yet.
    fn remove_victims(&mut self) -> bool {
        let at = self
            .tasks
            .iter()
            .position(|task| !task.dir && task.to.is_none());
        let Some(at) = at else {
            return false;
        };
        let task = self.tasks.remove(at);
        match &task.from {
            From::Tree(from) => self.remove(&task, &from.clone()),
            From::Staging(_) | From::Itself => true,
        }
    }

    /// Takes one object out of the way of the others.
    fn detach(&mut self) -> bool {
        let wanted: BTreeSet<&Place> = self.tasks.iter().filter_map(|t| t.to.as_ref()).collect();
        // What another one waits for goes first; a directory that is to go below itself is waited for by itself.
        let candidates = self.tasks.iter().enumerate().filter_map(|(at, task)| {
            let From::Tree(from) = &task.from else {
                return None;
            };
            (task.to.is_some() && !task.detached).then(|| (!wanted.contains(from), at))
        });
        let Some((_, at)) = candidates.min() else {
            return false;
        };
        let Some(task) = self.tasks.get(at).cloned() else {
            return false;
        };
        let (From::Tree(from), Some(spot)) = (&task.from, self.source(&task)) else {
            return false;
        };
        let name = (self.fresh)(task.inode);
        self.step(task.inode, Action::Move, spot, Spot::staging(name.clone()));
        self.layout.taken.remove(from);
        self.forget_name(task.inode, from);
        if task.dir {
            self.layout.parked.insert(task.inode, name.clone());
        }
        if let Some(task) = self.tasks.get_mut(at) {
            task.detached = true;
            task.from = From::Tree(Place { parent: 0, name });
        }
        true
    }

    fn forget_name(&mut self, inode: u64, place: &Place) {
        if let Some(names) = self.names.get_mut(&inode) {
            names.retain(|name| name != place);
        }
    }

    fn step(&mut self, inode: u64, action: Action, from: Spot, to: Spot) {
        self.plan.steps.push(Step {
            inode,
            action,
            from,
            to,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes().to_vec()).unwrap()
    }

    fn place(parent: u64, text: &str) -> Place {
        Place {
            parent,
            name: name(text),
        }
    }

    fn want(inode: u64, dir: bool, now: Option<Place>, goal: Option<Place>) -> Want {
        let at = |place: Option<Place>| place.map(|place| LinkAt { link: inode, place });
        Want {
            inode,
            dir,
            staged: (now.is_none()).then(|| name(&format!("s-{inode}"))),
            now: at(now).into_iter().collect(),
            goal: at(goal).into_iter().collect(),
        }
    }

    /// Plans and prints the steps, with paths.
    fn steps(wants: &[Want]) -> Vec<String> {
        let mut layout = Layout::default();
        for want in wants {
            for now in &want.now {
                layout.taken.insert(now.place.clone(), want.inode);
                if want.dir {
                    layout.dirs.insert(want.inode, now.place.clone());
                }
            }
        }
        let plan = plan(wants, &mut layout, &mut |inode| name(&format!("t-{inode}")));
        assert!(plan.blocked.is_empty(), "{plan:?}");
        let shown = |spot: &Spot| {
            let base = match spot.base {
                Base::Tree => "",
                Base::Staging => "staging:",
                Base::Trash => "trash:",
            };
            let parts = spot.dir.iter().chain([&spot.name]);
            let parts: Vec<_> = parts
                .map(|n| n.as_bytes().escape_ascii().to_string())
                .collect();
            format!("{base}{}", parts.join("/"))
        };
        let word = |step: &Step| {
            format!(
                "{:?} {} {}",
                step.action,
                shown(&step.from),
                shown(&step.to)
            )
        };
        plan.steps.iter().map(word).collect()
    }

    #[test]
    fn a_plain_rename_is_one_step() {
        let wants = [want(2, false, Some(place(1, "a")), Some(place(1, "b")))];
        assert_eq!(steps(&wants), ["Move a b"]);
    }

    #[test]
    fn a_swap_goes_through_one_temporary_name() {
        let wants = [
            want(2, false, Some(place(1, "a")), Some(place(1, "b"))),
            want(3, false, Some(place(1, "b")), Some(place(1, "a"))),
        ];
        assert_eq!(
            steps(&wants),
            ["Move a staging:t-2", "Move b a", "Move staging:t-2 b"]
        );
    }

    #[test]
    fn a_rename_over_exchanges_with_the_victim() {
        let wants = [
            want(3, false, Some(place(1, "b")), None),
            want(2, false, Some(place(1, "a")), Some(place(1, "b"))),
        ];
        assert_eq!(steps(&wants), ["Replace { victim: 3, staged: false } a b"]);
    }

    #[test]
    fn a_file_gives_way_to_a_directory_and_the_reverse() {
        let wants = [
            want(2, false, Some(place(1, "x")), None),
            want(3, true, None, Some(place(1, "x"))),
            want(4, false, None, Some(place(3, "f"))),
        ];
        assert_eq!(
            steps(&wants),
            [
                "Remove x trash:t-2",
                "Place staging:s-3 x",
                "Place staging:s-4 x/f"
            ]
        );
        let wants = [
            want(3, true, Some(place(1, "x")), None),
            want(4, false, Some(place(3, "f")), None),
            want(2, false, None, Some(place(1, "x"))),
        ];
        assert_eq!(
            steps(&wants),
            [
                "Remove x/f trash:t-4",
                "RemoveDir x x",
                "Place staging:s-2 x"
            ]
        );
    }

    #[test]
    fn directories_change_sides_without_meeting() {
        // a/b becomes b/a.
        let wants = [
            want(2, true, Some(place(1, "a")), Some(place(3, "a"))),
            want(3, true, Some(place(2, "b")), Some(place(1, "b"))),
        ];
        assert_eq!(steps(&wants), ["Move a/b b", "Move a b/a"]);
        // Swap of two directories that hold each other's child.
        let wants = [
            want(2, true, Some(place(1, "a")), Some(place(1, "b"))),
            want(3, true, Some(place(1, "b")), Some(place(1, "a"))),
            want(4, false, Some(place(2, "f")), Some(place(3, "f"))),
        ];
        assert_eq!(
            steps(&wants),
            [
                "Move a/f b/f",
                "Move a staging:t-2",
                "Move b a",
                "Move staging:t-2 b"
            ]
        );
    }

    #[test]
    fn another_name_waits_for_the_first() {
        let mut file = want(2, false, None, Some(place(1, "a")));
        file.goal.push(LinkAt {
            link: 9,
            place: place(1, "b"),
        });
        assert_eq!(steps(&[file]), ["Place staging:s-2 a", "Link a b"]);
    }

    #[test]
    fn a_link_that_goes_becomes_the_new_one() {
        let mut file = want(2, false, Some(place(1, "a")), None);
        file.goal.push(LinkAt {
            link: 9,
            place: place(3, "g"),
        });
        file.staged = None;
        // Its old name is in the way of the directory in which the new one is.
        let dir = want(3, true, None, Some(place(1, "a")));
        assert_eq!(
            steps(&[dir, file]),
            [
                "Move a staging:t-2",
                "Place staging:s-3 a",
                "Move staging:t-2 a/g"
            ]
        );
    }

    #[test]
    fn a_directory_goes_only_when_nothing_is_shown_in_it() {
        let mut layout = Layout::default();
        layout.taken.insert(place(1, "d"), 3);
        layout.taken.insert(place(3, "kept"), 77);
        layout.dirs.insert(3, place(1, "d"));
        let wants = [want(3, true, Some(place(1, "d")), None)];
        let plan = plan(&wants, &mut layout, &mut |_| name("t"));
        assert_eq!((plan.steps.len(), plan.blocked), (0, BTreeSet::from([3])));
    }

    #[test]
    fn a_stranger_in_the_way_blocks() {
        let mut layout = Layout::default();
        layout.taken.insert(place(1, "b"), 77);
        let wants = [want(2, false, None, Some(place(1, "b")))];
        let plan = plan(&wants, &mut layout, &mut |_| name("t"));
        assert_eq!((plan.steps.len(), plan.blocked), (0, BTreeSet::from([2])));
    }
}
