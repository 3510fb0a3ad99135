//! The one table of what REST answers: the router and the API's description are both made from it.

use axum::extract::{DefaultBodyLimit, MatchedPath};
use axum::handler::Handler;
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::{
    Api, checks, connectors, dry_run, internal, loggers, metrics, offsets, openapi, plugins, root,
    tasks, topics,
};

/// On which listeners a route is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// Those of `listeners`.
    Main,
    /// Those of `admin.listeners`.
    Admin,
}

/// A call that is answered.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    pub(super) surface: Surface,
    /// Parameters of the query, with what they do.
    pub(super) query: &'static [(&'static str, &'static str)],
    /// The schema of the request's body.
    pub(super) body: Option<&'static str>,
    /// Whether a request may come without it.
    pub(super) body_may_miss: bool,
    /// Statuses of success, each with the schema of the answer's body.
    pub(super) answers: &'static [(u16, Option<&'static str>)],
    /// Statuses of refusals.
    pub(super) refusals: &'static [u16],
    /// Whether bodies are JSON, here and there.
    pub(super) is_json: bool,
    /// Whether only other workers ask it.
    pub(super) is_between_workers: bool,
    /// What answers it.
    pub(super) on: MethodRouter<Api>,
}

impl Route {
    fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    fn body(mut self, schema: &'static str) -> Self {
        self.body = Some(schema);
        self
    }

    fn optional_body(mut self, schema: &'static str) -> Self {
        self.body_may_miss = true;
        self.body(schema)
    }

    fn answers(mut self, answers: &'static [(u16, Option<&'static str>)]) -> Self {
        self.answers = answers;
        self
    }

    fn refusals(mut self, refusals: &'static [u16]) -> Self {
        self.refusals = refusals;
        self
    }
}

/// A route of `listeners` whose bodies are JSON.
fn route<H, T>(method: Method, path: &'static str, summary: &'static str, handler: H) -> Route
where
    H: Handler<T, Api>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("a method of HTTP");
    Route {
        on: on(filter, handler).route_layer(middleware::from_fn(checks::json_only)),
        method,
        path,
        summary,
        surface: Surface::Main,
        query: &[],
        body: None,
        body_may_miss: false,
        answers: &[],
        refusals: &[],
        is_json: true,
        is_between_workers: false,
    }
}

fn get<H, T>(path: &'static str, summary: &'static str, handler: H) -> Route
where
    H: Handler<T, Api>,
    T: 'static,
{
    route(Method::GET, path, summary, handler)
}

fn put<H, T>(path: &'static str, summary: &'static str, handler: H) -> Route
where
    H: Handler<T, Api>,
    T: 'static,
{
    route(Method::PUT, path, summary, handler)
}

fn post<H, T>(path: &'static str, summary: &'static str, handler: H) -> Route
where
    H: Handler<T, Api>,
    T: 'static,
{
    route(Method::POST, path, summary, handler)
}

/// All routes.
pub(super) fn all() -> Vec<Route> {
    let groups = [
        worker(),
        connector(),
        of_state(),
        between_workers(),
        of_offsets(),
        vec![of_dry_run()],
        of_plugins(),
        of_loggers(),
    ];
    groups.into_iter().flatten().collect()
}

fn worker() -> Vec<Route> {
    vec![
        get(
            "/",
            "Version of the worker and id of its cluster",
            root::info,
        )
        .answers(&[(200, Some("ServerInfo"))]),
        get("/health", "Whether the worker can work", root::health).answers(&[
            (200, Some("Health")),
            (500, Some("Health")),
            (503, Some("Health")),
        ]),
        get("/openapi.json", "This description", openapi::show).answers(&[(200, Some("Anything"))]),
        Route {
            on: axum::routing::get(metrics::show),
            is_json: false,
            ..get("/metrics", "Metrics, for Prometheus", metrics::show)
                .answers(&[(200, Some("Metrics"))])
        },
    ]
}

