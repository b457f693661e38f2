#include "guard/guard.h"

#include <gtest/gtest.h>
#include <re2/re2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "guard/llm_guard_api.h"
#include "guard/testing/fixture.h"

namespace hexr::guard {
namespace {

const ManualClock kClock{WallTime{}};

Verdict Look(std::string_view text, Channel c = Channel::kTool, Session* session = nullptr) {
  auto v = Scan(SharedWorker(), kClock, text, c, session);
  EXPECT_TRUE(v.ok());
  return std::move(v).value();
}

std::set<std::string> Types(const Verdict& v, Scanner s) {
  std::set<std::string> out;
  for (const auto& f : v.findings) {
    if (f.scanner == s) out.insert(f.type);
  }
  return out;
}

TEST(Rules, EveryConfirmingExpressionCompilesAndHasAName) {
  const auto& db = SharedEngine()->patterns();
  for (size_t i = 0; i < db.rules().size(); ++i) {
    EXPECT_FALSE(db.rules()[i].type.empty());
    if (db.rules()[i].confirm.empty()) continue;
    ASSERT_NE(db.Confirm(i), nullptr);
    EXPECT_TRUE(db.Confirm(i)->ok()) << db.rules()[i].type << ": " << db.Confirm(i)->error();
  }
}

TEST(Secrets, FindsAssignmentsButNotNames) {
  for (const char* text : {"password = \"hunter2!x\"", "{\"api_key\": \"a8F3kd93JfkS02mdKq\"}",
                           "DB_PASSWORD=s3cr3t-Pa55", "Authorization: Bearer 9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c",
                           "postgres://app:Xk29fjw2@db.internal/app", "auth_token: 'zX81kQm29sLwPq77'"}) {
    EXPECT_FALSE(Types(Look(text), Scanner::kSecrets).empty()) << text;
  }
  for (const char* text :
       {"password = getPassword()", "The password must be changed.", "token: string",
        "public_key = \"a8F3kd93JfkS02mdKq\"", "key = value", "api_key = ${API_KEY}", "password: <your password>",
        "Press any key to continue", "csrf_token = \"a8F3kd93JfkS02mdKq\"", "secret = None"}) {
    EXPECT_TRUE(Types(Look(text), Scanner::kSecrets).empty()) << text;
  }
}

// INV-GUARD-03.
TEST(Guard, FindingsNeverHoldTheMatchedText) {
  const Verdict v = Look("my card 4111 1111 1111 1111, password: \"tr0ub4dor&3\"", Channel::kOutput);
  const std::string json = wire::ToJson(ToJson(v, "", false));
  EXPECT_EQ(json.find("4111"), std::string::npos);
  EXPECT_EQ(json.find("tr0ub"), std::string::npos);
  EXPECT_EQ(v.findings.size(), 2U);
}

TEST(Pii, ReadsNumbersWithTheirCheckDigits) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"CREDIT_CARD", "pay with 4012 8888 8888 1881"},
      {"IBAN_CODE", "to DE89 3704 0044 0532 0130 00 please"},
      {"US_SSN", "SSN 536-90-4399"},
      {"EMAIL_ADDRESS", "write to jane.doe@example.org."},
      {"PHONE_NUMBER", "call (212) 555-0187"},
      {"PHONE_NUMBER", "call +49 30 901820"},
      {"IP_ADDRESS", "from 192.0.2.17"},
      {"IP_ADDRESS", "from 2001:db8::17"},
      {"UK_NHS", "NHS number 401-023-2137"},
      {"IN_AADHAAR", "aadhaar 3123 4567 8909"},
      {"PL_PESEL", "pesel 44051401458"},
      {"ES_NIF", "NIF 12345678Z"},
      {"BR_CPF", "cpf 529.982.247-25"},
      {"CN_RESIDENT_ID", "11010519491231002X"},
      {"CRYPTO", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"},
      {"CH_AHV", "756.9217.0769.85"}};
  for (const auto& [type, text] : cases)
    EXPECT_TRUE(Types(Look(text), Scanner::kPii).contains(type)) << type << ": " << text;
  for (const char* text :
       {"pay with 4012 8888 8888 1882", "version 1.2.3", "in 2024 we sold 12345 units", "NHS number 401-023-2138"}) {
    EXPECT_TRUE(Types(Look(text), Scanner::kPii).empty()) << text;
  }
}

