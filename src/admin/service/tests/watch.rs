//! What is watched, and what operators do to sites.

use super::super::super::client::Update;
use super::*;

#[tokio::test]
async fn what_operators_do_to_sites_reaches_the_source_and_its_answer_comes_back() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    assert!(client.pause("iad-2", "why").await.unwrap());
    assert!(!client.pause("iad-2", "").await.unwrap());
    client.reconnect("iad-2").await.unwrap();
    let code = |error: ClientError| {
        let ClientError::Refused { code, hint, .. } = error else {
            panic!("{error}");
        };
        (code, hint)
    };
    assert_eq!(
        code(client.reconnect("sin-1").await.unwrap_err()),
        (Code::FailedPrecondition, Some("resume".to_owned()))
    );
    let reloaded = client.reload().await.unwrap();
    assert_eq!(
        (reloaded.applied, reloaded.needs_restart),
        (vec!["peer".to_owned()], vec!["tree".to_owned()])
    );
    assert_eq!(client.set_log_level("debug").await.unwrap(), "debug");
    assert_eq!(
        code(client.set_log_level("x=").await.unwrap_err()),
        (Code::InvalidArgument, Some("debug".to_owned()))
    );
    let wish = InviteWish {
        site: None,
        valid_us: Some(5),
        endpoints: vec!["a:1".to_owned()],
        dry_run: false,
    };
    let (site, made) = client.invite(wish.clone()).await.unwrap();
    assert_eq!(site, "fra-1");
    assert_eq!(
        (made.token.as_deref(), made.expires_us),
        (Some("Some(5)"), 7)
    );
    let dry = InviteWish {
        dry_run: true,
        ..wish.clone()
    };
    assert_eq!(client.invite(dry).await.unwrap().1.token, None);
    assert_eq!(made.id.as_deref(), Some("i-7"));
    assert_eq!(
        (made.endpoints, made.others),
        (wish.endpoints.clone(), vec!["sin-1".to_owned()])
    );
    let (site, all) = client.invitations().await.unwrap();
    assert_eq!(site, "fra-1");
    assert_eq!(all, Fake::default().invitations().await.unwrap());
    assert_eq!(client.revoke("i").await.unwrap(), "i-7");
    let unknown = code(client.revoke("x").await.unwrap_err());
    assert_eq!(unknown.0, Code::NotFound);
    assert!(unknown.1.unwrap().contains("cfs-repl peer invitations"));
    let taken = InviteWish {
        site: Some("iad-2".to_owned()),
        ..wish
    };
    assert_eq!(
        code(client.invite(taken).await.unwrap_err()).0,
        Code::AlreadyExists
    );
}

/// The next update that is no heartbeat.
async fn change(updates: &mut crate::admin::client::Updates) -> Update {
    loop {
        match updates.next().await.unwrap() {
            Some((_, Update::Heartbeat { .. })) => {}
            Some((_, update)) => return update,
            None => panic!("the daemon ended"),
        }
    }
}

#[tokio::test]
async fn a_watcher_gets_a_snapshot_then_what_changes_and_a_heartbeat_while_nothing_does() {
    let first = Overview {
        status: status_view(),
        lag: lag(),
    };
    let mut second = first.clone();
    second.status.summary = "other".to_owned();
    second.lag.sites[0].shards[0].applied += 1;
    let broken = AdminError::NotPossible {
        what: "broken".to_owned(),
        hint: "mend".to_owned(),
    };
    let fake = Fake::default();
    *fake.looks.lock().unwrap() = VecDeque::from([
        Ok(first.clone()),
        Ok(second.clone()),
        Err(broken),
        Ok(second.clone()),
        Ok(second.clone()),
    ]);
    let served = Served::start(fake);
    let client = served.client().await;
    let mut updates = client
        .watch(Duration::from_millis(100), true)
        .await
        .unwrap();
    let Update::Snapshot(overview) = change(&mut updates).await else {
        panic!("no snapshot");
    };
    let mut shown = *overview;
    assert_eq!(shown, first);
    let Update::Delta(delta) = change(&mut updates).await else {
        panic!("no delta");
    };
    crate::admin::delta::take_in(&mut shown, *delta);
    assert_eq!(shown, second);
    let unreadable = change(&mut updates).await;
    assert_eq!(
        unreadable,
        Update::Unreadable {
            text: "broken".to_owned(),
            next: "mend".to_owned()
        }
    );
    // What was told before holds no longer: everything again.
    assert_eq!(
        change(&mut updates).await,
        Update::Snapshot(Box::new(second))
    );
    // The fake shows something else from here on, and then always the same.
    assert!(matches!(change(&mut updates).await, Update::Delta(_)));
    let (_, quiet) = updates.next().await.unwrap().unwrap();
    assert!(matches!(quiet, Update::Heartbeat { .. }), "{quiet:?}");
}

#[tokio::test]
async fn who_asks_without_shards_gets_none() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    assert!(
        client
            .lag(false)
            .await
            .unwrap()
            .sites
            .iter()
            .all(|site| site.shards.is_empty())
    );
    let mut updates = client.watch(Duration::from_secs(9), false).await.unwrap();
    let Update::Snapshot(all) = change(&mut updates).await else {
        panic!("no snapshot");
    };
    assert!(all.lag.sites.iter().all(|site| site.shards.is_empty()));
}

#[tokio::test]
async fn events_come_from_the_past_and_then_as_they_happen() {
    let named = |number, name: &str| EventView {
        number,
        name: name.to_owned(),
        ..EventView::default()
    };
    let past = vec![
        named(1, "site.up"),
        named(2, "site.down"),
        named(3, "site.up"),
    ];
    let fake = Fake {
        past,
        ..Fake::default()
    };
    let told = fake.told.clone();
    let served = Served::start(fake);
    let client = served.client().await;
    let filter = EventFilter {
        names: vec!["site.up".to_owned()],
        ..EventFilter::default()
    };
    let mut all = client.events(filter.clone(), false, Some(1)).await.unwrap();
    assert_eq!(all.next().await.unwrap().unwrap().number, 3);
    assert_eq!(all.next().await.unwrap(), None);
    let mut followed = client.events(filter, true, None).await.unwrap();
    for number in [4, 5] {
        let name = if number == 4 { "site.down" } else { "site.up" };
        told.send(Arc::new(named(number, name))).unwrap();
    }
    for number in [1, 3, 5] {
        assert_eq!(followed.next().await.unwrap().unwrap().number, number);
    }
}
