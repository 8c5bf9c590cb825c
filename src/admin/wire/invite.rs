//! Pure: invitations to messages and back.

use crate::admin::view::{InvitationState, InvitationView, InviteView, InviteWish};
use crate::proto::admin as pb;

numbers! {
    state_to, state_from, InvitationState, InvitationState {
        Open = Open,
        Used = Used,
        Ended = Ended,
    } else Unknown = Unspecified
}

pub(in crate::admin) fn wish_to(wish: InviteWish) -> pb::InviteRequest {
    pb::InviteRequest {
        site: wish.site,
        valid_us: wish.valid_us,
        endpoints: wish.endpoints,
        dry_run: wish.dry_run,
    }
}

pub(in crate::admin) fn wish_from(request: pb::InviteRequest) -> InviteWish {
    InviteWish {
        site: request.site,
        valid_us: request.valid_us,
        endpoints: request.endpoints,
        dry_run: request.dry_run,
    }
}

pub(in crate::admin) fn invite_to(site: String, view: InviteView) -> pb::InviteReply {
    pb::InviteReply {
        site,
        id: view.id.unwrap_or_default(),
        token: view.token.unwrap_or_default(),
        expires_us: view.expires_us,
        endpoints: view.endpoints,
        others: view.others,
    }
}

pub(in crate::admin) fn invite_from(reply: pb::InviteReply) -> InviteView {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    InviteView {
        id: given(reply.id),
        token: given(reply.token),
        expires_us: reply.expires_us,
        endpoints: reply.endpoints,
        others: reply.others,
    }
}

pub(in crate::admin) fn invitation_to(view: InvitationView) -> pb::Invitation {
    pb::Invitation {
        id: view.id,
        state: state_to(view.state),
        name: view.name,
        made_by: view.made_by,
        expires_us: view.expires_us,
        used_by: view.used_by,
        used_us: view.used_us,
    }
}

pub(in crate::admin) fn invitation_from(one: pb::Invitation) -> InvitationView {
    InvitationView {
        id: one.id,
        state: state_from(one.state),
        name: one.name,
        made_by: one.made_by,
        expires_us: one.expires_us,
        used_by: one.used_by,
        used_us: one.used_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_number_and_a_novel_one_is_unknown() {
        for state in InvitationState::ALL {
            assert_eq!(state_from(state_to(*state)), *state);
        }
        assert_eq!(state_from(9_999), InvitationState::Unknown);
    }
}
