//! The end of the journal, and what compaction would make of it, over the socket.

use super::*;

#[tokio::test]
async fn the_end_of_the_journal_comes_as_it_is_and_goes_on_where_it_is_followed() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    let ask = |follow| TailRequest {
        last: 2,
        follow,
        ..TailRequest::default()
    };
    let mut stream = client.journal_tail(ask(true)).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(vec![entry(), entry()]));
    let further = Some(vec![EntryView::default()]);
    assert_eq!(stream.next().await.unwrap(), further);
    assert_eq!(stream.next().await.unwrap(), None);
    let bad = TailRequest {
        name: Some("a/b".to_owned()),
        ..ask(false)
    };
    let refused = client.journal_tail(bad).await.unwrap_err();
    assert!(matches!(
        refused,
        ClientError::Refused {
            code: Code::InvalidArgument,
            ..
        }
    ));
}

#[tokio::test]
async fn a_preview_comes_piece_by_piece_until_nobody_wants_more() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    let asked = |site: Option<&str>, show| PreviewRequest {
        site: site.map(str::to_owned),
        show,
        ..PreviewRequest::default()
    };
    let mut pieces = Vec::new();
    let take = |piece| {
        pieces.push(piece);
        true
    };
    let dropped = asked(None, Some(Outcome::Dropped));
    client.preview(dropped.clone(), take).await.unwrap();
    let expected = [
        PreviewPiece::Fates(vec![fate()]),
        PreviewPiece::Site(preview()),
    ];
    assert_eq!(pieces, expected);
    let mut count = 0;
    let first = |_| {
        count += 1;
        false
    };
    client.preview(dropped, first).await.unwrap();
    assert_eq!(count, 1);
    let refused = client.preview(asked(Some("x"), None), |_| true).await;
    let Err(ClientError::Refused { code, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, Code::NotFound);
}