fn connector() -> Vec<Route> {
    const EXPAND: &[(&str, &str)] = &[(
        "expand",
        "`status` or `info`, may repeat: an object by name instead of the names",
    )];
    vec![
        get(
            "/connectors",
            "Names of the connectors, or what is known of each",
            connectors::list,
        )
        .query(EXPAND)
        .answers(&[(200, Some("Connectors"))]),
        post("/connectors", "Makes a connector", connectors::create)
            .body("CreateRequest")
            .answers(&[(201, Some("ConnectorInfo"))])
            .refusals(&[400, 409]),
        get("/connectors/{connector}", "A connector", connectors::info)
            .answers(&[(200, Some("ConnectorInfo"))])
            .refusals(&[404]),
        route(
            Method::DELETE,
            "/connectors/{connector}",
            "Removes a connector; its offsets stay",
            connectors::delete,
        )
        .answers(&[(204, None)])
        .refusals(&[404, 409]),
        get(
            "/connectors/{connector}/config",
            "A connector's configuration",
            connectors::config,
        )
        .answers(&[(200, Some("Config"))])
        .refusals(&[404]),
        put(
            "/connectors/{connector}/config",
            "Makes a connector, or replaces its configuration",
            connectors::put_config,
        )
        .body("Config")
        .answers(&[(200, Some("ConnectorInfo")), (201, Some("ConnectorInfo"))])
        .refusals(&[400, 409]),
        route(
            Method::PATCH,
            "/connectors/{connector}/config",
            "Changes single keys of a configuration; null takes one away",
            connectors::patch_config,
        )
        .body("Config")
        .answers(&[(200, Some("ConnectorInfo"))])
        .refusals(&[400, 404, 409]),
    ]
}

fn of_state() -> Vec<Route> {
    const RESTART: &[(&str, &str)] = &[
        ("includeTasks", "`true`: tasks, too"),
        ("onlyFailed", "`true`: only what has failed"),
    ];
    vec![
        get(
            "/connectors/{connector}/status",
            "States of a connector and its tasks",
            connectors::status,
        )
        .answers(&[(200, Some("ConnectorStateInfo"))])
        .refusals(&[404]),
        put(
            "/connectors/{connector}/pause",
            "Pauses a connector",
            connectors::pause,
        )
        .answers(&[(202, None)])
        .refusals(&[404, 409]),
        put(
            "/connectors/{connector}/resume",
            "Lets a paused or stopped connector run",
            connectors::resume,
        )
        .answers(&[(202, None)])
        .refusals(&[404, 409]),
        put(
            "/connectors/{connector}/stop",
            "Ends a connector's tasks",
            connectors::stop,
        )
        .answers(&[(204, None)])
        .refusals(&[404, 409]),
        post(
            "/connectors/{connector}/restart",
            "Restarts a connector",
            connectors::restart,
        )
        .query(RESTART)
        .answers(&[(202, Some("ConnectorStateInfo")), (204, None)])
        .refusals(&[404, 409]),
        get(TASKS, "Tasks with their configurations", tasks::list)
            .answers(&[(200, Some("Tasks"))])
            .refusals(&[404]),
        get(
            "/connectors/{connector}/tasks/{task}/status",
            "State of a task",
            tasks::status,
        )
        .answers(&[(200, Some("TaskState"))])
        .refusals(&[404]),
        post(
            "/connectors/{connector}/tasks/{task}/restart",
            "Restarts a task",
            tasks::restart,
        )
        .answers(&[(204, None)])
        .refusals(&[404, 409]),
    ]
}

const TASKS: &str = "/connectors/{connector}/tasks";
const FENCE: &str = "/connectors/{connector}/fence";
/// Bytes of task configs of one connector, which may have thousands of tasks. Whoever sends them has shown no password.
const LONGEST_TASK_CONFIGS: usize = 16 << 20;
/// Bytes of a body that nobody reads.
const LONGEST_FENCE: usize = 4 << 10;

fn between_workers() -> Vec<Route> {
    let marked = |route: Route, longest| Route {
        on: route.on.layer(DefaultBodyLimit::max(longest)),
        is_between_workers: true,
        answers: &[(204, None)],
        refusals: &[400, 403, 404, 409, 503],
        ..route
    };
    let tasks = post(
        TASKS,
        "Between workers: the leader takes the task configurations that another has made",
        internal::put_task_configs,
    )
    .body("Configs");
    let fence = put(
        FENCE,
        "Between workers: the leader fences the producers of a source connector's earlier tasks",
        internal::fence,
    );
    vec![
        marked(tasks, LONGEST_TASK_CONFIGS),
        marked(fence, LONGEST_FENCE),
    ]
}

