//! Rows of 7 columns: as the record that a sink reads, and as the line that psql reads.

/// A record, and the row it stands for.
pub(crate) struct Payment {
    id: u64,
    customer: u64,
    time: String,
    cents: u64,
    quantity: u64,
    is_refund: bool,
}

impl Payment {
    pub(crate) fn number(index: u64) -> Self {
        // Spread without a generator: the same rows in each run.
        let spread = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let (minute, second) = (index / 60_000 % 60, index / 1_000 % 60);
        Self {
            id: index,
            customer: spread % 100_000,
            time: format!(
                "2026-02-26T10:{minute:02}:{second:02}.{:03}Z",
                index % 1_000
            ),
            cents: spread % 500_000,
            quantity: 1 + spread % 9,
            is_refund: spread.is_multiple_of(50),
        }
    }

    fn amount(&self) -> String {
        format!("{}.{:02}", self.cents / 100, self.cents % 100)
    }

    pub(crate) fn json(&self) -> String {
        format!(
            r#"{{"payment_id":{},"customer_id":"CUST_{:05}","paid_at":"{}","amount":{},"currency":"EUR","quantity":{},"is_refund":{}}}"#,
            self.id,
            self.customer,
            self.time,
            self.amount(),
            self.quantity,
            self.is_refund
        )
    }

    pub(crate) fn csv(&self) -> String {
        format!(
            "{},CUST_{:05},{},{},EUR,{},{}",
            self.id,
            self.customer,
            self.time,
            self.amount(),
            self.quantity,
            self.is_refund
        )
    }
}
