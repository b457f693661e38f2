package hexr.authz_test

test_person_of_a_known_issuer if not "delegation" in codes with input as mail

test_nobody_is_denied if "delegation" in codes with input as json.remove(mail, ["on_behalf_of"])

test_person_of_another_issuer_is_denied if {
	"delegation" in codes with input as object.union(mail, {"on_behalf_of": {"issuer": "https://evil.example"}})
}

test_other_roles_need_nobody if not "delegation" in codes with input as chat
