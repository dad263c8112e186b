//! The metrics that there are.

/// Every metric that may be there, with its kind and what it says.
pub const NAMES: &[(&str, &str, &str)] = &[
    (
        "forelog_build_info",
        "gauge",
        "The version, as a label; always 1.",
    ),
    (
        "forelog_events_emitted_total",
        "counter",
        "Events emitted since the system was opened.",
    ),
    (
        "forelog_volatile_events_emitted_total",
        "counter",
        "Volatile events emitted since the system was opened.",
    ),
    (
        "forelog_appended_bytes_total",
        "counter",
        "Bytes appended to the log since it is watched.",
    ),
    (
        "forelog_emits_rejected_total",
        "counter",
        "Emits refused because the queue was full.",
    ),
    (
        "forelog_queue_depth",
        "gauge",
        "Events that wait for the slowest handler that keeps up.",
    ),
    ("forelog_queue_limit", "gauge", "How many events may wait."),
    (
        "forelog_deliveries_total",
        "counter",
        "Deliveries acknowledged since the handler was registered.",
    ),
    (
        "forelog_delivery_failures_total",
        "counter",
        "Attempts that failed since the handler was registered, by event type.",
    ),
    (
        "forelog_delivery_latency_seconds",
        "histogram",
        "From an event's append to its acknowledgement.",
    ),
    (
        "forelog_subscription_lag_events",
        "gauge",
        "How many Seqs the log is ahead of a subscription.",
    ),
    (
        "forelog_subscription_lag_seconds",
        "gauge",
        "How long ago the oldest unhandled event was appended.",
    ),
    (
        "forelog_subscription_parked_events",
        "gauge",
        "Events that a subscription has parked.",
    ),
    (
        "forelog_subscription_status",
        "gauge",
        "1 for what a subscription is doing now.",
    ),
    (
        "forelog_type_deliveries_total",
        "counter",
        "Deliveries acknowledged since the system was opened, by event type.",
    ),
    (
        "forelog_type_failures_total",
        "counter",
        "Attempts that failed since the system was opened, by event type.",
    ),
    (
        "forelog_type_latency_seconds",
        "histogram",
        "From an event's append to its acknowledgement, by event type.",
    ),
    (
        "forelog_sync_seconds",
        "histogram",
        "How long syncs take that somebody waits for.",
    ),
    ("forelog_log_events", "gauge", "Events held."),
    ("forelog_log_segments", "gauge", "Segments that hold them."),
    ("forelog_log_bytes", "gauge", "Bytes of the segments."),
    (
        "forelog_log_last_seq",
        "gauge",
        "The last Seq that was handed out.",
    ),
    (
        "forelog_log_durable_seq",
        "gauge",
        "The last Seq that a power cut cannot take back.",
    ),
    (
        "forelog_index_lag_events",
        "gauge",
        "How many Seqs the log is ahead of the look-up index.",
    ),
    (
        "forelog_scrub_passes_total",
        "counter",
        "How many times all sealed segments were verified.",
    ),
    (
        "forelog_scrub_bytes_total",
        "counter",
        "Bytes of sealed segments that were verified.",
    ),
    (
        "forelog_damaged_places",
        "gauge",
        "Places of sealed segments that are damaged, as verifying them has found.",
    ),
    (
        "forelog_disk_total_bytes",
        "gauge",
        "The size of the file system that the system lies in.",
    ),
    (
        "forelog_disk_free_bytes",
        "gauge",
        "What the file system has left.",
    ),
    (
        "forelog_healthy",
        "gauge",
        "1 if nothing is wrong, 0.5 if somebody should look, 0 if something does not work.",
    ),
    (
        "forelog_issue",
        "gauge",
        "1 for each thing that is wrong, by rule and subscription.",
    ),
    (
        "process_cpu_seconds_total",
        "counter",
        "Time on processors.",
    ),
    ("process_resident_memory_bytes", "gauge", "Memory in RAM."),
    (
        "process_disk_read_bytes_total",
        "counter",
        "Bytes that the process had fetched from disks.",
    ),
    (
        "process_disk_written_bytes_total",
        "counter",
        "Bytes that the process had sent to disks.",
    ),
];
