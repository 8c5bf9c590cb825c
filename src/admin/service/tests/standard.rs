//! The services that every gRPC server has: health and reflection.

use super::*;

/// A channel as another program makes it.
async fn channel(served: &Served) -> tonic::transport::Channel {
    let socket = served.socket();
    let connector = tower::service_fn(move |_: http::Uri| {
        let socket = socket.clone();
        async move {
            let stream = UnixStream::connect(socket).await?;
            Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://admin");
    endpoint.connect_with_connector(connector).await.unwrap()
}

#[tokio::test]
async fn health_is_served_beside_it_and_tells_that_the_daemon_drains() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let served = Served::start(Fake::default());
    let mut client = HealthClient::new(channel(&served).await);
    let asked = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for service in ["", "claudefs.repl.admin.v1.Admin"] {
        let reply = client.check(asked(service)).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = client.check(asked("nope")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let watched = client.watch(asked("claudefs.repl.admin.v1.Admin")).await;
    let mut watched = watched.unwrap().into_inner();
    let first = watched.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let watching = async {
        let next = watched.message().await.unwrap().unwrap();
        assert_eq!(next.status(), ServingStatus::NotServing);
    };
    let watching = tokio::time::timeout(PATIENCE, watching);
    let (left, told) = tokio::join!(served.tasks.shutdown(PATIENCE), watching);
    assert!(left.is_empty(), "a watcher keeps it from ending: {left:?}");
    told.expect("it was told");
}

#[tokio::test]
async fn reflection_tells_every_service_of_the_socket_in_both_of_its_versions() {
    let served = Served::start(Fake::default());
    let channel = channel(&served).await;
    let known = ["claudefs.repl.admin.v1.Admin", "grpc.health.v1.Health"];
    macro_rules! listed {
        ($version:ident) => {{
            use pb::server_reflection_request::MessageRequest;
            use pb::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version as pb;
            let request = pb::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client =
                pb::server_reflection_client::ServerReflectionClient::new(channel.clone());
            let stream = client
                .server_reflection_info(tokio_stream::once(request))
                .await;
            let reply = stream.unwrap().into_inner().message().await.unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) =
                reply.and_then(|reply| reply.message_response)
            else {
                panic!("no list");
            };
            let names: Vec<String> = list.service.into_iter().map(|one| one.name).collect();
            for name in known {
                assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
            }
        }};
    }
    listed!(v1);
    listed!(v1alpha);
}
