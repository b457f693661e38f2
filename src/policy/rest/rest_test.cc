// OPA's REST API and decision logs, request by request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/bundle/archive.h"
#include "policy/rest/rest_api.h"

namespace hexr::policy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAppPolicy[] = R"(package app
default allow := false
allow if input.role == data.app_roles.admin
names contains n if some n in input.names
both := 1 if input.a
both := 2 if input.b
f(x) := x
)";
constexpr char kMask[] = R"(package system.log
mask contains "/input/password"
mask contains {"op": "upsert", "path": "/input/card", "value": "****"} if input.input.card
mask contains "/labels"
drop if input.input.quiet
)";

class RestTest : public ::testing::Test {
 protected:
  RestTest() : store_({.bundle = "", .require_signature = false}) {}
  void Activate(std::string_view mask = kMask) {
    ASSERT_TRUE(
        store_
            .ActivateArchive(*WriteTarGz({{".manifest", R"({"revision": "r1"})"},
                                          {"app.rego", kAppPolicy},
                                          {"mask.rego", std::string(mask)},
                                          {"data.json", R"({"app_roles": {"admin": "root", "list": [7, 8]}})"}}))
            .ok());
  }
  RestResponse Send(std::string method, std::string target, std::string body = "") {
    return api_.Handle({std::move(method), std::move(target), std::move(body), "tester"});
  }
  PolicyStore store_;
  ManualClock clock_{WallTime{}};
  SeededRandom random_{1};
  std::vector<std::string> log_;
  RestApi api_{store_, clock_, random_, [this](std::string e) { log_.push_back(std::move(e)); }};
};

TEST_F(RestTest, HealthSaysWhetherAPolicyIsInForce) {
  EXPECT_EQ(Send("GET", "/health").status, 500);
  EXPECT_EQ(Send("POST", "/v1/data/app/allow", "{}").status, 500);
  Activate();
  EXPECT_EQ(Send("GET", "/health?bundles").status, 200);
}

TEST_F(RestTest, DataAnswersRulesAndDocuments) {
  Activate();
  EXPECT_THAT(Send("POST", "/v1/data/app/allow", R"({"input": {"role": "root"}})").body, HasSubstr("\"result\":true}"));
  EXPECT_THAT(Send("GET", "/v1/data/app/allow?input=%7B%22role%22%3A%22root%22%7D").body,
              HasSubstr("\"result\":true}"));
  EXPECT_THAT(Send("POST", "/v1/data/app/allow").body, HasSubstr("\"result\":false}"));
  EXPECT_THAT(Send("GET", "/v1/data/app_roles/list/1").body, HasSubstr("\"result\":8}"));
  EXPECT_THAT(Send("POST", "/v1/data/app/names", R"({"input": {"names": ["b", "a"]}})").body,
              HasSubstr(R"("result":["a","b"]})"));
  EXPECT_THAT(Send("GET", "/v1/data/app/nothing").body, Not(HasSubstr("result")));
  EXPECT_THAT(Send("GET", "/v1/data/app/f").body, Not(HasSubstr("result")));
  EXPECT_THAT(Send("GET", "/v1/data/app/allow?pretty=true").body, HasSubstr("\n  \"result\": false\n}"));
  EXPECT_THAT(Send("GET", "/v1/data").body, HasSubstr("app_roles"));
}

TEST_F(RestTest, Version0TakesAndGivesDocumentsBare) {
  Activate();
  EXPECT_EQ(Send("POST", "/v0/data/app/allow", R"({"role": "root"})").body, "true\n");
  EXPECT_EQ(Send("POST", "/v0/data/app/nothing", "{}").status, 404);
}

TEST_F(RestTest, BadRequestsGetACodeAndAMessage) {
  Activate();
  EXPECT_EQ(Send("POST", "/v1/data/app/allow", "{").status, 400);
  EXPECT_EQ(Send("POST", "/v1/data/app/allow", "[1]").status, 400);
  EXPECT_EQ(Send("GET", "/v1/data/app/allow?input={").status, 400);
  EXPECT_EQ(Send("GET", "/v1/data/%zz").status, 400);
  EXPECT_EQ(Send("GET", "/v2/data").status, 404);
  EXPECT_EQ(Send("PUT", "/v1/data/app", "{}").status, 405);
  EXPECT_EQ(Send("DELETE", "/v1/policies/app.rego").status, 405);
  EXPECT_THAT(Send("POST", "/v1/data/app/allow", "{").body, HasSubstr("\"code\":\"invalid_parameter\""));
  const RestResponse conflict = Send("POST", "/v1/data/app/both", R"({"input": {"a": 1, "b": 1}})");
  EXPECT_EQ(conflict.status, 500);
  EXPECT_THAT(conflict.body, HasSubstr("eval_conflict_error"));
}

TEST_F(RestTest, PoliciesAreListed) {
  Activate();
  EXPECT_THAT(Send("GET", "/v1/policies").body, HasSubstr("\"id\":\"app.rego\",\"raw\":\"package app\\n"));
  EXPECT_EQ(Send("GET", "/v1/policies/app.rego").status, 200);
  EXPECT_EQ(Send("GET", "/v1/policies/other.rego").status, 404);
}

TEST_F(RestTest, DecisionsAreLoggedAndMasked) {
  Activate();
  Send("POST", "/v1/data/app/allow", R"({"input": {"role": "root", "password": "hunter2", "card": "4111"}})");
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_THAT(log_[0], Not(HasSubstr("hunter2")));
  EXPECT_THAT(log_[0], Not(HasSubstr("4111")));
  EXPECT_THAT(log_[0], HasSubstr("\"card\":\"****\""));
  EXPECT_THAT(log_[0], HasSubstr("\"erased\":[\"/input/password\"]"));
  EXPECT_THAT(log_[0], HasSubstr("\"masked\":[\"/input/card\"]"));
  EXPECT_THAT(log_[0], HasSubstr("\"path\":\"app/allow\""));
  EXPECT_THAT(log_[0], HasSubstr("\"result\":true"));
  EXPECT_THAT(log_[0], HasSubstr("\"revision\":\"r1\""));
  EXPECT_THAT(log_[0], HasSubstr("\"timestamp\":\"1970-01-01T00:00:00.000000000Z\""));
  Send("POST", "/v1/data/app/allow", R"({"input": {"quiet": true}})");
  EXPECT_EQ(log_.size(), 1u);
}

TEST_F(RestTest, AMaskThatFailsErasesAll) {
  Activate("package system.log\nmask := {\"/x\"} if true\nmask := {\"/y\"} if true\n");
  Send("POST", "/v1/data/app/allow", R"({"input": {"password": "hunter2"}})");
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_THAT(log_[0], Not(HasSubstr("hunter2")));
  EXPECT_THAT(log_[0], HasSubstr("\"erased\":[\"/input\",\"/result\"]"));
}

}  // namespace
}  // namespace hexr::policy
