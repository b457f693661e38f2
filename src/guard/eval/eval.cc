#include "guard/eval/eval.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace hexr::guard {
namespace {

using wire::Json;
using wire::JsonObject;

struct Counts {
  uint64_t tp = 0, fp = 0, tn = 0, fn = 0;

  void Add(bool positive, bool flagged) {
    if (positive)
      flagged ? ++tp : ++fn;
    else
      flagged ? ++fp : ++tn;
  }
  static double Ratio(uint64_t a, uint64_t b) { return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b); }
  void Write(JsonObject& o) const {
    o.Set("n", tp + fp + tn + fn);
    o.Set("tp", tp);
    o.Set("fp", fp);
    o.Set("tn", tn);
    o.Set("fn", fn);
    o.Set("recall", Ratio(tp, tp + fn));
    o.Set("fpr", Ratio(fp, fp + tn));
    o.Set("precision", Ratio(tp, tp + fp));
    o.Set("f1", Ratio(2 * tp, 2 * tp + fp + fn));
  }
};

struct Tally {
  Counts all;
  std::map<std::string, Counts> per_source;
  std::map<std::string, Counts> per_type;
};

// Byte offsets of code points: offsets[i] is where code point i starts.
std::vector<uint64_t> RuneOffsets(std::string_view text) {
  std::vector<uint64_t> out;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) out.push_back(i);
  }
  out.push_back(text.size());
  return out;
}

uint64_t ByteAt(const std::vector<uint64_t>& offsets, int64_t rune) {
  return offsets[std::min<size_t>(static_cast<size_t>(std::max<int64_t>(rune, 0)), offsets.size() - 1)];
}

class Evaluation {
 public:
  Evaluation(Worker& worker, const Clock& clock) : worker_(worker), clock_(clock) {}

  Result<Verdict> Run(std::string_view text, Channel channel, float least_pii = kPiiReported, bool all_pii = false) {
    StreamOptions o;
    o.channel = channel;
    o.policy = DefaultPolicy(channel);
    o.least_pii = least_pii;
    o.all_pii = all_pii;
    Stream stream(worker_, clock_, o);
    ASSIGN_OR_RETURN(const std::string a, stream.Feed(text));
    ASSIGN_OR_RETURN(const std::string b, stream.Finish());
    logit_ = stream.best_logit();
    return stream.TakeVerdict();
  }

  Status Injection(const Json& row) {
    const auto text = row.FindString("text");
    const auto label = row.FindInteger("label");
    if (!text || !label) return InvalidArgument("an injection row has text and label");
    ASSIGN_OR_RETURN(const Channel channel, ParseChannel(row.FindString("channel").value_or("user")));
    ASSIGN_OR_RETURN(const Verdict v, Run(*text, channel));
    // Personal data and secrets are other tasks' business: a row is flagged for what makes it an injection.
    const bool flagged = std::any_of(v.findings.begin(), v.findings.end(), [&](const Finding& f) {
      return (f.scanner == Scanner::kInjection || (f.scanner == Scanner::kUnicode && f.score >= kSureScore)) &&
             DefaultPolicy(channel)[f.scanner] > Action::kAllow;
    });
    const std::string source(row.FindString("source").value_or(""));
    tally_.all.Add(*label == 1, flagged);
    tally_.per_source[source].Add(*label == 1, flagged);
    prediction_.Set("flagged", flagged);
    prediction_.Set("score", static_cast<double>(v.scanners[static_cast<size_t>(Scanner::kInjection)]));
    prediction_.Set("logit", static_cast<double>(logit_));
    Types(v);
    return Ok();
  }

  Status Pii(const Json& row) {
    if (row.Find("spans") != nullptr) return Spans(row);
    return Recogniser(row);
  }

