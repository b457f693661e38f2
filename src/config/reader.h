// Reads a YAML mapping field by field and remembers every problem with its place. Internal to this room.
#pragma once

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/nearest.h"
#include "base/result.h"
#include "config/config.h"

namespace hexr::config {

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}
  void Add(const YAML::Mark& mark, std::string message);
  std::vector<Problem> Take();  // in file order
  bool empty() const { return list_.empty(); }

 private:
  std::string file_;
  std::vector<Problem> list_;
};

// The one document of a file, an empty mapping for an empty file. A second document is a problem, found without reading
// the rest: yaml-cpp's LoadAll never ends on some texts ("!a,\n\1}{"), whose stray brackets it takes for one more
// document each time. Throws what yaml-cpp throws.
YAML::Node LoadDocument(const std::string& text, Problems& problems);

// One mapping. Each field is read once; Finish reports keys that nobody asked for, with the nearest that exists.
class MapReader {
 public:
  // `path` is the key path for messages: "egress", "roles[2]".
  MapReader(const YAML::Node& node, std::string path, Problems& problems);

  void String(const char* key, std::string& out);
  void Bool(const char* key, bool& out);
  void Duration(const char* key, milliseconds& out, milliseconds min, milliseconds max);
  void OptionalDuration(const char* key, std::optional<milliseconds>& out, milliseconds min, milliseconds max);
  // One string or a list of them.
  void Strings(const char* key, std::vector<std::string>& out);
  // A list taken as it is, or one string split at blanks.
  void Words(const char* key, std::vector<std::string>& out);
  void StringMap(const char* key, std::map<std::string, std::string>& out);
  // A mapping whose keys are not known before; a Result of `read` that fails is a problem of that item.
  void EachPair(const char* key, const std::function<Status(const std::string&, const std::string&)>& read);

  // Parses a string with `parse`, which returns a Result.
  template <class T, class F>
  void Parsed(const char* key, T& out, F parse) {
    WithScalar(key, [&](const std::string& text, const YAML::Mark& mark) {
      auto r = parse(text);
      if (r.ok())
        out = std::move(r).value();
      else
        Fail(mark, key, r.error().message());
    });
  }
  // One string or a list of them, at most `max`, each parsed with `parse`, which may take the item's place as well; a
  // problem stands at its own item. Whether it is there, and has no items.
  template <class T, class F>
  bool ParsedList(const char* key, std::vector<T>& out, size_t max, F parse) {
    std::vector<T> given;
    bool none = true;
    const bool read = EachScalar(key, [&](const std::string& text, const YAML::Mark& mark) {
      none = false;
      auto r = [&] {
        if constexpr (std::is_invocable_v<F, const std::string&, const YAML::Mark&>)
          return parse(text, mark);
        else
          return parse(text);
      }();
      if (!r.ok())
        Fail(mark, key, r.error().message());
      else if (given.size() == max)
        Fail(mark, key, "at most " + std::to_string(max) + " are taken");
      else if (std::find(given.begin(), given.end(), *r) != given.end())
        Fail(mark, key, "'" + text + "' is given twice; keep one");
      else
        given.push_back(std::move(r).value());
    });
    if (read) out = std::move(given);  // what is not given keeps its default
    return read && none;
  }
  // One of a fixed set of words.
  template <class T>
  void Choice(const char* key, T& out, const std::vector<std::pair<std::string_view, T>>& choices) {
    WithScalar(key, [&](const std::string& text, const YAML::Mark& mark) {
      std::string words;
      for (const auto& [word, value] : choices) {
        if (word == text) {
          out = value;
          return;
        }
        if (!words.empty()) words += ", ";
        words += word;
      }
      Fail(mark, key, "'" + text + "' is not one of: " + words);
    });
  }
  // A list of mappings.
  void Each(const char* key, const std::function<void(MapReader&)>& read);
  // A nested mapping; `read` runs only where it is there.
  void Map(const char* key, const std::function<void(MapReader&)>& read);

  void Required(const char* key);
  bool Has(const char* key) const;
  void Fail(const char* key, const std::string& message);  // at the field, or at the mapping where it is absent
  void Fail(const YAML::Mark& mark, const char* key, const std::string& message);
  void Finish();

 private:
  YAML::Node Take(const char* key);
  // One value or a list of them; false: neither, or not there.
  bool EachScalar(const char* key, const std::function<void(const std::string&, const YAML::Mark&)>& f);
  void WithScalar(const char* key, const std::function<void(const std::string&, const YAML::Mark&)>& f);
  std::string PathOf(const char* key) const;

  YAML::Node node_;
  std::string path_;
  Problems& problems_;
  std::set<std::string> asked_;
};

}  // namespace hexr::config
