package hexr.authz_test

labelled(call, labels) := object.union(call, {"labels": labels})

test_untrusted_and_secret_stay if "exfiltration" in codes with input as labelled(browse, ["untrusted", "secret"])

test_untrusted_and_personal_stay if "exfiltration" in codes with input as labelled(mail, ["pii", "untrusted"])

test_untrusted_alone_may_leave if not "exfiltration" in codes with input as labelled(browse, ["untrusted"])

test_secret_alone_may_leave if not "exfiltration" in codes with input as labelled(browse, ["secret"])

test_reading_goes_on if not "exfiltration" in codes with input as labelled(read, ["untrusted", "secret"])