  Status Secrets(const Json& row) {
    if (const auto kind = row.FindString("kind")) {
      const std::string text(row.FindString("text").value_or(""));
      ASSIGN_OR_RETURN(const Verdict v, Run(text, Channel::kTool));
      const bool flagged = Has(v, Scanner::kSecrets);
      tally_.all.Add(*kind == "positive", flagged);
      tally_.per_type[std::string(row.FindString("rule").value_or(""))].Add(*kind == "positive", flagged);
      prediction_.Set("flagged", flagged);
      Types(v);
      return Ok();
    }
    const auto line = row.FindString("line");
    const auto label = row.FindString("label");
    if (!line || !label) return InvalidArgument("a secrets row has text and kind, or line and label");
    if (*label != "T" && *label != "F") return Ok();
    ASSIGN_OR_RETURN(const Verdict v, Run(*line, Channel::kTool));
    const auto offsets = RuneOffsets(*line);
    const int64_t start = row.FindInteger("start").value_or(-1);
    const int64_t end = row.FindInteger("end").value_or(-1);
    const uint64_t s = start < 0 ? 0 : ByteAt(offsets, start);
    const uint64_t e = end < 0 ? line->size() : ByteAt(offsets, end);
    const bool flagged = std::any_of(v.findings.begin(), v.findings.end(), [&](const Finding& f) {
      return f.scanner == Scanner::kSecrets && f.start < e && s < f.end;
    });
    tally_.all.Add(*label == "T", flagged);
    tally_.per_type[std::string(row.FindString("category").value_or(""))].Add(*label == "T", flagged);
    prediction_.Set("flagged", flagged);
    Types(v);
    return Ok();
  }

  // Types that occur in the file at hand: only those can be false.
  void SetFileTypes(std::set<std::string> types) { file_types_ = std::move(types); }
  Tally& tally() { return tally_; }
  JsonObject& prediction() { return prediction_; }

 private:
  static bool Has(const Verdict& v, Scanner s) {
    return std::any_of(v.findings.begin(), v.findings.end(), [&](const Finding& f) { return f.scanner == s; });
  }
  void Types(const Verdict& v) {
    wire::JsonArray types;
    for (const Finding& f : v.findings) types.emplace_back(f.type);
    prediction_.Set("action", ActionName(v.action));
    prediction_.Set("types", std::move(types));
  }

  Status Spans(const Json& row) {
    const auto text = row.FindString("full_text");
    const auto* spans = row.FindArray("spans");
    if (!text || spans == nullptr) return InvalidArgument("a span row has full_text and spans");
    ASSIGN_OR_RETURN(const Verdict v, Run(*text, Channel::kUser));
    const auto offsets = RuneOffsets(*text);
    std::vector<bool> used(v.findings.size(), false);
    for (const Json& span : *spans) {
      const std::string type(span.FindString("entity_type").value_or(""));
      const uint64_t s = ByteAt(offsets, span.FindInteger("start_position").value_or(0));
      const uint64_t e = ByteAt(offsets, span.FindInteger("end_position").value_or(0));
      bool found = false;
      for (size_t i = 0; i < v.findings.size(); ++i) {
        const Finding& f = v.findings[i];
        if (f.scanner != Scanner::kPii || f.type != type || f.start >= e || s >= f.end) continue;
        used[i] = true;
        const uint64_t overlap = std::min(f.end, e) - std::max(f.start, s);
        found |= overlap * 2 >= std::max(f.end - f.start, e - s);
      }
      tally_.per_type[type].Add(true, found);
      tally_.all.Add(true, found);
    }
    for (size_t i = 0; i < v.findings.size(); ++i) {
      const Finding& f = v.findings[i];
      if (f.scanner != Scanner::kPii || used[i] || !file_types_.contains(f.type)) continue;
      tally_.per_type[f.type].Add(false, true);
      tally_.all.Add(false, true);
    }
    prediction_.Set("found", static_cast<int64_t>(std::count(used.begin(), used.end(), true)));
    Types(v);
    return Ok();
  }

  // Presidio's recogniser tests: the type is the one that the test file is about.
  static std::string TypeOfTest(std::string_view test) {
    std::string name(test.substr(0, test.find("_recognizer")));
    if (name.starts_with("test_")) name = name.substr(5);
    static const std::map<std::string, std::string> kNames = {{"certificate_number", "MEDICAL_LICENSE"},
                                                              {"email", "EMAIL_ADDRESS"},
                                                              {"iban", "IBAN_CODE"},
                                                              {"ip", "IP_ADDRESS"},
                                                              {"mac", "MAC_ADDRESS"},
                                                              {"phone", "PHONE_NUMBER"},
                                                              {"tr_phone_number", "PHONE_NUMBER"},
                                                              {"date", "DATE_TIME"},
                                                              {"sg_fin", "SG_NRIC_FIN"},
                                                              {"us_bank", "US_BANK_NUMBER"},
                                                              {"aba_routing", "ABA_ROUTING_NUMBER"},
                                                              {"it_vat_code", "IT_VAT_CODE"},
                                                              {"url", "URL"}};
    if (const auto it = kNames.find(name); it != kNames.end()) return it->second;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return name;
  }

