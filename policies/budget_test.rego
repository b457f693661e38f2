package hexr.authz_test

import data.hexr.authz

spent(what) := object.union(chat, {"budget": object.union({"calls": 1, "cost_usd": 0.5, "window_s": 3600}, what)})

test_within_the_budget if not "budget" in codes with input as spent({})

test_calls_used_up if "budget" in codes with input as spent({"calls": 1000})

test_money_used_up if "budget" in codes with input as spent({"cost_usd": 5.01})

test_gateway_is_told if authz.obligations.budget.calls == 1000 with input as chat
