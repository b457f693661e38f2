#include "config/reader.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <sstream>

#include "base/clock.h"

namespace hexr::config {

void Problems::Add(const YAML::Mark& mark, std::string message) {
  // yaml-cpp counts from 0, and uses -1 for "nowhere".
  list_.push_back({file_, mark.line + 1, mark.column + 1, std::move(message)});
}

std::vector<Problem> Problems::Take() {
  std::ranges::stable_sort(list_, {}, [](const Problem& p) { return std::pair(p.line, p.column); });
  return std::move(list_);
}

namespace {

// Sees where documents begin, and builds nothing.
class Documents final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { start = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
  YAML::Mark start;
};

}  // namespace

YAML::Node LoadDocument(const std::string& text, Problems& problems) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Documents documents;
  if (parser.HandleNextDocument(documents) && parser.HandleNextDocument(documents)) {
    problems.Add(documents.start, "one document a file");
    return YAML::Node(YAML::NodeType::Map);
  }
  const YAML::Node first = YAML::Load(text);
  return first.IsNull() ? YAML::Node(YAML::NodeType::Map) : first;
}

MapReader::MapReader(const YAML::Node& node, std::string path, Problems& problems)
    : node_(node), path_(std::move(path)), problems_(problems) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    problems_.Add(node_.Mark(),
                  (path_.empty() ? std::string("the file") : path_) + ": a mapping of keys to values is expected here");
    node_ = YAML::Node(YAML::NodeType::Map);
  }
  if (!node_.IsMap()) return;
  std::set<std::string> seen;
  for (const auto& pair : node_) {
    if (!pair.first.IsScalar()) {
      problems_.Add(pair.first.Mark(), "a key is a plain word");
    } else if (!seen.insert(pair.first.Scalar()).second) {
      problems_.Add(pair.first.Mark(), PathOf(pair.first.Scalar().c_str()) + ": given twice; keep one");
    }
  }
}

