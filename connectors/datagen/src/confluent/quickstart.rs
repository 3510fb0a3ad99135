//! The schemas that come with the connector, under the names of Confluent's quickstarts. What is in them is our own.

/// A schema that comes with the connector.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Quickstart {
    /// What `quickstart` says.
    pub(crate) name: &'static str,
    /// The field that becomes the key if no other is said.
    pub(crate) key: &'static str,
    /// The Avro schema, in JSON.
    pub(crate) schema: &'static str,
}

macro_rules! quickstarts {
    ($($name:literal => $file:literal, $key:literal;)*) => {
        /// All of them.
        pub(crate) const ALL: &[Quickstart] = &[$(Quickstart {
            name: $name,
            key: $key,
            schema: include_str!(concat!("schemas/", $file, ".avsc")),
        }),*];
    };
}

quickstarts! {
    "clickstream" => "clickstream", "ip";
    "clickstream_codes" => "clickstream_codes", "code";
    "clickstream_users" => "clickstream_users", "user_id";
    "orders" => "orders", "orderid";
    "ratings" => "ratings", "rating_id";
    "users" => "users", "userid";
    "users_" => "users_array_map", "userid";
    "users_array_map" => "users_array_map", "userid";
    "pageviews" => "pageviews", "viewtime";
    "stock_trades" => "stock_trades", "symbol";
    "inventory" => "inventory", "id";
    "product" => "product", "id";
    "purchases" => "purchases", "id";
    "transactions" => "transactions", "transaction_id";
    "stores" => "stores", "store_id";
    "credit_cards" => "credit_cards", "card_id";
    "campaign_finance" => "campaign_finance", "time";
    "fleet_mgmt_description" => "fleet_mgmt_description", "vehicle_id";
    "fleet_mgmt_location" => "fleet_mgmt_location", "vehicle_id";
    "fleet_mgmt_sensors" => "fleet_mgmt_sensors", "vehicle_id";
    "pizza_orders" => "pizza_orders", "store_id";
    "pizza_orders_completed" => "pizza_orders_completed", "store_id";
    "pizza_orders_cancelled" => "pizza_orders_cancelled", "store_id";
    "insurance_offers" => "insurance_offers", "offer_id";
    "insurance_customers" => "insurance_customers", "customer_id";
    "insurance_customer_activity" => "insurance_customer_activity", "activity_id";
    "gaming_games" => "gaming_games", "id";
    "gaming_players" => "gaming_players", "player_id";
    "gaming_player_activity" => "gaming_player_activity", "player_id";
    "payroll_employee" => "payroll_employee", "employee_id";
    "payroll_employee_location" => "payroll_employee_location", "employee_id";
    "payroll_bonus" => "payroll_bonus", "employee_id";
    "syslog_logs" => "syslog_logs", "host";
    "device_information" => "device_information", "device_ip";
    "siem_logs" => "siem_logs", "hostname";
    "shoes" => "shoes", "id";
    "shoe_customers" => "shoe_customers", "id";
    "shoe_orders" => "shoe_orders", "order_id";
    "shoe_clickstream" => "shoe_clickstream", "product_id";
}

impl Quickstart {
    /// The one of this name, in any case.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
    }
}
