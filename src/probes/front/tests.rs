use super::*;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use decide::Stage;

async fn ask(routes: &Router, path: &str) -> (u16, String) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = routes.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn probes_are_answered_before_there_is_anything_else() {
    let life = Life::default();
    let front = Front::new(life.clone());
    let routes = front.routes();
    assert_eq!(ask(&routes, "/-/healthy").await.0, 200);
    let (status, body) = ask(&routes, "/-/startup").await;
    assert_eq!((status, body.contains("opening the local log")), (503, true), "{body}");
    life.reach(Stage::OpeningTables);
    let (status, body) = ask(&routes, "/api/v1/sql").await;
    assert_eq!((status, body.contains("opening tables")), (503, true), "{body}");
    front.open(Router::new().route("/-/startup", get(|| async { "started\n" })));
    assert_eq!(ask(&routes, "/-/startup").await, (200, "started\n".to_owned()));
    assert_eq!(ask(&routes, "/elsewhere").await.0, 404, "what is behind it answers for itself");
}