std::string MapReader::PathOf(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

YAML::Node MapReader::Take(const char* key) {
  asked_.insert(key);
  if (node_.IsMap()) {
    for (const auto& pair : node_) {
      if (pair.first.IsScalar() && pair.first.Scalar() == key) return pair.second;
    }
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

bool MapReader::Has(const char* key) const {
  if (!node_.IsMap()) return false;
  for (const auto& pair : node_) {
    if (pair.first.IsScalar() && pair.first.Scalar() == key) return true;
  }
  return false;
}

void MapReader::Fail(const YAML::Mark& mark, const char* key, const std::string& message) {
  problems_.Add(mark, PathOf(key) + ": " + message);
}

void MapReader::Fail(const char* key, const std::string& message) {
  const YAML::Node n = Take(key);
  Fail(n.IsDefined() ? n.Mark() : node_.Mark(), key, message);
}

void MapReader::WithScalar(const char* key, const std::function<void(const std::string&, const YAML::Mark&)>& f) {
  const YAML::Node n = Take(key);
  if (!n.IsDefined()) return;
  if (!n.IsScalar()) return Fail(n.Mark(), key, "one value is expected here");
  f(n.Scalar(), n.Mark());
}

void MapReader::Required(const char* key) {
  if (!Has(key)) Fail(node_.Mark(), key, "is needed here");
}

void MapReader::String(const char* key, std::string& out) {
  WithScalar(key, [&](const std::string& text, const YAML::Mark&) { out = text; });
}

void MapReader::Bool(const char* key, bool& out) { Choice<bool>(key, out, {{"true", true}, {"false", false}}); }

void MapReader::Duration(const char* key, milliseconds& out, milliseconds min, milliseconds max) {
  WithScalar(key, [&](const std::string& text, const YAML::Mark& mark) {
    const auto d = ParseDuration(text);
    if (!d.ok()) return Fail(mark, key, d.error().message());
    if (*d < min || *d > max) {
      return Fail(mark, key, text + " is outside " + FormatDuration(min) + " to " + FormatDuration(max));
    }
    out = *d;
  });
}

void MapReader::OptionalDuration(const char* key, std::optional<milliseconds>& out, milliseconds min,
                                 milliseconds max) {
  if (!Has(key)) {
    Take(key);
    return;
  }
  milliseconds d{0};
  Duration(key, d, min, max);
  out = d;
}

bool MapReader::EachScalar(const char* key, const std::function<void(const std::string&, const YAML::Mark&)>& f) {
  const YAML::Node n = Take(key);
  if (!n.IsDefined()) return false;
  if (n.IsScalar()) {
    f(n.Scalar(), n.Mark());
    return true;
  }
  if (!n.IsSequence()) {
    Fail(n.Mark(), key, "a value or a list of values is expected here");
    return false;
  }
  for (const auto& item : n) {
    if (!item.IsScalar())
      Fail(item.Mark(), key, "each item is one value");
    else
      f(item.Scalar(), item.Mark());
  }
  return true;
}

void MapReader::Strings(const char* key, std::vector<std::string>& out) {
  std::vector<std::string> read;
  if (EachScalar(key, [&](const std::string& text, const YAML::Mark&) { read.push_back(text); })) out = std::move(read);
}

void MapReader::Words(const char* key, std::vector<std::string>& out) {
  const YAML::Node n = Take(key);
  if (!n.IsDefined() || !n.IsScalar()) return Strings(key, out);
  out.clear();
  const std::string& text = n.Scalar();
  for (size_t at = text.find_first_not_of(" \t\n"); at != std::string::npos;) {
    const size_t end = text.find_first_of(" \t\n", at);
    out.push_back(text.substr(at, end == std::string::npos ? end : end - at));
    at = end == std::string::npos ? end : text.find_first_not_of(" \t\n", end);
  }
}

void MapReader::EachPair(const char* key, const std::function<Status(const std::string&, const std::string&)>& read) {
  const YAML::Node n = Take(key);
  if (!n.IsDefined()) return;
  const MapReader nested(n, PathOf(key), problems_);  // finds duplicates and a wrong type
  if (!n.IsMap()) return;
  for (const auto& pair : n) {
    if (!pair.first.IsScalar() || !pair.second.IsScalar()) {
      Fail(pair.first.Mark(), key, "each item is NAME: VALUE");
    } else if (const Status s = read(pair.first.Scalar(), pair.second.Scalar()); !s.ok()) {
      Fail(pair.first.Mark(), key, s.error().message());
    }
  }
}

void MapReader::StringMap(const char* key, std::map<std::string, std::string>& out) {
  EachPair(key, [&](const std::string& name, const std::string& value) {
    out[name] = value;
    return Ok();
  });
}

void MapReader::Each(const char* key, const std::function<void(MapReader&)>& read) {
  const YAML::Node n = Take(key);
  if (!n.IsDefined()) return;
  if (!n.IsSequence()) return Fail(n.Mark(), key, "a list is expected here");
  size_t i = 0;
  for (const auto& item : n) {
    MapReader nested(item, PathOf(key) + "[" + std::to_string(i++) + "]", problems_);
    read(nested);
    nested.Finish();
  }
}

void MapReader::Map(const char* key, const std::function<void(MapReader&)>& read) {
  const YAML::Node n = Take(key);
  if (!n.IsDefined()) return;
  MapReader nested(n, PathOf(key), problems_);
  read(nested);
  nested.Finish();
}

void MapReader::Finish() {
  if (!node_.IsMap()) return;
  for (const auto& pair : node_) {
    if (!pair.first.IsScalar() || asked_.contains(pair.first.Scalar())) continue;
    const std::string near = Nearest(pair.first.Scalar(), asked_);
    std::string message = "unknown key";
    if (!near.empty()) message += "; did you mean '" + near + "'?";
    Fail(pair.first.Mark(), pair.first.Scalar().c_str(), message);
  }
}

}  // namespace hexr::config