  Status Recogniser(const Json& row) {
    const auto text = row.FindString("text");
    const auto test = row.FindString("_test");
    if (!text || !test) return InvalidArgument("a recogniser row has text and _test");
    const std::string type = TypeOfTest(*test);
    ASSIGN_OR_RETURN(const Verdict v, Run(*text, Channel::kUser, 0.001F, true));
    const auto offsets = RuneOffsets(*text);
    std::set<std::pair<uint64_t, uint64_t>> found;
    for (const Finding& f : v.findings) {
      const bool alias = type == "URL" && f.type == "DOMAIN_NAME";
      if (f.scanner == Scanner::kPii && (f.type == type || alias)) found.insert({f.start, f.end});
    }
    const auto expected_len = row.FindInteger("expected_len");
    const auto* positions = row.FindArray("expected_positions");
    bool right = false;
    bool positive = expected_len.value_or(0) > 0;
    if (positions != nullptr) {
      std::set<std::pair<uint64_t, uint64_t>> expected;
      for (const Json& p : *positions) {
        const auto* pair = p.as_array();
        if (pair == nullptr || pair->size() != 2 || (*pair)[0].as_integer() == nullptr ||
            (*pair)[1].as_integer() == nullptr)
          continue;
        expected.insert({ByteAt(offsets, *(*pair)[0].as_integer()), ByteAt(offsets, *(*pair)[1].as_integer())});
      }
      right = found == expected;
      positive = !expected.empty();
    } else {
      right = static_cast<int64_t>(found.size()) == expected_len.value_or(0);
    }
    tally_.all.Add(positive, right == positive);
    tally_.per_type[type].Add(positive, right == positive);
    prediction_.Set("right", right);
    Types(v);
    return Ok();
  }

  Worker& worker_;
  const Clock& clock_;
  Tally tally_;
  JsonObject prediction_;
  std::set<std::string> file_types_;
  float logit_ = 0;
};

}  // namespace

Result<Json> Evaluate(Worker& worker, const Clock& clock, std::string_view task, const std::vector<EvalFile>& files,
                      const std::function<void(const Json&)>& on_prediction) {
  if (task != "injection" && task != "pii" && task != "secrets") {
    return InvalidArgument("no task '" + std::string(task) + "': one of injection, pii, secrets");
  }
  Evaluation eval(worker, clock);
  for (const EvalFile& file : files) {
    std::vector<Json> rows;
    std::set<std::string> types;
    size_t number = 0;
    std::string_view rest = file.content;
    while (!rest.empty()) {
      ++number;
      const size_t line_end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, line_end);
      rest.remove_prefix(std::min(rest.size(), line_end + 1));
      if (line.find_first_not_of(" \r\t") == std::string_view::npos) continue;
      auto row = wire::ParseJson(line);
      if (!row.ok()) return row.error().WithContext(file.name + ":" + std::to_string(number));
      if (const auto* spans = row->FindArray("spans")) {
        for (const Json& s : *spans) types.insert(std::string(s.FindString("entity_type").value_or("")));
      }
      rows.push_back(std::move(row).value());
    }
    eval.SetFileTypes(std::move(types));
    number = 0;
    for (const Json& row : rows) {
      ++number;
      eval.prediction() = JsonObject();
      if (const auto id = row.FindString("id"))
        eval.prediction().Set("id", *id);
      else
        eval.prediction().Set("row", number);
      const Status s = task == "injection" ? eval.Injection(row) : task == "pii" ? eval.Pii(row) : eval.Secrets(row);
      if (!s.ok()) return s.error().WithContext(file.name + ":" + std::to_string(number));
      if (on_prediction) on_prediction(eval.prediction());
    }
  }
  JsonObject out;
  out.Set("task", task);
  eval.tally().all.Write(out);
  const auto table = [&](const std::map<std::string, Counts>& counts) {
    JsonObject o;
    for (const auto& [name, c] : counts) {
      JsonObject one;
      c.Write(one);
      o.Set(name, std::move(one));
    }
    return o;
  };
  out.Set("per_source", table(eval.tally().per_source));
  out.Set("per_type", table(eval.tally().per_type));
  return Json(std::move(out));
}

}  // namespace hexr::guard