TEST(Database, CachedFileIsUsedAndACorruptOneRefused) {
  const auto dir = std::filesystem::temp_directory_path() / ("guard-db-" + std::to_string(getpid()));
  std::filesystem::create_directory(dir);
  std::vector<Rule> rules = {{.scanner = Scanner::kCustom, .type = "x", .trigger = "needle", .confirm = "needle"}};
  auto first = PatternDatabase::Create(rules, dir.string());
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE((*first)->loaded_from_cache());
  auto second = PatternDatabase::Create(rules, dir.string());
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE((*second)->loaded_from_cache());
  for (const auto& e : std::filesystem::directory_iterator(dir)) {
    struct stat st {};
    ASSERT_EQ(stat(e.path().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600U);
    std::fstream f(e.path(), std::ios::binary | std::ios::in | std::ios::out);
    f.seekp(400);
    f.put('!');
  }
  auto third = PatternDatabase::Create(rules, dir.string());
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code(), ErrorCode::kDataLoss);
  std::filesystem::remove_all(dir);
}

TEST(Model, ChangedWeightsAreRefused) {
  std::string bytes(ShippedModelBytes(false));
  EXPECT_TRUE(InjectionModel::Parse(bytes).ok());
  bytes[5000] = static_cast<char>(bytes[5000] + 1);
  EXPECT_FALSE(InjectionModel::Parse(bytes).ok());
  EXPECT_FALSE(InjectionModel::Parse(std::string_view(bytes).substr(0, 100)).ok());
}

TEST(Session, PlaceholdersComeBackAcrossCutsAndInJson) {
  Session session(crypto::Secret::Copy(AsBytes("tenant key")));
  const Verdict v = Look("write to jane.doe@example.org or jane.doe@example.org", Channel::kOutput, &session);
  EXPECT_EQ(v.text, "write to [REDACTED_EMAIL_ADDRESS_1] or [REDACTED_EMAIL_ADDRESS_1]");
  for (size_t step = 1; step < 9; ++step) {
    Restorer r(session.vault(), false);
    std::string out;
    for (size_t i = 0; i < v.text.size(); i += step) out += r.Feed(std::string_view(v.text).substr(i, step));
    out += r.Finish();
    EXPECT_EQ(out, "write to jane.doe@example.org or jane.doe@example.org");
  }
  const std::string p = session.vault().Placeholder("generic-secret", "a\"b\\c").value();
  Restorer json(session.vault(), true);
  EXPECT_EQ(json.Feed("{\"x\":\"" + p + "\"}") + json.Finish(), "{\"x\":\"a\\\"b\\\\c\"}");
  Session other(crypto::Secret::Copy(AsBytes("another key")));
  Restorer foreign(other.vault(), false);
  EXPECT_EQ(foreign.Feed(v.text) + foreign.Finish(), v.text) << "another session's placeholders mean nothing";
}

TEST(Session, CanariesLeaksAndUngroundedNames) {
  Session session(crypto::Secret::Copy(AsBytes("tenant key")));
  SeededRandom random(1);
  const std::string canary = session.PlantCanary(random);
  EXPECT_EQ(Look("see " + canary + " here", Channel::kOutput, &session).action, Action::kBlock);
  EXPECT_TRUE(Types(Look("aaaa " + Base64Encode(AsBytes("id " + canary)), Channel::kTool, &session), Scanner::kCanary)
                  .contains("CANARY"));
  EXPECT_TRUE(
      Types(Look("see hexr-canary-000000000000000000000000", Channel::kOutput, &session), Scanner::kCanary).empty());

  session.SetSystemPrompt(
      "You are the travel desk of Example Corp. Never offer more than two upgrades and always ask for the booking code "
      "first.");
  const Verdict leak =
      Look("Sure: you are the travel desk of example corp never offer MORE than two upgrades and always ask",
           Channel::kOutput, &session);
  EXPECT_EQ(Types(leak, Scanner::kLeak), std::set<std::string>{"SYSTEM_PROMPT"});
  EXPECT_TRUE(
      Types(Look("Our travel desk never offers more than two upgrades.", Channel::kOutput, &session), Scanner::kLeak)
          .empty());

  Look("documentation at https://docs.example.org/start, see pip install requests", Channel::kTool, &session);
  const auto names = Types(Look("pip install requests reqeusts-pro https://docs.example.org/x "
                                "https://evil.example.net/y\npip install reqeusts",
                                Channel::kOutput, &session),
                           Scanner::kGrounding);
  EXPECT_EQ(names, (std::set<std::string>{"UNGROUNDED_URL", "UNGROUNDED_PACKAGE"}));
  EXPECT_TRUE(Types(Look("pip install requests then https://docs.example.org/x", Channel::kOutput, &session),
                    Scanner::kGrounding)
                  .empty());
}

