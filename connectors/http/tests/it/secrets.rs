//! Keys go to the server they are meant for, and nowhere else: not to another host, not into errors, not into offsets.

use crate::support::{Api, Reply, Worker, users};

const KEYS: [(&str, &str); 5] = [
    (
        "http.headers",
        "Accept: application/json, text/*|X-Client: sluice",
    ),
    ("http.headers.secret", "X-Api-Key: hush-header"),
    ("http.query.secret", "api_key=hush-query"),
    ("auth.type", "bearer"),
    ("bearer.token", "hush-token"),
];

#[tokio::test]
async fn credentials_reach_the_server() {
    let api = Api::start(|_| Reply::json(users(1..=1))).await;
    Worker::new(&api.url("/?a=1"), &KEYS)
        .task()
        .await
        .next()
        .await;
    let basic = [
        ("auth.type", "basic"),
        ("connection.user", "Aladdin"),
        ("connection.password", "open sesame"),
    ];
    Worker::new(&api.url("/"), &basic).task().await.next().await;
    let seen = api.seen();
    assert_eq!(seen[0].uri, "/?a=1&api_key=hush-query");
    assert_eq!(seen[0].header("accept"), Some("application/json, text/*"));
    assert_eq!(seen[0].header("x-client"), Some("sluice"));
    assert_eq!(seen[0].header("x-api-key"), Some("hush-header"));
    assert_eq!(seen[0].header("authorization"), Some("Bearer hush-token"));
    assert_eq!(
        seen[1].header("authorization"),
        Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    );
}

#[tokio::test]
async fn errors_hold_no_secret_whatever_goes_wrong() {
    let other = Api::start(|_| Reply::json("[]")).await;
    let elsewhere = other.url("/?k=1");
    let replies: Vec<Box<dyn Fn() -> Reply + Send + Sync>> = vec![
        Box::new(|| Reply::status(401)),
        Box::new(|| Reply::status(500)),
        Box::new(|| Reply::json("hush-query hush-token")),
        Box::new(|| Reply::json(r#"{"error":"hush-token"}"#)),
        Box::new(move || Reply::status(307).header("location", elsewhere.clone())),
        Box::new(|| Reply::status(307).header("location", "/again?api_key=hush-query")),
        Box::new(|| Reply::json("[]").delay(std::time::Duration::from_secs(60))),
    ];
    let count = replies.len();
    let served = std::sync::atomic::AtomicUsize::new(0);
    let api = Api::start(move |seen| {
        if seen.uri.path() == "/again" {
            return Reply::status(307).header("location", "/again?api_key=hush-query");
        }
        let next = served.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        replies[next]()
    })
    .await;
    let options = [
        KEYS.as_slice(),
        &[
            ("records.pointer", "/data"),
            ("http.request.timeout.ms", "300"),
        ],
    ]
    .concat();
    let worker = Worker::new(&api.url("/users"), &options);
    for _ in 0..count {
        let error = worker.task().await.failure().await;
        assert!(!error.trace().contains("hush"), "{}", error.trace());
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
    let unreachable = Worker::new("http://127.0.0.1:1/users", &KEYS);
    let error = unreachable.task().await.failure().await;
    assert!(
        !format!("{error:?}{}", error.trace()).contains("hush"),
        "{error:?}"
    );
    assert!(!format!("{:?}", worker.connector).contains("hush"));
    assert!(
        other.seen().is_empty(),
        "keys went to another host: {:?}",
        other.seen()
    );
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_asked_for() {
    let other = Api::start(|_| Reply::json("[]")).await;
    let target = format!("<{}>; rel=next", other.url("/"));
    let api = Api::start(move |_| Reply::json(users(1..=1)).header("link", target.clone())).await;
    let mut task = Worker::new(&api.url("/"), &[("pagination.mode", "link")])
        .task()
        .await;
    assert_eq!(task.next().await.len(), 1);
    let error = task.failure().await;
    assert!(
        !error.is_retriable() && error.to_string().contains("another host"),
        "{error}"
    );
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_stored_link_holds_no_secret_parameter_and_its_request_does() {
    let api = Api::start(|seen| match seen.uri.path() {
        "/first" => {
            Reply::json(users(1..=1)).header("link", "</second?api_key=hush-query&p=2>; rel=next")
        }
        _ => Reply::json(users(2..=2)),
    })
    .await;
    let options = [KEYS.as_slice(), &[("pagination.mode", "link")]].concat();
    let worker = Worker::new(&api.url("/first"), &options);
    worker.task().await.next().await;
    assert!(
        worker.stored.text().contains("/second"),
        "{}",
        worker.stored.text()
    );
    assert!(
        !worker.stored.text().contains("hush"),
        "{}",
        worker.stored.text()
    );
    worker.task().await.next().await;
    assert_eq!(api.uris()[1], "/second?p=2&api_key=hush-query");
}

#[tokio::test]
async fn requests_go_through_the_configured_proxy_with_its_password_and_errors_do_not_show_it() {
    let proxy = Api::start(|seen| match seen.number {
        0 => Reply::json(users(1..=1)),
        _ => Reply::status(502),
    })
    .await;
    let address = format!("http://me:hush-proxy@{}", proxy.address);
    let options = [
        ("http.proxy.url", address.as_str()),
        ("poll.interval.ms", "1"),
    ];
    let mut task = Worker::new("http://api.invalid/users", &options)
        .task()
        .await;
    assert_eq!(task.next().await.len(), 1);
    let seen = proxy.seen();
    assert_eq!(seen[0].uri, "http://api.invalid/users");
    assert_eq!(
        seen[0].header("proxy-authorization"),
        Some("Basic bWU6aHVzaC1wcm94eQ==")
    );
    let error = task.failure().await;
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
}
