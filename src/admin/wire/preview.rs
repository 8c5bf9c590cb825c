//! Pure: previews of compaction to messages and back.

use super::{Missing, Result};
use crate::admin::view::preview::{
    FateView, OpPreview, Outcome, PreviewPiece, PreviewRequest, SitePreview, Sums, WhyView,
};
use crate::proto::admin as pb;

fn outcome_to(outcome: Outcome) -> i32 {
    let number = match outcome {
        Outcome::Kept => pb::CompactOutcome::Kept,
        Outcome::Dropped => pb::CompactOutcome::Dropped,
    };
    number.into()
}

fn outcome_from(number: i32) -> Option<Outcome> {
    match pb::CompactOutcome::try_from(number) {
        Ok(pb::CompactOutcome::Kept) => Some(Outcome::Kept),
        Ok(pb::CompactOutcome::Dropped) => Some(Outcome::Dropped),
        Ok(pb::CompactOutcome::Unspecified) | Err(_) => None,
    }
}

pub(in crate::admin) fn request_to(request: PreviewRequest) -> pb::CompactPreviewRequest {
    pb::CompactPreviewRequest {
        site: request.site,
        stream: request.stream,
        show: request.show.map_or(0, outcome_to),
    }
}

pub(in crate::admin) fn request_from(request: pb::CompactPreviewRequest) -> PreviewRequest {
    PreviewRequest {
        show: outcome_from(request.show),
        site: request.site,
        stream: request.stream,
    }
}

pub(in crate::admin) fn piece_to(piece: PreviewPiece) -> pb::CompactPreviewPiece {
    match piece {
        PreviewPiece::Fates(fates) => pb::CompactPreviewPiece {
            fates: fates.into_iter().map(fate_to).collect(),
            site: None,
        },
        PreviewPiece::Site(site) => pb::CompactPreviewPiece {
            fates: Vec::new(),
            site: Some(site_to(site)),
        },
    }
}

pub(in crate::admin) fn piece_from(piece: pb::CompactPreviewPiece) -> Result<PreviewPiece> {
    match piece.site {
        Some(site) => Ok(PreviewPiece::Site(site_from(site)?)),
        None => {
            let fates = piece.fates.into_iter().map(fate_from);
            Ok(PreviewPiece::Fates(fates.collect::<Result<_>>()?))
        }
    }
}

fn fate_to(fate: FateView) -> pb::CompactFate {
    pb::CompactFate {
        site: fate.site.unwrap_or_default(),
        stream: fate.stream,
        seq: fate.seq,
        inode: fate.inode,
        op: fate.op,
        entry_bytes: fate.entry_bytes,
        outcome: outcome_to(fate.outcome),
        by: fate.by,
        why: fate.why,
    }
}

fn fate_from(fate: pb::CompactFate) -> Result<FateView> {
    Ok(FateView {
        outcome: outcome_from(fate.outcome).ok_or(Missing("outcome"))?,
        site: Some(fate.site),
        stream: fate.stream,
        seq: fate.seq,
        inode: fate.inode,
        op: fate.op,
        entry_bytes: fate.entry_bytes,
        by: fate.by,
        why: fate.why,
    })
}

fn site_to(site: SitePreview) -> pb::CompactSite {
    pb::CompactSite {
        site: site.site.unwrap_or_default(),
        site_id: site.site_id.unwrap_or_default(),
        batches: site.batches,
        total: Some(sums_to(site.total)),
        ops: site.ops.into_iter().map(op_to).collect(),
        notes: site.notes,
    }
}

fn site_from(site: pb::CompactSite) -> Result<SitePreview> {
    let ops = site.ops.into_iter().map(op_from);
    Ok(SitePreview {
        site: Some(site.site),
        site_id: Some(site.site_id),
        batches: site.batches,
        total: sums_from(site.total)?,
        ops: ops.collect::<Result<_>>()?,
        notes: site.notes,
    })
}

fn op_to(op: OpPreview) -> pb::CompactOp {
    let why = op.why.into_iter().map(|why| pb::CompactWhy {
        outcome: outcome_to(why.outcome),
        why: why.why,
        entries: why.entries,
    });
    pb::CompactOp {
        op: op.op,
        sums: Some(sums_to(op.sums)),
        why: why.collect(),
    }
}

fn op_from(op: pb::CompactOp) -> Result<OpPreview> {
    let why = op.why.into_iter().map(|why| {
        Ok(WhyView {
            outcome: outcome_from(why.outcome).ok_or(Missing("outcome"))?,
            why: why.why,
            entries: why.entries,
        })
    });
    Ok(OpPreview {
        op: op.op,
        sums: sums_from(op.sums)?,
        why: why.collect::<Result<_>>()?,
    })
}

const fn sums_to(sums: Sums) -> pb::CompactSums {
    pb::CompactSums {
        in_entries: sums.in_entries,
        out_entries: sums.out_entries,
        dropped_entries: sums.dropped_entries,
        in_bytes: sums.in_bytes,
        out_bytes: sums.out_bytes,
    }
}

fn sums_from(sums: Option<pb::CompactSums>) -> Result<Sums> {
    let sums = sums.ok_or(Missing("sums"))?;
    Ok(Sums {
        in_entries: sums.in_entries,
        out_entries: sums.out_entries,
        dropped_entries: sums.dropped_entries,
        in_bytes: sums.in_bytes,
        out_bytes: sums.out_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::preview::tests::{fate, preview};

    #[test]
    fn every_piece_and_every_request_comes_back_as_it_was() {
        for piece in [
            PreviewPiece::Fates(vec![fate()]),
            PreviewPiece::Site(preview()),
        ] {
            assert_eq!(piece_from(piece_to(piece.clone())), Ok(piece));
        }
        for show in [None, Some(Outcome::Kept), Some(Outcome::Dropped)] {
            let request = PreviewRequest {
                site: Some("iad-2".to_owned()),
                stream: Some(0),
                show,
            };
            assert_eq!(request_from(request_to(request.clone())), request);
        }
    }

    #[test]
    fn a_piece_that_lacks_a_part_is_an_error() {
        let mut lacks = piece_to(PreviewPiece::Site(preview()));
        if let Some(site) = &mut lacks.site {
            site.total = None;
        }
        assert_eq!(piece_from(lacks), Err(Missing("sums")));
        let mut newer = piece_to(PreviewPiece::Fates(vec![fate()]));
        newer.fates[0].outcome = 9;
        assert_eq!(piece_from(newer), Err(Missing("outcome")));
    }
}