TEST(CustomRules, AreFoundAndBadOnesRefused) {
  EngineOptions o;
  o.custom = {{"project", "(?i)project[ -]falcon", false, 0.9F}, {"words", "foo|bar", true, 0.9F}};
  auto engine = Engine::Create(o);
  ASSERT_TRUE(engine.ok());
  auto worker = Worker::Create(*engine);
  ASSERT_TRUE(worker.ok());
  auto v = Scan(**worker, kClock, "about Project Falcon and foobar and Foo", Channel::kUser);
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(Types(*v, Scanner::kCustom), (std::set<std::string>{"project", "words"}));
  o.custom = {{"bad", "(", false, 0.9F}};
  EXPECT_FALSE(Engine::Create(o).ok());
  o.custom = {{"empty", "a*", false, 0.9F}};
  EXPECT_FALSE(Engine::Create(o).ok());
}

TEST(LlmGuardApi, AnswersInItsOwnShape) {
  EXPECT_EQ(LlmGuardRisk(1.0, 0.5), 1.0);
  EXPECT_EQ(LlmGuardRisk(0.0, 0.5), -1.0);
  EXPECT_EQ(LlmGuardRisk(0.75, 0.5), 0.5);
  const auto serve = [](std::string_view m, std::string_view p, std::string_view b) {
    return ServeLlmGuard(SharedWorker(), kClock, nullptr, m, p, b);
  };
  const auto good = serve("POST", "/analyze/prompt", R"({"prompt": "write to jane.doe@example.org"})");
  EXPECT_EQ(good.status, 200);
  const auto json = wire::ParseJson(good.body).value();
  EXPECT_EQ(json.FindString("sanitized_prompt").value(), "write to [REDACTED_EMAIL_ADDRESS]");
  EXPECT_FALSE(json.FindBool("is_valid").value());
  EXPECT_EQ(json.Find("scanners")->Find("InvisibleText")->ToDouble().value(), -1.0);
  const auto hidden = wire::ParseJson(serve("POST", "/scan/prompt",
                                            "{\"prompt\": \"a\\u200bb\", \"scanners_suppress\": [\"PromptInjection\"]}")
                                          .body)
                          .value();
  EXPECT_EQ(hidden.Find("sanitized_prompt"), nullptr);
  EXPECT_EQ(hidden.Find("scanners")->Find("PromptInjection"), nullptr);
  EXPECT_EQ(hidden.Find("scanners")->Find("InvisibleText")->ToDouble().value(), 1.0);
  const auto blank =
      wire::ParseJson(serve("POST", "/analyze/output", R"({"prompt": "x", "output": "  "})").body).value();
  EXPECT_TRUE(blank.FindBool("is_valid").value());
  EXPECT_TRUE(blank.Find("scanners")->as_object()->empty());
  EXPECT_EQ(serve("POST", "/scan/output", R"({"output": "x"})").status, 422);
  EXPECT_EQ(serve("POST", "/scan/prompt", "{").status, 422);
  EXPECT_EQ(serve("GET", "/scan/prompt", "").status, 405);
  EXPECT_EQ(serve("GET", "/nowhere", "").status, 404);
  EXPECT_EQ(serve("GET", "/healthz", "").body, R"({"status":"alive"})");
}

}  // namespace
}  // namespace hexr::guard
