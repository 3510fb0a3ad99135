//! Deliveries one step at a time.

use super::*;

/// Counts what it is told is safe.
#[derive(Default)]
struct Counting(usize);

#[async_trait]
impl SourceTask for Counting {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        Ok(Polled::Finished)
    }

    async fn acked(&mut self, count: usize) -> Result<()> {
        self.0 += count;
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A delivery that is open.
struct Opened {
    delivery: Box<dyn Delivery>,
    /// Those of the connector, if it ends its transactions.
    boundaries: Option<TransactionBoundaries>,
    way: Way,
    task: Counting,
}

impl Opened {
    async fn of(mut spec: SourceTaskSpec) -> Self {
        let (delivery, boundaries) = super::super::delivery(&spec).await.unwrap();
        Self {
            delivery,
            boundaries,
            way: way(&mut spec).await.unwrap(),
            task: Counting::default(),
        }
    }

    async fn on(stage: &Stage, options: &[(&str, &str)]) -> Self {
        let numbers = Numbers::to(0);
        Self::of(stage.spec(&numbers, options, Gate::default()).await).await
    }

    /// Delivers numbers; the source can go on after the last, or cannot.
    async fn deliver(&mut self, numbers: std::ops::Range<i64>, goes_on: bool) -> Result<()> {
        let mut batch = Batch::default();
        let partition: Arc<SourcePartition> = Arc::new([("numbers".to_owned(), json!(1))].into());
        let last = numbers.end;
        for number in numbers {
            batch.records.push(ProducerRecord {
                topic: TOPIC.into(),
                partition: None,
                timestamp: None,
                headers: Vec::new(),
                key: None,
                value: Some(number.to_string().into()),
            });
            let goes_on = goes_on && number + 1 == last;
            batch.polled.push(batch::Polled {
                partition: partition.clone(),
                offset: goes_on.then(|| [("next".to_owned(), json!(last))].into()),
                end: batch.records.len(),
            });
        }
        let Self { way, task, .. } = self;
        self.delivery.deliver(batch, way, task).await
    }

    async fn settle(&mut self, why: Settle) -> Settled {
        let Self { way, task, .. } = self;
        self.delivery.settle(why, way, task).await.unwrap()
    }
}

const INTERVAL: (&str, &str) = ("transaction.boundary", "interval");
const CONNECTOR: (&str, &str) = ("transaction.boundary", "connector");

#[tokio::test]
async fn an_interval_that_is_over_within_a_page_ends_with_the_page() {
    let stage = Stage::set().await;
    let options = [INTERVAL, ("transaction.boundary.interval.ms", "0")];
    let mut opened = Opened::on(&stage, &options).await;
    assert_eq!(opened.delivery.due(), None, "nothing is open");
    opened.deliver(0..4, false).await.unwrap();
    assert_eq!(opened.delivery.due(), None, "it waits for an offset");
    opened.deliver(4..6, true).await.unwrap();
    assert_eq!((opened.task.0, opened.delivery.due()), (6, None));
    assert_eq!(stage.committed(6).await, all(0..6));
}

#[tokio::test]
async fn an_interval_is_due_once_something_was_sent() {
    let stage = Stage::set().await;
    let mut opened = Opened::on(&stage, &[INTERVAL]).await;
    assert_eq!(opened.delivery.due(), None);
    opened.deliver(0..4, true).await.unwrap();
    assert!(opened.delivery.due().is_some());
    assert_eq!(opened.settle(Settle::Due).await, Settled::Yes);
    assert_eq!((opened.task.0, opened.delivery.due()), (4, None));
}

#[tokio::test]
async fn offsets_are_due_once_records_are_acknowledged() {
    let stage = Stage::set().await;
    let mut spec = stage.spec(&Numbers::to(0), &[], Gate::default()).await;
    (spec.exactly_once, spec.flush_interval) = (None, Duration::ZERO);
    let mut opened = Opened::of(spec).await;
    assert_eq!(opened.delivery.due(), None, "an idle task would not rest");
    opened.deliver(0..4, true).await.unwrap();
    assert!(opened.delivery.due().is_some());
    assert_eq!(opened.settle(Settle::Due).await, Settled::Yes);
    assert_eq!((opened.task.0, opened.delivery.due()), (4, None));
}

#[tokio::test]
async fn a_pause_within_a_connectors_transaction_shows_none_of_it() {
    let stage = Stage::set().await;
    let mut opened = Opened::on(&stage, &[CONNECTOR]).await;
    assert_eq!(opened.settle(Settle::Pause).await, Settled::Yes);
    opened.deliver(0..6, true).await.unwrap();
    assert_eq!(opened.settle(Settle::Pause).await, Settled::Rewound);
    let mut next = Opened::on(&stage, &[]).await;
    next.deliver(6..8, true).await.unwrap();
    assert_eq!(stage.committed(2).await, all(6..8));
}

#[tokio::test]
async fn a_connector_drops_its_last_transaction_as_it_comes_to_its_end() {
    let stage = Stage::set().await;
    let mut opened = Opened::on(&stage, &[CONNECTOR]).await;
    opened.deliver(0..6, true).await.unwrap();
    let boundaries = opened.boundaries.clone().unwrap();
    boundaries.end_after_batch(TransactionEnd::Abort);
    assert_eq!(opened.settle(Settle::Finish).await, Settled::Yes);
    assert_eq!(opened.task.0, 6);
    opened.deliver(6..8, true).await.unwrap();
    assert_eq!(opened.settle(Settle::Finish).await, Settled::Yes);
    assert_eq!(stage.committed(2).await, all(6..8));
}

#[tokio::test]
async fn a_transaction_that_was_open_for_too_long_may_be_tried_again() {
    let stage = Stage::set().await;
    let mut spec = stage.spec(&Numbers::to(0), &[], Gate::default()).await;
    let timeout = ("transaction.timeout.ms".to_owned(), "0".to_owned());
    spec.producer_settings.extend([timeout]);
    let mut late = Opened::of(spec).await;
    late.deliver(0..4, false).await.unwrap();
    // As the broker does when it drops the transaction.
    let _next = Opened::on(&stage, &[]).await;
    let dropped = late.deliver(4..8, true).await.unwrap_err();
    assert_eq!(dropped.kind(), ErrorKind::External);
    assert!(dropped.is_retriable(), "{dropped}");
}

#[tokio::test]
async fn a_task_that_was_fenced_out_comes_back_only_where_it_is_at_home() {
    for (lost_at, comes_back) in [(None, true), (Some(3), false)] {
        let stage = Stage::set().await;
        let gate = Gate {
            lost_at,
            ..Gate::default()
        };
        let spec = stage.spec(&Numbers::to(0), &[], gate).await;
        let mut opened = Opened::of(spec).await;
        opened.deliver(0..4, true).await.unwrap();
        let _thief = Opened::on(&stage, &[]).await;
        let fenced = opened.deliver(4..8, true).await.unwrap_err();
        let (way, task) = (&opened.way, &mut opened.task);
        let fenced = opened.delivery.fail(fenced, way, task).await;
        assert_eq!(fenced.kind(), ErrorKind::Conflict);
        assert_eq!(fenced.is_retriable(), comes_back);
    }
}
