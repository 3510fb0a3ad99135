//! Snowflake sink: stage and COPY, exactly once with the offsets in the same transaction.
