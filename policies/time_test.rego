package hexr.authz_test

at(text) := object.union(chat, {"timestamp": time.parse_rfc3339_ns(text) / 1000000000})

test_first_hour_works if not "hours" in codes with input as at("2026-03-02T06:00:00Z")

test_last_minute_works if not "hours" in codes with input as at("2026-03-02T21:59:59Z")

test_night_is_denied if "hours" in codes with input as at("2026-03-02T22:00:00Z")

test_early_morning_is_denied if "hours" in codes with input as at("2026-03-02T05:59:59Z")
