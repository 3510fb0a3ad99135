use super::*;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Wrapper {
    #[command(subcommand)]
    generator: Generator,
}

#[derive(Debug, Subcommand)]
enum Generator {
    Orders(StreamArgs),
    Transactions(StreamArgs),
    Dealer(DealerArgs),
}

/// The settings of a command line.
fn resolved(line: &str) -> Result<Settings> {
    let arguments = std::iter::once("produce").chain(line.split_whitespace());
    match Wrapper::try_parse_from(arguments)?.generator {
        Generator::Orders(args) => Settings::resolve(EventKind::Orders, args),
        Generator::Transactions(args) => Settings::resolve(EventKind::Transactions, args),
        Generator::Dealer(args) => Settings::resolve_dealer(args),
    }
}

fn file(json: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("producer.json");
    std::fs::write(&path, json).unwrap();
    let flag = format!("--config {}", path.display());
    (folder, flag)
}

#[test]
fn flags_win_over_the_file() {
    let (_folder, config) = file(
        r#"{"bootstrap.servers": ["file:1", "file:2"], "topic": "from_file", "interval": 2.5, "events": 7, "exactly-once": true}"#,
    );
    let settings = resolved(&format!("orders {config} --topic from_flag")).unwrap();
    assert_eq!(settings.streams[0].topic, "from_flag");
    assert_eq!(settings.brokers, ["file:1", "file:2"]);
    assert_eq!(settings.interval, Duration::from_millis(2500));
    assert_eq!(settings.count, Some(7));
    assert_ne!(settings.guarantee, Guarantee::AtLeastOnce);
    let endless = resolved(&format!("orders {config} --continuous --duration 90")).unwrap();
    assert_eq!(
        (endless.count, endless.duration),
        (None, Some(Duration::from_secs(90)))
    );
}

#[test]
fn what_is_wrong_is_named() {
    let (_folder, config) = file(r#"{"topik": "x"}"#);
    for (line, named) in [
        (format!("orders {config}").as_str(), "topik"),
        ("orders --key nope", "customer_id"),
        ("orders --interval=-1", "--interval"),
        ("orders --late 101", "--late"),
        ("orders --duplicates=-1", "--duplicates"),
        ("orders --partitions 0", "--partitions"),
        ("orders --continuous --count 3", "--count"),
        ("dealer --type cars", "procurement"),
        ("dealer --topic everything", "--type"),
    ] {
        let error = resolved(line).expect_err(line).to_string();
        assert!(error.contains(named), "{line}: {error}");
    }
}

#[test]
fn the_command_lines_of_users_work_under_their_own_flags() {
    let line =
        "transactions --num-transactions 50 --interval 0.5 --bootstrap-servers one:9092,two:9092";
    let transactions = resolved(line).unwrap();
    assert_eq!(transactions.streams[0].topic, "transactions");
    assert_eq!(transactions.count, Some(50));
    assert_eq!(transactions.brokers, ["one:9092", "two:9092"]);
    let dealer = resolved("dealer --type all --count 1000 --interval 1").unwrap();
    let topics: Vec<_> = dealer
        .streams
        .iter()
        .map(|stream| stream.topic.as_str())
        .collect();
    assert_eq!(
        topics,
        [
            "sales_topic",
            "payments_topic",
            "interactions_topic",
            "inventory_topic",
            "procurement_topic",
            "telemetry_topic"
        ]
    );
    let telemetry = resolved("dealer --type telemetry").unwrap();
    assert_eq!(telemetry.interval, Duration::from_secs(5));
    assert_eq!(telemetry.streams.len(), 1);
}

#[test]
fn a_key_that_only_some_streams_have_is_taken() {
    let settings = resolved("dealer --key customer_id").unwrap();
    assert_eq!(settings.key.as_deref(), Some("customer_id"));
}
