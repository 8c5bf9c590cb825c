//! Pure: who may look at a daemon, and who may tell it what to do.
//!
//! What is not known as a way of looking is an act, so that a new request is closed to those who may only look until
//! somebody says otherwise here.

use std::fmt;

/// What a request does. Who may act may look, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// It changes nothing and gives no bytes of files.
    Look,
    /// Everything else.
    Act,
}

/// The requests of the admin service that only look. Reading the loser of a conflict is not among them: it may hold
/// what its reader could not open in the tree.
const LOOKS: [&str; 9] = [
    "Status",
    "Lag",
    "Conflicts",
    "ShowConflict",
    "Watch",
    "Events",
    "CompactPreview",
    "JournalTail",
    "Invitations",
];
/// How requests of the admin service begin.
const ADMIN: &str = "/claudefs.repl.admin.v1.Admin/";
/// Services that every gRPC tool knows, and that only look.
const STANDARD: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// What a request to this path of gRPC does.
#[must_use]
pub fn wanted(path: &str) -> Right {
    let looks = match path.strip_prefix(ADMIN) {
        Some(method) => LOOKS.contains(&method),
        None => STANDARD.iter().any(|service| path.starts_with(service)),
    };
    if looks { Right::Look } else { Right::Act }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Caller {
    /// A user of this machine, as the kernel tells.
    User {
        /// Number of the user.
        uid: u32,
        /// Its name, where it has one.
        name: Option<String>,
        /// Numbers of its groups.
        groups: Vec<u32>,
    },
    /// Somebody with a certificate of the authority.
    Certificate {
        /// The DNS names in it.
        names: Vec<String>,
    },
    /// Nobody tells.
    #[default]
    Unknown,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User {
                name: Some(name), ..
            } => f.write_str(name),
            Self::User { uid, .. } => write!(f, "uid {uid}"),
            Self::Certificate { names } => match names.first() {
                Some(name) => write!(f, "certificate {name}"),
                None => f.write_str("a certificate without a name"),
            },
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The daemon's own user; it may act, and so may root.
    pub own_uid: u32,
    /// Group whose members may look. None: nobody else.
    pub look_gid: Option<u32>,
    /// Group whose members may act. None: nobody else.
    pub act_gid: Option<u32>,
    /// DNS names of certificates that may act.
    pub certificates: Vec<String>,
}

impl Access {
    /// Whether users besides the own one and root may do anything.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.look_gid.is_some() || self.act_gid.is_some()
    }

    /// The most that a caller may do. None: nothing.
    #[must_use]
    pub fn right_of(&self, caller: &Caller) -> Option<Right> {
        match caller {
            Caller::User { uid, groups, .. } => {
                let is_in = |gid: Option<u32>| gid.is_some_and(|gid| groups.contains(&gid));
                if *uid == self.own_uid || *uid == 0 || is_in(self.act_gid) {
                    return Some(Right::Act);
                }
                is_in(self.look_gid).then_some(Right::Look)
            }
            Caller::Certificate { names } => {
                let may = names.iter().any(|name| self.certificates.contains(name));
                may.then_some(Right::Act)
            }
            Caller::Unknown => None,
        }
    }

    /// Whether a caller may do this.
    #[must_use]
    pub fn permits(&self, caller: &Caller, wanted: Right) -> bool {
        self.right_of(caller).is_some_and(|right| right >= wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            own_uid: 900,
            look_gid: Some(50),
            act_gid: Some(60),
            certificates: vec!["ops.prod.cfs-repl".to_owned()],
        }
    }

    fn user(uid: u32, groups: &[u32]) -> Caller {
        Caller::User {
            uid,
            name: None,
            groups: groups.to_vec(),
        }
    }

    #[test]
    fn groups_say_who_may_look_and_who_may_act() {
        let access = access();
        for (caller, right) in [
            (user(900, &[]), Some(Right::Act)),
            (user(0, &[]), Some(Right::Act)),
            (user(1_001, &[7, 60]), Some(Right::Act)),
            (user(1_001, &[7, 50]), Some(Right::Look)),
            (user(1_001, &[50, 60]), Some(Right::Act)),
            (user(1_001, &[7]), None),
            (user(1_001, &[0]), None),
            (Caller::Unknown, None),
        ] {
            assert_eq!(access.right_of(&caller), right, "{caller:?}");
        }
        let alone = Access {
            own_uid: 900,
            ..Access::default()
        };
        assert_eq!(alone.right_of(&user(1_001, &[50, 60])), None);
        assert!(!alone.is_shared() && access.is_shared());
    }

    #[test]
    fn a_certificate_acts_by_its_listed_name_alone() {
        let named = |names: &[&str]| Caller::Certificate {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let access = access();
        let ops = named(&["x.prod.cfs-repl", "ops.prod.cfs-repl"]);
        assert!(access.permits(&ops, Right::Act));
        for other in [&["fra-1.prod.cfs-repl"][..], &["prod.cfs-repl"], &[]] {
            assert_eq!(access.right_of(&named(other)), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_not_known_to_only_look_is_an_act() {
        let of = |method: &str| wanted(&format!("{ADMIN}{method}"));
        assert!(LOOKS.iter().all(|method| of(method) == Right::Look));
        for method in [
            "ReadLoser",
            "Reload",
            "AckConflicts",
            "Invite",
            "RevokeInvitation",
            "Novel",
            "status",
            "",
        ] {
            assert_eq!(of(method), Right::Act, "{method}");
        }
        assert_eq!(wanted("/grpc.health.v1.Health/Check"), Right::Look);
        assert_eq!(wanted("/grpc.health.v1.Healthy/Check"), Right::Act);
        assert_eq!(wanted("/Status"), Right::Act);
    }

    #[test]
    fn a_caller_is_told_by_name_where_it_has_one() {
        assert_eq!(user(1_001, &[]).to_string(), "uid 1001");
        let ana = Caller::User {
            uid: 1_001,
            name: Some("ana".to_owned()),
            groups: Vec::new(),
        };
        assert_eq!(ana.to_string(), "ana");
        assert_eq!(Caller::Unknown.to_string(), "unknown");
    }
}
