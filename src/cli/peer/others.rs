//! Sites that did not invite: a new one is told of them, and they of it by their operators alone. What a site changes
//! comes from that site and no other, so two that never meet lack each other's changes for ever.

use super::{JoinArgs, Places, endpoints, parsed};
use crate::cli::ui::Ui;
use crate::conduit::join::Admitted;
use crate::config::peers::render;
use crate::text::printable;

/// Whether the new site and another one can meet: one of them has to be dialled.
pub(super) fn can_meet(args: &JoinArgs, endpoints: &[String]) -> bool {
    args.listen.is_some() || !endpoints.is_empty()
}

/// Says what to add at each of them.
pub(super) fn tell(ui: &mut Ui, args: &JoinArgs, places: &Places, admitted: &Admitted) {
    let others = || admitted.sites.iter().skip(1);
    let names = |meets: bool| -> Vec<&str> {
        let some = others().filter(|(_, _, at)| can_meet(args, at) == meets);
        some.map(|(_, name, _)| name.as_str()).collect()
    };
    for name in names(false) {
        ui.say(&printable(&format!(
            "note: {name} and this site both only dial, so they never meet, and neither gets what the other changes; \
             let one listen ([conduit] listen), and name it to the other as a [[peer]] with endpoints"
        )));
    }
    let to_tell = names(true);
    if to_tell.is_empty() {
        return;
    }
    let (names, verb) = (to_tell.join(", "), plural(to_tell.len()));
    ui.say(&printable(&format!(
        "note: {names} {verb} not know this site yet, and until then neither gets what the other changes; add there \
         to the configuration, and then type cfs-repl reload:"
    )));
    ui.say("");
    let table = render(admitted.site_id, &places.name, &parsed(&reached_at(args)));
    for line in table.lines() {
        ui.say(&printable(&format!("    {line}")));
    }
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "does" } else { "do" }
}

/// Where others reach this site. The name of the machine is the best guess where it listens at all addresses, and the
/// operator sees it.
fn reached_at(args: &JoinArgs) -> Vec<String> {
    let told = endpoints(args);
    match args.listen {
        Some(listen) if told.is_empty() => {
            let system = rustix::system::uname();
            let name = system.nodename().to_string_lossy();
            vec![format!("{name}:{}", listen.port())]
        }
        Some(_) | None => told,
    }
}
