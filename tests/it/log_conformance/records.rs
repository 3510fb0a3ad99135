//! What is written comes back as it was, in order.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use connect_core::data::{RawHeaders, RecordTimestamp, Timestamp};
use sluice::kafka::{Compression, ProducerOptions, ProducerRecord, Subscription};

use super::home::{Home, all_written, offsets, options, partition, read, record, values};

pub(super) async fn records_of_a_partition_come_back_in_order<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("order", 3).await?;
    let producer = home.producer().await?;
    for round in 0..5 {
        let batch: Vec<_> = (0..300)
            .map(|number| ProducerRecord {
                partition: Some(number % 3),
                ..record(&topic, &format!("{}", round * 300 + number))
            })
            .collect();
        for (number, written) in all_written(producer.send(batch).await?)?.iter().enumerate() {
            let number = i64::try_from(number)?;
            ensure!(i64::from(written.partition) == number % 3);
            ensure!(written.offset.value() == i64::from(round) * 100 + number / 3);
        }
    }
    let all = (0..3).map(|number| partition(&topic, number)).collect();
    let consumer = home
        .log()
        .consumer(options(Subscription::Partitions(all)))
        .await?;
    let records = read(&*consumer, 1500).await?;
    for number in 0..3 {
        let of_partition: Vec<_> = records
            .iter()
            .filter(|record| record.partition == number)
            .cloned()
            .collect();
        ensure!(offsets(&of_partition) == (0..500).collect::<Vec<i64>>());
        let expected: Vec<_> = (0..500)
            .map(|place| (place * 3 + number).to_string())
            .collect();
        ensure!(values(&of_partition) == expected);
    }
    Ok(())
}

/// Hashes of these keys, from the tests of Kafka's own Java client.
const HASHES: [(&str, i32); 5] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("abc", 479_470_107),
];

pub(super) async fn a_key_chooses_the_partition_that_java_clients_choose<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("keys", 7).await?;
    let keyed = |(key, _): &(&str, i32)| ProducerRecord {
        partition: None,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        ..record(&topic, "value")
    };
    let written = home.write(HASHES.iter().map(keyed).collect()).await?;
    for ((key, hash), written) in HASHES.iter().zip(written) {
        let expected = (hash & 0x7fff_ffff) % 7;
        ensure!(
            written.partition == expected,
            "{key} went to {}",
            written.partition
        );
    }
    Ok(())
}

pub(super) async fn null_and_empty_keys_and_values_stay_apart<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("nulls", 1).await?;
    let states = [None, Some(Bytes::new()), Some(Bytes::from_static(b"x"))];
    let pairs: Vec<_> = states
        .iter()
        .flat_map(|key| states.iter().map(move |value| (key.clone(), value.clone())))
        .collect();
    let of_pair = |(key, value): &(Option<Bytes>, Option<Bytes>)| ProducerRecord {
        key: key.clone(),
        value: value.clone(),
        ..record(&topic, "")
    };
    home.write(pairs.iter().map(of_pair).collect()).await?;
    let records = home.read_all(&topic).await?;
    let back: Vec<_> = records
        .into_iter()
        .map(|record| (record.key, record.value))
        .collect();
    ensure!(back == pairs, "came back as {back:?}");
    Ok(())
}

pub(super) async fn headers_keep_order_duplicates_nulls_and_empty_values<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("headers", 1).await?;
    let header = |key: &str, value: Option<&'static [u8]>| -> (Arc<str>, Option<Bytes>) {
        (key.into(), value.map(Bytes::from_static))
    };
    let headers: RawHeaders = vec![
        header("z", Some(b"1")),
        header("a", None),
        header("z", Some(b"2")),
        header("", Some(b"no name")),
        header("empty", Some(b"")),
        header("z", None),
        header("bytes", Some(&[0, 255, 128])),
        header("Grüße", Some("日本".as_bytes())),
    ];
    let with_headers = ProducerRecord {
        headers: headers.clone(),
        ..record(&topic, "with")
    };
    home.write(vec![with_headers, record(&topic, "without")])
        .await?;
    let records = home.read_all(&topic).await?;
    ensure!(values(&records) == ["with", "without"]);
    let back: Vec<_> = records.into_iter().map(|record| record.headers).collect();
    ensure!(back == [headers, Vec::new()], "came back as {back:?}");
    Ok(())
}

pub(super) async fn a_producers_timestamp_comes_back_and_now_is_the_default<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("timestamps", 1).await?;
    let given = [0, 1_577_934_245_678, 4_102_444_800_000].map(Timestamp::from_millis);
    // A broker refuses timestamps of the far future: what is later than now is an hour later.
    let now = now_millis()?;
    let given = [given[0], given[1], Timestamp::from_millis(now + 3_000_000)];
    let mut records: Vec<_> = given
        .iter()
        .map(|timestamp| ProducerRecord {
            timestamp: Some(*timestamp),
            ..record(&topic, "given")
        })
        .collect();
    records.push(record(&topic, "none"));
    home.write(records).await?;
    let back: Vec<_> = home
        .read_all(&topic)
        .await?
        .into_iter()
        .map(|record| record.timestamp)
        .collect();
    let expected = given.map(RecordTimestamp::CreateTime);
    ensure!(
        back.get(..3) == Some(&expected[..]),
        "came back as {back:?}"
    );
    let default = back.get(3).and_then(|timestamp| timestamp.timestamp());
    let default = default.context("no timestamp by default")?.as_millis();
    ensure!(
        (now..=now_millis()?).contains(&default),
        "{default} is not now"
    );
    Ok(())
}

fn now_millis() -> Result<i64> {
    let since: Duration = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}

pub(super) async fn a_record_of_five_megabytes_comes_back_whole<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("large", 1).await?;
    let large = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = (0..5 << 20).map(|_| random.u8(..)).collect();
        Bytes::from(bytes)
    };
    let (first, second) = (large(1), large(2));
    let of = |value: &Bytes| ProducerRecord {
        value: Some(value.clone()),
        ..record(&topic, "")
    };
    home.write(vec![
        record(&topic, "before"),
        of(&first),
        of(&second),
        record(&topic, "after"),
    ])
    .await?;
    // The default of fetch.max.bytes for one partition is smaller than the record.
    let records = home.read_all(&topic).await?;
    ensure!(offsets(&records) == [0, 1, 2, 3]);
    let value = |place: usize| records.get(place).and_then(|record| record.value.clone());
    ensure!(
        value(1) == Some(first) && value(2) == Some(second),
        "large values differ"
    );
    ensure!(value(3).as_deref() == Some(&b"after"[..]));
    Ok(())
}

pub(super) async fn every_compression_is_read_back<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("compressed", 1).await?;
    let kinds = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut expected = Vec::new();
    for compression in kinds {
        let producer = home
            .log()
            .producer(ProducerOptions {
                compression,
                ..ProducerOptions::default()
            })
            .await?;
        let batch: Vec<_> = (0..200)
            .map(|number| format!("{compression:?} {number}"))
            .collect();
        let records = batch.iter().map(|value| record(&topic, value)).collect();
        all_written(producer.send(records).await?)?;
        producer.close().await?;
        expected.extend(batch);
    }
    let records = home.read_all(&topic).await?;
    ensure!(values(&records) == expected);
    Ok(())
}