/// The bytes of the longest body of a request that only other workers make; `None` for those of users.
pub(super) fn longest_between_workers(request: &Parts) -> Option<usize> {
    let path = request.extensions.get::<MatchedPath>()?;
    match path.as_str() {
        TASKS if request.method == Method::POST => Some(LONGEST_TASK_CONFIGS),
        FENCE if request.method == Method::PUT => Some(LONGEST_FENCE),
        _ => None,
    }
}

fn of_offsets() -> Vec<Route> {
    vec![
        get(
            "/connectors/{connector}/topics",
            "Topics a connector has used",
            topics::list,
        )
        .answers(&[(200, Some("Topics"))])
        .refusals(&[403]),
        put(
            "/connectors/{connector}/topics/reset",
            "Forgets which topics these are",
            topics::reset,
        )
        .answers(&[(202, None)])
        .refusals(&[403]),
        get(
            "/connectors/{connector}/offsets",
            "How far a connector has come",
            offsets::show,
        )
        .answers(&[(200, Some("ConnectorOffsets"))])
        .refusals(&[404]),
        route(
            Method::PATCH,
            "/connectors/{connector}/offsets",
            "Sets or removes offsets of a stopped connector",
            offsets::alter,
        )
        .body("ConnectorOffsets")
        .answers(&[(200, Some("Message"))])
        .refusals(&[400, 404, 409]),
        route(
            Method::DELETE,
            "/connectors/{connector}/offsets",
            "Removes all offsets of a stopped connector",
            offsets::reset,
        )
        .answers(&[(200, Some("Message"))])
        .refusals(&[400, 404, 409]),
    ]
}

fn of_dry_run() -> Route {
    const WHAT: &[(&str, &str)] = &[
        ("records", "How many records, 1 to 1000; 20 by default"),
        (
            "from",
            "`committed` (default), `earliest`, `latest-N`, an offset, or `topic-0:100,topic-1:250`",
        ),
        (
            "partition",
            "A partition's number, or `topic-0`; may repeat",
        ),
    ];
    post(
        "/connectors/{connector}/dry-run",
        "What a configuration, deployed or given, would do with real records; changes nothing",
        dry_run::run,
    )
    .query(WHAT)
    .optional_body("Config")
    .answers(&[(200, Some("DryRunReport"))])
    .refusals(&[400, 404, 429])
}

fn of_plugins() -> Vec<Route> {
    const ONLY: &[(&str, &str)] = &[("connectorsOnly", "`false`: all kinds of plugins")];
    vec![
        get("/connector-plugins", "Linked plugins", plugins::list)
            .query(ONLY)
            .answers(&[(200, Some("Plugins"))]),
        get(
            "/connector-plugins/{plugin}/config",
            "Options of a plugin",
            plugins::config,
        )
        .answers(&[(200, Some("ConfigKeys"))])
        .refusals(&[404]),
        put(
            "/connector-plugins/{plugin}/config/validate",
            "Checks a configuration without deploying it",
            plugins::validate,
        )
        .body("Config")
        .answers(&[(200, Some("ConfigInfos"))])
        .refusals(&[400]),
    ]
}

fn of_loggers() -> Vec<Route> {
    const SCOPE: &[(&str, &str)] = &[("scope", "`worker` or `cluster`")];
    let admin = |route: Route| Route {
        surface: Surface::Admin,
        ..route
    };
    vec![
        admin(get(
            "/admin/loggers",
            "Levels of all loggers",
            loggers::list,
        ))
        .answers(&[(200, Some("Loggers"))]),
        admin(get(
            "/admin/loggers/{logger}",
            "Level of a logger",
            loggers::show,
        ))
        .answers(&[(200, Some("LoggerLevel"))])
        .refusals(&[404]),
        admin(put(
            "/admin/loggers/{logger}",
            "Sets the level of a logger and all below it",
            loggers::set,
        ))
        .query(SCOPE)
        .body("NewLevel")
        .answers(&[(200, Some("Names")), (204, None)])
        .refusals(&[400, 404]),
    ]
}
