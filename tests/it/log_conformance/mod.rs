//! One suite of behaviours for both homes of the log: a real Kafka and a folder.
//!
//! A case is a function generic over [`home::Home`]: the very same code runs on both, as `cluster::…` and `embedded::…`.
//! What only one home can show stands in `cluster_only` and `embedded_only`.

mod admin;
mod cluster_only;
mod compacted;
mod embedded_only;
mod groups;
mod home;
mod member;
mod reading;
mod records;
mod secure;
mod transactions;
mod unknown_topics;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};

use home::{ClusterHome, EmbeddedHome, Home};

/// How long one case may take, starting the shared broker included.
const CASE_DEADLINE: Duration = Duration::from_secs(180);

/// Runs a case on threads of its own.
fn run<F: Future<Output = Result<()>>>(case: impl FnOnce() -> F) -> Result<()> {
    // RUST_LOG=krafka=debug shows what a failing case did.
    let _set_by_another_case = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async { tokio::time::timeout(CASE_DEADLINE, case()).await });
    runtime.shutdown_background();
    outcome.context("the case hangs")?
}

/// Makes a test of each case for each home.
macro_rules! on_both_homes {
    ($($module:ident { $($case:ident,)+ })+) => {
        mod cluster {
            $($(#[test]
            fn $case() -> anyhow::Result<()> {
                super::run(|| async { super::$module::$case(&<super::ClusterHome as super::Home>::open().await?).await })
            })+)+
        }
        mod embedded {
            $($(#[test]
            fn $case() -> anyhow::Result<()> {
                super::run(|| async { super::$module::$case(&<super::EmbeddedHome as super::Home>::open().await?).await })
            })+)+
        }
    };
}

on_both_homes! {
    records {
        records_of_a_partition_come_back_in_order,
        a_key_chooses_the_partition_that_java_clients_choose,
        null_and_empty_keys_and_values_stay_apart,
        headers_keep_order_duplicates_nulls_and_empty_values,
        a_producers_timestamp_comes_back_and_now_is_the_default,
        a_record_of_five_megabytes_comes_back_whole,
        every_compression_is_read_back,
    }
    reading {
        a_poll_returns_no_more_records_than_asked_for,
        a_seek_goes_back_and_forth,
        a_seek_behind_the_end_comes_back_between_the_ends,
        paused_partitions_stay_owned_and_silent,
        client_settings_that_are_not_supported_are_refused_by_name,
        a_wakeup_ends_a_waiting_poll,
        latest_begins_behind_what_is_there,
        without_a_committed_offset_and_without_a_reset_policy_reading_fails,
        a_pattern_takes_up_topics_as_they_come,
        watermarks_tell_both_ends,
    }
    groups {
        a_restarted_group_goes_on_where_it_committed,
        what_was_not_committed_is_read_again,
        a_commit_keeps_its_note,
        two_groups_read_the_same_records,
        members_that_come_and_go_read_each_record_once,
        a_dead_members_partitions_go_to_the_others,
        new_partitions_of_a_topic_are_taken_up,
        a_stalled_member_loses_its_partitions_and_cannot_commit,
    }
    transactions {
        records_of_an_aborted_transaction_stay_invisible,
        records_of_a_transaction_appear_together_at_its_commit,
        the_end_is_reached_although_no_record_stands_there,
        a_record_behind_a_large_transaction_is_read,
        a_newer_producer_fences_an_older_one,
        what_a_dead_producer_left_open_is_aborted_by_the_next,
    }
    admin {
        a_topic_is_made_once_with_its_settings,
        settings_that_make_no_sense_are_refused,
        a_deleted_topic_is_gone_and_comes_back_empty,
        a_topic_gets_more_partitions_but_never_fewer,
        end_offsets_stand_behind_the_last_records,
        offsets_of_other_groups_are_seen_and_altered,
        a_group_with_members_is_left_alone,
        a_deleted_group_is_gone,
        the_cluster_has_an_id_that_stays,
    }
    unknown_topics {
        writing_to_a_topic_that_is_not_there_makes_it,
        a_group_waits_for_a_topic_that_is_not_there,
        reading_a_partition_that_is_not_there_is_refused_by_name,
        writing_to_a_partition_that_is_not_there_is_refused_by_name,
    }
    compacted {
        a_compacted_topic_is_read_to_its_end_and_followed,
        an_open_transaction_does_not_hold_up_the_end_of_a_compacted_topic,
        a_compacted_topic_that_is_not_there_is_refused_and_not_made,
    }
}
