//! The end of the journal, over the socket.

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
