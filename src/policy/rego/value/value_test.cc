#include "policy/rego/value/value.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "policy/rego/value/json.h"
#include "policy/rego/value/number.h"
#include "policy/rego/value/yaml.h"

namespace hexr::rego {
namespace {

TEST(RegoValue, StringsCompareAtEveryLength) {
  Arena arena;
  for (size_t n = 0; n < 70; ++n) {
    const std::string text(n, 'x');
    const Value a = Value::String(arena, text), b = Value::String(arena, text);
    EXPECT_TRUE(Equal(a, b)) << n;
    EXPECT_EQ(a.text(), text);
    EXPECT_EQ(Compare(a, b), 0) << n;
    for (size_t i = 0; i < n; ++i) {
      std::string other = text;
      other[i] = 'y';
      const Value c = Value::String(arena, other);
      EXPECT_FALSE(SameText(*a.str, *c.str)) << n << " " << i;
    }
    // Zeros at the end are part of the text.
    EXPECT_FALSE(SameText(*a.str, *Value::String(arena, text + '\0').str)) << n;
  }
}

// Keys chosen to meet in one slot of a table by the hash with its secret left out. Whoever takes the secret away makes
// them meet.
TEST(RegoValue, NobodyChoosesHashes) {
  constexpr uint32_t kSlots = 1 << 12;
  const auto mix = [](uint64_t a, uint64_t b) {
    const __uint128_t m = static_cast<__uint128_t>(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD6E8FEB86659FD93u);
    return static_cast<uint64_t>(m) ^ static_cast<uint64_t>(m >> 64);
  };
  const auto fold = [](uint64_t h) { return static_cast<uint32_t>(h ^ (h >> 32)); };
  Arena arena;
  std::vector<Value> texts, numbers;
  for (uint64_t n = 1; texts.size() < 200 || numbers.size() < 200; ++n) {
    const std::string key = "k" + std::to_string(100'000'000 + n).substr(2);  // eight bytes
    uint64_t word = 0;
    std::memcpy(&word, key.data(), 8);
    if (fold(mix(8 * 0x9E3779B97F4A7C15u, word)) % kSlots == 0) texts.push_back(Value::String(arena, key));
    if (fold(mix(1, n)) % kSlots == 0) numbers.push_back(Value::Int(static_cast<int64_t>(n)));
  }
  for (const auto& keys : {texts, numbers}) {
    std::set<uint32_t> slots;
    for (const Value& k : keys) slots.insert(Hash(k) % kSlots);
    EXPECT_GT(slots.size(), keys.size() / 2);
  }
  // One mantissa with exponents that are far apart.
  std::set<uint32_t> slots;
  for (int i = 1; i <= 200; ++i) slots.insert(Hash(*ParseNumber(arena, "1e" + std::to_string(i * (1 << 18)))) % kSlots);
  EXPECT_GT(slots.size(), 100u);
}

TEST(RegoValue, YamlsEscapesAreUtf8) {
  Arena arena;
  const auto v = ParseYaml(arena, "a: \"x\\_y\\Nz\\xe9\"\n");
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(ToJson(*v), "{\"a\":\"x\xc2\xa0y\xc2\x85z\xc3\xa9\"}");
  EXPECT_FALSE(ParseYaml(arena, "a: \xff\n").ok());
  const auto lines = ParseYaml(arena, "? \"k\\nl\"\n: 1\n");
  ASSERT_TRUE(lines.ok());
  const auto again = ParseYaml(arena, ToYaml(*lines));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(Equal(*lines, *again));
}

}  // namespace
}  // namespace hexr::rego
