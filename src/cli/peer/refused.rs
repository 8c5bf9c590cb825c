//! Pure: why a new site did not join, and what to do: another name, an empty tree, another token, or nothing at all
//! with this one.

use tonic::Code;

use super::Places;
use crate::cli::exit::{Exit, Failure};
use crate::conduit::join::{Invitation, JoinError, Wish};
use crate::text::printable;

/// A join that failed.
pub(super) fn told(
    error: JoinError,
    invitation: &Invitation,
    wish: &Wish,
    places: &Places,
) -> Failure {
    let site = printable(&invitation.site);
    match error {
        JoinError::Refused { code, why } => {
            let hint = hint(code, &why, invitation, wish, places);
            Failure::new(Exit::from(code), format!("{site} does not take this site in"))
                .cause(why)
                .hint(hint)
        }
        JoinError::Unreached { failures, .. } => each(
            Failure::new(Exit::Unreachable, format!("cannot reach {site}")),
            failures,
        )
        .hint(
            "check that cfs-repl runs there and that the network lets it be reached; an invitation for another \
             address: cfs-repl peer invite --endpoint HOST:PORT",
        ),
        JoinError::OtherAuthority { failures, .. } => each(
            Failure::new(
                Exit::PreconditionLost,
                format!("what answers there is not the {site} that printed the invitation"),
            ),
            failures,
        )
        .cause(
            "its authority was replaced since, or the address leads to another cluster, or somebody is in between",
        )
        .hint(format!(
            "do not go on with this token; ask who runs {site} whether its authority was replaced, and for a new \
             invitation: cfs-repl peer invite"
        )),
    }
}

fn each(failure: Failure, failures: Vec<(String, String)>) -> Failure {
    failures
        .into_iter()
        .fold(failure, |failure, (endpoint, why)| {
            failure.cause(format!("{endpoint}: {why}"))
        })
}

/// What to do about a refusal.
fn hint(code: Code, why: &str, invitation: &Invitation, wish: &Wish, places: &Places) -> String {
    let site = printable(&invitation.site);
    let root = places.root.display();
    let other_name = invitation.name.as_ref().filter(|name| **name != wish.name);
    match (code, other_name) {
        (Code::PermissionDenied, Some(name)) => format!(
            "join with --name {}, or print an invitation for another name there: cfs-repl peer invite --name NAME",
            printable(name)
        ),
        (Code::PermissionDenied, None) => {
            "print a new invitation there: cfs-repl peer invite".to_owned()
        }
        (Code::FailedPrecondition, _) if wish.has_files && why.contains("both hold files") => {
            format!(
                "to keep what is in {root} and compare it with the cluster's, join again with --match; else empty it, or \
                 name an empty folder with --root; what becomes of the files: cfs-repl help join"
            )
        }
        (Code::AlreadyExists, _) if invitation.name.is_none() => {
            "choose another name with --name, and join again: the invitation was not used"
                .to_owned()
        }
        (Code::AlreadyExists, _) => {
            "print an invitation for another name there: cfs-repl peer invite --name NAME"
                .to_owned()
        }
        (Code::InvalidArgument, _) => {
            "correct --name, --listen or --endpoint, and join again: the invitation was not used"
                .to_owned()
        }
        (Code::Internal, _) => {
            format!("see the log of cfs-repl at {site}; then type the same command again")
        }
        (_, _) => format!(
            "mend at {site} what the cause says, and join again: the invitation was not used"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduit::join::SECRET_BYTES;

    fn invitation(name: Option<&str>) -> Invitation {
        Invitation {
            cluster: "prod".to_owned(),
            site: "fra-1".to_owned(),
            endpoints: vec!["fra:7443".to_owned()],
            authority: [7; 32],
            secret: [9; SECRET_BYTES],
            expires_us: 5,
            name: name.map(str::to_owned),
        }
    }

    fn telling(error: JoinError, name: Option<&str>) -> Failure {
        let wish = Wish {
            name: "iad-2".to_owned(),
            request: Vec::new(),
            endpoints: Vec::new(),
            has_files: true,
            dry_run: false,
        };
        let places = Places {
            file: "/etc/c.toml".into(),
            state: "/state".into(),
            root: "/srv/media".into(),
            tls: "/etc/tls".into(),
            name: "iad-2".to_owned(),
        };
        told(error, &invitation(name), &wish, &places)
    }

    #[test]
    fn every_refusal_has_a_way_out_of_its_own() {
        let both = "the tree of the new site and that of this cluster both hold files";
        let check = |code, why: &str, name, exit, hint: &str| {
            let refused = JoinError::Refused {
                code,
                why: why.to_owned(),
            };
            let failure = telling(refused, name);
            assert_eq!(
                (failure.exit.code(), failure.causes.as_slice()),
                (exit, &[why.to_owned()][..])
            );
            let told = failure.hint.unwrap_or_default();
            assert!(told.starts_with(hint), "{code:?}: {told}");
        };
        let (denied, lost, taken) = (
            Code::PermissionDenied,
            Code::FailedPrecondition,
            Code::AlreadyExists,
        );
        check(denied, "used", None, 5, "print a new invitation there");
        check(
            denied,
            "for gru-3",
            Some("gru-3"),
            5,
            "join with --name gru-3, or",
        );
        check(
            lost,
            both,
            None,
            8,
            "to keep what is in /srv/media and compare it",
        );
        check(lost, "all numbers are taken", None, 8, "mend at fra-1");
        check(taken, "taken", None, 8, "choose another name with --name");
        check(
            taken,
            "taken",
            Some("iad-2"),
            8,
            "print an invitation for another name",
        );
        check(
            Code::InvalidArgument,
            "no endpoint",
            None,
            2,
            "correct --name, --listen or",
        );
        check(
            Code::Internal,
            "disk",
            None,
            1,
            "see the log of cfs-repl at fra-1; then type",
        );
    }

    #[test]
    fn somebody_else_at_the_address_is_no_trouble_of_the_network() {
        let failures = vec![("fra:7443".to_owned(), "not of the authority".to_owned())];
        let failure = telling(
            JoinError::OtherAuthority {
                failures: failures.clone(),
                asked: false,
            },
            None,
        );
        assert_eq!(failure.exit, Exit::PreconditionLost);
        assert_eq!(
            failure.causes.first().map(String::as_str),
            Some("fra:7443: not of the authority")
        );
        let hint = failure.hint.unwrap_or_default();
        assert!(hint.starts_with("do not go on with this token"), "{hint}");
        let failure = telling(
            JoinError::Unreached {
                failures,
                asked: false,
            },
            None,
        );
        assert_eq!(
            (failure.exit, failure.message.as_str()),
            (Exit::Unreachable, "cannot reach fra-1")
        );
    }
}
